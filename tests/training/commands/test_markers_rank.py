"""`cellmark markers rank` as a user meets it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
import pytest
import scanpy as sc

from cellmark.schemas.manifest.marker_table import COLUMNS

Cellmark = Callable[..., Any]


def test_the_first_genes_of_each_type_are_shown_and_all_are_written(
    cellmark: Cellmark, tiny_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "markers.csv"
    ran = cellmark("markers", "rank", tiny_file, "--donor", "donor", "--top", 2, "-o", out)
    assert ran.status == 0, ran.err
    table = pd.read_csv(out)
    assert list(table.columns) == list(COLUMNS)
    assert set(table["ranking"]) == {"wilcoxon"}
    assert list(table.groupby("cell_type")["rank"].max()) == [len(table) // 3] * 3
    filled = ["p_value_adj", "mean_in", "fraction_out", "log2_fold_change", "auc", "cohens_d", "donor_fraction"]
    assert table.groupby("rank")[filled].first().loc[:10].notna().all(axis=None)
    for row in table.to_dict("records"):
        assert (f" {row['gene_symbol']} " in ran.out) >= (row["rank"] <= 2)
    assert f"Written to {out}" in ran.out
    again = cellmark("markers", "rank", tiny_file, "-o", out)
    assert again.status == 1
    assert "OUTPUT_EXISTS" in again.err


def test_several_methods_are_set_side_by_side(cellmark: Cellmark, tiny_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "markers.parquet"
    methods = ("wilcoxon", "t-test", "logreg", "cosg")
    ran = cellmark("markers", "rank", tiny_file, *(word for name in methods for word in ("--method", name)), "-o", out)
    assert ran.status == 0, ran.err
    table = pd.read_parquet(out)
    assert list(pd.unique(table["ranking"])) == list(methods)
    effects = table.pivot_table(index=["cell_type", "gene_symbol"], columns="ranking", values="auc")
    assert (effects.eq(effects["cosg"], axis=0) | effects.isna()).all(axis=None)
    assert "two rankings share" in ran.out
    assert "10.0" in ran.out


def test_a_copy_for_scanpy_can_be_plotted(cellmark: Cellmark, tiny_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "ranked.h5ad"
    ran = cellmark("markers", "rank", tiny_file, "--method", "t-test", "-o", out)
    assert ran.status == 0, ran.err
    adata = ad.read_h5ad(out)
    frame = sc.get.rank_genes_groups_df(adata, "T cell")
    own = ad.read_h5ad(tiny_file)
    sc.pp.normalize_total(own, target_sum=1e4)
    sc.pp.log1p(own)
    sc.tl.rank_genes_groups(own, "cell_type", method="t-test")
    assert list(frame["names"][:10]) == list(sc.get.rank_genes_groups_df(own, "T cell")["names"][:10])
    adata.obs["cell_type"] = adata.obs["cell_type"].astype("category")
    plot = sc.pl.rank_genes_groups_dotplot(adata, n_genes=2, show=False, return_fig=True)
    assert plot is not None


def test_genes_can_be_left_out(cellmark: Cellmark, tiny_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "markers.parquet"
    ran = cellmark(
        "markers", "rank", tiny_file, "--include-genes", "GENE1,GENE2,MT-CO1,NONE", "--exclude-genes", "mitochondrial",
        "-o", out,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert set(pd.read_parquet(out)["gene_symbol"]) == {"GENE1", "GENE2"}
    assert "GENE_LIST_UNMATCHED" in ran.err
    few = cellmark("markers", "rank", tiny_file, "--max-genes", 30, "-o", tmp_path / "few.parquet")
    assert few.status == 0, few.err
    assert pd.read_parquet(tmp_path / "few.parquet")["gene_symbol"].nunique() == 30


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--method", "deseq"), "PARAMETER_INVALID"),
        (("--label", "type"), "LABEL_COLUMN_UNKNOWN"),
        (("--donor", "patient"), "DONOR_COLUMN_UNKNOWN"),
        (("--min-cells", 1000), "LABEL_ONE_CLASS"),
        (("--top", 0), "PARAMETER_INVALID"),
        (("--max-genes", 1), "PARAMETER_INVALID"),
        (("-o", "markers.xlsx"), "OUTPUT_FORMAT_UNKNOWN"),
        (("--exclude-genes", "nothing.txt"), "FILE_NOT_FOUND"),
    ],
)
def test_wrong_input_ends_in_one_line(cellmark: Cellmark, tiny_file: Path, options: tuple[Any, ...], code: str) -> None:
    ran = cellmark("markers", "rank", tiny_file, *options)
    assert ran.status == 1
    assert f"[{code}]" in ran.err
    assert "Traceback" not in ran.err


def test_normalised_values_are_refused_as_in_training(
    cellmark: Cellmark, tiny_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = tiny_cells.copy()
    sc.pp.log1p(cells)
    cells.write_h5ad(tmp_path / "normalised.h5ad")
    ran = cellmark("markers", "rank", tmp_path / "normalised.h5ad")
    assert ran.status == 1
    assert "COUNTS_NOT_WHOLE" in ran.err
