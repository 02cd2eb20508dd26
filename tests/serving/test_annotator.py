"""The Python door, as a notebook user opens it."""

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.columns import CALL_COLUMNS, COARSE_COLUMNS, EXPLANATION_COLUMNS
from cellmark.schemas.errors import InputError, ModelError, ParameterError
from cellmark.serving import Annotator
from cellmark.serving.scoring import attribute as explain_module
from cellmark.serving.scoring import score as score_module
from fixtures.places import ARCHIVES
from fixtures.synthetic_cells import draw_cells

if TYPE_CHECKING:
    import torch

    from cellmark.training.run import TrainedModel

pytestmark = pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")


WITHOUT_ONTOLOGY = tuple(column for column in CALL_COLUMNS if column not in COARSE_COLUMNS)


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture(scope="module")
def trained_annotator(trained: "TrainedModel") -> Annotator:
    return Annotator.load(trained.bundle.folder)


def panel_expression(annotator: Annotator, cells: ad.AnnData, library_size: np.ndarray | None = None) -> "torch.Tensor":
    """ln(1 + counts per 10,000) of the panel by AnnData's own indexing and NumPy."""
    torch = pytest.importorskip("torch")
    totals = np.asarray(cells.X.sum(axis=1)).ravel() if library_size is None else library_size
    dense = cells[:, list(annotator.bundle.panel.symbols)].X.toarray().astype(np.float64)
    return torch.as_tensor(np.log1p(dense / totals[:, None] * 1e4), dtype=torch.float32)


def torch_probabilities(trained: "TrainedModel", x: "torch.Tensor") -> np.ndarray:
    import torch

    with torch.no_grad():
        logits = torch.stack([classifier(x) for classifier in trained.fitted.classifiers]).mean(dim=0)
        probabilities: np.ndarray = torch.softmax(logits / trained.bundle.manifest.temperature, dim=1).numpy()
    return probabilities


def assert_unchanged(cells: ad.AnnData, before: ad.AnnData) -> None:
    pd.testing.assert_frame_equal(cells.obs, before.obs)
    pd.testing.assert_frame_equal(cells.var, before.var)
    assert list(cells.uns) == list(before.uns)
    for one, other in ((cells.X, before.X), *((cells.layers[name], before.layers[name]) for name in before.layers)):
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_calls_are_torchs_with_confidence_runner_up_and_margin(
    trained_annotator: Annotator, trained: "TrainedModel", new_cells: ad.AnnData
) -> None:
    frame = trained_annotator.annotate(new_cells, probabilities=True)
    expected = torch_probabilities(trained, panel_expression(trained_annotator, new_cells))
    names = np.array(trained_annotator.cell_types)
    order = np.argsort(-expected, axis=1, kind="stable")
    assert frame.index.tolist() == new_cells.obs_names.tolist()
    assert frame.index.name == "cell_id"
    assert tuple(frame.columns) == (*WITHOUT_ONTOLOGY, *(f"probability:{name}" for name in names))
    threshold = trained_annotator.bundle.manifest.novelty.threshold  # type: ignore[union-attr]
    called = np.where(frame["cellmark_novelty"] > threshold, "unassigned", names[order[:, 0]])
    assert frame["cellmark_cell_type"].tolist() == called.tolist()
    assert frame["cellmark_best_cell_type"].tolist() == names[order[:, 0]].tolist()
    assert frame["cellmark_second_cell_type"].tolist() == names[order[:, 1]].tolist()
    best, second = np.take_along_axis(expected, order[:, :2], axis=1).T
    np.testing.assert_allclose(frame["cellmark_confidence"], best, atol=1e-5)
    np.testing.assert_allclose(frame["cellmark_margin"], best - second, atol=2e-5)
    np.testing.assert_allclose(frame.filter(like="probability:"), expected, atol=1e-5)
    assert (frame["cellmark_best_cell_type"] == new_cells.obs["cell_type"].to_numpy()).mean() > 0.95


def test_without_being_asked_there_are_no_probabilities(annotator: Annotator, new_cells: ad.AnnData) -> None:
    assert tuple(annotator.annotate(new_cells).columns) == WITHOUT_ONTOLOGY


