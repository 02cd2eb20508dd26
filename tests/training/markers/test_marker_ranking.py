"""Profiles, separation and the ranking `evidence`, against plain NumPy per cell."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.training.markers.marker_ranking import (
    SD_FLOOR,
    STANDARD_ERRORS,
    TypeProfiles,
    absence_scores,
    distinct_scores,
    evidence_scores,
    group_edges,
    order_genes,
    own_share,
    ranking_overlap,
    reliance_weights,
    separation,
    top_markers,
    top_title,
    type_profiles,
    types_by_genes,
)


@pytest.fixture(scope="module")
def cells() -> tuple[sp.csr_matrix, np.ndarray]:
    generator = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [7, 11, 5])
    x = np.log1p(generator.poisson(0.8, (23, 9)) * generator.uniform(0.5, 3, (23, 1)))
    x[codes == 1, :4] += 3
    return sp.csr_matrix(x.astype(np.float32)), codes


def test_profiles_equal_plain_moments(cells: tuple[sp.csr_matrix, np.ndarray]) -> None:
    x, codes = cells
    found = type_profiles(x, codes, 3)
    dense = x.toarray().astype(np.float64)
    for code in range(3):
        of_type = dense[codes == code]
        assert found.mean[code] == pytest.approx(of_type.mean(axis=0))
        assert found.variance[code] == pytest.approx(of_type.var(axis=0), abs=1e-12)
    assert found.n_cells.tolist() == [7, 11, 5]


def test_weighted_profiles_are_those_of_the_drawn_cells(cells: tuple[sp.csr_matrix, np.ndarray]) -> None:
    x, codes = cells
    weights = np.random.default_rng(1).integers(0, 3, (4, len(codes))).astype(np.float32)
    found = type_profiles(x, codes, 3, weights=weights)
    for draw, w in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(len(codes)), w)
        expected = type_profiles(x[drawn], codes[drawn], 3)
        assert found.mean[draw] == pytest.approx(expected.mean)
        assert found.variance[draw] == pytest.approx(expected.variance, abs=1e-12)
        assert found.n_cells[draw] == pytest.approx(expected.n_cells)


def test_separation_is_a_difference_of_means_less_its_standard_error(
    cells: tuple[sp.csr_matrix, np.ndarray],
) -> None:
    x, codes = cells
    dense = x.toarray().astype(np.float64)
    found = separation(type_profiles(x, codes, 3))
    of_types = [dense[codes == code] for code in range(3)]
    unit = np.sqrt(np.mean([cells.var(axis=0) for cells in of_types], axis=0)) + SD_FLOOR
    for code in range(3):
        own, (one, other) = of_types[code], (of_types[other] for other in range(3) if other != code)
        difference = own.mean(axis=0) - (one.mean(axis=0) + other.mean(axis=0)) / 2
        # The variance of a mean of two independent means is a quarter of the sum of theirs.
        error = np.sqrt(own.var(axis=0) / len(own) + (one.var(axis=0) / len(one) + other.var(axis=0) / len(other)) / 4)
        beyond = np.abs(difference) > STANDARD_ERRORS * error
        expected = np.where(beyond, np.sign(difference) * (np.abs(difference) - STANDARD_ERRORS * error) / unit, 0)
        assert found[code] == pytest.approx(expected, abs=1e-12)
    assert (found[1, :4] > 0).all()
    assert (found == 0).any()


def test_separation_does_not_hang_on_which_type_is_large() -> None:
    profiles = TypeProfiles(np.array([[2.0], [0.0], [1.0]]), np.zeros((3, 1)), np.array([5, 5, 5]))
    other = TypeProfiles(profiles.mean, profiles.variance, np.array([5, 5000, 5]))
    assert separation(profiles) == pytest.approx(separation(other))


def test_more_cells_make_a_difference_more_certain() -> None:
    mean, variance = np.array([[2.0], [0.0]]), np.ones((2, 1))
    few, many = (separation(TypeProfiles(mean, variance, np.array([n, n]))) for n in (10, 1000))
    assert 0 < few[0, 0] < many[0, 0] < 2 / (1 + SD_FLOOR)


def test_the_network_decides_between_genes_that_are_equally_apart() -> None:
    profiles = TypeProfiles(
        np.array([[3.0, 3.0, 3.0, 0.0], [0.1, 0.1, 0.1, 3.0]]), np.full((2, 4), 0.5), np.array([9, 9])
    )
    relied_on, equal = np.array([[0.5, 0.0, -0.5, 0.5], [0.5, 0.0, -0.5, 0.5]]), np.zeros((2, 4))
    for attributions, coefficients in ((relied_on, equal), (equal, relied_on)):
        scores = evidence_scores(attributions, coefficients, profiles)
        assert scores[0, 0] > scores[0, 1] > scores[0, 2] > 0 > scores[0, 3]
        assert scores[1, 3] > 0 > scores[1, 0]


def test_evidence_is_the_product_of_what_it_is_made_of() -> None:
    generator = np.random.default_rng(5)
    profiles = TypeProfiles(generator.gamma(1, 1, (3, 20)), generator.uniform(0.2, 1, (3, 20)), np.full(3, 40))
    attributions, coefficients = generator.normal(size=(2, 3, 20))
    expected = separation(profiles)
    for code in range(3):
        for gene in range(20):
            own, others = profiles.mean[code, gene], np.delete(profiles.mean[:, gene], code).mean()
            share = min(1, max(0, 2 * (1 - others / own)))
            expected[code, gene] *= share if expected[code, gene] > 0 else 1
    assert distinct_scores(profiles) == pytest.approx(expected)
    for values, power in ((attributions, 0.25), (coefficients, 0.5)):
        unit = np.quantile(np.abs(values), 0.99, axis=1, keepdims=True)
        expected = expected * np.log(1 + np.exp(values / unit)) ** power
    assert evidence_scores(attributions, coefficients, profiles) == pytest.approx(expected)


def test_a_gene_of_all_cells_is_nobodys_own() -> None:
    # Means of the first type: 5 where others have 4.5 (MALAT1), 2 where they have half, 1 where nobody else has any.
    mean = np.array([[5.0, 2.0, 1.0, 0.0], [4.5, 1.0, 0.0, 0.0], [4.5, 1.0, 0.0, 0.0]])
    share = own_share(TypeProfiles(mean, np.ones((3, 4)), np.full(3, 90)))
    assert share[0] == pytest.approx([0.2, 1.0, 1.0, 0.0])
    assert (share[1:] == 0).all()
    certain = TypeProfiles(mean, np.full((3, 4), 0.01), np.full(3, 10_000))
    assert separation(certain)[0, 0] > 0.8
    assert distinct_scores(certain)[0, 0] == pytest.approx(0.2 * separation(certain)[0, 0])
    assert distinct_scores(certain)[1, 0] == separation(certain)[1, 0] < 0


def test_a_gene_that_one_other_type_alone_expresses_is_no_negative_marker() -> None:
    # gene 0: all types but the first; gene 1: the last type alone; gene 2: lower in the first, yet in all its cells
    mean = np.array([[0.1, 0.1, 1.0], [3.0, 0.1, 2.0], [2.0, 0.1, 2.0], [3.0, 3.0, 2.0]])
    fraction = np.array([[0.1, 0.1, 1.0], [0.9, 0.1, 1.0], [0.8, 0.1, 1.0], [0.9, 0.9, 1.0]])
    scores = absence_scores(np.zeros((4, 3)), TypeProfiles(mean, np.full((4, 3), 0.5), np.full(4, 50)), fraction)
    assert scores[0, 0] > 0
    assert (scores[0, 1:] == 0).all()
    assert (scores[[1, 3]] == 0).all()


def test_weights_of_what_is_relied_on_have_no_unit_and_take_zeros() -> None:
    attributions = np.random.default_rng(0).normal(size=(3, 50))
    assert reliance_weights(attributions * 1000) == pytest.approx(reliance_weights(attributions))
    assert reliance_weights(np.zeros((2, 5))) == pytest.approx(np.log(2) ** 0.25)
    assert reliance_weights(attributions, power=0.5) == pytest.approx(reliance_weights(attributions) ** 2)


def test_order_puts_better_scores_first_and_breaks_ties() -> None:
    order = order_genes(np.array([[0.0, 2.0, 0.0, -1.0]]), tie_breaker=np.array([[0.0, 0.0, 5.0, 9.0]]))
    assert order.tolist() == [[1, 2, 0, 3]]


def table() -> pd.DataFrame:
    """Two ranked types in an order of their own and one without ranks; rows are not in order."""
    ranks = {"z": ("C", "A", "B"), "a": ("A", "B", "C")}
    rows = [
        {"cell_type": name, "gene_symbol": gene, "rank": rank, "value": float(ord(gene) + rank)}
        for name, genes in ranks.items() for rank, gene in reversed(list(enumerate(genes, start=1)))
    ]  # fmt: skip
    rows += [{"cell_type": "m", "gene_symbol": gene, "rank": pd.NA, "value": np.nan} for gene in "ABC"]
    return pd.DataFrame(rows).astype({"rank": "Int64"})


def test_types_keep_their_order_and_genes_come_by_rank() -> None:
    best = top_markers(table(), top=2, most=90)
    assert list(zip(best["cell_type"], best["gene_symbol"], strict=True)) == [
        ("z", "C"), ("z", "A"), ("a", "A"), ("a", "B"),
    ]  # fmt: skip
    assert group_edges(best) == [("z", 0, 2), ("a", 2, 4)]
    assert top_title(best) == "Top 2 markers of each type"


def test_many_types_have_fewer_genes_each_but_at_least_one() -> None:
    assert len(top_markers(table(), top=3, most=6)) == 4
    one = top_markers(table(), top=3, most=1)
    assert one["rank"].tolist() == [1, 1]
    assert top_title(one) == "Best marker of each type"


def test_a_column_as_genes_by_types_repeats_genes_and_keeps_what_is_not_known() -> None:
    values = types_by_genes(table(), "value", ["A", "C", "A"], ["a", "m", "z"])
    np.testing.assert_array_equal(values, [[66, np.nan, 67], [70, np.nan, 68], [66, np.nan, 67]])


def rows(ranking: str, **genes: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"ranking": ranking, "cell_type": cell_type, "gene_symbol": gene, "rank": rank}
            for cell_type, listed in genes.items()
            for rank, gene in enumerate(listed, 1)
        ]
    )


def test_genes_in_common_are_counted_and_averaged_over_types() -> None:
    table = pd.concat(
        [rows("t-test", a="xyz", b="uvw"), rows("cosg", a="zyq", b="qrs"), rows("logreg", a="yxp", b="vur")]
    )
    overlap = ranking_overlap(table, top=2)
    assert list(overlap.index) == list(overlap.columns) == ["t-test", "cosg", "logreg"]
    assert overlap.to_numpy().tolist() == [[2, 0.5, 2], [0.5, 2, 0.5], [2, 0.5, 2]]
