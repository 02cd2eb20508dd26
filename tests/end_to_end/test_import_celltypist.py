"""A model of CellTypist, imported: every door gives scikit-learn's calls, and says what was never measured."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
from starlette.testclient import TestClient

pytest.importorskip("torch")

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import CellmarkError, ModelError, OutputError, ReadError
from cellmark.schemas.manifest.verdict import verdict
from cellmark.schemas.report.evidence import evidence_of
from cellmark.schemas.report.facts import read_facts
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from cellmark.serving.export.cas_words import markers_sentence
from cellmark.serving.files.batch import quality_in_words
from cellmark.serving.files.import_celltypist import import_celltypist
from cellmark.serving.files.validate import validate_path
from cellmark.serving.http.oip_model import called
from fixtures.celltypist_models import answers, fitted, log1p_of, with_rare_genes, written


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("imported")


@pytest.fixture(scope="module")
def model(tiny_cells: ad.AnnData) -> dict[str, Any]:
    return fitted(with_rare_genes(tiny_cells), "one against the rest")


@pytest.fixture(scope="module")
def cells(new_cells: ad.AnnData) -> ad.AnnData:
    return with_rare_genes(new_cells, n_counts=20)


@pytest.fixture(scope="module")
def bundle(model: dict[str, Any], folder: Path) -> Bundle:
    return import_celltypist(written(model, folder / "tiny.pkl"), folder / "bundle", trust_pickle=True)


@pytest.fixture(scope="module")
def annotator(bundle: Bundle) -> Annotator:
    return Annotator.load(bundle.folder)


@pytest.mark.parametrize(("form", "lacking"), [("counts", 0.0), ("counts", 0.4), ("log1p", 0.0)])
def test_calls_are_those_of_scikit_learn(
    form: str, lacking: float, annotator: Annotator, model: dict[str, Any], cells: ad.AnnData
) -> None:
    kept = np.random.default_rng(0).random(cells.n_vars) >= lacking
    expression = log1p_of(cells)
    labels, probabilities, _ = answers(model, expression[:, kept])
    given = cells.copy()
    given.obs["total"] = np.asarray(cells.X.sum(axis=1)).ravel()
    if form == "log1p":
        given = expression
    size = {"library_size": "total"} if form == "counts" else {"input": "log1p"}
    frame = annotator.annotate(given[:, kept], probabilities=True, **size)  # type: ignore[arg-type]
    assert frame["cellmark_cell_type"].astype(str).tolist() == labels.tolist()
    columns = [f"probability:{name}" for name in model["Model"].classes_]
    assert np.abs(frame[columns].to_numpy() - probabilities).max() < 1e-5
    assert np.allclose(frame["cellmark_confidence"], probabilities.max(axis=1), atol=1e-5)


def test_what_was_not_measured_is_empty_and_every_answer_says_so(
    annotator: Annotator, cells: ad.AnnData, bundle: Bundle
) -> None:
    frame = annotator.annotate(cells)
    assert frame["cellmark_novelty"].isna().all()
    assert frame["cellmark_label_set"].isna().all()
    assert "unassigned" not in set(frame["cellmark_cell_type"].astype(str))
    facts, why = frame.attrs["cellmark"], annotator.explain(cells).attrs["cellmark"]
    assert facts["novelty_threshold"] is None
    assert facts["label_set_error"] is None
    for said in (facts, why):
        (note,) = [note for note in said["notes"] if note["code"] == "MODEL_IMPORTED"]
        assert "do not sum to one" in note["remedy"]
        assert "Every cell gets a type" in note["remedy"]
    manifest = bundle.manifest
    assert manifest.imported is not None
    assert not manifest.imported.probabilities_sum_to_one
    assert not manifest.imported.thresholds_measured
    assert manifest.novelty is None
    assert manifest.calibration is None
    assert verdict(manifest) == "Not measured: accuracy, calibration, label sets, unknown cells."


def test_the_service_answers_alike_and_says_so(annotator: Annotator, cells: ad.AnnData, model: dict[str, Any]) -> None:
    labels, _, _ = answers(model, log1p_of(cells[:5]))
    body = {
        "genes": cells.var_names.tolist(),
        "cells": [
            {"cell_id": name, "counts": {gene: int(n) for gene, n in zip(cells.var_names, row, strict=True) if n}}
            for name, row in zip(cells.obs_names[:5], cells.X[:5].toarray(), strict=True)
        ],
    }
    with TestClient(make_app(annotator)) as client:
        answer = client.post("/annotate", json=body).json()
        told = client.get("/model").json()
    assert [cell["cellmark_cell_type"] for cell in answer["cells"]] == labels.tolist()
    assert "MODEL_IMPORTED" in [note["code"] for note in answer["notes"]]
    assert told["imported"]["tool"] == "CellTypist"
    assert told["imported"]["probabilities_sum_to_one"] is False


def test_explanations_add_up_to_scikit_learns_scores(
    annotator: Annotator, model: dict[str, Any], cells: ad.AnnData
) -> None:
    labels, _, scores = answers(model, log1p_of(cells))
    mean = ad.AnnData(model["Scaler_"].mean_[None])
    mean.var_names = model["Model"].features
    _, _, of_mean = answers(model, mean)
    why = annotator.explain(cells, top=cells.n_vars)
    sums = why.groupby("cell_id", sort=False)["attribution"].sum()
    code = {name: number for number, name in enumerate(model["Model"].classes_)}
    expected = [scores[row, code[label]] - of_mean[0, code[label]] for row, label in enumerate(labels)]
    assert np.abs(sums[cells.obs_names].to_numpy() - expected).max() < 1e-4
    assert why["convergence_delta"].abs().max() < 1e-6


def test_types_are_ordered_by_score_where_sigmoids_are_all_one(
    tiny_cells: ad.AnnData, cells: ad.AnnData, tmp_path: Path
) -> None:
    strong = fitted(with_rare_genes(tiny_cells), "one against the rest", strength=400)
    strong["Model"].intercept_ = strong["Model"].intercept_ + 1e5  # every type speaks for every cell
    labels, probabilities, scores = answers(strong, log1p_of(cells))
    assert (probabilities == 1).all()
    assert len(set(labels)) == 3
    made = import_celltypist(written(strong, tmp_path / "strong.pkl"), tmp_path / "bundle", trust_pickle=True)
    annotator = Annotator.load(made.folder)
    frame = annotator.annotate(cells)
    assert frame["cellmark_cell_type"].astype(str).tolist() == labels.tolist()
    second = strong["Model"].classes_[np.argsort(scores, axis=1)[:, -2]]
    assert frame["cellmark_second_cell_type"].astype(str).tolist() == second.tolist()
    assert (frame["cellmark_margin"] == 0).all()
    why = annotator.explain(cells, top=1)
    assert why.drop_duplicates("cell_id")["target"].tolist() == labels.tolist()
    best, tensors = called(
        annotator, {"probabilities": probabilities, "logits": scores, "energy": scores[:, 0], "embedding": scores}
    )
    assert best.tolist() == scores.argmax(axis=1).tolist()
    assert tensors["confidence"].min() == 1


def test_genes_are_taken_by_the_models_names_alone_unless_the_input_names_them_otherwise(
    tiny_cells: ad.AnnData, tmp_path: Path
) -> None:
    symbols = ["COL4A3BP", "CD3D", "CD79A", "MS4A1", "NKG7", "GNLY", "LYZ", "CD8A", "PPBP", "FCER1A"]
    labelled = tiny_cells[:, :10].copy()
    labelled.var_names = symbols
    made = import_celltypist(written(fitted(labelled), tmp_path / "m.pkl"), tmp_path / "bundle", trust_pickle=True)
    annotator = Annotator.load(made.folder)
    renamed = labelled.copy()
    renamed.var_names = ["CERT1", *symbols[1:]]  # today's symbol of COL4A3BP
    assert annotator.annotate(renamed).attrs["cellmark"]["missing_genes"] == ["COL4A3BP"]
    by_id = labelled.copy()
    by_id.var_names = ["ENSG00000167286", "ENSG00000105369", "ENSG00000156738", *(f"other{n}" for n in range(7))]
    checked = Annotator(annotator.source, annotator.session, min_panel_share=0.1).check(by_id)
    assert checked.match.n_matched == 3


def test_other_commands_work_or_say_what_is_not_there(
    bundle: Bundle, annotator: Annotator, cells: ad.AnnData, folder: Path
) -> None:
    from cellmark.schemas.reference_profile import read_profile

    file = folder / "cells.h5ad"
    cells.write_h5ad(file)
    report = validate_path(bundle, file)
    assert report.valid
    assert "MODEL_IMPORTED" in [finding.code for finding in report.findings]
    assert "training cells are not known" in report.summary("cells")
    assert report.quality is not None
    assert quality_in_words(report.quality) == "training cells not known"
    markers = annotator.markers("B cell", top=3)
    weights = bundle.markers[bundle.markers["cell_type"] == "B cell"]
    assert markers["marker_score"].tolist() == sorted(weights["marker_score"], reverse=True)[:3]
    with pytest.raises(ModelError, match="imported from CellTypist") as drift:
        read_profile(bundle)
    assert drift.value.code == "PROFILE_MISSING"
    with pytest.raises(ModelError, match="imported from CellTypist") as novel:
        annotator.called_cells(cells)
    assert novel.value.code == "NOVELTY_MISSING"


def test_the_page_and_the_card_promise_nothing_that_was_not_measured(bundle: Bundle) -> None:
    for name in ("report.html", "MODEL_CARD.md"):
        text = bundle.path(name).read_text(encoding="utf-8")
        assert "not calibrated" in text
        assert "no cell stays unassigned" in text
        assert "neural network" not in text
        assert "cellmark drift cells" not in text
        assert "GENE" in text


def test_evidence_and_rationales_count_no_cells_that_nobody_knows(bundle: Bundle) -> None:
    markers = bundle.markers[bundle.markers["cell_type"] == "B cell"].head(3)
    sentence = markers_sentence(markers.assign(named=markers["gene_symbol"]), "B cell")
    assert sentence is not None
    assert "nan" not in sentence
    for evidence in evidence_of(read_facts(bundle)):
        ((word, reason),) = evidence.thin
        assert word == "not measured"
        assert "not calibrated" in reason
        assert "0 cells" not in reason


def test_names_of_others_are_no_markup_in_the_page(tiny_cells: ad.AnnData, tmp_path: Path) -> None:
    model = fitted(tiny_cells)
    model["Model"].classes_ = np.array(["<script>alert(1)</script>", "a | b", "c"], dtype=object)
    model["description"]["details"] = "<img src=x onerror=alert(2)>"
    made = import_celltypist(written(model, tmp_path / "m.pkl"), tmp_path / "bundle", trust_pickle=True)
    page, card = (made.path(name).read_text(encoding="utf-8") for name in ("report.html", "MODEL_CARD.md"))
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "\\<img src" in card  # escaped


def test_the_same_file_gives_the_same_bundle(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    again = import_celltypist(folder / "tiny.pkl", tmp_path / "again", trust_pickle=True)
    assert again.digest == bundle.digest


def code_of(ask: Callable[[], Any]) -> str:
    with pytest.raises(CellmarkError) as error:
        ask()
    return error.value.findings[0].code


def test_a_pickle_is_read_only_when_it_is_trusted(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="--trust-pickle") as error:
        import_celltypist(folder / "tiny.pkl", tmp_path / "bundle")
    assert error.value.code == "PICKLE_UNTRUSTED"
    assert not (tmp_path / "bundle").exists()


def test_a_path_without_a_file_is_refused_with_the_place_of_celltypists_own(tmp_path: Path) -> None:
    for path, code in ((tmp_path, "FILE_UNREADABLE"), (tmp_path / "none.pkl", "FILE_NOT_FOUND")):
        with pytest.raises(ReadError, match=r"~/\.celltypist/data/models") as error:
            import_celltypist(path, tmp_path / "bundle", trust_pickle=True)
        assert error.value.code == code


def test_what_is_there_is_spared(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError):
        import_celltypist(folder / "tiny.pkl", tmp_path, trust_pickle=True, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert code_of(lambda: import_celltypist(folder / "tiny.pkl", bundle.folder, trust_pickle=True)) == "OUTPUT_EXISTS"
    import_celltypist(folder / "tiny.pkl", bundle.folder, trust_pickle=True, force=True)


def test_a_file_that_names_a_program_leaves_nothing_behind(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            import os

            return os.system, (f"touch {tmp_path / 'mark'}",)

    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"Model": Evil(), "Scaler_": None, "description": None}))
    assert code_of(lambda: import_celltypist(path, tmp_path / "bundle", trust_pickle=True)) == "PICKLE_REFUSED"
    assert [one.name for one in tmp_path.iterdir()] == ["evil.pkl"]


def test_the_command_tells_what_to_do_and_does_it(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cellmark.serving.commands.cli", "bundle", "import-celltypist"]
    given = [*command, str(folder / "tiny.pkl"), "-o", str(tmp_path / "made"), "--name", "tiny", "--organism", "human"]
    refused = subprocess.run(given, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "PICKLE_UNTRUSTED" in refused.stderr
    assert "Traceback" not in refused.stderr
    told = subprocess.run([*given, "--trust-pickle"], capture_output=True, text=True, check=True)
    assert "3 cell types" in told.stdout
    made = Bundle.open(tmp_path / "made")
    assert (made.manifest.name, made.manifest.organism) == ("tiny", "human")
    assert json.loads((made.folder / "manifest.json").read_text())["imported"]["clip"] == 10
