"""Planted populations are found again, described as they are, and told from every called type."""

import json
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import mannwhitneyu
from sklearn.metrics import adjusted_rand_score

from cellmark.schemas.calls.new_populations import MARKER_COLUMNS, POPULATION_COLUMNS, NewPopulations
from cellmark.schemas.errors import ParameterError, SetupError
from cellmark.schemas.normalization import normalize
from cellmark.training.populations.new_populations import PopulationSearch
from fixtures import novel_cells as made

N_OWN, TYPES, called_cells, draw = made.N_OWN, made.TYPES, made.called_cells, made.draw
FIRST, SECOND = 3, 4
"""Numbers of the planted populations: types are 0 to 2."""


def own_genes(number: int) -> set[str]:
    return {f"GENE{gene}" for gene in range(number * N_OWN, (number + 1) * N_OWN)}


@pytest.fixture(scope="module")
def two() -> NewPopulations:
    return PopulationSearch().find(called_cells(draw(FIRST, 50), draw(SECOND, 30)))


def test_two_planted_populations_are_two_groups(two: NewPopulations) -> None:
    assert two.populations["population"].tolist() == ["new-1", "new-2"]
    assert two.populations["n_cells"].tolist() == [50, 30]
    assert two.cells.tolist() == ["new-1"] * 50 + ["new-2"] * 30
    assert list(two.populations.columns) == list(POPULATION_COLUMNS)
    assert list(two.markers.columns) == list(MARKER_COLUMNS)
    assert two.findings == ()


@pytest.mark.parametrize(("population", "number"), [("new-1", FIRST), ("new-2", SECOND)])
def test_the_first_markers_are_the_planted_genes(two: NewPopulations, population: str, number: int) -> None:
    table = two.markers[two.markers["population"] == population]
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert set(table["gene_symbol"].head(N_OWN)) == own_genes(number)
    assert table["marker_score"].is_monotonic_decreasing
    own = set(table.loc[table["own"], "gene_symbol"])
    assert own_genes(number) >= own
    assert len(own) > 0.8 * N_OWN
    row = two.populations.set_index("population").loc[population]
    assert row["n_markers"] == len(own)
    assert row["n_markers_outside_panel"] == len(own & set(table.loc[~table["in_panel"], "gene_symbol"]))
    assert row["warnings"] == ""
    # Genes of the other population count for nothing: it takes no part in the comparison.
    assert table.set_index("gene_symbol").loc["GENE0", "next_cell_type"] == TYPES[0]


def test_effects_are_those_of_other_programs(two: NewPopulations) -> None:
    cells = called_cells(draw(FIRST, 50), draw(SECOND, 30))
    x = normalize(cells.counts, cells.library_size).toarray()
    linear = cells.counts.toarray() / cells.library_size[:, None] * 1e4
    table = two.markers[two.markers["population"] == "new-1"].set_index("gene_symbol")
    own, called = np.arange(180, 230), np.arange(180)
    for gene in ("GENE125", "GENE7", "GENE300"):
        column = int(gene[4:])
        means = [x[number * 60 : number * 60 + 60, column].mean() for number in range(3)]
        following = int(np.argmax(means))
        of_next = slice(following * 60, following * 60 + 60)
        row = table.loc[gene]
        assert row["next_cell_type"] == TYPES[following]
        assert row["mean_next"] == pytest.approx(means[following], rel=1e-5)
        assert row["fraction_next"] == pytest.approx((x[of_next, column] > 0).mean())
        change = np.log2((linear[own, column].mean() + 1) / (linear[of_next, column].mean() + 1))
        assert row["log2_fold_change_next"] == pytest.approx(change, rel=1e-5)
        u = mannwhitneyu(x[own, column], x[called, column]).statistic
        assert row["auc"] == pytest.approx(u / (50 * 180))


def test_a_gene_that_one_type_shares_is_no_marker_though_the_pooled_rest_lacks_it() -> None:
    shared = draw(FIRST, 50)
    generator = np.random.default_rng(5)
    shared[:, :10] += generator.poisson(6, (50, 10))  # genes of the first type
    found = PopulationSearch().find(called_cells(shared, n_called=60))
    table = found.markers.set_index("gene_symbol")
    taken = table.loc[[f"GENE{gene}" for gene in range(10)]]
    assert (taken["log2_fold_change"] > 0).all()
    assert not taken["own"].any()
    assert table["rank"].loc[taken.index].min() > N_OWN


