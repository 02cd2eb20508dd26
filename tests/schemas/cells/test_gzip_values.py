"""Values in gzip, unpacked beside HDF5: what HDF5 gives, and left to it where something is odd."""

import zlib
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

from cellmark.schemas.cells import gzip_values
from cellmark.schemas.cells.gzip_values import GzipValues, fast_values

N_VALUES, CHUNK = 1000, 64
RANGES = [(0, 1000), (0, 0), (3, 4), (63, 65), (64, 128), (500, 1000), (990, 2000), (70, 60)]


def unpackers() -> list[ModuleType]:
    try:
        from isal import isal_zlib
    except ImportError:
        return [zlib]
    return [zlib, isal_zlib]


@pytest.fixture(params=unpackers(), ids=lambda module: module.__name__.rpartition(".")[2])
def unpacker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzip_values, "zlib", request.param)


def numbers(dtype: str) -> np.ndarray:
    return np.random.default_rng(0).poisson(3, N_VALUES).astype(dtype)


def written(path: Path, values: np.ndarray, **options: object) -> h5py.Dataset:
    with h5py.File(path, "w") as file:
        file.create_dataset("values", data=values, chunks=(CHUNK,), **options)
    return h5py.File(path)["values"]


@pytest.mark.usefixtures("unpacker")
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<i8", "u1", ">u2"])
def test_every_range_is_what_hdf5_gives(tmp_path: Path, dtype: str, shuffle: bool) -> None:
    dataset = written(tmp_path / "x.h5", numbers(dtype), compression="gzip", shuffle=shuffle)
    values = fast_values(dataset)
    assert isinstance(values, GzipValues)
    for start, stop in RANGES:
        ours = values[start:stop]
        np.testing.assert_array_equal(ours, dataset[start:stop])
        assert ours.dtype == dataset.dtype


def test_other_ways_of_storing_are_left_to_hdf5(tmp_path: Path) -> None:
    for number, options in enumerate(({}, {"compression": "lzf"}, {"compression": "gzip", "fletcher32": True})):
        dataset = written(tmp_path / f"{number}.h5", numbers("<f4"), **options)
        assert fast_values(dataset) is dataset


def test_chunks_that_were_never_written_or_not_packed_are_read_too(tmp_path: Path) -> None:
    expected = numbers("<f4")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("values", (N_VALUES,), "<f4", chunks=(CHUNK,), compression="gzip", fillvalue=7)
        dataset[:CHUNK] = expected[:CHUNK]
        dataset.id.write_direct_chunk((CHUNK,), expected[CHUNK : 2 * CHUNK].tobytes(), filter_mask=1)
    with h5py.File(tmp_path / "x.h5") as file:
        values = fast_values(file["values"])[:]
    np.testing.assert_array_equal(values[: 2 * CHUNK], expected[: 2 * CHUNK])
    assert (values[2 * CHUNK :] == 7).all()


@pytest.mark.usefixtures("unpacker")
@pytest.mark.parametrize("damage", ["check sum", "cut short", "too long", "no gzip"])
def test_damage_is_reported_as_hdf5_reports_it(tmp_path: Path, damage: str) -> None:
    packed = zlib.compress(numbers("<f4")[:CHUNK].tobytes())
    broken = {
        "check sum": packed[:-1] + bytes([packed[-1] ^ 1]),
        "cut short": packed[:-6],
        "too long": zlib.compress(bytes(5 * CHUNK)),
        "no gzip": b"these are not the values",
    }[damage]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("values", (N_VALUES,), "<f4", chunks=(CHUNK,), compression="gzip")
        dataset.id.write_direct_chunk((0,), broken)
    with h5py.File(tmp_path / "x.h5") as file:
        values = fast_values(file["values"])
        try:
            expected = file["values"][:10]
        except OSError:
            with pytest.raises(OSError, match="filter"):
                values[:10]
        else:
            np.testing.assert_array_equal(values[:10], expected)


def test_threads_never_wait_for_the_lock_of_hdf5(tmp_path: Path) -> None:
    """Which the thread that reads may hold, as after a damaged file."""
    from h5py._objects import phil

    dataset = written(tmp_path / "x.h5", numbers("<f4"), compression="gzip")
    expected = dataset[:]
    with phil:
        np.testing.assert_array_equal(fast_values(dataset)[:], expected)
