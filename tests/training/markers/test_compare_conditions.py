"""Synthetic donors of two conditions: what changes is found, what does not is not, nothing is dropped in silence."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy import stats

from cellmark.schemas.normalization import normalize
from cellmark.training.markers import compare_conditions as module
from cellmark.training.markers.compare_conditions import COLUMNS, Comparison, compare_conditions, pseudobulk

TYPES = ("alpha", "beta", "delta", "gamma")
N_GENES = 150
DECIDED = ["gained", "lost", "stronger", "weaker"]


class Cells(NamedTuple):
    counts: np.ndarray
    codes: np.ndarray
    conditions: np.ndarray
    donors: np.ndarray

    def rows(self, kept: np.ndarray) -> "Cells":
        return Cells(*(values[kept] for values in self))


def draw(
    *, seed: int, n_donors: int = 4, n_cells: int = 30, lost: bool = False, depth: float = 1.0, more: int = 1
) -> Cells:
    """Two conditions, `a` and `b`, with other donors. Genes 0 to 9 mark alpha, 10 to 19 beta, and so on.

    `lost`: genes 0 to 2 do not mark alpha in `b`. `depth`: of `b`, relative. `more`: so many times more beta cells in
    `b`.
    """
    generator = np.random.default_rng(seed)
    base = generator.gamma(0.5, 2, N_GENES) + 0.05
    parts = []
    for condition in "ab":
        for donor in range(n_donors):
            own = generator.lognormal(0, 0.3, N_GENES)
            for code in range(len(TYPES)):
                rates = base.copy()
                rates[code * 10 : code * 10 + 10] = rates[code * 10 : code * 10 + 10] * 2 + 5
                if lost and condition == "b" and code == 0:
                    rates[:3] = base[:3]
                rates = rates * own * generator.lognormal(0, 0.3, N_GENES)
                size = n_cells * (more if condition == "b" and code == 1 else 1)
                library = 600 * generator.lognormal(0, 0.3, (size, 1)) * (depth if condition == "b" else 1)
                labels = np.full(size, code), np.full(size, condition), np.full(size, f"{condition}{donor}")
                parts.append((generator.poisson(rates / rates.sum() * library), *labels))
    return Cells(*map(np.concatenate, zip(*parts, strict=True)))


def compare(cells: Cells, *, donors: bool = True, **options: Any) -> Comparison:
    counts = sp.csr_matrix(cells.counts.astype(np.float32))
    x = normalize(counts, np.maximum(cells.counts.sum(axis=1), 1))
    genes = [f"G{number}" for number in range(cells.counts.shape[1])]
    return compare_conditions(
        x,
        cells.codes,
        cells.conditions,
        donors=cells.donors if donors else None,
        cell_types=TYPES,
        gene_symbols=genes,
        gene_ids=[f"ENSG{number}" for number in range(len(genes))],
        **options,
    )


# what changes


def test_markers_that_a_condition_loses_are_found_and_no_others() -> None:
    found = wrong = 0
    for seed in range(6):
        table = compare(draw(seed=seed, lost=True)).table
        true = (table["cell_type"] == "alpha") & table["gene_symbol"].isin(["G0", "G1", "G2"])
        found += int((true & (table["verdict"] == "lost")).sum())
        wrong += int((~true & table["verdict"].isin(DECIDED)).sum())
    assert found >= 15  # of 18
    assert wrong <= 1


def test_the_other_way_round_they_are_gained() -> None:
    lost, gained = (compare(draw(seed=1, lost=True), reference=name).table for name in ("a", "b"))
    for one, other, word in ((lost, gained, "lost"), (gained, lost, "gained")):
        genes = one[one["verdict"] == word][["cell_type", "gene_symbol", "change"]]
        assert len(genes)
        both = genes.merge(other, on=["cell_type", "gene_symbol"])
        np.testing.assert_allclose(both["change_x"], -both["change_y"])
    assert set(lost.loc[lost["verdict"] == "lost", "gene_symbol"]) == set(
        gained.loc[gained["verdict"] == "gained", "gene_symbol"]
    )


def test_what_changed_is_the_type_and_not_the_rest() -> None:
    rows = compare(draw(seed=1, lost=True)).table.query("verdict == 'lost'")
    assert (rows["change_in_type"] < -1).all()
    assert (rows["change_in_rest"].abs() < 1).all()
    np.testing.assert_allclose(rows["change"], rows["change_in_type"] - rows["change_in_rest"])


# what does not change


@pytest.mark.parametrize("shift", [{}, {"more": 6}, {"depth": 0.3}], ids=["same", "composition", "depth"])
def test_without_a_change_few_are_decided_and_p_values_hold(shift: dict[str, Any]) -> None:
    """Also where a type is six times as frequent, or the condition was sequenced to a third of the depth."""
    tables = [compare(draw(seed=seed, **shift)).table for seed in range(20)]
    # The chance of any false discovery is 5 % each: of 20, more than 4 have a chance of 0.3 %.
    assert sum(table["verdict"].isin(DECIDED).any() for table in tables) <= 4
    p_values = pd.concat(tables)["p_value"]
    assert len(p_values) > 500
    assert (p_values < 0.05).mean() < 0.08
    assert (p_values < 0.3).mean() == pytest.approx(0.3, abs=0.1)


def test_a_shift_of_composition_alone_is_no_change_at_all() -> None:
    """The same cells, one type of them five times over: a rest of all other cells would have moved."""
    one = draw(seed=3, n_donors=2).rows(np.s_[:])
    a = one.rows(one.conditions == "a")
    again = np.repeat(np.arange(len(a.codes)), np.where(a.codes == 1, 5, 1))
    b = a.rows(again)
    both = Cells(
        np.concatenate([a.counts, b.counts]),
        np.concatenate([a.codes, b.codes]),
        np.repeat(["a", "b"], [len(a.codes), len(b.codes)]),
        np.concatenate([a.donors, [f"other {name}" for name in b.donors]]),
    )
    rows = compare(both).table
    assert len(rows) > 30
    assert rows["change"].abs().max() < 1e-5
    rest = [cells.counts[cells.codes != 0].sum(axis=0) for cells in (a, b)]
    assert np.abs(np.diff([of / of.sum() for of in rest], axis=0)).max() > 0.01


# numbers


def effects_by_hand(cells: Cells, code: int, gene: int) -> pd.Series:
    """Means of each condition and donor, from a frame of counts per 10,000."""
    cp10k = cells.counts[:, gene] / np.maximum(cells.counts.sum(axis=1), 1) * 1e4
    frame = pd.DataFrame({"condition": cells.conditions, "donor": cells.donors, "code": cells.codes, "cp10k": cp10k})
    means = frame.pivot_table(index=["condition", "donor"], columns="code", values="cp10k", aggfunc="mean")
    others = means.drop(columns=code).mean(axis=1)
    return np.log2((means[code] + 1) / (others + 1))


def test_effects_intervals_and_p_values_are_those_of_scipy_on_donors() -> None:
    """Few chosen genes, so that variances stand alone."""
    cells = draw(seed=2, n_donors=3, lost=True)
    chosen = np.zeros((4, N_GENES), dtype=bool)
    chosen[0, [0, 1, 5]] = chosen[2, 25] = True
    table = compare(cells, chosen=chosen).table
    assert len(table) == 4
    p_values = []
    for row in table.to_dict("records"):
        effects = effects_by_hand(cells, TYPES.index(row["cell_type"]), int(row["gene_symbol"][1:]))
        test = stats.ttest_ind(effects["b"], effects["a"])
        interval = test.confidence_interval()
        expected = [effects["a"].mean(), effects["b"].mean(), interval.low, interval.high, test.pvalue]
        columns = ["log2_fold_change_reference", "log2_fold_change_condition", "change_low", "change_high", "p_value"]
        np.testing.assert_allclose([row[column] for column in columns], expected, rtol=1e-4)
        assert row["change"] == pytest.approx(effects["b"].mean() - effects["a"].mean(), rel=1e-4)
        assert row["gene_id"] == row["gene_symbol"].replace("G", "ENSG")
        p_values.append(test.pvalue)
    np.testing.assert_allclose(table["p_value_adj"], stats.false_discovery_control(p_values), rtol=1e-4)
    np.testing.assert_array_equal(table["n_cells_reference"], 90)
    np.testing.assert_array_equal(table["n_donors_condition"], 3)


def test_donors_of_both_sides_are_compared_with_themselves() -> None:
    cells = draw(seed=4, n_donors=3, lost=True)
    cells = cells._replace(donors=np.array([name[1:] for name in cells.donors]))
    chosen = np.zeros((4, N_GENES), dtype=bool)
    chosen[0, 1] = True
    row = compare(cells, chosen=chosen).table.iloc[0]
    effects = effects_by_hand(cells, 0, 1)
    test = stats.ttest_rel(effects["b"], effects["a"])
    assert row["design"] == "paired"
    assert row["p_value"] == pytest.approx(test.pvalue, rel=1e-4)
    assert row["change_low"] == pytest.approx(test.confidence_interval().low, rel=1e-4)


def test_chunks_of_genes_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = draw(seed=5, lost=True)
    heard: list[int] = []
    whole = compare(cells)
    monkeypatch.setattr(module, "CHUNK_VALUES", 32 * 7)
    pieces = compare(cells, on_progress=heard.append)
    pd.testing.assert_frame_equal(whole.table, pieces.table)
    assert sum(heard) == N_GENES
    assert len(heard) == 22


def test_the_table_has_its_columns_and_is_sorted_by_what_is_decided() -> None:
    result = compare(draw(seed=1, lost=True))
    table = result.table
    assert list(table.columns) == list(COLUMNS)
    assert list(pd.unique(table["cell_type"])) == list(TYPES)
    places = table["verdict"].map({**dict.fromkeys(DECIDED, 0), "undecided": 1, "kept": 2})
    for _, of_type in table.assign(place=places, size=-table["change"].abs()).groupby("cell_type"):
        assert of_type[["place", "size"]].apply(tuple, axis=1).is_monotonic_increasing
    assert result.n_tested[0] >= len(table)


# what cannot be said


def test_without_donors_there_are_changes_but_neither_intervals_nor_decisions() -> None:
    cells = draw(seed=1, lost=True)
    table = compare(cells, donors=False).table
    lost = table[(table["cell_type"] == "alpha") & table["gene_symbol"].isin(["G0", "G1", "G2"])]
    assert (lost["change"] < -1).all()
    assert table[["change_low", "change_high", "p_value", "p_value_adj"]].isna().all(axis=None)
    assert table[["n_donors_reference", "n_donors_condition", "design"]].isna().all(axis=None)
    assert set(table["verdict"]) == {"undecided"}
    assert table["reason"].str.contains("not independent").all()


def test_one_donor_a_side_gives_no_interval_and_says_so() -> None:
    cells = draw(seed=1, n_donors=3, lost=True)
    table = compare(cells.rows(~np.isin(cells.donors, ["b1", "b2"]))).table
    assert table["p_value"].isna().all()
    assert set(table["reason"]) == {"3 and 1 donors with enough cells of the type; 2 are needed"}


def test_a_donor_against_the_others_has_an_interval() -> None:
    cells = draw(seed=1, n_donors=2)
    table = compare(cells._replace(conditions=cells.donors)).table
    assert set(table["condition"]) == {"a0", "a1", "b0", "b1"}
    assert set(table["design"]) == {"single"}
    assert table["change_low"].notna().all()


def test_a_type_that_a_condition_lacks_is_reported_and_no_part_of_the_rest() -> None:
    cells = draw(seed=1, lost=True)
    few = (cells.conditions == "b") & (cells.codes == 3) & (np.arange(len(cells.codes)) % 5 > 0)
    table = compare(cells.rows(~few)).table
    row = table[table["cell_type"] == "gamma"]
    assert list(row["verdict"]) == ["not compared"]
    assert row["reason"].item() == "no donor of b has 10 cells (at most 6)"
    assert row["gene_symbol"].isna().all()
    without = compare(cells.rows(cells.codes != 3)).table
    same = ["cell_type", "gene_symbol", "change", "change_low", "verdict"]
    pd.testing.assert_frame_equal(
        table.loc[table["cell_type"] != "gamma", same].reset_index(drop=True),
        without.loc[without["cell_type"] != "gamma", same].reset_index(drop=True),
    )


def test_a_donor_without_a_type_is_left_out_for_that_type_only() -> None:
    cells = draw(seed=1, lost=True)
    table = compare(cells.rows(~((cells.donors == "b1") & (cells.codes == 2)))).table
    donors = table.groupby("cell_type", observed=True)["n_donors_condition"].unique()
    assert {name: list(found) for name, found in donors.items()} == {
        "alpha": [4], "beta": [4], "delta": [3], "gamma": [4],
    }  # fmt: skip


def test_conditions_that_share_one_type_cannot_be_compared() -> None:
    cells = draw(seed=1, n_donors=2)
    kept = (cells.codes == 0) | ((cells.conditions == "a") & (cells.codes == 1))
    table = compare(cells.rows(kept)).table
    assert list(table["verdict"]) == ["not compared"] * 4
    assert table.loc[0, "reason"] == "no other type has enough cells in both"
    assert table.loc[1, "reason"] == "no donor of b has 10 cells (at most 0)"


def test_genes_that_were_chosen_stay_though_they_mark_nothing() -> None:
    chosen = np.zeros((4, N_GENES), dtype=bool)
    chosen[0, [0, 140]] = True
    table = compare(draw(seed=1), chosen=chosen).table.set_index("gene_symbol")
    assert table.loc["G140", "verdict"] == "no marker"
    assert table.loc["G0", "verdict"] != "no marker"


def test_means_and_fractions_are_those_of_a_grouped_frame() -> None:
    generator = np.random.default_rng(0)
    counts = sp.csr_matrix(generator.poisson(0.7, (90, 8)).astype(np.float32))
    library_size = generator.integers(800, 3000, 90)
    codes, samples = generator.integers(0, 3, 90), generator.integers(0, 4, 90)
    bulk = pseudobulk(normalize(counts, library_size), codes, samples, n_types=3, n_samples=4)
    dense = pd.DataFrame(counts.toarray() / library_size[:, None] * 1e4)
    expected = np.log2(dense.groupby([samples, codes]).mean().to_numpy().reshape(4, 3, 8) + 1)
    np.testing.assert_allclose(bulk.log2_means(slice(0, 8)), expected, rtol=1e-5)
    np.testing.assert_allclose(bulk.log2_means(slice(2, 5)), expected[..., 2:5], rtol=1e-5)
    fractions = (dense > 0).groupby([samples, codes]).mean().to_numpy().reshape(4, 3, 8)
    np.testing.assert_allclose(bulk.fractions(slice(0, 8)), fractions)
    np.testing.assert_array_equal(bulk.n_cells.ravel(), pd.Series(codes).groupby([samples, codes]).size())


def test_a_sample_without_cells_of_a_type_has_zeros() -> None:
    x = sp.csr_matrix(np.ones((3, 2), dtype=np.float32))
    bulk = pseudobulk(x, np.array([0, 1, 0]), np.array([0, 0, 1]), n_types=2, n_samples=2)
    np.testing.assert_array_equal(bulk.n_cells, [[1, 1], [1, 0]])
    assert (bulk.log2_means(slice(0, 2))[1, 1] == 0).all()


def test_depth_of_sequencing_does_not_move_the_mean() -> None:
    """A tenth of the molecules of the same cells: the mean of logarithms would fall from 2.3 to 1.1."""
    generator = np.random.default_rng(1)
    rates = np.full((4000, 20), 5.0)
    x = [normalize(sp.csr_matrix(generator.poisson(rates * share).astype(np.float32)), np.full(4000, 5000 * share))
         for share in (1.0, 0.1)]  # fmt: skip
    codes, samples = np.zeros(4000, dtype=int), np.zeros(4000, dtype=int)
    deep, shallow = (
        pseudobulk(values, codes, samples, n_types=1, n_samples=1).log2_means(slice(0, 20)) for values in x
    )
    np.testing.assert_allclose(deep, shallow, atol=0.12)
    assert abs(x[0].mean() - x[1].mean()) > 1
