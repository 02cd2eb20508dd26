"""Mean profiles of two types added up are told from a type of its own."""

import numpy as np
import pytest

from cellmark.training.populations.mixture import nearest_mixture


def types(generator: np.random.Generator, n_types: int, n_genes: int = 400) -> np.ndarray:
    """Profiles that share most genes; each type has thirty of its own."""
    shared = generator.gamma(0.5, 20, n_genes)
    profiles = np.tile(shared, (n_types, 1))
    for number in range(n_types):
        profiles[number, number * 30 : number * 30 + 30] += 60
    return profiles / profiles.sum(axis=1, keepdims=True) * 1e4


def test_a_mixture_is_found_with_its_types_and_weight() -> None:
    profiles = types(np.random.default_rng(0), 4)
    found = nearest_mixture(0.3 * profiles[1] + 0.7 * profiles[3], profiles)
    assert found is not None
    weights = dict(zip(found.types, (found.weight, 1 - found.weight), strict=True))
    assert weights == pytest.approx({1: 0.3, 3: 0.7})
    assert found.distance == pytest.approx(0, abs=1e-9)
    assert found.is_close


@pytest.mark.parametrize("number", range(5))
def test_a_type_of_its_own_is_no_mixture_of_the_others(number: int) -> None:
    profiles = types(np.random.default_rng(1), 5)
    found = nearest_mixture(profiles[number], np.delete(profiles, number, axis=0))
    assert found is not None
    assert not found.is_close


def test_a_known_type_is_nearest_to_itself_alone() -> None:
    profiles = types(np.random.default_rng(2), 3)
    noisy = profiles[0] * np.random.default_rng(3).lognormal(0, 0.2, profiles.shape[1])
    found = nearest_mixture(noisy, profiles)
    assert found is not None
    assert not found.is_close


def test_one_type_makes_no_mixture() -> None:
    assert nearest_mixture(np.ones(5), np.ones((1, 5))) is None
