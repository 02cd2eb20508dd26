"""Calls as annotations of the Cell Annotation Schema."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anndata as ad
import jsonschema
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import CellmarkError, InputError, ReadError
from cellmark.schemas.manifest.manifest_levels import LevelEntry, LevelGroup, LevelsEntry
from cellmark.serving.annotator import Annotator
from cellmark.serving.export.annotated_cells import AnnotatedCells, read_annotated
from cellmark.serving.export.cas import Cas
from cellmark.serving.export.cas_options import CasAuthor
from cellmark.serving.export.cas_words import LONGEST, joined, markers_sentence
from cellmark.serving.export.explained_calls import read_explanations, reasons
from cellmark.serving.models.model_source import ModelSource, open_model
from cellmark.serving.outputs.write_calls import write_table

AUTHOR = CasAuthor(name="Ada Lovelace", title="Tiny cells", url="https://example.org/tiny")
NOW = datetime(2026, 11, 30, 8, 0, 0, tzinfo=UTC)
TEXT = {"type": "string"}
ASKED = {
    "type": "object",
    "required": [
        "author_name", "title", "annotations", "labelsets",
        # of the Cell Annotation Platform
        "cellannotation_schema_version", "cellannotation_timestamp", "cellannotation_version", "cellannotation_url",
    ],
    "properties": {
        "title": {"type": "string", "maxLength": 200},
        "author_name": TEXT,
        "cellannotation_timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
        "labelsets": {
            "items": {
                "required": ["name"],
                "properties": {"name": TEXT, "annotation_method": {"enum": ["algorithmic", "manual", "both"]}},
            }
        },
        "annotations": {
            "items": {
                "required": ["labelset", "cell_label"],
                "properties": {
                    "labelset": TEXT,
                    "cell_label": TEXT,
                    "cell_fullname": TEXT,
                    "cell_ontology_term_id": TEXT,
                    "cell_ontology_term": TEXT,
                    "category_fullname": TEXT,
                    "category_cell_ontology_term_id": TEXT,
                    "rationale": {"type": "string", "maxLength": 2000},
                    "cell_ids": {"type": "array", "items": TEXT},
                    "marker_gene_evidence": {"type": "array", "items": TEXT},
                    "author_annotation_fields": {"type": "object"},
                },
            }
        },
    },
}  # fmt: skip
"""What the documentation of the schema and of its extension for the platform asks for. The schema itself is not here:
its package states two licences. `CELLMARK_CAS_SCHEMAS` names a folder with its files, where somebody has them."""


def published() -> list[dict[str, Any]]:
    folder = os.environ.get("CELLMARK_CAS_SCHEMAS")
    if not folder:
        pytest.skip("CELLMARK_CAS_SCHEMAS names no folder with general_schema.json and CAP_schema.json")
    return [json.loads(Path(folder, f"{name}_schema.json").read_text()) for name in ("general", "CAP")]


@pytest.fixture
def source(tiny_bundle: Bundle) -> ModelSource:
    return open_model(tiny_bundle.folder)


@pytest.fixture
def frame(tiny_bundle: Bundle, new_cells: ad.AnnData) -> pd.DataFrame:
    return Annotator.load(tiny_bundle.folder).annotate(new_cells)


@pytest.fixture
def table(frame: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "calls.parquet"
    write_table(frame.reset_index(), frame.attrs["cellmark"], path, force=False)
    return path


@pytest.fixture
def explained(tiny_bundle: Bundle, new_cells: ad.AnnData) -> pd.DataFrame:
    return Annotator.load(tiny_bundle.folder).explain(new_cells[:60].copy(), top=5)


def written(cas: Cas) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(cas.document(now=NOW), allow_nan=False))
    jsonschema.validate(document, ASKED)
    return document


def by_label(document: dict[str, Any], labelset: str = "cellmark_cell_type") -> dict[str, dict[str, Any]]:
    return {one["cell_label"]: one for one in document["annotations"] if one["labelset"] == labelset}


def test_every_cell_is_in_one_annotation_of_its_call(source: ModelSource, table: Path, frame: pd.DataFrame) -> None:
    document = written(Cas(source, read_annotated([table], source, trusted=True), AUTHOR))
    expected = {
        "unknown" if name == "unassigned" else name: list(rows.index)
        for name, rows in frame.groupby(frame["cellmark_cell_type"].astype(str))
    }
    assert {label: one["cell_ids"] for label, one in by_label(document).items()} == expected
    assert document["cellannotation_timestamp"] == "2026-11-30T08:00:00Z"
    (labelset,) = document["labelsets"]
    assert source.bundle.digest in labelset["description"]
    assert "automated_annotation" not in labelset, "cellmark's repository has no address here"


def test_numbers_of_a_rationale_are_those_of_the_tables(
    source: ModelSource, table: Path, frame: pd.DataFrame, explained: pd.DataFrame
) -> None:
    cells = read_annotated([table], source, trusted=True)
    annotations = by_label(written(Cas(source, cells, AUTHOR, explained, n_markers=2)))
    name = "NK cell"
    mine, text = frame[frame["cellmark_cell_type"] == name], annotations[name]["rationale"]
    assert text.startswith(
        f"{len(mine)} of {len(frame)} cells ({100 * len(mine) / len(frame):.1f} %) are called {name}"
    )
    assert f"median probability of the call is {mine['cellmark_confidence'].median():.3f}" in text
    markers = source.bundle.markers.query("cell_type == @name and rank <= 2").sort_values("rank")
    for _, row in markers.iterrows():
        shares = f"({100 * row['fraction_in']:.1f} % and {100 * row['fraction_out']:.1f} %"
        assert f"{row['gene_symbol']} {shares}, log2 fold change {row['log2_fold_change']:.1f})" in text
    rows = explained[explained["cell_id"].isin(mine.index) & (explained["target"] == name)]
    assert f"of the {rows['cell_id'].nunique()} of these cells that were explained" in text
    counted = rows[rows["attribution"] > 0].groupby("gene_symbol", observed=True)["attribution"].agg(["size", "mean"])
    most = counted.sort_values(["size", "mean"], ascending=False).iloc[0]
    assert f"{most.name} ({int(most['size'])} cells, mean attribution there {most['mean']:+.2f})" in text
    evidence = annotations[name]["marker_gene_evidence"]
    assert evidence[:2] == list(markers["gene_symbol"])
    assert most.name in evidence
    assert len(set(evidence)) == len(evidence)
    assert annotations[name]["author_annotation_fields"]["cellmark_n_cells"] == str(len(mine))
    assert "marker_gene_evidence" not in annotations["unknown"]
    assert annotations["unknown"]["cell_fullname"] == "unknown", "a reserved word stands in both fields"


def test_the_schema_as_it_is_published(source: ModelSource, table: Path, explained: pd.DataFrame) -> None:
    document = written(Cas(source, read_annotated([table], source, trusted=True), AUTHOR, explained))
    for schema in published():
        jsonschema.validate(document, schema, format_checker=jsonschema.FormatChecker())


def test_genes_that_were_not_measured_are_no_evidence(source: ModelSource, frame: pd.DataFrame, tmp_path: Path) -> None:
    best = source.bundle.markers.query("cell_type == 'NK cell' and rank == 1")["gene_symbol"].iloc[0]
    facts = {**frame.attrs["cellmark"], "missing_genes": [best]}
    write_table(frame.reset_index(), facts, tmp_path / "calls.csv", force=False)
    cells = read_annotated([tmp_path / "calls.csv"], source, trusted=True)
    annotation = by_label(written(Cas(source, cells, AUTHOR)))["NK cell"]
    assert best not in annotation["marker_gene_evidence"]
    assert f"Not measured in these cells, though among the best markers of NK cell: {best}." in annotation["rationale"]


def test_genes_have_the_names_of_the_matrix(source: ModelSource, new_cells: ad.AnnData, tmp_path: Path) -> None:
    cells = new_cells.copy()
    Annotator.load(source.bundle.folder).annotate(cells, copy_to=cells)
    cells.var["feature_name"] = cells.var_names
    cells.var_names = [f"{name}-id" for name in cells.var_names]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = read_annotated([tmp_path / "cells.h5ad"], source, trusted=True)
    assert len(read.genes) == len(source.bundle.panel.symbols)
    for one in by_label(written(Cas(source, read, AUTHOR))).values():
        assert set(one.get("marker_gene_evidence", [])) <= set(cells.var_names)
    cells.var = cells.var.rename(columns={"feature_name": "lab names"})
    cells.write_h5ad(tmp_path / "lab.h5ad")
    named = read_annotated([tmp_path / "lab.h5ad"], source, symbol_column="lab names", trusted=True)
    assert named.genes == read.genes


def test_a_cluster_is_annotated_by_the_type_of_most_of_its_cells(
    source: ModelSource, new_cells: ad.AnnData, explained: pd.DataFrame, tmp_path: Path
) -> None:
    cells = new_cells.copy()
    Annotator.load(source.bundle.folder).annotate(cells, copy_to=cells)
    called = cells.obs["cellmark_cell_type"].astype(str).to_numpy()
    cells.obs["leiden"] = np.where(called == "B cell", "0", np.where(np.arange(len(called)) % 2, "1", "2"))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = read_annotated([tmp_path / "cells.h5ad"], source, clusters="leiden", trusted=True)
    document = written(Cas(source, read, AUTHOR, explained, clusters="leiden"))
    clusters = by_label(document, "leiden")
    assert sorted(clusters) == ["0", "1", "2"]
    n_b = int((called == "B cell").sum())
    assert clusters["0"]["cell_fullname"] == "B cell"
    assert (
        f"has {n_b} cells. Cellmark's model tiny calls them B cell ({n_b} cells, 100.0 %)."
        in clusters["0"]["rationale"]
    )
    assert clusters["0"]["marker_gene_evidence"]
    assert "cell_fullname" not in clusters["1"]
    assert "No type is that of half of its cells." in clusters["1"]["rationale"]
    assert "leiden" in {one["name"] for one in document["labelsets"]}


def test_terms_and_levels_of_a_model_that_has_them(source: ModelSource, frame: pd.DataFrame) -> None:
    manifest = source.bundle.manifest
    terms = {"B cell": "CL:0000236", "NK cell": "CL:0000623", "T cell": "CL:0000084"}
    types = [
        one.model_copy(
            update={
                "ontology_id": terms[one.name], "ontology_name": one.name.lower(),
                "ancestors": ["CL:0000542"], "ancestor_names": ["lymphocyte"],
            }
        )
        for one in manifest.cell_types
    ]  # fmt: skip
    groups = [
        LevelGroup(name="B cell", cell_types=["B cell"]),
        LevelGroup(name="T or NK", cell_types=["NK cell", "T cell"], ontology_id="CL:0000542"),
    ]
    levels = LevelsEntry(source="columns", levels=[LevelEntry(name="broad", groups=groups)])
    changed = manifest.model_copy(update={"cell_types": types, "levels": levels})
    source = replace(source, bundle=Bundle(source.bundle.folder, changed))
    calls = frame.copy()
    broad = {"NK cell": "T or NK", "T cell": "T or NK"}
    calls["cellmark_level_1"] = [broad.get(name, name) for name in calls["cellmark_cell_type"]]
    cells = AnnotatedCells(calls.astype({"cellmark_cell_type": str}), None, {s: s for s in source.bundle.panel.symbols})
    document = written(Cas(source, cells, AUTHOR))
    nk = by_label(document)["NK cell"]
    assert (nk["cell_ontology_term_id"], nk["cell_ontology_term"]) == ("CL:0000623", "nk cell")
    assert (nk["category_fullname"], nk["category_cell_ontology_term_id"]) == ("T or NK", "CL:0000542")
    b = by_label(document)["B cell"]
    assert (b["category_fullname"], b["category_cell_ontology_term"]) == ("lymphocyte", "lymphocyte")
    group = by_label(document, "cellmark_level_1")["T or NK"]
    assert group["cell_ontology_term_id"] == "CL:0000542"
    assert group["author_annotation_fields"]["cellmark_n_cells"] == str((calls["cellmark_level_1"] == "T or NK").sum())
    assert len(group["marker_gene_evidence"]) == 2


def test_calls_of_several_files_are_one_document_unless_cells_occur_twice(
    source: ModelSource, frame: pd.DataFrame, tmp_path: Path
) -> None:
    parts = [tmp_path / "a.parquet", tmp_path / "b.csv"]
    for part, path in zip((frame[:50], frame[50:]), parts, strict=True):
        write_table(part.reset_index(), frame.attrs["cellmark"], path, force=False)
    read = read_annotated(parts, source, trusted=True)
    assert list(read.calls.index) == list(frame.index)
    with pytest.raises(InputError, match="CELL_ID_DUPLICATE"):
        read_annotated([parts[0], parts[0]], source, trusted=True)


def test_a_marker_table_without_shares_is_named_without_them(source: ModelSource) -> None:
    rows = source.bundle.markers.head(2).assign(named=["A", "B"], fraction_in=np.nan)
    assert markers_sentence(rows, "B cell") == "Markers of B cell, the best first: A, B."


def test_what_is_no_call_of_the_model_is_refused(source: ModelSource, frame: pd.DataFrame, tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    write_table(frame.reset_index(), {**frame.attrs["cellmark"], "bundle_digest": "0" * 64}, other, force=False)
    with pytest.raises(InputError, match="CALLS_OF_ANOTHER_MODEL"):
        read_annotated([other], source, trusted=True)
    no_ids = tmp_path / "no_ids.parquet"
    frame.to_parquet(no_ids, index=False)
    with pytest.raises(ReadError, match="no cell_id"):
        read_annotated([no_ids], source, trusted=True)
    with pytest.raises(ReadError, match="no leiden"):
        read_annotated([other], source, clusters="leiden", trusted=True)


def test_explanations_against_another_type_are_refused(
    source: ModelSource, new_cells: ad.AnnData, explained: pd.DataFrame, tmp_path: Path
) -> None:
    explained.to_csv(tmp_path / "why.csv", index=False)
    read = read_explanations(tmp_path / "why.csv", trusted=True)
    np.testing.assert_allclose(read["attribution"], explained["attribution"], rtol=1e-6)
    second = Annotator.load(source.bundle.folder).explain(new_cells[:3].copy(), against="second")
    second.to_parquet(tmp_path / "second.parquet")
    with pytest.raises(InputError, match="without --against"):
        read_explanations(tmp_path / "second.parquet", trusted=True)


def test_explanations_of_cells_that_are_called_something_else_do_not_count(explained: pd.DataFrame) -> None:
    cell = str(explained["cell_id"].iloc[0])
    calls = pd.DataFrame({"cellmark_cell_type": ["unassigned"]}, index=[cell])
    assert reasons(explained, calls) == {}


def test_a_rationale_keeps_whole_sentences_within_the_schemas_length() -> None:
    text = joined(["a" * 1000 + ".", None, "b" * 999 + ".", "c."])
    assert text == "a" * 1000 + ". c."
    assert len(joined(["a" * (LONGEST - 1) + ".", "b."])) == LONGEST


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""}, {"title": "x" * 201}, {"name": " "}, {"contact": "nobody"}, {"orcid": "1234"},
        {"matrix": "a file.h5ad"}, {"url": "example.org"}, {"algorithm_url": "cellmark"},
    ],
)  # fmt: skip
def test_what_the_schema_does_not_allow_of_an_author_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(CellmarkError, match="PARAMETER_INVALID"):
        CasAuthor(**{"name": "Ada Lovelace", "title": "Tiny", **wrong})


def test_the_command_reads_in_another_process_and_never_replaces_the_facts(
    cellmark: Callable[..., Any], source: ModelSource, new_file: Path, tmp_path: Path
) -> None:
    calls, folder = tmp_path / "calls.csv", source.bundle.folder
    prefix = "annotation:cellmark:{model}:per_cell"
    assert cellmark("annotate", new_file, "-m", folder, "-o", calls, "--columns-prefix", prefix).status == 0
    asked = ("export", "cas", calls, "-m", folder, "--author", "Ada Lovelace", "--title", "Tiny")
    out = tmp_path / "tiny.cas.json"
    ran = cellmark(*asked, "-o", out, "--algorithm-url", "https://example.org/cellmark", "--no-cell-ids")
    assert ran.status == 0, ran.err
    document = json.loads(out.read_text())
    assert f"{len(document['annotations'])} annotations of 120 cells" in ran.out
    (labelset,) = document["labelsets"]
    assert labelset["name"] == "annotation:cellmark:tiny:per_cell"
    assert labelset["automated_annotation"]["algorithm_name"] == "cellmark"
    assert not any("cell_ids" in one for one in document["annotations"])
    facts = tmp_path / "calls.json"
    before = facts.read_bytes()
    ran = cellmark(*asked, "-o", facts, "--force")
    assert (ran.status, facts.read_bytes()) == (1, before)
