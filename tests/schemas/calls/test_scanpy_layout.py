"""The marker table in scanpy's layout: scanpy itself writes the expected layout, reads ours and plots it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.calls.scanpy_layout import from_rank_genes_groups, rows_for, to_rank_genes_groups, write_into
from cellmark.schemas.errors import CellmarkError
from cellmark.schemas.manifest.marker_table import COLUMNS, marker_table

FIELDS = ("names", "scores", "logfoldchanges", "pvals", "pvals_adj")


@pytest.fixture(scope="module")
def ranked(tiny_cells: ad.AnnData) -> ad.AnnData:
    """The synthetic cells, normalised, with scanpy's own ranking."""
    import scanpy as sc

    cells = tiny_cells.copy()
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    sc.tl.rank_genes_groups(cells, "cell_type", method="wilcoxon", pts=True)
    return cells


@pytest.fixture(scope="module")
def table(ranked: ad.AnnData) -> pd.DataFrame:
    return from_rank_genes_groups(ranked)


def test_scanpys_answer_becomes_a_marker_table(ranked: ad.AnnData, table: pd.DataFrame) -> None:
    import scanpy as sc

    expected = sc.get.rank_genes_groups_df(ranked, group=None)
    assert list(table.columns) == list(COLUMNS)
    assert table["cell_type"].tolist() == expected["group"].astype(str).tolist()
    assert table["gene_symbol"].tolist() == expected["names"].tolist()
    for ours, theirs in (
        ("marker_score", "scores"),
        ("log2_fold_change", "logfoldchanges"),
        ("p_value", "pvals"),
        ("p_value_adj", "pvals_adj"),
        ("fraction_in", "pct_nz_group"),
        ("fraction_out", "pct_nz_reference"),
    ):
        np.testing.assert_allclose(table[ours], expected[theirs])
    for _, rows in table.groupby("cell_type"):
        assert rows["rank"].tolist() == list(range(1, ranked.n_vars + 1))
    assert set(table["ranking"]) == {"wilcoxon"}
    assert ((table["direction"] == "positive") == (table["log2_fold_change"] > 0)).all()


def test_a_table_becomes_what_scanpy_wrote(ranked: ad.AnnData, table: pd.DataFrame) -> None:
    written = write_into(ranked, table, groupby="cell_type", key="again")
    assert "again" not in ranked.uns
    ours, theirs = written.uns["again"], ranked.uns["rank_genes_groups"]
    assert set(ours) == set(theirs)
    for field in FIELDS:
        assert ours[field].dtype == theirs[field].dtype
        for name in theirs[field].dtype.names:
            np.testing.assert_array_equal(ours[field][name], theirs[field][name])
    for field in ("pts", "pts_rest"):
        pd.testing.assert_frame_equal(ours[field], theirs[field].loc[ours[field].index], check_names=False)
    given = {**theirs["params"], "method": "cellmark:wilcoxon"}
    del given["layer"]
    assert ours["params"] == given
    pd.testing.assert_frame_equal(from_rank_genes_groups(written, key="again"), table)


