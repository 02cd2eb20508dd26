"""The rank of a cell's novelty is its place among held-out cells, whatever the scale of a model's score."""

import numpy as np
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.reference_profile import LEVELS
from cellmark.serving.observe.novelty_rank import novelty_quantiles, rank_of_novelty
from fixtures.places import ARCHIVES


def test_cells_like_those_held_out_have_even_ranks() -> None:
    held_out = np.random.default_rng(0).normal(3.0, 5.0, size=50_000)
    levels = np.asarray(LEVELS)
    new = np.random.default_rng(1).normal(3.0, 5.0, size=50_000).astype(np.float32)
    ranks = rank_of_novelty(new, np.quantile(held_out, levels), levels)
    assert ranks.mean() == pytest.approx(0.5, abs=0.005)
    inner = ranks[(ranks > levels[0]) & (ranks < levels[-1])]
    shares, _ = np.histogram(inner, bins=9, range=(levels[0], levels[-1]))
    assert shares / len(ranks) == pytest.approx(np.full(9, 0.1), abs=0.01)


def test_more_novel_cells_rank_higher_and_unknown_stays_unknown() -> None:
    levels = np.asarray(LEVELS)
    ranks = rank_of_novelty(np.array([-9.0, 0.5, 9.0, np.nan]), levels, levels)
    assert ranks[:3] == pytest.approx([levels[0] / 2, 0.5, (1 + levels[-1]) / 2])
    assert np.isnan(ranks[3])


def test_quantiles_come_from_the_bundle(tiny_bundle: Bundle) -> None:
    found = novelty_quantiles(tiny_bundle)
    assert found is not None
    assert found[0].shape == found[1].shape == (len(LEVELS),)
    assert (np.diff(found[0]) >= 0).all()


def test_a_bundle_without_a_profile_has_none() -> None:
    assert novelty_quantiles(Bundle.open(ARCHIVES / "v1")) is None