def test_genes_that_every_type_has_and_the_population_lacks_have_a_negative_rank() -> None:
    lacking = draw(FIRST, 50)
    lacking[:, 300:305] = 0
    cells = called_cells(lacking)
    counts = cells.counts.toarray()
    counts[:180, 300:305] += 5
    found = PopulationSearch().find(
        replace(cells, counts=sp.csr_matrix(counts), library_size=counts.sum(axis=1).astype(np.float32))
    )
    negative = found.markers.dropna(subset="negative_rank").sort_values("negative_rank")
    assert set(negative["gene_symbol"].head(5)) == {f"GENE{gene}" for gene in range(300, 305)}


def test_one_uniform_population_is_one_group() -> None:
    found = PopulationSearch().find(called_cells(draw(FIRST, 150)))
    assert found.populations["n_cells"].tolist() == [150]


def test_the_same_cells_and_seed_give_the_same_populations(two: NewPopulations) -> None:
    again = PopulationSearch().find(called_cells(draw(FIRST, 50), draw(SECOND, 30)))
    pd.testing.assert_frame_equal(again.populations, two.populations)
    pd.testing.assert_frame_equal(again.markers, two.markers)


def test_facts_of_a_population_are_those_of_its_cells(two: NewPopulations) -> None:
    cells = called_cells(draw(FIRST, 50), draw(SECOND, 30))
    row = two.populations.iloc[0]
    own = slice(180, 230)
    assert row["share"] == pytest.approx(50 / 520)
    assert (row["best_cell_type"], row["best_share"], row["best_cell_types"]) == ("B cell", 1.0, "B cell 100 %")
    assert (row["novelty"], row["threshold"]) == (3.0, 2.0)
    assert row["library_size"] == np.median(cells.library_size[own])
    assert row["genes_detected"] == np.median((cells.counts[own].toarray() > 0).sum(axis=1))
    share = np.asarray(cells.counts[own][:, -3:].sum(axis=1)).ravel() / cells.library_size[own]
    assert row["mitochondrial_share"] == pytest.approx(np.median(share))
    assert (row["n_donors"], row["donors"]) == (2, "d0 50 %, d1 50 %")


def test_called_cells_of_the_same_kind_are_counted() -> None:
    cells = called_cells(draw(FIRST, 60))
    # A third of them was called after all, as the second type.
    unassigned = cells.unassigned.copy()
    unassigned[-20:] = False
    best = np.where(np.arange(len(cells.best)) >= len(cells.best) - 20, 1, cells.best)
    some = replace(cells, unassigned=unassigned, best=best, n_called=np.array([60, 80, 60]))
    row = PopulationSearch().find(some).populations.iloc[0]
    assert (row["n_cells"], row["alike_cell_types"]) == (40, "NK cell 100 %")
    assert 10 <= row["n_alike"] <= 20
    drawn = PopulationSearch().find(replace(some, n_called=np.array([60, 800, 60])))
    # The 80 called cells that were kept stand for 800.
    assert drawn.populations.iloc[0]["n_alike"] == 10 * row["n_alike"]
    alone = PopulationSearch().find(cells).populations.iloc[0]
    assert alone["n_alike"] == 0
    assert pd.isna(alone["alike_cell_types"])


def test_populations_are_as_far_apart_as_a_fifth_of_what_types_are() -> None:
    """Types differ by eighty genes; two halves of the unassigned cells by as many as are planted."""
    for n_genes, n_populations in ((8, 1), (24, 2)):
        both = draw(FIRST, 80)
        both[40:, 300 : 300 + n_genes] += np.random.default_rng(0).poisson(8, (40, n_genes))
        found = PopulationSearch().find(called_cells(both))
        assert len(found.populations) == n_populations
        assert len(PopulationSearch(min_genes=n_genes + 3).find(called_cells(both)).populations) == 1


def test_shallow_cells_are_warned_of() -> None:
    row = PopulationSearch().find(called_cells(draw(FIRST, 50, depth=0.3))).populations.iloc[0]
    assert row["warnings"].startswith("shallow: ")


def test_dying_cells_are_warned_of() -> None:
    dying = draw(FIRST, 50)
    dying[:, -3:] += 100
    row = PopulationSearch().find(called_cells(dying)).populations.iloc[0]
    assert "dying cells?" in row["warnings"]


def test_doublets_are_warned_of_and_their_types_named() -> None:
    row = PopulationSearch().find(called_cells(draw(0, 40, seed=1) + draw(2, 40, seed=2))).populations.iloc[0]
    assert set(str(row["mixture_of"]).split(" and ")) == {"B cell", "T cell"}
    assert "doublets? like a mixture of" in row["warnings"]


def test_known_cells_that_were_refused_are_called_that() -> None:
    row = PopulationSearch().find(called_cells(draw(1, 40, seed=1))).populations.iloc[0]
    assert row["n_markers"] == 0
    assert row["warnings"] == "hardly a gene of its own: perhaps known cells, refused"


