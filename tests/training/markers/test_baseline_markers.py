"""Rivals' rankings in our layout: each against its own library, run apart on an AnnData of its own."""

import importlib.util

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from scipy import stats

from cellmark.schemas.errors import LabelError, ParameterError, SetupError
from cellmark.schemas.manifest.marker_table import COLUMNS
from cellmark.schemas.normalization import normalize
from cellmark.training.markers.baseline_markers import METHODS, STATISTICS, baseline_markers


def prepare(adata: ad.AnnData) -> tuple[sp.csr_matrix, np.ndarray, list[str]]:
    """x, codes and cell types."""
    cell_types, codes = np.unique(adata.obs["cell_type"].astype(str), return_inverse=True)
    counts = sp.csr_matrix(adata.X)
    return normalize(counts, np.asarray(counts.sum(axis=1)).ravel()), codes, list(cell_types)


def rank(adata: ad.AnnData, method: str, **changes: object) -> pd.DataFrame:
    x, codes, cell_types = prepare(adata)
    symbols = list(adata.var_names)
    given = {"cell_types": cell_types, "gene_symbols": symbols, "gene_ids": [None] * len(symbols), **changes}
    return baseline_markers(x, codes, method=method, **given)  # type: ignore[arg-type]


def scanpy_frame(adata: ad.AnnData, method: str, cell_type: str) -> pd.DataFrame:
    """As a user of scanpy would get it, from the same values: a last bit more or less would make or break ties."""
    own = ad.AnnData(prepare(adata)[0], obs=adata.obs.copy(), var=adata.var.copy())
    sc.tl.rank_genes_groups(own, "cell_type", method=method)
    return sc.get.rank_genes_groups_df(own, cell_type)


@pytest.mark.parametrize("method", ["wilcoxon", "t-test", "t-test_overestim_var", "logreg"])
def test_order_scores_and_p_values_are_scanpys(tiny_cells: ad.AnnData, method: str) -> None:
    table = rank(tiny_cells, method)
    for cell_type in ("B cell", "NK cell", "T cell"):
        ours, theirs = table[table["cell_type"] == cell_type], scanpy_frame(tiny_cells, method, cell_type)
        differ = np.asarray(ours["gene_symbol"]) != np.asarray(theirs["names"])
        tied = theirs["scores"].duplicated(keep=False).to_numpy()  # which scanpy leaves in any order
        assert not differ[~tied].any()
        assert tied.sum() < 60
        np.testing.assert_allclose(ours["marker_score"], theirs["scores"], rtol=1e-4, atol=1e-4)
        if method == "logreg":
            assert ours["p_value"].isna().all()
            continue
        by_gene = theirs.set_index("names").loc[ours["gene_symbol"]]
        np.testing.assert_allclose(ours["p_value"], by_gene["pvals"], rtol=1e-3)
        np.testing.assert_allclose(ours["p_value_adj"], by_gene["pvals_adj"], rtol=1e-3)


def test_wilcoxon_is_scipys_rank_sum_without_correction_for_ties(tiny_cells: ad.AnnData) -> None:
    x, codes, _ = prepare(tiny_cells)
    gene = tiny_cells.var_names.get_loc("GENE3")
    values = x[:, gene].toarray().ravel()
    expected = stats.ranksums(values[codes == 0], values[codes != 0])
    row = rank(tiny_cells, "wilcoxon").query("cell_type == 'B cell' and gene_symbol == 'GENE3'").iloc[0]
    assert row["marker_score"] == pytest.approx(expected.statistic, rel=1e-6)
    assert row["p_value"] == pytest.approx(expected.pvalue, rel=1e-6)


