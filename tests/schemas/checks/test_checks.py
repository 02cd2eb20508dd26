"""One report in three profiles: the same from Python, the command line and a process apart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.anndata_facts import facts_of_anndata, facts_of_h5ad
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.checks import check_split
from cellmark.schemas.checks.check_split import SplitOptions
from cellmark.schemas.checks.checks import CheckReport, check_anndata, check_cells, gravest_first
from cellmark.schemas.errors import Finding, ParameterError
from cellmark.serving.files.validate import check_path
from cellmark.serving.reader.open_apart import open_apart
from cellmark.serving.reader.reader_cells import ReaderCells

Cellmark = Callable[..., Any]
N_CELLS, N_GENES = 40, 30


def published() -> ad.AnnData:
    """A small reference that keeps every rule: raw counts in `raw`, logarithms in `X`."""
    generator = np.random.default_rng(0)
    counts = sp.csr_matrix(generator.poisson(0.7, (N_CELLS, N_GENES)).astype(np.float32))
    obs = pd.DataFrame(
        {
            "assay_ontology_term_id": "EFO:0009922",
            "cell_type_ontology_term_id": generator.choice(["CL:0000236", "CL:0000084", "unknown"], N_CELLS),
            "development_stage_ontology_term_id": "HsapDv:0000087",
            "disease_ontology_term_id": "PATO:0000461",
            "donor_id": generator.choice(["d1", "d2"], N_CELLS),
            "is_primary_data": True,
            "self_reported_ethnicity_ontology_term_id": "HANCESTRO:0005 || HANCESTRO:0014",
            "sex_ontology_term_id": "PATO:0000383",
            "suspension_type": "cell",
            "tissue_ontology_term_id": "UBERON:0000178",
            "tissue_type": "tissue",
            "cell_type": generator.choice(["B cell", "T cell"], N_CELLS),
        },
        index=[f"cell-{number}" for number in range(N_CELLS)],
    )
    var = pd.DataFrame({"feature_is_filtered": False}, index=[f"ENSG{number:011d}" for number in range(N_GENES)])
    adata = ad.AnnData(counts, obs=obs, var=var)
    adata.raw = adata.copy()
    adata.X = counts.log1p()
    adata.obsm["X_umap"] = generator.normal(0, 1, (N_CELLS, 2))
    adata.uns |= {"title": "Blood of two donors", "organism_ontology_term_id": "NCBITaxon:9606"}
    return adata


def codes(adata: ad.AnnData, profile: Any = "publish", **settings: Any) -> list[str]:
    return list(check_anndata(adata, profile=profile, **settings).codes)


def test_a_reference_that_keeps_the_rules_passes() -> None:
    report = check_anndata(published(), profile="publish", label="cell_type", donor="donor_id")
    assert report.findings == ()
    assert report.summary("it") == (
        f"it: {N_CELLS} cells x {N_GENES} genes keep the rules of the schema that need no ontology; no warnings."
    )


Change = Callable[[ad.AnnData], Any]


def put(name: str, value: Any) -> Change:
    return lambda adata: adata.obs.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        (lambda adata: adata.obs.pop("donor_id"), "SCHEMA_FIELD_MISSING", "obs"),
        (lambda adata: adata.uns.pop("title"), "SCHEMA_FIELD_MISSING", "uns"),
        (lambda adata: adata.var.pop("feature_is_filtered"), "SCHEMA_FIELD_MISSING", "var"),
        (put("assay_ontology_term_id", "10x 3' v3"), "SCHEMA_VALUE_INVALID", "obs['assay_ontology_term_id']"),
        (put("assay_ontology_term_id", "EFO_0009922"), "SCHEMA_VALUE_INVALID", "obs['assay_ontology_term_id']"),
        (put("cell_type_ontology_term_id", "CL:236"), "SCHEMA_VALUE_INVALID", "obs['cell_type_ontology_term_id']"),
        (put("cell_type_ontology_term_id", "CL:0000548"), "SCHEMA_VALUE_INVALID",
         "obs['cell_type_ontology_term_id']"),
        (put("development_stage_ontology_term_id", "MmusDv:0000061"), "SCHEMA_VALUE_INVALID",
         "obs['development_stage_ontology_term_id']"),
        (put("disease_ontology_term_id", "MONDO:0043004 || MONDO:0004604"), "SCHEMA_VALUE_INVALID",
         "obs['disease_ontology_term_id']"),
        (put("disease_ontology_term_id", "PATO:0000461 || MONDO:0004604"), "SCHEMA_VALUE_INVALID",
         "obs['disease_ontology_term_id']"),
        (put("is_primary_data", "True"), "SCHEMA_VALUE_INVALID", "obs['is_primary_data']"),
        (put("self_reported_ethnicity_ontology_term_id", "na"), "SCHEMA_VALUE_INVALID",
         "obs['self_reported_ethnicity_ontology_term_id']"),
        (put("sex_ontology_term_id", "female"), "SCHEMA_VALUE_INVALID", "obs['sex_ontology_term_id']"),
        (put("suspension_type", "cells"), "SCHEMA_VALUE_INVALID", "obs['suspension_type']"),
        (put("tissue_ontology_term_id", np.nan), "SCHEMA_VALUE_INVALID", "obs['tissue_ontology_term_id']"),
        (put("tissue_type", "blood"), "SCHEMA_VALUE_INVALID", "obs['tissue_type']"),
        (lambda adata: adata.uns.update(title=" "), "SCHEMA_VALUE_INVALID", "uns['title']"),
        (lambda adata: adata.uns.update(title=3), "SCHEMA_VALUE_INVALID", "uns['title']"),
        (lambda adata: adata.obsm.pop("X_umap"), "SCHEMA_EMBEDDING_INVALID", "obsm"),
        (lambda adata: adata.obsm.update(X_umap=np.full((N_CELLS, 2), np.nan)), "SCHEMA_EMBEDDING_INVALID",
         "obsm['X_umap']"),
        (lambda adata: adata.obsm.update(X_umap=np.full((N_CELLS, 2), np.inf)), "SCHEMA_EMBEDDING_INVALID",
         "obsm['X_umap']"),
        (lambda adata: adata.obsm.update(X_umap=pd.DataFrame({"a": 0.0, "b": 1.0}, index=adata.obs_names)),
         "SCHEMA_EMBEDDING_INVALID", "obsm['X_umap']"),
        (lambda adata: adata.obsm.update(X_umap=np.zeros((N_CELLS, 1))), "SCHEMA_EMBEDDING_INVALID",
         "obsm['X_umap']"),
    ],
)  # fmt: skip
def test_each_rule_of_the_schema_notices_its_breach(change: Change, code: str, where: str, tmp_path: Path) -> None:
    adata = published()
    change(adata)
    (finding,) = check_anndata(adata, profile="publish").findings
    assert (finding.code, finding.where, finding.severity) == (code, where, "error")
    adata.write_h5ad(tmp_path / "it.h5ad")
    assert check_path(tmp_path / "it.h5ad", profile="publish").findings == (finding,)


def test_an_organism_decides_on_stages_ethnicities_and_ids() -> None:
    adata = published()
    adata.uns["organism_ontology_term_id"] = "NCBITaxon:10090"
    found = check_anndata(adata, profile="publish").findings
    assert {finding.where for finding in found} == {
        "obs['development_stage_ontology_term_id']", "obs['self_reported_ethnicity_ontology_term_id']", "var_names",
    }  # fmt: skip


def test_other_names_of_genes_are_told_with_the_column_that_has_the_ids() -> None:
    adata = published()
    adata = adata.raw.to_adata()
    adata.var["ids"] = adata.var_names + ".3"
    adata.var_names = [f"GENE{number}" for number in range(N_GENES)]
    (finding,) = [found for found in check_anndata(adata, profile="publish").findings if found.where == "var_names"]
    assert finding.code == "SCHEMA_GENE_IDS"
    exec(finding.remedy.partition(": ")[2].removesuffix("."), {"adata": adata})
    assert codes(adata) == []


def test_versioned_and_repeated_ids() -> None:
    adata = published().raw.to_adata()
    adata.obsm["X_umap"] = np.zeros((N_CELLS, 2))
    adata.uns |= {"title": "t", "organism_ontology_term_id": "NCBITaxon:9606"}
    adata.var_names = [*(name + ".1" for name in adata.var_names[:-1]), adata.var_names[0] + ".1"]
    assert codes(adata) == ["SCHEMA_GENE_IDS", "SCHEMA_GENE_IDS", "GENES_DUPLICATED"]


def test_counts_that_are_none_are_refused_and_those_of_raw_are_the_ones_asked_for() -> None:
    adata = published()
    adata.raw = None
    assert codes(adata) == ["COUNTS_NOT_WHOLE"]


def test_how_counts_are_stored() -> None:
    adata = published()
    adata = adata.raw.to_adata()
    adata.obsm["X_umap"] = np.zeros((N_CELLS, 2))
    adata.uns |= {"title": "t", "organism_ontology_term_id": "NCBITaxon:9606"}
    assert codes(adata) == []
    for X in (adata.X.astype(np.int64), sp.csc_matrix(adata.X.multiply(adata.X > 1)).astype(np.float32)):
        other = adata.copy()
        other.X = X
        assert codes(other)[0] == "SCHEMA_MATRIX_STORAGE"


def test_copies_of_cells_are_named_with_their_originals() -> None:
    adata = published()
    part = adata.raw.to_adata()
    both = ad.concat([part, part[[3, 5]].copy()], index_unique="-")
    both.obs_names_make_unique()
    both.obsm["X_umap"] = np.zeros((N_CELLS + 2, 2))
    both.uns |= {"title": "t", "organism_ontology_term_id": "NCBITaxon:9606"}
    (finding,) = check_anndata(both, profile="publish").findings
    assert finding.code == "CELLS_IDENTICAL"
    assert len(finding.examples) == 2
    assert finding.examples[0].startswith("cell-3-1 = cell-3-0") or "cell-3" in finding.examples[0]


def test_copies_are_named_beside_the_faults_that_stand_in_the_way(tmp_path: Path) -> None:
    part = published().raw.to_adata()
    X = part.X.toarray()
    X[7] = X[2]
    X[9, 3] = -1
    part.X = sp.csr_matrix(X)
    part.obs_names = ["twice", "twice", *part.obs_names[2:]]
    assert {"CELLS_IDENTICAL", "COUNTS_NEGATIVE", "CELL_ID_DUPLICATE"} <= set(codes(part))


def test_facts_of_a_file_are_those_of_its_anndata(tmp_path: Path) -> None:
    adata = published()
    adata.obsm["frame"] = pd.DataFrame({"a": np.zeros(N_CELLS)}, index=adata.obs_names)
    adata.obsm["X_bad"] = np.full((N_CELLS, 3), np.inf)
    adata.write_h5ad(tmp_path / "it.h5ad")
    facts = facts_of_h5ad(tmp_path / "it.h5ad")
    there = {embedding.name: embedding for embedding in facts.embeddings}
    here = {embedding.name: embedding for embedding in facts_of_anndata(adata).embeddings}
    assert {name: there[name] for name in ("X_umap", "X_bad")} == {name: here[name] for name in ("X_umap", "X_bad")}
    assert there["frame"].kind == here["frame"].kind == ""
    assert (facts.uns, facts.stored) == (facts_of_anndata(adata).uns, facts_of_anndata(adata).stored)
    with open_apart(tmp_path / "it.h5ad") as source:
        assert isinstance(source, ReaderCells)
        assert source.describe() == facts


def test_faults_of_labels_and_values_come_together_in_training(tiny_cells: ad.AnnData) -> None:
    adata = tiny_cells.copy()
    adata.X.data[0] = 0.5
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str).replace({"NK cell": "unassigned"})
    report = check_anndata(adata, profile="train", label="cell_type", donor="nobody")
    assert set(report.codes) == {"LABEL_RESERVED", "DONOR_COLUMN_UNKNOWN", "COUNTS_NOT_WHOLE"}
    assert report.summary("it") == "it would be refused: 3 errors."
    assert json.loads(json.dumps(report.to_dict()))["profile"] == "train"


def test_training_cells_that_are_right_pass(tiny_cells: ad.AnnData) -> None:
    report = check_anndata(tiny_cells, profile="train", donor="donor")
    assert report.valid
    assert report.summary("it") == "it: 120 cells x 120 genes can be trained on; no warnings."


def test_an_input_that_cannot_be_read_is_a_report_too(tiny_cells: ad.AnnData, tmp_path: Path) -> None:
    assert check_anndata(tiny_cells, layer="none").codes == ("LAYER_UNKNOWN",)
    report = check_path(tmp_path / "none.h5ad", profile="train")
    assert (report.codes, report.n_cells, report.profile) == (("FILE_NOT_FOUND",), None, "train")


def test_labels_are_looked_at_where_values_cannot_be_read(tiny_cells: ad.AnnData) -> None:
    assert check_anndata(tiny_cells, profile="train", label="none", layer="none").codes == (
        "LAYER_UNKNOWN",
        "LABEL_COLUMN_UNKNOWN",
    )


def test_nothing_passes_for_a_profile_that_there_is_none_of(tiny_cells: ad.AnnData) -> None:
    with pytest.raises(ParameterError, match="profile"):
        check_anndata(tiny_cells, profile="serve")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="facts"):
        check_cells(cells_from_anndata(tiny_cells), profile="publish")


def test_findings_come_once_and_the_gravest_first() -> None:
    def finding(severity: Any, where: str) -> Finding:
        return Finding("CELL_EMPTY", where=where, expected="a", found="b", remedy="c", severity=severity)

    given = [
        finding("info", "1"),
        finding("error", "2"),
        finding("warning", "3"),
        finding("error", "4"),
        finding("info", "1"),
    ]
    assert [found.where for found in gravest_first(given)] == ["2", "4", "3", "1"]


def test_the_command_says_what_python_says(cellmark: Cellmark, tmp_path: Path) -> None:
    adata = published()
    adata.obs["cell_type"] = ["B cell", "b cell"] * (N_CELLS // 2)
    adata.obs["donor_id"] = "d1"
    path = tmp_path / "reference.h5ad"
    adata.write_h5ad(path)
    settings: dict[str, Any] = {"label": "cell_type", "donor": "donor_id"}
    for profile in ("train", "publish"):
        expected = check_anndata(adata, profile=profile, **settings)  # type: ignore[arg-type]
        options = ("--profile", profile, "--label", "cell_type", "--donor", "donor_id")
        for more in ((), ("--trusted",)):
            ran = cellmark("validate", path, *options, "--json", *more)
            assert ran.status == 1
            assert json.loads(ran.out) == expected.to_dict()
        ran = cellmark("validate", path, *options)
        assert ran.status == 1
        assert all(code in ran.out for code in expected.codes)
        assert expected.summary(str(path)) in ran.out


def test_without_a_model_cells_to_annotate_are_checked_all_the_same(
    cellmark: Cellmark, new_file: Path, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    ran = cellmark("validate", new_file)
    assert ran.status == 0
    assert "120 cells x 120 genes pass what can be checked without a model; no warnings." in ran.out
    adata = new_cells.copy()
    adata.X = adata.X.log1p()
    adata.write_h5ad(tmp_path / "log.h5ad")
    ran = cellmark("validate", tmp_path / "log.h5ad", "--json")
    assert ran.status == 1
    assert [finding["code"] for finding in json.loads(ran.out)["findings"]] == ["COUNTS_NOT_WHOLE"]


@pytest.mark.parametrize(
    "options",
    [
        ("--profile", "serve"),
        ("--label", "cell_type"),
        ("--data-docs", "docs"),
        ("--profile", "train", "--model", "bundle"),
        ("--profile", "train", "--min-panel-share", "0.1"),
    ],
)
def test_options_without_effect_are_refused(cellmark: Cellmark, new_file: Path, options: tuple[str, ...]) -> None:
    ran = cellmark("validate", new_file, *options)
    assert ran.status == 1
    assert "PARAMETER_INVALID" in ran.err


def test_only_an_anndata_file_is_published(cellmark: Cellmark, tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text("cell,A\nc,1\n")
    assert "PARAMETER_INVALID" in cellmark("validate", tmp_path / "cells.csv", "--profile", "publish").err


def test_a_report_has_its_facts() -> None:
    report = CheckReport(1, 2, ())
    assert (report.valid, report.codes, report.summary("x")) == (
        True,
        (),
        "x: 1 cell x 2 genes pass what can be checked without a model; no warnings.",
    )


@pytest.mark.parametrize("some", [5, 500])
def test_cells_that_express_nothing_for_a_panel_are_refused_before_training(
    some: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One gene in all cells, and others in each tenth cell."""
    monkeypatch.setattr(check_split, "SOME_CELLS", some)
    X = np.zeros((60, 8), dtype=np.float32)
    X[:, 0] = 5
    X[::10, 1:] = 1
    obs = pd.DataFrame({"cell_type": ["T cell", "B cell"] * 30}, index=[f"c{number}" for number in range(60)])
    adata = ad.AnnData(sp.csr_matrix(X), obs=obs, var=pd.DataFrame(index=["CD3D", *(f"G{n}" for n in range(7))]))
    assert "PANEL_EMPTY" in codes(adata, "train")
    X[:, 2] = 1
    adata.X = sp.csr_matrix(X)
    assert "PANEL_EMPTY" not in codes(adata, "train")


def test_an_unknown_donor_to_hold_out_is_named(tiny_cells: ad.AnnData, cellmark: Cellmark, tmp_path: Path) -> None:
    options = SplitOptions(hold_out=("nobody",))
    assert codes(tiny_cells, "train", donor="donor", split=options) == ["HOLD_OUT_UNKNOWN"]
    tiny_cells.copy().write_h5ad(tmp_path / "cells.h5ad")
    told = cellmark("validate", str(tmp_path / "cells.h5ad"), "--profile", "train", "--donor", "donor",
                    "--hold-out", "nobody", "--json")  # fmt: skip
    assert json.loads(told.out)["findings"][0]["code"] == "HOLD_OUT_UNKNOWN"
