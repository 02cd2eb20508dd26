"""The Cell Ontology: suggestions that leave nothing to luck, checked maps, terms above types, coarse calls."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from typer.testing import CliRunner

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ParameterError
from cellmark.schemas.manifest.manifest_ontology import OntologyEntry, OntologyTerm, coarse_calls, coarse_members
from cellmark.serving import Annotator
from cellmark.serving.commands.cli import app
from cellmark.training.commands.show import trust_lines
from cellmark.training.config import TrainingConfig
from cellmark.training.evaluation.cell_ontology import (
    CellOntology,
    common_terms,
    ontology_section,
    plain,
    read_ontology_map,
    suggest_terms,
    type_entries,
    unmapped_notes,
)
from cellmark.training.figures.evaluation_files import evaluation_metrics
from cellmark.training.network.fit import FitSettings
from cellmark.training.run import train
from cellmark.training.tracking.register import gated_signature
from fixtures.drawn_folds import draw, folds_of
from fixtures.quiet_listener import QuietListener
from fixtures.synthetic_cells import draw_cells

PBMC = {
    "B": "CL:0000236", "CD4 T": "CL:0000624", "CD8 T": "CL:0000625", "NK": "CL:0000623", "mono": "CL:0001054",
    "mystery": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def ontology() -> CellOntology:
    return CellOntology()


@pytest.mark.parametrize(
    ("label", "term", "match"),
    [
        ("B cell", "CL:0000236", "name"),
        ("b_cells", "CL:0000236", "name"),
        ("B", "CL:0000236", "name"),
        ("NK cells", "CL:0000623", "synonym"),
        ("T-lymphocytes", "CL:0000084", "synonym"),
        ("CD14+ monocytes", "CL:0001054", "name"),
        ("macrophage", "CL:0000235", "name"),
        ("alpha", None, "ambiguous"),
        ("of no such kind", None, "none"),
    ],
)
def test_labels_find_their_term(ontology: CellOntology, label: str, term: str | None, match: str) -> None:
    (found,) = suggest_terms([label], ontology)
    assert found.ontology_id == term
    assert found.match == match
    assert (found.name is None) == (term is None)
    if match == "ambiguous":
        assert found.candidates


def test_spellings_that_mean_the_same() -> None:
    assert plain("NK_cells") == plain("nk-cell") == plain(" NK  Cell ")
    assert plain("CD14+ Monocytes") == plain("CD14-positive monocyte")
    assert plain("T") != plain("B")


def test_a_map_is_read_and_all_that_is_wrong_in_it_is_told(ontology: CellOntology, tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text("\ufefflabel,ontology_id,name\nB,CL:0000236,B cell\nmystery,,\n", encoding="utf-8")
    assert read_ontology_map(path, ontology) == {"B": "CL:0000236", "mystery": None}
    deprecated = next(term for term in ontology._terms if ontology.is_deprecated(term))
    path.write_text(f"label,ontology_id\nB,CL:9999999\nB,CL:0000236\n,CL:0000236\nT,{deprecated}\nN,T cell\n")
    with pytest.raises(ParameterError) as caught:
        read_ontology_map(path, ontology)
    told = " ".join(map(str, caught.value.findings))
    assert len(caught.value.findings) == 5
    for what in ("CL:9999999", "again in line 3", "line 4", "deprecated", "'T cell'", "cellmark ontology"):
        assert what in told
    for text in ("a,b\n1,2\n", "label\nB\n"):
        path.write_text(text)
        with pytest.raises(ParameterError, match="ontology_id"):
            read_ontology_map(path, ontology)
    with pytest.raises(ParameterError, match="can be read"):
        read_ontology_map(tmp_path / "none.csv", ontology)


def test_types_carry_their_ancestors_and_those_without_a_term_are_marked(ontology: CellOntology) -> None:
    entries = {entry["name"]: entry for entry in type_entries(list(PBMC), PBMC, ontology)}
    assert "CL:0000084" in entries["CD8 T"]["ancestors"]  # T cell
    assert "CL:0000084" not in entries["NK"]["ancestors"]
    assert entries["CD8 T"]["ancestors"][-1] == "CL:0000000"  # cell, the farthest
    assert entries["CD8 T"]["ontology_name"] == ontology.name(PBMC["CD8 T"])
    at = entries["CD8 T"]["ancestors"].index("CL:0000084")
    assert entries["CD8 T"]["ancestor_names"][at] == "T cell"
    assert (entries["mystery"]["ontology_id"], entries["mystery"]["ancestors"]) == (None, None)
    (without, unused) = unmapped_notes([*PBMC, "more"], {**PBMC, "typo": "CL:0000236"})
    assert (without.severity, without.examples) == ("info", ("mystery", "more"))
    assert (unused.severity, unused.examples) == ("warning", ("typo",))


def test_terms_above_several_types_come_from_specific_to_general(ontology: CellOntology) -> None:
    found = common_terms(list(PBMC), PBMC, ontology)
    sizes = [len(term.cell_types) for term in found]
    assert sizes == sorted(sizes)
    assert max(sizes) < 5  # what is above all five mapped types says nothing
    held = {tuple(term.cell_types) for term in found}
    assert len(held) == len(found)
    assert ("CD4 T", "CD8 T") in held
    assert ("B", "CD4 T", "CD8 T", "NK") in held
    for term in found:
        below = {name for name, of in PBMC.items() if of and term.ontology_id in (of, *ontology.ancestors(of))}
        assert below == set(term.cell_types)
    lymphocytes = next(term for term in found if len(term.cell_types) == 4)
    assert lymphocytes.name == "lymphocyte"  # and not leukocyte, above it


def test_a_term_that_is_a_type_itself_holds_it(ontology: CellOntology) -> None:
    terms = {"T": "CL:0000084", "CD8 T": "CL:0000625", "B": "CL:0000236"}
    assert [(term.name, term.cell_types) for term in common_terms(list(terms), terms, ontology)] == [
        ("T cell", ["T", "CD8 T"])
    ]


def test_the_most_specific_choice_that_is_sure_is_called() -> None:
    terms = [
        OntologyTerm(ontology_id="CL:0000084", name="T cell", cell_types=["CD4", "CD8"]),
        OntologyTerm(ontology_id="CL:0000542", name="lymphocyte", cell_types=["CD4", "CD8", "NK"]),
    ]
    members = coarse_members(["CD4", "CD8", "NK", "mono"], terms)
    probabilities = np.array(
        [[0.97, 0.01, 0.01, 0.01], [0.5, 0.46, 0.03, 0.01], [0.4, 0.3, 0.28, 0.02], [0.4, 0.1, 0.1, 0.4]],
        dtype=np.float32,
    )
    numbers, sums = coarse_calls(probabilities, members, 0.95)
    assert numbers.tolist() == [0, 4, 5, -1]
    np.testing.assert_allclose(sums[:3], [0.97, 0.96, 0.98], rtol=1e-6)
    assert np.isnan(sums[3])


def test_what_coarse_calls_are_worth_is_measured_on_folds(ontology: CellOntology) -> None:
    logits, codes = draw(4000, 1.0)
    names, terms = ("B", "CD4 T", "CD8 T", "NK"), {k: v for k, v in PBMC.items() if v}
    entry = OntologyEntry.model_validate(
        ontology_section(folds_of(logits, codes, np.arange(4000) % 2), codes, names, terms, ontology)
    )
    assert entry.share_called is not None
    assert entry.accuracy is not None
    assert (softmax(logits, axis=1).max(axis=1) > 0.95).mean() < entry.share_called < 1
    assert 0.95 < entry.accuracy <= 1  # labels are drawn with these probabilities: at least 95 % where it says so
    assert entry.version.startswith("v")


def says_all_of_levels(bundle: Bundle) -> None:
    """What training found out of the one level, in all places that say it."""
    manifest = bundle.manifest
    assert manifest.levels is not None
    assert manifest.evaluation is not None
    assert [(group.name, group.cell_types) for group in manifest.levels.levels[0].groups] == [
        ("B", ["B cell"]),
        ("NK or T", ["NK cell", "T cell"]),
    ]
    (scores,) = manifest.evaluation.levels
    assert scores.accuracy > 0.95
    assert scores.test_n_cells == manifest.split.test.n_cells
    assert manifest.distilled is not None
    assert len(manifest.distilled.level_temperatures) == 1
    found = manifest.metrics["independent"]
    assert (found["n_cells"], found["with_descendants"]["n_cells"]) == (40, 120)
    assert found["with_descendants"]["accuracy"] > 0.95
    for name in ("report.html", "MODEL_CARD.md"):
        text = bundle.path(name).read_text(encoding="utf-8")
        assert "Levels" in text
        assert "independent file, coarser labels too" in text
    lines = "\n".join(trust_lines(manifest))
    assert "Level 1 (lineage, cellmark_level_1): accuracy" in lines
    assert "Independent file with its coarser labels" in lines
    assert {"level_1/accuracy", "level_1/calibrated"} <= set(evaluation_metrics(manifest.evaluation))
    names = [column["name"] for column in gated_signature(manifest).outputs.to_dict()]
    assert names[-2:] == ["cellmark_level_1", "cellmark_level_1_confidence"]


def test_from_suggestion_to_coarse_call(tiny_cells: ad.AnnData, tmp_path: Path) -> None:
    cells = tiny_cells.copy()
    cells.obs["cell_type"] = cells.obs["cell_type"].astype(str)
    cells.obs["lineage"] = cells.obs["cell_type"].map({"B cell": "B", "NK cell": "NK or T", "T cell": "NK or T"})
    cells.write_h5ad(tmp_path / "cells.h5ad")
    made = CliRunner().invoke(app, ["ontology", str(tmp_path / "cells.h5ad"), "-o", str(tmp_path / "map.csv")])
    assert made.exit_code == 0, made.output
    table = pd.read_csv(tmp_path / "map.csv")
    assert table["ontology_id"].tolist() == ["CL:0000236", "CL:0000623", "CL:0000084"]
    other = draw_cells(seed=7)
    other.obs["cell_type"] = other.obs["cell_type"].replace({"NK cell": "NK or T", "T cell": "NK or T"})
    other.write_h5ad(tmp_path / "other.h5ad")
    config = TrainingConfig(
        tmp_path / "cells.h5ad",
        ontology=tmp_path / "map.csv",
        levels=("lineage",),
        test_data=tmp_path / "other.h5ad",
        distill=True,
        fit=FitSettings(max_epochs=10),
        n_members=2,
    )
    bundle = train(config, tmp_path / "bundle", QuietListener()).bundle
    manifest = bundle.manifest
    says_all_of_levels(bundle)
    assert [entry.ontology_id for entry in manifest.cell_types] == table["ontology_id"].tolist()
    assert manifest.ontology is not None
    names = [*manifest.cell_type_names, *(term.name for term in manifest.ontology.terms)]
    frame = Annotator.load(bundle.folder).annotate(tiny_cells, probabilities=True)
    called = frame["cellmark_coarse_cell_type"].notna()
    assert called.any()
    assert set(frame.loc[called, "cellmark_coarse_cell_type"]) <= set(names)
    assert (frame.loc[called, "cellmark_coarse_probability"] >= 0.95).all()
    unassigned = frame["cellmark_cell_type"] == "unassigned"
    assert frame.loc[unassigned, "cellmark_coarse_cell_type"].isna().all()
    sure = ~unassigned & (frame["cellmark_confidence"] >= 0.95)
    same = frame.loc[sure, "cellmark_coarse_cell_type"].astype(str) == frame.loc[
        sure, "cellmark_best_cell_type"
    ].astype(str)
    assert same.all()
