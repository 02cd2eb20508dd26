"""Graphs of an imported model answer as scikit-learn does with the same file, and explain themselves exactly."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import onnx
import pytest

pytest.importorskip("torch")

from cellmark.schemas.errors import ExportError
from cellmark.schemas.imported_model import CLIP, ImportedModel
from cellmark.serving.reader.celltypist_file import read_celltypist
from cellmark.training.export.check_parity import open_session
from cellmark.training.export.imported_graphs import check_imported, draw_cells, imported_annotator, imported_explainer
from fixtures.celltypist_models import KINDS, Kind, answers, fitted, log1p_of, with_rare_genes, written


def imported(model: dict[str, Any], folder: Path) -> ImportedModel:
    return read_celltypist(written(model, folder / "model.pkl"))


def feeds(model: ImportedModel, counts: ad.AnnData) -> dict[str, np.ndarray]:
    """What a graph takes of cells: the model's genes in its order, NaN for those that are not there."""
    places = counts.var_names.get_indexer(list(model.gene_symbols))
    dense = np.asarray(counts.X.toarray(), dtype=np.float32)[:, places]
    dense[:, places < 0] = np.nan
    return {"counts": dense, "library_size": counts.obs["total"].to_numpy(np.float32)[:, None]}


@pytest.fixture(scope="module")
def labelled(tiny_cells: ad.AnnData) -> ad.AnnData:
    return with_rare_genes(tiny_cells)


@pytest.fixture(scope="module")
def cells(new_cells: ad.AnnData) -> ad.AnnData:
    """New cells with their totals."""
    cells = with_rare_genes(new_cells, n_counts=20)
    cells.obs["total"] = np.asarray(cells.X.sum(axis=1)).ravel()
    return cells


@pytest.mark.parametrize("lacking", [0.0, 0.4])
@pytest.mark.parametrize("kind", KINDS)
def test_labels_and_probabilities_are_those_of_scikit_learn(
    kind: Kind, lacking: float, labelled: ad.AnnData, cells: ad.AnnData, tmp_path: Path
) -> None:
    model = fitted(labelled, kind)
    kept = np.random.default_rng(0).random(cells.n_vars) >= lacking
    labels, probabilities, _ = answers(model, log1p_of(cells)[:, kept])
    found = imported(model, tmp_path)
    logits, ours = open_session(imported_annotator(found)).run(
        ["logits", "probabilities"], feeds(found, cells[:, kept])
    )
    assert (np.array(found.cell_types, dtype=object)[logits.argmax(axis=1)] == labels).all()
    assert np.abs(ours - probabilities).max() < 1e-5
    sums = ours.sum(axis=1)
    assert kind == "two types" or np.abs(sums - 1).max() > 0.01  # sigmoids, no softmax


@pytest.mark.parametrize("lacking", [0.0, 0.4])
@pytest.mark.parametrize("kind", ["logistic", "two types", "mean not subtracted"])
def test_attributions_sum_to_the_change_of_scikit_learns_score_beyond_the_clip_too(
    kind: Kind, lacking: float, labelled: ad.AnnData, cells: ad.AnnData, tmp_path: Path
) -> None:
    model = fitted(labelled, kind)
    kept = np.random.default_rng(0).random(cells.n_vars) >= lacking
    kept[[name.startswith("GENE4") for name in cells.var_names]] = True
    found = imported(model, tmp_path)
    x = log1p_of(cells)[:, kept]
    place = list(found.gene_symbols).index("GENE40")
    beyond = (np.asarray(x[:, ["GENE40"]].X).ravel() - found.offset[place]) / found.scale[place] > CLIP
    assert beyond.sum() == 1
    mean_cell = ad.AnnData(model["Scaler_"].mean_[None], var={"gene": model["Model"].features})
    mean_cell.var_names = model["Model"].features
    _, _, scores = answers(model, x)
    _, _, of_mean = answers(model, mean_cell[:, [name for name in x.var_names if name in mean_cell.var_names]])
    session = open_session(imported_explainer(found))
    given = feeds(found, cells[:, kept])
    for number in range(len(found.cell_types)):
        target = np.zeros((cells.n_obs, len(found.cell_types)), dtype=np.float32)
        target[:, number] = 1
        attributions, delta = session.run(["attributions", "convergence_delta"], {**given, "target": target})
        expected = scores[:, number] - of_mean[:, number]
        assert np.abs(attributions.sum(axis=1, dtype=np.float64) - expected).max() < 1e-4
        assert np.abs(delta).max() < 1e-9
        assert (attributions[:, np.isnan(given["counts"][0])] == 0).all()


def test_attributions_against_another_type_are_the_difference(
    labelled: ad.AnnData, cells: ad.AnnData, tmp_path: Path
) -> None:
    found = imported(fitted(labelled), tmp_path)
    session, given = open_session(imported_explainer(found)), feeds(found, cells)
    each = [
        session.run(["attributions"], {**given, "target": np.tile(row, (cells.n_obs, 1)).astype(np.float32)})[0]
        for row in ([1, 0, 0], [0, 1, 0], [1, -1, 0])
    ]
    assert np.abs(each[0] - each[1] - each[2]).max() < 1e-5


def test_a_cell_without_counts_and_without_genes_gives_numbers(labelled: ad.AnnData, tmp_path: Path) -> None:
    found = imported(fitted(labelled), tmp_path)
    nothing = np.full((2, len(found.gene_symbols)), np.nan, dtype=np.float32)
    nothing[1] = 0
    outputs = open_session(imported_annotator(found)).run(
        None, {"counts": nothing, "library_size": np.zeros((2, 1), np.float32)}
    )
    assert all(np.isfinite(values).all() for values in outputs)
    # Of no gene known, the intercepts are left.
    assert np.abs(outputs[0][0] - found.intercepts).max() < 1e-5


def test_the_proof_refuses_graphs_of_another_model(labelled: ad.AnnData, tmp_path: Path) -> None:
    model = imported(fitted(labelled), tmp_path)
    drawn = draw_cells(model, seed=0)
    right = imported_annotator(model), imported_explainer(model)
    assert check_imported(*right, model, *drawn).max_probability_difference < 1e-5
    others: list[tuple[onnx.ModelProto, onnx.ModelProto]] = []
    for changes in (
        {"weights": model.weights * 1.01},
        {"intercepts": model.intercepts + 0.1},
        {"mean": model.mean + 0.01},
        {"scale": model.scale * 1.1},
        {"centred": False},
    ):
        other = replace(model, **changes)  # type: ignore[arg-type]
        others += [(imported_annotator(other), right[1])]
        if "intercepts" not in changes:  # attributions do not depend on them
            others += [(right[0], imported_explainer(other))]
    for graphs in others:
        with pytest.raises(ExportError) as error:
            check_imported(*graphs, model, *drawn)
        assert error.value.code == "PARITY_FAILED"


def test_drawn_cells_reach_beyond_the_clip_and_are_the_same_every_time(labelled: ad.AnnData, tmp_path: Path) -> None:
    model = imported(fitted(labelled), tmp_path)
    counts, size = draw_cells(model, seed=3)
    again, _ = draw_cells(model, seed=3)
    assert (counts != again).nnz == 0
    x = np.log1p(counts.toarray() * 1e4 / size[:, None])
    assert ((x - model.mean) / model.scale > CLIP).any()
    assert (size >= counts.sum(axis=1).A1 - 1e-3).all()
