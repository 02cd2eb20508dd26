"""The rank of a cell's novelty is its place among held-out cells, whatever the scale of a model's score."""

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.reference_profile import LEVELS
from cellmark.serving.observe.count_values import FEW
from cellmark.serving.observe.metrics import RANKS
from cellmark.serving.observe.novelty_rank import buckets_of_ranks, novelty_buckets
from fixtures.places import ARCHIVES

HELD_OUT = np.random.default_rng(0).normal(3.0, 5.0, size=50_000)


def ranked(novelty: np.ndarray) -> tuple[np.ndarray, float]:
    """Share of cells up to each of `RANKS`, and the mean rank."""
    registry = CollectorRegistry()
    histogram = Histogram("rank", "", registry=registry, buckets=RANKS)
    buckets_of_ranks(np.quantile(HELD_OUT, LEVELS)).count(histogram, novelty)
    shares = [registry.get_sample_value("rank_bucket", {"le": str(bound)}) or 0 for bound in RANKS]
    return np.array(shares) / len(novelty), (registry.get_sample_value("rank_sum") or 0) / len(novelty)


def test_cells_like_those_held_out_have_even_ranks() -> None:
    shares, mean = ranked(np.random.default_rng(1).normal(3.0, 5.0, size=50_000).astype(np.float32))
    assert shares == pytest.approx(RANKS, abs=0.01)
    assert mean == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("n_cells", [FEW, 500])
def test_more_novel_cells_rank_higher(n_cells: int) -> None:
    middle = float(np.median(HELD_OUT))
    means = [ranked(np.full(n_cells, novelty))[1] for novelty in (-99.0, middle - 0.1, 99.0)]
    assert means == pytest.approx([0.025, 0.45, 0.975])


def test_buckets_come_from_the_bundle(tiny_bundle: Bundle) -> None:
    assert novelty_buckets(tiny_bundle) is not None


def test_a_bundle_without_a_profile_has_none() -> None:
    assert novelty_buckets(Bundle.open(ARCHIVES / "v1")) is None
