import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.metrics import silhouette_score

from cellmark.training.markers.permutation_p_values import PermutationTest
from cellmark.training.markers.published_ranking import (
    FOLD_LEVELS,
    CountProfiles,
    candidates,
    count_profiles,
    fold_levels,
    level_counts,
    marker_scores,
    published_ranking,
    specificity,
)


def test_contributions_and_counts_give_the_published_table(reference_data: Path) -> None:
    contributions = pd.read_parquet(reference_data / "contributions.parquet")
    codes, cell_types = pd.factorize(contributions.pop("cell_type"), sort=True)
    counts = pd.read_parquet(reference_data / "counts.parquet").drop(columns="cell_id")
    count_codes, _ = pd.factorize(counts.pop("cell_type"), sort=True)
    expected = pd.read_csv(reference_data / "markers_top20.csv")
    found = published_ranking(
        contributions.to_numpy(),
        codes,
        counts=sp.csr_matrix(counts.to_numpy(np.float32)),
        count_codes=count_codes,
        columns=counts.columns.get_indexer(contributions.columns),
        n_types=7,
        seed=4,
    )
    assert len(found.test.fdr) == contributions.shape[1]
    for code, name in enumerate(cell_types):
        table = expected[expected["target_cell_type"] == name]
        genes = contributions.columns.get_indexer(table["marker"])
        assert found.genes[code][:20].tolist() == genes.tolist()
        assert found.rank[code, genes].tolist() == list(range(1, 21))
        np.testing.assert_allclose(found.marker_score[code, genes], table["marker_score"], rtol=1e-9)
        np.testing.assert_allclose(found.fold_level[code, genes], table["fold_level"], rtol=1e-9)
        ranked = np.sort(found.rank[code][found.rank[code] > 0])
        assert ranked.tolist() == list(range(1, len(found.genes[code]) + 1))
        assert np.isnan(found.marker_score[code, found.rank[code] < 0]).all()


def test_candidates_that_the_test_does_not_support_are_left_out() -> None:
    generator = np.random.default_rng(0)
    codes = np.repeat([0, 1], 30)
    counts = generator.poisson(np.where(codes[:, None] == 0, [9, 9, 0.5, 0.5], [0.5, 0.5, 9, 9]))
    contributions = counts * 0.1
    fdr = np.array([0.01, 0.05, 0.2, 0.049])
    found = published_ranking(
        contributions, codes, counts=sp.csr_matrix(counts), count_codes=codes, n_types=2, seed=0,
        test=PermutationTest(fdr, fdr, fdr),
    )  # fmt: skip
    assert set(np.concatenate(found.genes)) == {0, 3}
    assert (found.rank[:, [1, 2]] == -1).all()


def test_equals_the_published_candidates_in_order(reference_data: Path) -> None:
    table = pd.read_parquet(reference_data / "contributions.parquet")
    codes, cell_types = pd.factorize(table.pop("cell_type"), sort=True)
    expected = json.loads((reference_data / "candidates_top50.json").read_text())
    found = candidates(table.to_numpy(), codes, n_types=7)
    assert {name: table.columns[genes].tolist() for name, genes in zip(cell_types, found, strict=True)} == expected