def test_cosg_ranks_as_the_package_does(tiny_cells: ad.AnnData) -> None:
    cosg = pytest.importorskip("cosg")
    own = tiny_cells.copy()
    sc.pp.normalize_total(own, target_sum=1e4)
    sc.pp.log1p(own)
    cosg.cosg(own, groupby="cell_type", n_genes_user=15, key_added="found")
    table = rank(tiny_cells, "cosg")
    for cell_type in ("B cell", "NK cell", "T cell"):
        ours = table[table["cell_type"] == cell_type].head(15)
        assert list(ours["gene_symbol"]) == list(own.uns["found"]["names"][cell_type])
        np.testing.assert_allclose(ours["marker_score"], own.uns["found"]["scores"][cell_type], rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_two_types_have_rankings_of_their_own(tiny_cells: ad.AnnData, method: str) -> None:
    """Genes 0 to 9 mark B cells, 20 to 29 T cells: scanpy's logistic regression gives one type only."""
    table = rank(tiny_cells[tiny_cells.obs["cell_type"] != "NK cell"].copy(), method)
    for cell_type, first in (("B cell", 0), ("T cell", 20)):
        best = table[table["cell_type"] == cell_type].head(8)
        assert set(best["gene_symbol"]) <= {f"GENE{number}" for number in range(first, first + 10)}
        assert (best["direction"] == "positive").all()


@pytest.mark.parametrize("given", [{"0": 1}, {"0": 0}, {"1": 1}, {"0": 0, "1": 1}])
def test_two_types_by_logistic_regression_hold_when_scanpy_is_repaired(
    tiny_cells: ad.AnnData, monkeypatch: pytest.MonkeyPatch, given: dict[str, int]
) -> None:
    """`given`: by the name that scanpy gives coefficients under, the type that they are of. Today it is {"0": 1}."""
    cells = tiny_cells[tiny_cells.obs["cell_type"] != "NK cell"].copy()
    expected = rank(cells, "logreg")
    original = sc.tl.rank_genes_groups

    def repaired(adata: ad.AnnData, *args: object, **settings: object) -> None:
        original(adata, *args, **settings)
        found = adata.uns["rank_genes_groups"]
        names, scores = found["names"]["0"].copy(), found["scores"]["0"].copy()
        kinds = {0: (names[::-1], -scores[::-1]), 1: (names, scores)}
        for field, place in (("names", 0), ("scores", 1)):
            columns = [kinds[code][place] for code in given.values()]
            found[field] = np.rec.fromarrays(columns, names=list(given))

    monkeypatch.setattr(sc.tl, "rank_genes_groups", repaired)
    table = rank(cells, "logreg")
    for cell_type in ("B cell", "T cell"):
        ours, before = (one[one["cell_type"] == cell_type].head(8) for one in (table, expected))
        assert list(ours["gene_symbol"]) == list(before["gene_symbol"])
        np.testing.assert_allclose(ours["marker_score"], before["marker_score"])


def test_the_layout_is_the_marker_tables(tiny_cells: ad.AnnData) -> None:
    generator = np.random.default_rng(0)
    statistics = {key: generator.random((3, tiny_cells.n_vars)) for key in (*STATISTICS, "p_value")}
    counts = [key for key in STATISTICS if COLUMNS[key].dtype == "Int64"]
    statistics |= {key: generator.integers(1, 9, (3, tiny_cells.n_vars)) for key in counts}
    ids = [f"ENSG{number}" for number in range(tiny_cells.n_vars)]
    table = rank(tiny_cells, "t-test", statistics=statistics, gene_ids=ids)
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 3 * tiny_cells.n_vars
    assert set(table["ranking"]) == {"t-test"}
    symbols, types = list(tiny_cells.var_names), ["B cell", "NK cell", "T cell"]
    for row in table.sample(20, random_state=0).to_dict("records"):
        place = types.index(row["cell_type"]), symbols.index(row["gene_symbol"])
        assert row["gene_id"] == f"ENSG{place[1]}"
        assert all(row[key] == statistics[key][place] for key in STATISTICS)
        assert row["p_value"] != statistics["p_value"][place]


def test_genes_of_equal_score_keep_their_order() -> None:
    """Nine silent genes among two that mark a type each."""
    counts = np.zeros((12, 11), dtype=np.float32)
    counts[:, 3] = [9, 8, 7, 9, 6, 5, 1, 0, 2, 1, 0, 1]
    counts[:, 7] = counts[::-1, 3] + 1
    obs = pd.DataFrame({"cell_type": ["a"] * 6 + ["b"] * 6}, index=[f"c{number}" for number in range(12)])
    cells = ad.AnnData(sp.csr_matrix(counts), obs=obs)
    cells.var_names = [f"g{number}" for number in range(11)]
    silent = [f"g{number}" for number in range(11) if number not in (3, 7)]
    for method in ("wilcoxon", "t-test", "logreg"):
        of_a = rank(cells, method).query("cell_type == 'a'")
        assert list(of_a["gene_symbol"]) == ["g3", *silent, "g7"]
        assert list(of_a["rank"]) == list(range(1, 12))


@pytest.mark.parametrize("method", METHODS)
def test_the_matrix_handed_in_stays_as_it_is(tiny_cells: ad.AnnData, method: str) -> None:
    x, codes, cell_types = prepare(tiny_cells)
    x.data[:50] = 0  # stored zeros, which scanpy would take out in place
    before = x.copy()
    symbols = list(tiny_cells.var_names)
    baseline_markers(
        x, codes, cell_types=cell_types, gene_symbols=symbols, gene_ids=[None] * len(symbols), method=method
    )
    assert x.nnz == before.nnz
    np.testing.assert_array_equal(x.data, before.data)
    np.testing.assert_array_equal(x.indices, before.indices)


def test_odd_names_of_types_come_back_as_they_are(tiny_cells: ad.AnnData) -> None:
    names = ["B::cell", "NK / cell", "T,cell "]
    table = rank(tiny_cells, "wilcoxon", cell_types=names)
    assert list(table["cell_type"].unique()) == names


def test_an_unknown_method_is_refused(tiny_cells: ad.AnnData) -> None:
    with pytest.raises(ParameterError, match=r"wilcoxon, t-test.*cosg.*'deseq'.*PARAMETER_INVALID"):
        rank(tiny_cells, "deseq")


def test_a_type_of_one_cell_is_refused(tiny_cells: ad.AnnData) -> None:
    rows = np.r_[np.flatnonzero(tiny_cells.obs["cell_type"] == "B cell"), 119]
    with pytest.raises(LabelError, match=r"T cell \(1\).*--min-cells"):
        rank(tiny_cells[rows].copy(), "t-test")


def test_without_cosg_the_extra_is_named(tiny_cells: ad.AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "cellmark.training.markers.baseline_markers.find_spec", lambda name: None if name == "cosg" else real(name)
    )
    with pytest.raises(SetupError, match=r"cellmark\[rivals\].*EXTRA_MISSING"):
        rank(tiny_cells, "cosg")