@pytest.fixture(scope="module", params=["in memory", "from an .h5ad"])
def written(
    request: pytest.FixtureRequest, ranked: ad.AnnData, table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> ad.AnnData:
    """Cells that know our table alone."""
    import scanpy as sc

    bare = ranked.copy()
    del bare.uns["rank_genes_groups"]
    cells = write_into(bare, table, groupby="cell_type")
    if request.param == "from an .h5ad":
        path: Path = tmp_path_factory.mktemp("scanpy") / "cells.h5ad"
        cells.write_h5ad(path)
        cells = ad.read_h5ad(path)
    sc.pp.pca(cells, n_comps=5)
    sc.tl.dendrogram(cells, "cell_type")
    return cells


def test_scanpy_reads_the_genes_of_one_type_and_its_cutoffs_work(written: ad.AnnData, table: pd.DataFrame) -> None:
    import scanpy as sc

    found = sc.get.rank_genes_groups_df(written, group="T cell", pval_cutoff=0.01, log2fc_min=1)
    expected = table.query("cell_type == 'T cell' and p_value_adj < 0.01 and log2_fold_change > 1")
    assert len(expected) >= 10
    assert found["names"].tolist() == expected["gene_symbol"].tolist()
    np.testing.assert_allclose(found["pct_nz_group"], expected["fraction_in"])


def labels(axes: Any) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def test_scanpys_plots_show_the_first_genes(written: ad.AnnData, table: pd.DataFrame) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import scanpy as sc

    first = {name: rows["gene_symbol"].tolist()[:3] for name, rows in table.groupby("cell_type")}
    shown_first = sorted(gene for genes in first.values() for gene in genes)
    shown: dict[str, Callable[..., Any]] = {
        "dotplot": sc.pl.rank_genes_groups_dotplot,
        "matrixplot": sc.pl.rank_genes_groups_matrixplot,
        "stacked_violin": sc.pl.rank_genes_groups_stacked_violin,
    }
    for name, plot in shown.items():
        axes = plot(written, n_genes=3, show=False)
        assert sorted(labels(axes["mainplot_ax"])) == shown_first, name
    dots = sc.pl.rank_genes_groups_dotplot(written, n_genes=3, values_to_plot="logfoldchanges", show=False)
    assert len(labels(dots["mainplot_ax"])) == 9
    axes = sc.pl.rank_genes_groups_heatmap(written, n_genes=3, show=False, show_gene_labels=True)
    assert sorted(labels(axes["heatmap_ax"])) == shown_first
    panels = sc.pl.rank_genes_groups(written, n_genes=3, show=False)
    for panel in panels:
        name = panel.get_title().removesuffix(" vs. rest")
        assert [text.get_text() for text in panel.texts] == first[name]
    plt.close("all")


def test_scanpys_filter_works_and_what_it_took_out_stays_out(written: ad.AnnData, table: pd.DataFrame) -> None:
    import scanpy as sc

    cells = written.copy()
    sc.tl.filter_rank_genes_groups(
        cells, min_in_group_fraction=0.9, max_out_group_fraction=0.6, min_fold_change=1, key_added="filtered"
    )
    found = from_rank_genes_groups(cells, key="filtered")
    kept = table[
        (table["fraction_in"] > 0.9) & (table["fraction_out"] < 0.6) & (table["log2_fold_change"].astype("float32") > 1)
    ]
    assert 0 < len(kept) < len(table)
    assert (
        found[["cell_type", "gene_symbol"]].to_numpy().tolist()
        == kept[["cell_type", "gene_symbol"]].to_numpy().tolist()
    )
    assert found.groupby("cell_type")["rank"].max().to_dict() == kept.groupby("cell_type").size().to_dict()


def test_logistic_regression_has_neither_p_values_nor_fold_changes(ranked: ad.AnnData) -> None:
    import scanpy as sc

    cells = ranked.copy()
    sc.tl.rank_genes_groups(cells, "cell_type", method="logreg", key_added="logreg", max_iter=200)
    table = from_rank_genes_groups(cells, key="logreg")
    assert set(table["ranking"]) == {"logreg"}
    assert table[["p_value", "p_value_adj", "log2_fold_change", "fraction_in"]].isna().all(axis=None)
    assert ((table["direction"] == "positive") == (table["marker_score"] > 0)).all()


# tables that are not whole ------------------------------------------------------------------------------------------


def partly_ranked() -> pd.DataFrame:
    """As the published ranking leaves it: only candidates have ranks and scores."""
    return marker_table(
        cell_type=["B"] * 3 + ["T"] * 3,
        rank=[1, 2, pd.NA, 1, pd.NA, pd.NA],
        gene_symbol=["a", "b", "c", "c", "a", "b"],
        marker_score=[0.9, 0.5, np.nan, 0.4, np.nan, np.nan],
        ranking="published",
        mean_in=[2.0, 1, 0, 3, 0, 0],
        mean_out=[0.0, 0, 3, 0, 2, 1],
    )


def test_genes_without_rank_come_last_with_a_score_that_plots_can_show() -> None:
    layout = to_rank_genes_groups(partly_ranked(), groupby="label")
    assert layout["names"]["B"].tolist() == ["a", "b", "c"]
    assert layout["names"]["T"].tolist() == ["c", "a", "b"]
    np.testing.assert_allclose(layout["scores"]["B"], [0.9, 0.5, 0])
    np.testing.assert_allclose(layout["scores"]["T"], [0.4, 0, 0])
    assert layout["params"]["method"] == "cellmark:published"
    assert layout["params"]["groupby"] == "label"


def test_fold_changes_that_a_table_lacks_are_those_of_mean_logarithms_in_base_2() -> None:
    layout = to_rank_genes_groups(partly_ranked(), groupby="label")
    assert layout["logfoldchanges"]["B"][0] == pytest.approx(2 / np.log(2))
    given = partly_ranked().assign(log2_fold_change=[1.0, 2, 3, 4, 5, 6])
    assert to_rank_genes_groups(given, groupby="label")["logfoldchanges"]["T"].tolist() == [4, 5, 6]


def test_old_tables_without_the_newer_columns_are_written() -> None:
    old = partly_ranked()[["cell_type", "rank", "gene_symbol", "marker_score", "ranking", "mean_in", "mean_out"]]
    layout = to_rank_genes_groups(old, groupby="label")
    assert np.isnan(layout["pvals"]["B"]).all()
    assert "pts" not in layout


def test_groups_come_in_the_order_asked_for_and_cut_to_one_length() -> None:
    uneven = partly_ranked().drop(index=2)
    layout = to_rank_genes_groups(uneven, groupby="label", groups=["T", "B"])
    assert layout["names"].dtype.names == ("T", "B")
    assert len(layout["names"]) == 2
    assert len(to_rank_genes_groups(partly_ranked(), groupby="label", n_genes=1)["names"]) == 1


def test_names_with_a_slash_keep_an_h5ad_readable(tmp_path: Path) -> None:
    table = partly_ranked().assign(fraction_in=0.5, fraction_out=0.1)
    assert "pts" in to_rank_genes_groups(table, groupby="label")
    table["cell_type"] = table["cell_type"].replace({"T": "B/naive"})
    cells = ad.AnnData(np.ones((2, 3)), obs=pd.DataFrame({"label": ["B", "B/naive"]}, index=["x", "y"]))
    cells.var_names = list("abc")
    write_into(cells, table, groupby="label").write_h5ad(tmp_path / "cells.h5ad")
    found = from_rank_genes_groups(ad.read_h5ad(tmp_path / "cells.h5ad"))
    assert found["cell_type"].unique().tolist() == ["B", "B/naive"]


def test_cells_that_name_their_genes_by_ids_or_with_a_prefix_get_these_names() -> None:
    table = partly_ranked().assign(gene_id=lambda rows: rows["gene_symbol"].map({"a": "ENSG00000000001"}))
    obs = pd.DataFrame({"label": table["cell_type"].unique()})
    kept = rows_for(table, obs=obs, var_names=["ENSG00000000001.4", "c", "hg19_b"], groupby="label")
    expected = table["gene_symbol"].map({"a": "ENSG00000000001.4", "b": "hg19_b", "c": "c"})
    assert kept["gene_symbol"].tolist() == expected[expected.notna()].tolist()
    assert {"ENSG00000000001.4", "c"} <= set(kept["gene_symbol"])


def test_genes_and_types_that_the_cells_lack_are_left_out() -> None:
    obs = pd.DataFrame({"label": pd.Categorical(["B", "NK"])})
    kept = rows_for(partly_ranked(), obs=obs, var_names=["c", "a", "z"], groupby="label")
    assert kept["cell_type"].tolist() == ["B", "B"]
    assert kept["gene_symbol"].tolist() == ["a", "c"]


@pytest.mark.parametrize(
    ("obs", "var_names", "groupby", "code"),
    [
        ({"label": ["B"]}, ["a"], "nope", "LABEL_COLUMN_UNKNOWN"),
        ({"label": ["NK"]}, ["a"], "label", "LABEL_COLUMN_UNKNOWN"),
        ({"label": ["B"]}, ["ENSG1"], "label", "NO_GENES_SHARED"),
    ],
)
def test_cells_that_do_not_fit_are_refused(
    obs: dict[str, list[str]], var_names: list[str], groupby: str, code: str
) -> None:
    with pytest.raises(CellmarkError) as caught:
        rows_for(partly_ranked(), obs=pd.DataFrame(obs), var_names=var_names, groupby=groupby)
    assert caught.value.code == code


@pytest.mark.parametrize("uns", [{}, {"rank_genes_groups": {}}, {"rank_genes_groups": 1}])
def test_cells_without_scanpys_answer_are_refused(uns: dict[str, Any]) -> None:
    with pytest.raises(CellmarkError) as caught:
        from_rank_genes_groups(ad.AnnData(np.ones((2, 2)), uns=uns))
    assert caught.value.code == "PARAMETER_INVALID"


def test_groups_that_the_table_lacks_are_refused() -> None:
    with pytest.raises(CellmarkError) as caught:
        to_rank_genes_groups(partly_ranked(), groupby="label", groups=["B", "NK"])
    assert caught.value.findings[0].found == "NK"