def test_every_answer_names_model_digest_genes_and_library_sizes(annotator: Annotator, new_cells: ad.AnnData) -> None:
    facts = annotator.annotate(new_cells).attrs["cellmark"]
    n_genes = len(annotator.bundle.panel)
    assert facts == {
        "model": "tiny", "model_version": None, "bundle_digest": annotator.bundle.digest,
        "library_size_source": "summed", "counts_from": "X", "n_cells": new_cells.n_obs, "genes_matched": n_genes,
        "genes_missing": 0, "missing_genes": [], "attribution_share": 1.0, "notes": [],
        "novelty_threshold": annotator.bundle.manifest.novelty.threshold,  # type: ignore[union-attr]
        "label_set_error": 0.01,
    }  # fmt: skip
    of_calls = {key: facts[key] for key in ("n_cells", "novelty_threshold", "label_set_error")}
    assert annotator.explain(new_cells[:2], top=1).attrs["cellmark"] | of_calls == facts
    json.dumps(facts)


@pytest.mark.parametrize("act", ["annotate", "explain"])
def test_the_callers_anndata_stays_as_it_was(annotator: Annotator, new_cells: ad.AnnData, act: str) -> None:
    cells = new_cells.copy()
    cells.layers["counts"] = cells.X.copy()
    cells.uns["mine"] = {"a": 1}
    before = copy.deepcopy(cells)
    for layer in (None, "counts"):
        getattr(annotator, act)(cells, layer=layer)
    assert_unchanged(cells, before)


def test_any_order_of_genes_gives_the_same_calls_and_extra_genes_are_ignored(
    annotator: Annotator, tiny_cells: ad.AnnData
) -> None:
    totals = np.asarray(tiny_cells.X.sum(axis=1)).ravel()
    expected = annotator.annotate(tiny_cells, library_size=totals)
    shuffled = tiny_cells[:, np.random.default_rng(0).permutation(tiny_cells.n_vars)].copy()
    more = ad.concat([shuffled, ad.AnnData(sp.csr_matrix(np.ones((120, 30), np.float32)), obs=shuffled.obs)], axis=1)
    more.obs_names, more.var_names = shuffled.obs_names, [*shuffled.var_names, *(f"OTHER{n}" for n in range(30))]
    for cells in (shuffled, more, ad.AnnData(shuffled.X.tocsc(), shuffled.obs, shuffled.var),
                  ad.AnnData(shuffled.X.toarray(), shuffled.obs, shuffled.var)):  # fmt: skip
        found = annotator.annotate(cells, library_size=totals if cells is not more else totals + 30)
        assert found["cellmark_cell_type"].tolist() == expected["cellmark_cell_type"].tolist()
        if cells is not more:
            np.testing.assert_allclose(found["cellmark_confidence"], expected["cellmark_confidence"], atol=1e-6)


def test_a_gene_split_over_two_columns_counts_as_their_sum_with_a_note(
    annotator: Annotator, tiny_cells: ad.AnnData
) -> None:
    gene = annotator.bundle.panel.symbols[0]
    place = tiny_cells.var_names.get_loc(gene)
    dense = tiny_cells.X.toarray()
    half = np.floor(dense[:, [place]] / 2)
    rest = dense.copy()
    rest[:, [place]] -= half
    split = ad.AnnData(sp.csr_matrix(np.hstack([rest, half])), obs=tiny_cells.obs)
    split.var_names = [*tiny_cells.var_names, gene]
    found = annotator.annotate(split)
    pd.testing.assert_frame_equal(found, annotator.annotate(tiny_cells))
    (note,) = found.attrs["cellmark"]["notes"]
    assert (note["code"], note["examples"]) == ("GENES_DUPLICATED", [gene])


@pytest.mark.parametrize("how", ["column", "array", "series", "list"])
def test_given_library_sizes_decide_the_call(
    trained_annotator: Annotator, trained: "TrainedModel", new_cells: ad.AnnData, how: str
) -> None:
    cells = new_cells.copy()
    totals = np.asarray(cells.X.sum(axis=1)).ravel() * 3.0
    cells.obs["total"] = totals
    given: Any = {"column": "total", "array": totals, "series": cells.obs["total"], "list": totals.tolist()}[how]
    frame = trained_annotator.annotate(cells, library_size=given, probabilities=True)
    expected = torch_probabilities(trained, panel_expression(trained_annotator, cells, totals))
    np.testing.assert_allclose(frame.filter(like="probability:"), expected, atol=1e-5)
    assert frame.attrs["cellmark"]["library_size_source"] == "given"
    summed = trained_annotator.annotate(cells, probabilities=True)
    assert np.abs(summed.filter(like="probability:").to_numpy() - expected).max() > 1e-3


