"""`cellmark markers` as a user meets it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.calls.scanpy_layout import from_rank_genes_groups
from fixtures.places import ARCHIVES

Cellmark = Callable[..., Any]
ARCHIVE = ARCHIVES / "v1"


def rows_of(out: str, cell_type: str) -> list[list[str]]:
    """The cells of the rows of one type, behind its name."""
    return [line.removeprefix(cell_type).split() for line in out.splitlines() if line.startswith(cell_type)]


def test_every_marker_is_listed_with_what_decides(cellmark: Cellmark, full_markers: Bundle) -> None:
    ran = cellmark("markers", "-m", full_markers.folder, "--top", 2)
    expected = full_markers.markers.query("cell_type == 'T cell' and rank <= 2").iloc[1]
    rank, gene, score, inside, outside, fold, auc, p_adj, donors, stable = rows_of(ran.out, "T cell")[1]
    assert (rank, gene) == ("2", expected["gene_symbol"])
    assert float(score) == pytest.approx(expected["marker_score"], rel=0.01)
    for text, column in (
        (inside, "fraction_in"), (outside, "fraction_out"), (stable, "stability"),
    ):  # fmt: skip
        assert float(text.rstrip("%")) == pytest.approx(100 * expected[column], abs=0.5)
    assert donors == "3/4"
    for text, column, digits in ((fold, "log2_fold_change", 0.005), (auc, "auc", 0.005), (p_adj, "p_value_adj", 0.05)):
        assert float(text) == pytest.approx(expected[column], abs=digits)
    for heading in ("score", "% in", "% out", "log2FC", "AUC", "p adj", "donors", "stable"):
        assert heading in ran.out


def test_ten_ranks_are_listed_unless_asked_otherwise(cellmark: Cellmark, full_markers: Bundle) -> None:
    assert len(rows_of(cellmark("markers", "-m", full_markers.folder).out, "B cell")) == 10
    n_genes = len(full_markers.panel)
    assert len(rows_of(cellmark("markers", "-m", full_markers.folder, "--top", 0).out, "B cell")) == n_genes


def test_negative_markers_are_listed_or_written(cellmark: Cellmark, full_markers: Bundle, tmp_path: Path) -> None:
    ran = cellmark("markers", "-m", full_markers.folder, "--negative", "--cell-type", "NK cell", "--top", 2)
    negative = full_markers.markers.query("cell_type == 'NK cell' and negative_rank <= 2").sort_values("negative_rank")
    assert [row[:2] for row in rows_of(ran.out, "NK cell")] == [
        [str(rank), gene] for rank, gene in zip(negative["negative_rank"], negative["gene_symbol"], strict=True)
    ]
    assert "score" not in ran.out
    assert "stable" not in ran.out
    cellmark("markers", "-m", full_markers.folder, "--negative", "-o", tmp_path / "negative.csv")
    written = pd.read_csv(tmp_path / "negative.csv")
    assert written["negative_rank"].tolist() == [1, 2, 3, 4, 5] * 3
    assert list(written.columns) == list(full_markers.markers.columns)


def test_a_combination_is_listed_as_a_rule_or_written_gene_by_gene(
    cellmark: Cellmark, full_markers: Bundle, tmp_path: Path
) -> None:
    ran = cellmark("markers", "-m", full_markers.folder, "--combination")
    first, second = full_markers.markers.query("cell_type == 'B cell' and rank <= 2")["gene_symbol"]
    assert f"{first} > 0.50 and {second} > 1.25" in ran.out
    assert rows_of(ran.out, "B cell")[0][-3:] == ["0.900", "0.800", "0.878"]
    assert cellmark("markers", "-m", full_markers.folder, "--combination", "-o", tmp_path / "out.parquet").status == 0
    written = pd.read_parquet(tmp_path / "out.parquet")
    assert written["combination_threshold"].tolist() == [0.5, 1.25] * 3


# bundles from before


def test_an_old_bundle_lists_what_it_has(cellmark: Cellmark, tmp_path: Path) -> None:
    ran = cellmark("markers", "-m", ARCHIVE, "--cell-type", "B cell", "--top", 3)
    assert ran.status == 0
    table = pd.read_parquet(ARCHIVE / "markers.parquet").query("cell_type == 'B cell' and rank <= 3")
    assert [row[1] for row in rows_of(ran.out, "B cell")] == table["gene_symbol"].tolist()
    assert "% in" in ran.out
    assert "AUC" not in ran.out
    assert cellmark("markers", "-m", ARCHIVE, "-o", tmp_path / "markers.csv").status == 0


@pytest.mark.parametrize("option", ["--negative", "--combination"])
def test_what_an_old_bundle_lacks_is_said(cellmark: Cellmark, option: str) -> None:
    ran = cellmark("markers", "-m", ARCHIVE, option)
    assert ran.status == 1
    assert "[PARAMETER_INVALID]" in ran.err
    assert "Train it again" in ran.err


# scanpy


@pytest.fixture
def annotated(cellmark: Cellmark, full_markers: Bundle, new_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "calls.h5ad"
    assert cellmark("annotate", new_file, "-m", full_markers.folder, "-o", path).status == 0
    return path


def test_annotated_cells_get_a_ranking_that_scanpy_plots(
    cellmark: Cellmark, full_markers: Bundle, annotated: Path, tmp_path: Path
) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import scanpy as sc

    out = tmp_path / "plot.h5ad"
    ran = cellmark("markers", "-m", full_markers.folder, "--into", annotated, "-o", out)
    assert ran.status == 0, ran.err
    n_genes = len(full_markers.panel)
    assert f"{n_genes} genes of each of 3 cell types written to {out}" in ran.out
    cells = ad.read_h5ad(out)
    assert cells.uns["rank_genes_groups"]["params"]["groupby"] == "cellmark_cell_type"
    table = from_rank_genes_groups(cells)
    expected = full_markers.markers
    assert table["gene_symbol"].tolist() == expected["gene_symbol"].tolist()
    np.testing.assert_allclose(table["fraction_in"], expected["fraction_in"])
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    axes = sc.pl.rank_genes_groups_dotplot(cells, n_genes=2, show=False, dendrogram=False)
    first = expected[expected["rank"] <= 2]["gene_symbol"].tolist()
    assert [label.get_text() for label in axes["mainplot_ax"].get_xticklabels()] == first
    plt.close("all")


def test_all_else_in_the_file_stays_as_it_is(
    cellmark: Cellmark, full_markers: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = new_cells.copy()
    cells.uns["rank_genes_groups"] = {"old": 1}
    cells.uns["kept"] = "this"
    cells.obsm["X_umap"] = np.ones((cells.n_obs, 2))
    path, out = tmp_path / "cells.h5ad", tmp_path / "out.h5ad"
    cells.write_h5ad(path)
    before = path.read_bytes()
    options = ("--groupby", "cell_type", "--cell-type", "T cell", "--top", 4)
    assert cellmark("markers", "-m", full_markers.folder, "--into", path, "-o", out, *options).status == 0
    assert path.read_bytes() == before
    written = ad.read_h5ad(out)
    assert written.uns["rank_genes_groups"]["names"].dtype.names == ("T cell",)
    assert len(written.uns["rank_genes_groups"]["names"]) == 4
    assert written.uns["kept"] == "this"
    assert written.obsm["X_umap"].shape == (cells.n_obs, 2)
    with h5py.File(path) as one, h5py.File(out) as other:
        assert set(one) == set(other)
        np.testing.assert_array_equal(one["X/data"][:], other["X/data"][:])
    assert sorted(found.name for found in tmp_path.iterdir()) == ["cells.h5ad", "out.h5ad"]


def test_an_h5ad_takes_its_markers_in_place_only_by_force(
    cellmark: Cellmark, full_markers: Bundle, annotated: Path, tmp_path: Path
) -> None:
    before = annotated.read_bytes()
    ran = cellmark("markers", "-m", full_markers.folder, "--into", annotated, "-o", annotated)
    assert ran.status == 1
    assert "[OUTPUT_EXISTS]" in ran.err
    assert annotated.read_bytes() == before
    assert cellmark("markers", "-m", full_markers.folder, "--into", annotated, "-o", annotated, "--force").status == 0
    assert "rank_genes_groups" in ad.read_h5ad(annotated).uns


def test_an_old_bundle_is_written_for_scanpy_too(cellmark: Cellmark, new_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5ad"
    ran = cellmark("markers", "-m", ARCHIVE, "--into", new_file, "-o", out, "--groupby", "cell_type")
    assert ran.status == 0, ran.err
    table = from_rank_genes_groups(ad.read_h5ad(out))
    old = pd.read_parquet(ARCHIVE / "markers.parquet")
    assert set(table["gene_symbol"]) <= set(old["gene_symbol"])
    assert table["log2_fold_change"].notna().all()
    assert table["p_value"].isna().all()