@pytest.mark.parametrize(
    ("n_cells", "code"), [(0, "NOVEL_CELLS_NONE"), (1, "NOVEL_CELLS_FEW"), (19, "NOVEL_CELLS_FEW")]
)
def test_too_few_cells_are_no_error(n_cells: int, code: str) -> None:
    found = PopulationSearch().find(called_cells(draw(FIRST, n_cells)))
    assert [(finding.code, finding.severity) for finding in found.findings] == [(code, "info")]
    assert len(found.populations) == len(found.markers) == 0
    assert len(found.cells) == n_cells
    assert found.cells.isna().all()
    assert json.loads(json.dumps(found.to_dict(top=5)))["populations"] == []


def test_small_groups_are_left_out_and_counted() -> None:
    found = PopulationSearch(min_cells=15).find(called_cells(draw(FIRST, 40), draw(SECOND, 12)))
    assert found.populations["n_cells"].tolist() == [40]
    assert found.cells.isna().sum() == 12
    assert [finding.code for finding in found.findings] == ["NOVEL_CELLS_FEW"]
    assert "12 cells" in found.findings[0].found


def test_types_without_called_cells_are_named_and_not_compared() -> None:
    found = PopulationSearch().find(called_cells(draw(FIRST, 40), n_called=0))
    assert [(finding.code, finding.severity) for finding in found.findings] == [("CALLED_CELLS_FEW", "warning")]
    assert found.populations["n_cells"].tolist() == [40]
    assert found.populations["n_markers"].isna().all()
    assert len(found.markers) == 0


def test_lists_of_genes_say_which_may_have_a_rank() -> None:
    listed = PopulationSearch(include_genes="gene121,GENE122, NOTHING").find(called_cells(draw(FIRST, 40)))
    assert set(listed.markers.dropna(subset="rank")["gene_symbol"]) == {"GENE121", "GENE122"}
    assert [finding.code for finding in listed.findings] == ["GENE_LIST_UNMATCHED"]


def test_json_holds_the_populations_and_their_first_markers(two: NewPopulations) -> None:
    told = json.loads(json.dumps(two.to_dict(top=3), allow_nan=False))
    assert (told["n_unassigned"], told["n_grouped"]) == (80, 80)
    assert [len(row["markers"]) for row in told["populations"]] == [3, 3]
    assert told["populations"][0]["markers"][0]["gene_symbol"] in own_genes(FIRST)


@pytest.mark.parametrize("wrong", [{"min_cells": 2}, {"resolution": 0}, {"min_genes": -1}, {"include_genes": ","}])
def test_settings_outside_their_range_are_refused_before_any_work(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match="PARAMETER_INVALID"):
        PopulationSearch(**wrong)  # type: ignore[arg-type]


def test_without_the_package_of_leiden_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellmark.training.populations.group_cells.find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"pip install 'cellmark\[clusters\]'.*EXTRA_MISSING"):
        PopulationSearch()


def test_real_types_that_nobody_called_are_found_with_their_known_markers(shared_data: Path) -> None:
    """B and NK cells of blood as unassigned ones; the markers are textbook genes."""
    adata = ad.read_h5ad(shared_data / "pbmc3k.h5ad")
    labels = adata.obs["cell_type"].astype(str).to_numpy()
    unknown = np.isin(labels, ["B cells", "NK cells"])
    names, best = np.unique(labels, return_inverse=True)
    counts = sp.csr_matrix(adata.X, dtype=np.float32)
    cells = replace(
        called_cells(draw(FIRST, 5)), counts=counts, library_size=np.asarray(counts.sum(axis=1)).ravel(),
        cell_ids=adata.obs_names.to_numpy(), gene_symbols=tuple(adata.var_names), gene_ids=(None,) * adata.n_vars,
        in_panel=np.zeros(adata.n_vars, dtype=bool), best=np.where(unknown, 0, best), cell_types=tuple(names),
        unassigned=unknown, novelty=np.where(unknown, 3.0, 0.0), donors=None, n_cells=adata.n_obs,
        n_called=np.bincount(best[~unknown], minlength=len(names)),
    )  # fmt: skip
    found = PopulationSearch().find(cells)
    assert adjusted_rand_score(labels[unknown], found.cells.fillna("none")) > 0.97
    first = {
        labels[unknown][(found.cells == name).to_numpy()][0]: set(table["gene_symbol"].head(10))
        for name, table in found.markers.groupby("population")
    }
    assert {"CD79A", "MS4A1"} <= first["B cells"]
    assert {"GNLY", "PRF1", "GZMB"} & first["NK cells"]
    assert found.populations["warnings"].tolist() == ["", ""]