def test_counts_of_a_layer_and_of_raw(annotator: Annotator, new_cells: ad.AnnData) -> None:
    expected = annotator.annotate(new_cells)
    cells = new_cells.copy()
    cells.layers["counts"] = cells.X
    cells.raw = new_cells
    cells.X = cells.X.copy()
    cells.X.data = np.log1p(cells.X.data)
    for layer, name in (("counts", "layers['counts']"), ("raw", "raw.X")):
        found = annotator.annotate(cells, layer=layer)
        pd.testing.assert_frame_equal(found, expected)
        assert found.attrs["cellmark"]["counts_from"] == name
    with pytest.raises(InputError, match="ln\\(1 \\+ counts\\)"):
        annotator.annotate(cells)


def test_chunking_does_not_change_calls_or_explanations(
    annotator: Annotator, new_cells: ad.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, explained = annotator.annotate(new_cells, probabilities=True), annotator.explain(new_cells, top=4)
    monkeypatch.setattr(score_module, "rows_per_chunk", lambda n_panel: 11)
    monkeypatch.setattr(explain_module, "EXPLAIN_VALUES", 1)
    heard: list[int] = []
    pieces = annotator.annotate(new_cells, probabilities=True, on_progress=heard.append)
    assert len(heard) > 1
    assert sum(heard) == new_cells.n_obs
    pd.testing.assert_frame_equal(pieces, whole, rtol=1e-5, atol=1e-6)
    pd.testing.assert_frame_equal(annotator.explain(new_cells, top=4), explained, rtol=1e-3, atol=1e-5)


def test_a_cell_source_is_annotated_like_the_anndata_it_came_from(annotator: Annotator, new_cells: ad.AnnData) -> None:
    pd.testing.assert_frame_equal(annotator.annotate(cells_from_anndata(new_cells)), annotator.annotate(new_cells))


@pytest.mark.filterwarnings("ignore:Variable names are not unique:UserWarning")
def test_copy_to_writes_columns_and_facts_that_can_be_stored(
    annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = new_cells[:, [*range(new_cells.n_vars), 0, 1, 2, 3]].copy()  # duplicates give a note
    frame = annotator.annotate(cells, copy_to=cells)
    assert cells.obs["cellmark_cell_type"].tolist() == frame["cellmark_cell_type"].tolist()
    assert set(WITHOUT_ONTOLOGY) <= set(cells.obs.columns)
    cells.var_names_make_unique()
    cells.write_h5ad(tmp_path / "out.h5ad")
    stored = ad.read_h5ad(tmp_path / "out.h5ad")
    assert stored.obs["cellmark_cell_type"].tolist() == frame["cellmark_cell_type"].tolist()
    np.testing.assert_array_equal(stored.obs["cellmark_confidence"], frame["cellmark_confidence"])
    assert stored.uns["cellmark"]["bundle_digest"] == annotator.bundle.digest
    assert "GENES_DUPLICATED" in stored.uns["cellmark"]["notes"]


def test_copy_to_finds_cells_in_another_order(annotator: Annotator, new_cells: ad.AnnData) -> None:
    other = new_cells[::-1].copy()
    frame = annotator.annotate(new_cells, copy_to=other)
    assert other.obs["cellmark_cell_type"].tolist() == frame["cellmark_cell_type"].tolist()[::-1]
    assert "cellmark_cell_type" not in new_cells.obs


def test_copy_to_other_cells_is_refused_before_any_work(annotator: Annotator, new_cells: ad.AnnData) -> None:
    part = new_cells[:10].copy()
    renamed = new_cells.copy()
    renamed.obs_names = [f"other-{number}" for number in range(renamed.n_obs)]
    for other in (part, renamed):
        with pytest.raises(ParameterError, match="copy_to"):
            annotator.annotate(new_cells, copy_to=other)
        assert "cellmark_cell_type" not in other.obs


def numbers(annotator: Annotator, types: pd.Series) -> list[int]:
    return [annotator.cell_types.index(name) for name in types]


def attributions_by_captum(
    annotator: Annotator, trained: "TrainedModel", cells: ad.AnnData, target: list[int]
) -> pd.DataFrame:
    import torch
    from captum.attr import DeepLift

    x = panel_expression(annotator, cells).double().requires_grad_()
    baselines = torch.as_tensor(annotator.bundle.genes["baseline"].to_numpy(), dtype=torch.float64).expand_as(x)
    of_members = [
        DeepLift(copy.deepcopy(classifier).double()).attribute(x, baselines, target=torch.as_tensor(target)).detach()
        for classifier in trained.fitted.classifiers
    ]
    found = torch.stack(of_members).mean(dim=0).numpy()
    return pd.DataFrame(found, index=cells.obs_names, columns=list(annotator.bundle.panel.symbols))


def strongest(row: pd.Series, top: int) -> list[str]:
    names: list[str] = row.abs().sort_values(ascending=False, kind="stable").index[:top].tolist()
    return names


def test_explanations_are_captums_strongest_genes(
    trained_annotator: Annotator, trained: "TrainedModel", new_cells: ad.AnnData
) -> None:
    cells = new_cells[::7]
    frame = trained_annotator.explain(cells, top=5)
    assert tuple(frame.columns) == EXPLANATION_COLUMNS
    called = trained_annotator.annotate(cells)["cellmark_best_cell_type"]
    expected = attributions_by_captum(trained_annotator, trained, cells, numbers(trained_annotator, called))
    for cell_id, rows in frame.groupby("cell_id", sort=False):
        assert rows["rank"].tolist() == [1, 2, 3, 4, 5]
        assert rows["gene"].tolist() == strongest(expected.loc[cell_id], 5)
        np.testing.assert_allclose(rows["attribution"], expected.loc[cell_id, rows["gene"]], rtol=1e-3, atol=1e-5)
        assert set(rows["cell_type"]) == set(rows["target"]) == {called[cell_id]}
    by_gene = cells.to_df()
    assert frame["counts"].tolist() == [by_gene.loc[row.cell_id, row.gene] for row in frame.itertuples()]
    assert (frame.loc[frame["counts"] == 0, "direction"].str.startswith("absent")).all()
    assert (frame["direction"].str.endswith("for") == (frame["attribution"] > 0)).all()
    assert np.abs(frame["convergence_delta"]).max() < 1e-4


def test_twenty_genes_a_cell_by_default(annotator: Annotator, new_cells: ad.AnnData) -> None:
    assert annotator.explain(new_cells[:3]).groupby("cell_id").size().tolist() == [20, 20, 20]


def test_target_and_against_are_contrasts_of_captums(
    trained_annotator: Annotator, trained: "TrainedModel", new_cells: ad.AnnData
) -> None:
    cells = new_cells[:30:6]
    calls = trained_annotator.annotate(cells)
    everything = len(trained_annotator.bundle.panel)
    codes = {
        name: numbers(trained_annotator, calls[f"cellmark_{name}"]) for name in ("best_cell_type", "second_cell_type")
    }

    def captum(target: list[int]) -> pd.DataFrame:
        return attributions_by_captum(trained_annotator, trained, cells, target)

    cases: list[tuple[dict[str, str], pd.DataFrame]] = [
        ({"target": "T cell"}, captum([2] * len(cells))),
        ({"target": "T cell", "against": "B cell"}, captum([2] * len(cells)) - captum([0] * len(cells))),
        ({"against": "second"}, captum(codes["best_cell_type"]) - captum(codes["second_cell_type"])),
    ]
    for question, expected in cases:
        frame = trained_annotator.explain(cells, **question, top=everything)
        found = frame.pivot_table(index="cell_id", columns="gene", values="attribution", sort=False).fillna(0)
        ours = found.reindex(index=expected.index, columns=expected.columns).fillna(0)
        np.testing.assert_allclose(ours, expected, atol=2e-5 * np.abs(expected.to_numpy()).max())
    frame = trained_annotator.explain(cells, against="second", top=1)
    assert frame["against"].tolist() == calls["cellmark_second_cell_type"].astype(str).tolist()


def test_an_unknown_type_is_refused_before_the_cells_are_looked_at(annotator: Annotator) -> None:
    with pytest.raises(ModelError, match="CELL_TYPE_UNKNOWN"):
        annotator.explain(None, target="NK")  # type: ignore[arg-type]
    with pytest.raises(ParameterError):
        annotator.explain(None, top=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(3))
def test_with_half_of_the_panel_missing_no_unmeasured_gene_is_shown(
    annotator: Annotator, tiny_cells: ad.AnnData, seed: int
) -> None:
    symbols = np.array(annotator.bundle.panel.symbols)
    missing = np.random.default_rng(seed).permutation(symbols)[: len(symbols) // 2]
    totals = np.asarray(tiny_cells.X.sum(axis=1)).ravel()
    half = tiny_cells[:, ~tiny_cells.var_names.isin(missing)].copy()
    annotator = Annotator(annotator.source, annotator.session, min_attribution_share=0.0)
    frame = annotator.explain(half, library_size=totals, top=len(symbols))
    assert not set(frame["gene"]) & set(missing)
    assert frame[["counts", "log1p_norm", "attribution"]].notna().all(axis=None)
    facts = frame.attrs["cellmark"]
    assert facts["genes_missing"] == len(missing)
    assert facts["missing_genes"] == [symbol for symbol in symbols if symbol in set(missing)]
    calls = annotator.annotate(half, library_size=totals)
    full = annotator.annotate(tiny_cells)
    labels = tiny_cells.obs["cell_type"].to_numpy()
    accuracy, full_accuracy = ((one["cellmark_best_cell_type"] == labels).mean() for one in (calls, full))
    assert accuracy >= full_accuracy - 0.1


def test_less_than_half_of_the_panel_is_refused(annotator: Annotator, tiny_cells: ad.AnnData) -> None:
    symbols = list(annotator.bundle.panel.symbols)
    few = tiny_cells[:, ~tiny_cells.var_names.isin(symbols[: len(symbols) // 2 + 1])].copy()
    with pytest.raises(InputError, match="TOO_FEW_GENES"):
        annotator.annotate(few, library_size=np.full(few.n_obs, 10_000.0))


def test_too_few_genes_to_sum_over_ask_for_library_sizes(annotator: Annotator, tiny_cells: ad.AnnData) -> None:
    symbols = list(annotator.bundle.panel.symbols)
    few = tiny_cells[:, symbols[:55]].copy()
    assert 0.5 * len(symbols) < few.n_vars < 0.5 * annotator.bundle.manifest.n_genes_measured
    with pytest.raises(InputError, match="LIBRARY_SIZE_NEEDED"):
        annotator.annotate(few)
    annotator.annotate(few, library_size=np.asarray(tiny_cells.X.sum(axis=1)).ravel())


@pytest.mark.parametrize("act", [Annotator.annotate, Annotator.explain])
def test_all_problems_of_the_input_come_at_once(
    annotator: Annotator, tiny_cells: ad.AnnData, act: Callable[..., pd.DataFrame]
) -> None:
    cells = tiny_cells.copy()
    cells.X.data[0] = np.nan
    cells.X.data[-1] = 0.5
    cells.obs_names = [*cells.obs_names[:-1], cells.obs_names[0]]
    with pytest.raises(InputError) as caught:
        act(annotator, cells)
    assert {finding.code for finding in caught.value.findings} == {
        "COUNTS_NAN", "COUNTS_NOT_WHOLE", "CELL_ID_DUPLICATE",
    }  # fmt: skip


def test_markers_are_the_bundles_of_all_types_or_one(annotator: Annotator) -> None:
    everything = annotator.markers()
    pd.testing.assert_frame_equal(everything, annotator.bundle.markers)
    some = annotator.markers("NK cell", top=3)
    assert some["cell_type"].tolist() == ["NK cell"] * 3
    assert some["rank"].tolist() == [1, 2, 3]
    assert some.index.tolist() == [0, 1, 2]
    with pytest.raises(ModelError, match="CELL_TYPE_UNKNOWN"):
        annotator.markers("NK")
    some.loc[:, "gene_symbol"] = "x"
    assert "x" not in set(annotator.markers()["gene_symbol"])


def test_own_genes_of_each_type_are_among_its_first_markers(annotator: Annotator) -> None:
    for number, name in enumerate(annotator.cell_types):
        own = {f"GENE{gene}" for gene in range(number * 10, number * 10 + 10)}
        assert len(own & set(annotator.markers(name, top=10)["gene_symbol"])) >= 6


def test_a_damaged_bundle_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="MODEL_UNKNOWN"):
        Annotator.load(tmp_path / "nothing")
    with pytest.raises(ModelError, match="BUNDLE_MANIFEST_INVALID"):
        Annotator.load(tmp_path)


def test_the_floor_of_measured_genes_can_be_lowered_and_nothing_unmeasured_becomes_evidence(
    tiny_bundle: Bundle, new_cells: ad.AnnData
) -> None:
    third = tiny_bundle.panel.symbols[: len(tiny_bundle.panel) // 3]
    totals = np.asarray(new_cells.X.sum(axis=1)).ravel()
    part = new_cells[:, list(third)].copy()
    with pytest.raises(InputError, match="--min-panel-share"):
        Annotator.load(tiny_bundle.folder).annotate(part, library_size=totals)
    lenient = Annotator.load(tiny_bundle.folder, min_panel_share=0.3, min_attribution_share=0.0)
    assert len(lenient.annotate(part, library_size=totals)) == part.n_obs
    assert set(lenient.explain(part, library_size=totals, top=50)["gene"]) <= set(third)
    with pytest.raises(ParameterError, match="min_panel_share"):
        Annotator.load(tiny_bundle.folder, min_panel_share=1.5)


def least_important(bundle: Bundle, *, mass: float) -> list[str]:
    """Genes of the panel that carry at most `mass` of the attribution mass, as many as there are."""
    genes = bundle.genes.sort_values("attribution_share")
    return list(genes["gene_symbol"][genes["attribution_share"].cumsum() <= mass])


def test_input_without_the_genes_that_matter_is_refused_though_most_genes_are_there(
    tiny_bundle: Bundle, new_cells: ad.AnnData
) -> None:
    overlap = tiny_bundle.manifest.panel.overlap
    assert overlap is not None
    kept = least_important(tiny_bundle, mass=overlap.min_mass - 0.01)
    assert len(kept) > len(tiny_bundle.panel) / 2
    totals = np.asarray(new_cells.X.sum(axis=1)).ravel()
    part = new_cells[:, kept].copy()
    annotator = Annotator.load(tiny_bundle.folder)
    with pytest.raises(InputError) as caught:
        annotator.annotate(part, library_size=totals)
    (finding,) = caught.value.findings
    assert finding.code == "GENES_INSUFFICIENT"
    most = tiny_bundle.genes.sort_values("attribution_share", ascending=False)["gene_symbol"]
    assert finding.examples == tuple(most[:5])
    lenient = Annotator.load(tiny_bundle.folder, min_attribution_share=overlap.min_mass - 0.1)
    facts = lenient.annotate(part, library_size=totals).attrs["cellmark"]
    assert overlap.min_mass - 0.1 < facts["attribution_share"] < overlap.min_mass
    assert "GENES_THIN_FOR_TYPES" in [note["code"] for note in facts["notes"]]
    with pytest.raises(ParameterError, match="min_attribution_share"):
        Annotator.load(tiny_bundle.folder, min_attribution_share=-0.5)


def test_without_the_genes_of_one_type_alone_that_type_is_named(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    overlap, name = tiny_bundle.manifest.panel.overlap, tiny_bundle.manifest.cell_type_names[0]
    assert overlap is not None
    genes = tiny_bundle.genes
    others = genes[[f"attribution_share:{other}" for other in tiny_bundle.manifest.cell_type_names[1:]]].max(axis=1)
    own = genes[f"attribution_share:{name}"]
    order = genes.assign(own=own / others)["own"].sort_values(ascending=False).index
    lost = order[: int((own[order].cumsum() < 1 - overlap.min_type_mass).sum()) + 1]
    part = new_cells[:, ~new_cells.var_names.isin(genes["gene_symbol"][lost])].copy()
    totals = np.asarray(new_cells.X.sum(axis=1)).ravel()
    facts = Annotator.load(tiny_bundle.folder).annotate(part, library_size=totals).attrs["cellmark"]
    (note,) = [note for note in facts["notes"] if note["code"] == "GENES_THIN_FOR_TYPES"]
    assert note["severity"] == "warning"
    assert note["found"] == f"less for {name}"


def test_a_bundle_of_an_earlier_version_keeps_the_floor_of_genes_alone() -> None:
    archive = ARCHIVES / "v1"
    annotator = Annotator.load(archive)
    symbols = list(annotator.bundle.panel.symbols)
    cells = ad.AnnData(np.ones((1, len(symbols) // 2 + 1), dtype=np.float32))
    cells.var_names = symbols[: len(symbols) // 2 + 1]
    facts = annotator.annotate(cells, library_size=np.array([1000.0])).attrs["cellmark"]
    assert [note["code"] for note in facts["notes"] if note["code"].startswith("GENES_")] == []


def test_cells_of_another_organism_are_answered_only_with_orthologs_and_marked(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    table = tmp_path / "rat.csv"
    panel = tiny_bundle.panel.symbols
    rats = [f"ENSRNOG{number:011d}" for number in range(len(panel))]
    pd.DataFrame({"rat": rats, "human": panel}).to_csv(table, index=False)
    annotator = Annotator.load(tiny_bundle.folder)
    annotator.bundle.__dict__["panel"] = dataclasses.replace(annotator.bundle.panel, organism="human")
    cells = draw_cells(seed=3)
    others = [name for name in cells.var_names if name not in panel]
    named = dict(zip(panel, rats, strict=True)) | {name: f"ENSRNOG9{number:010d}" for number, name in enumerate(others)}
    rat = cells.copy()
    rat.var_names = [named[name] for name in cells.var_names]
    with pytest.raises(InputError, match="ortholog-table"):
        annotator.annotate(rat)
    calls = annotator.annotate(rat, ortholog_table=table, copy_to=rat)
    assert list(calls.columns[-1:]) == ["cellmark_cross_species"]
    assert set(calls["cellmark_cross_species"]) == set(rat.obs["cellmark_cross_species"]) == {"rat cells, human model"}
    assert calls.attrs["cellmark"]["cross_species"]["cells"] == "rat"
    assert "CROSS_SPECIES" in [note["code"] for note in calls.attrs["cellmark"]["notes"]]
    explained = annotator.explain(rat, top=1, ortholog_table=table)
    assert set(explained["cellmark_cross_species"]) == {"rat cells, human model"}
    plain = annotator.annotate(cells)
    assert "cellmark_cross_species" not in plain
    pd.testing.assert_frame_equal(calls[plain.columns], plain)
    annotator.annotate(cells, ortholog_table=table, copy_to=rat)
    assert "cellmark_cross_species" not in rat.obs, "an older mark must not stand beside calls without one"


def test_a_path_a_backed_and_a_frame_of_cells_get_the_same_calls(
    annotator: Annotator, tiny_cells: ad.AnnData, tmp_path: Path
) -> None:
    tiny_cells.copy().write_h5ad(tmp_path / "cells.h5ad")
    expected = annotator.annotate(tiny_cells)
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    ways = {"path": tmp_path / "cells.h5ad", "text": str(tmp_path / "cells.h5ad"), "backed": backed}
    for way, cells in {**ways, "frame": tiny_cells.to_df()}.items():
        pd.testing.assert_frame_equal(annotator.annotate(cells), expected, obj=way)
    pd.testing.assert_frame_equal(annotator.explain(str(tmp_path / "cells.h5ad")), annotator.explain(tiny_cells))
    copied = tiny_cells.copy()
    annotator.annotate(tmp_path / "cells.h5ad", copy_to=copied)
    assert list(copied.obs["cellmark_cell_type"]) == list(expected["cellmark_cell_type"])


@pytest.mark.parametrize("cells", [np.eye(3), sp.eye(3), [1, 2]])
def test_what_holds_no_cells_is_refused_with_what_does(annotator: Annotator, cells: Any) -> None:
    with pytest.raises(InputError) as raised:
        annotator.annotate(cells)
    assert raised.value.code == "NOT_ANNDATA"
    assert "anndata.AnnData(X, var=" in raised.value.findings[0].remedy
