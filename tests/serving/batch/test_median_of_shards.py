"""The median of many shards, beside that of NumPy."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cellmark.serving.batch.median_of_shards import exact_median, median_of_shards


@pytest.mark.parametrize("n_values", [1, 2, 3, 10, 1001, 4096])
@pytest.mark.parametrize("kind", ["uniform", "ties", "near one", "apart"])
def test_it_is_the_median_of_numpy(n_values: int, kind: str) -> None:
    generator = np.random.default_rng(n_values)
    drawn = generator.random(n_values, dtype=np.float32)
    values = {
        "uniform": drawn,
        "ties": np.round(drawn, 1),
        "near one": 1 - drawn * np.float32(1e-6),
        "apart": np.where(np.arange(n_values) % 2, np.float32(1), np.float32(-0.0)),
    }[kind]
    found = exact_median(lambda: iter(np.array_split(values, 7)))
    assert found == float(np.median(values))


def test_without_values_or_with_nan_there_is_none() -> None:
    assert np.isnan(exact_median(lambda: iter([])))
    assert np.isnan(exact_median(lambda: iter([np.array([1, np.nan], dtype=np.float32)])))


def test_shards_are_read_by_row_groups(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(5_000, dtype=np.float32)
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for path, part in zip(paths, np.array_split(values, 3), strict=True):
        pq.write_table(pa.table({"other": np.zeros(len(part)), "confidence": part}), path, row_group_size=100)
    assert median_of_shards(paths, "confidence") == float(np.median(values))


def test_memory_does_not_grow_with_the_cells() -> None:
    def values() -> Iterator[np.ndarray]:
        for number in range(200):
            yield np.random.default_rng(number).random(10_000, dtype=np.float32)

    tracemalloc.start()
    exact_median(values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000  # of 8 MB