def cells_of(first: list[list[float]], second: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([*first, *second]), np.repeat([0, 1], [len(first), len(second)])


def test_the_parts_come_in_their_order() -> None:
    # Contributions of the type's four cells and of two others.
    genes = {
        "strict, smaller": ([2, 2, 2, 2], [0.2, 0.2]),
        "strict, larger": ([5, 5, 5, 5], [2.4, 2.4]),
        "by its mean": ([3, 3, 3, 30], [2, 2]),
        "by its median": ([3, 3, 3, -8.6], [1, 1]),
        "by neither": ([8, 8, 8, 8], [8, 8]),
        "half of the cells": ([7, 1, 0, 0], [9, 9]),
        "a quarter of the cells": ([9, 0, 0, 0], [0, 0]),
        "a quarter, less": ([8, -1, 0, 0], [0, 0]),
        "never": ([-1, -1, -1, -1], [-2, -2]),
        "nothing": ([0, 0, 0, 0], [0, 0]),
    }
    own, other = (np.array([pair[side] for pair in genes.values()], dtype=float).T for side in (0, 1))
    found = candidates(np.vstack([own, other]), np.repeat([0, 1], [4, 2]), n_types=2, n=20)[0]
    names = list(genes)
    assert [names[gene] for gene in found] == [
        "strict, larger",
        "strict, smaller",
        "by its mean",
        "by its median",
        "by neither",
        "half of the cells",
        "a quarter of the cells",
        "a quarter, less",
    ]


def test_one_of_median_and_mean_is_enough_to_fill_up() -> None:
    # Gene 0: the other type's median is 0, its mean is not; gene 1: neither is; gene 2 keeps below in both.
    values, codes = cells_of([[4, 9, 1]] * 3, [[0, 9, 0], [0, 9, 0], [8, 9, 0]])
    assert candidates(values, codes, n_types=2, n=3)[0].tolist() == [2, 0, 1]
    assert candidates(values, codes, n_types=2, n=2)[0].tolist() == [2, 0]


def test_the_smallest_ratio_that_gives_enough_is_taken() -> None:
    values, codes = cells_of([[1, 5, 9]] * 3, [[0.05, 1.2, 4]] * 3)
    assert candidates(values, codes, n_types=2, n=1)[0].tolist() == [0]
    assert candidates(values, codes, n_types=2, n=2)[0].tolist() == [1, 0]
    assert candidates(values, codes, n_types=2, n=3)[0].tolist() == [2, 1, 0]


def test_a_type_without_cells_has_none_and_ties_go_by_number() -> None:
    values, codes = cells_of([[1, 1, 1]] * 3, [[0, 0, 0]] * 3)
    found = candidates(values, codes * 2, n_types=3)
    assert [genes.tolist() for genes in found] == [[0, 1, 2], [], []]


class Published(NamedTuple):
    counts: sp.csr_matrix
    codes: np.ndarray
    cell_types: list[str]
    gene_symbols: list[str]
    candidates: list[np.ndarray]
    markers: pd.DataFrame


@pytest.fixture(scope="module")
def published(reference_data: Path) -> Published:
    table = pd.read_parquet(reference_data / "counts.parquet").drop(columns="cell_id")
    codes, cell_types = pd.factorize(table.pop("cell_type"), sort=True)
    symbols = {symbol: number for number, symbol in enumerate(table.columns)}
    chosen = json.loads((reference_data / "candidates_top50.json").read_text())
    return Published(
        sp.csr_matrix(table.to_numpy(np.float32)),
        codes,
        list(cell_types),
        list(table.columns),
        [np.array([symbols[symbol] for symbol in chosen[name]]) for name in cell_types],
        pd.read_csv(reference_data / "markers_top20.csv"),
    )


def test_equals_the_published_markers(published: Published) -> None:
    found = marker_scores(published.counts, published.codes, n_types=7, candidates=published.candidates)
    for name, markers in zip(published.cell_types, found, strict=True):
        expected = published.markers[published.markers["target_cell_type"] == name]
        assert [published.gene_symbols[gene] for gene in markers.genes[:20]] == expected["marker"].tolist()
        np.testing.assert_allclose(markers.marker_score[:20], expected["marker_score"], rtol=1e-9)
        np.testing.assert_allclose(markers.fold_level[:20], expected["fold_level"], rtol=1e-9)


def draw_counts(n_cells: int = 90, n_genes: int = 12) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [40, 31, 19])
    rates = generator.gamma(0.8, 2, (3, n_genes))
    return generator.poisson(rates[codes][:n_cells]).astype(np.float32), codes


def test_profiles_equal_pandas() -> None:
    counts, codes = draw_counts()
    grouped = pd.DataFrame(counts.astype(np.float64)).groupby(codes)
    for form in (sp.csr_matrix(counts), sp.csc_matrix(counts)):
        found = count_profiles(form, codes, n_types=3)
        np.testing.assert_allclose(found.mean, grouped.mean(), rtol=1e-12)
        np.testing.assert_array_equal(found.median, grouped.median())
        above = pd.DataFrame(counts > 1).groupby(codes).mean()
        np.testing.assert_allclose(found.fraction_above_one, above, rtol=1e-12)


def test_a_gene_of_one_type_alone_is_its_most_specific() -> None:
    one = np.array([[5.0, 3.0, 1.0], [0.0, 3.0, 2.0], [0.0, 3.0, 9.0]])
    found = specificity(CountProfiles(one, one, one / 10), np.arange(3))
    np.testing.assert_allclose(found[0], [3, found[0, 1], 0], atol=1e-5)
    assert 0 < found[0, 1] < 3
    assert found[2].argmax() == 2


def test_fold_levels_need_all_three() -> None:
    def profiles(mean: float, median: float, fraction: float) -> CountProfiles:
        return CountProfiles(*(np.array([[value], [1.0], [0.5]]) for value in (mean, median, fraction)))

    for values, expected in [((3, 3, 3), 2.0), ((3, 3, 1.75), 1.7), ((3, 1.5, 3), 1.5), ((1.25, 3, 3), 1.2)]:
        assert fold_levels(profiles(*values))[:, 0].tolist() == pytest.approx([expected, np.nan, np.nan], nan_ok=True)
    assert np.isnan(fold_levels(profiles(9, 9, 1.1))).all()
    # Exactly 2.0 does not exceed 2.0.
    assert fold_levels(profiles(2, 2, 2))[0, 0] == 1.9


