"""Many values at once count like each by itself."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram

from cellmark.serving.observe.count_values import Buckets
from cellmark.serving.observe.metrics import RANKS, SECONDS, SHARES, forget_dead_workers


@pytest.mark.parametrize("bounds", [SHARES, RANKS, SECONDS])
@pytest.mark.parametrize("n_values", [0, 1, 3, 200])
def test_counts_and_sum_are_those_of_observing_each_value(bounds: tuple[float, ...], n_values: int) -> None:
    registry = CollectorRegistry()
    at_once = Histogram("at_once", "", registry=registry, buckets=bounds)
    one_by_one = Histogram("one_by_one", "", registry=registry, buckets=bounds)
    rng = np.random.default_rng(0)
    on_bounds = rng.choice(bounds, size=n_values // 2)
    values = np.concatenate([rng.uniform(-1, 1.2, size=n_values - len(on_bounds)), on_bounds])
    Buckets(bounds).count(at_once, values)
    for value in values.tolist():
        one_by_one.observe(value)

    def counted(name: str) -> list[float | None]:
        labels = [f"{bound}" for bound in (*bounds, "+Inf")]
        return [registry.get_sample_value(f"{name}_bucket", {"le": label}) for label in labels]

    assert counted("at_once") == counted("one_by_one")
    assert registry.get_sample_value("at_once_sum") == pytest.approx(registry.get_sample_value("one_by_one_sum"))


@pytest.mark.parametrize("n_values", [2, 20])
def test_what_is_no_number_is_left_out(n_values: int) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("shares", "", registry=registry, buckets=SHARES)
    values = np.full(n_values, np.nan, dtype=np.float32)
    values[0] = 0.5
    Buckets(SHARES).count(histogram, values)
    assert registry.get_sample_value("shares_count") == 1
    assert registry.get_sample_value("shares_sum") == 0.5


def test_gauges_of_a_dead_worker_are_forgotten_and_its_counts_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for pid in (dead.pid, os.getpid()):
        for kind in ("gauge_livesum", "counter"):
            (tmp_path / f"{kind}_{pid}.db").touch()
    forget_dead_workers()
    left = {f"counter_{dead.pid}.db", f"counter_{os.getpid()}.db", f"gauge_livesum_{os.getpid()}.db"}
    assert {path.name for path in tmp_path.iterdir()} == left
