"""Profiles, separation and the ranking `evidence`, against plain NumPy per cell."""

import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.training.marker_ranking import (
    VARIANCE_FLOOR,
    TypeProfiles,
    evidence_scores,
    order_genes,
    separation,
    type_profiles,
)


@pytest.fixture(scope="module")
def cells() -> tuple[sp.csr_matrix, np.ndarray]:
    generator = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [7, 11, 5])
    x = np.log1p(generator.poisson(0.8, (23, 9)) * generator.uniform(0.5, 3, (23, 1)))
    return sp.csr_matrix(x.astype(np.float32)), codes


def test_profiles_equal_plain_moments(cells: tuple[sp.csr_matrix, np.ndarray]) -> None:
    x, codes = cells
    found = type_profiles(x, codes, 3)
    dense = x.toarray().astype(np.float64)
    for code in range(3):
        of_type = dense[codes == code]
        assert found.mean[code] == pytest.approx(of_type.mean(axis=0))
        assert found.variance[code] == pytest.approx(of_type.var(axis=0), abs=1e-12)
        assert found.fraction[code] == pytest.approx((of_type > 0).mean(axis=0))


def test_weighted_profiles_are_those_of_the_drawn_cells(cells: tuple[sp.csr_matrix, np.ndarray]) -> None:
    x, codes = cells
    weights = np.random.default_rng(1).integers(0, 3, (4, len(codes))).astype(np.float32)
    found = type_profiles(x, codes, 3, weights=weights)
    for draw, w in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(len(codes)), w)
        expected = type_profiles(x[drawn], codes[drawn], 3)
        assert found.mean[draw] == pytest.approx(expected.mean)
        assert found.variance[draw] == pytest.approx(expected.variance, abs=1e-12)
        assert found.fraction[draw] == pytest.approx(expected.fraction)


def test_separation_is_cohens_d_against_an_equal_mixture_of_the_other_types(
    cells: tuple[sp.csr_matrix, np.ndarray],
) -> None:
    x, codes = cells
    dense = x.toarray().astype(np.float64)
    found = separation(type_profiles(x, codes, 3))
    for code in range(3):
        weight = np.where(codes == code, 0, 1 / (2 * np.bincount(codes)[codes]))
        others = weight @ dense
        spread = weight @ (dense - others) ** 2
        own = dense[codes == code]
        expected = (own.mean(axis=0) - others) / np.sqrt((own.var(axis=0) + spread) / 2 + VARIANCE_FLOOR)
        assert found[code] == pytest.approx(expected)


def test_separation_does_not_hang_on_the_sizes_of_the_other_types(cells: tuple[sp.csr_matrix, np.ndarray]) -> None:
    x, codes = cells
    more = np.concatenate([np.arange(len(codes)), np.flatnonzero(codes == 2)])
    assert separation(type_profiles(x[more], codes[more], 3)) == pytest.approx(separation(type_profiles(x, codes, 3)))


def test_a_marker_is_used_apart_and_expressed() -> None:
    # genes: a good marker; unused by the network; expressed by few; absent from type 0; speaks against its own type
    mean = np.array([[3.0, 3.0, 1.0, 0.0, 3.0], [0.1, 0.1, 0.0, 3.0, 0.1]])
    fraction = np.array([[0.9, 0.9, 0.2, 0.0, 0.9], [0.1, 0.1, 0.0, 0.9, 0.1]])
    attributions = np.array([[0.5, 0.0, 0.5, 0.5, -0.5], [0.5, 0.0, 0.5, 0.5, 0.5]])
    scores = evidence_scores(attributions, TypeProfiles(mean, np.full((2, 5), 0.5), fraction))
    assert scores[0].argmax() == 0
    assert scores[0, 1] == 0
    assert 0 < scores[0, 2] < scores[0, 0]
    assert scores[0, 3] < 0 < scores[1, 3]
    assert scores[0, 4] == 0


def test_order_puts_better_scores_first_and_breaks_ties() -> None:
    order = order_genes(np.array([[0.0, 2.0, 0.0, -1.0]]), tie_breaker=np.array([[0.0, 0.0, 5.0, 9.0]]))
    assert order.tolist() == [[1, 2, 0, 3]]