def test_fold_levels_are_the_nine_published_ones() -> None:
    np.testing.assert_allclose(FOLD_LEVELS, [2.0, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4, 1.3, 1.2])


def test_the_order_is_by_level_then_score_then_as_the_candidates_came() -> None:
    counts, codes = draw_counts()
    candidates = [np.array([5, 3, 9, 0, 7]), np.array([1, 2, 8]), np.array([11, 10, 4, 6])]
    levels = fold_levels(count_profiles(sp.csr_matrix(counts), codes, n_types=3))
    found = marker_scores(sp.csr_matrix(counts), codes, n_types=3, candidates=candidates)
    n_levels = 0
    for code, (own, markers) in enumerate(zip(candidates, found, strict=True)):
        assert set(own) <= set(markers.genes)
        assert len(set(markers.genes)) == len(markers.genes)
        with_level = ~np.isnan(markers.fold_level)
        n_levels += with_level.sum()
        assert set(markers.genes[with_level]) == set(np.flatnonzero(~np.isnan(levels[code])))
        keys = list(zip(-markers.fold_level[with_level], -markers.marker_score[with_level], strict=True))
        known = [key for key in keys if not np.isnan(key[1])]
        assert known == sorted(known)
        assert np.isnan(markers.marker_score[~np.isin(markers.genes, own)]).all()
        assert not np.isnan(markers.marker_score[np.isin(markers.genes, own)]).any()
        assert markers.genes[~with_level].tolist() == [gene for gene in own if np.isnan(levels[code, gene])]
    assert n_levels > 5


def test_the_score_is_silhouette_times_specificity() -> None:
    counts, codes = draw_counts()
    candidates = [np.array([5, 3]), np.array([1, 2]), np.array([11, 10])]
    scored = np.sort(np.concatenate(candidates))
    apart = specificity(count_profiles(sp.csr_matrix(counts), codes, n_types=3), scored)
    (markers, *_) = marker_scores(sp.csr_matrix(counts), codes, n_types=3, candidates=candidates)
    score = dict(zip(markers.genes, markers.marker_score, strict=True))
    for gene in (5, 3):
        expected = silhouette_score(counts[:, [gene]].astype(np.float64), codes == 0) * apart[0, gene]
        assert score[gene] == pytest.approx(expected, abs=1e-9)


def test_a_type_without_cells_has_no_markers() -> None:
    counts, codes = draw_counts()
    candidates = [np.array([5, 3]), np.array([1, 2]), np.array([11, 10])]
    expected = marker_scores(sp.csr_matrix(counts), codes, n_types=3, candidates=candidates)
    nothing = np.zeros(0, dtype=int)
    found = marker_scores(sp.csr_matrix(counts), codes + 1, n_types=4, candidates=[nothing, *candidates])
    assert len(found[0].genes) == 0
    for ours, theirs in zip(found[1:], expected, strict=True):
        np.testing.assert_array_equal(ours.genes, theirs.genes)
        np.testing.assert_array_equal(ours.marker_score, theirs.marker_score)


def test_no_candidate_at_all_gives_no_marker() -> None:
    counts, codes = draw_counts()
    nothing = [np.zeros(0, dtype=int)] * 3
    found = marker_scores(sp.csr_matrix(counts), codes, n_types=3, candidates=nothing)
    assert [len(markers.genes) for markers in found] == [0, 0, 0]


@pytest.mark.parametrize("sparse", [True, False])
def test_levels_and_counts_equal_a_cross_table(sparse: bool) -> None:
    generator = np.random.default_rng(0)
    values = generator.choice([-1.5, 0, 0, 0, 1, 2.5], (80, 6))
    values[:, 2], values[:, 3] = 4, 0
    codes = generator.integers(0, 4, 80)
    table = list(level_counts(sp.csc_matrix(values) if sparse else values, codes, n_types=5))
    assert len(table) == 6
    for gene, (levels, counts) in enumerate(table):
        assert levels.tolist() == sorted({0.0, *values[:, gene]})
        expected = [[(values[codes == code, gene] == level).sum() for level in levels] for code in range(5)]
        np.testing.assert_array_equal(counts, expected)


def test_zeros_that_are_stored_are_zeros() -> None:
    stored = sp.csc_matrix((np.array([0.0, 2.0, 0.0]), np.array([0, 1, 2]), np.array([0, 3])), shape=(4, 1))
    ((levels, counts),) = level_counts(stored, np.array([0, 0, 1, 1]), n_types=2)
    assert levels.tolist() == [0, 2]
    assert counts.tolist() == [[1, 1], [2, 0]]
    assert stored.nnz == 3
