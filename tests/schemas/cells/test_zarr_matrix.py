"""Rows of a matrix in a zarr store: compressed, sharded, zipped; damage is found where it is read, and only there."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import zarr

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.cells.stored_rows import stored_rows
from cellmark.schemas.cells.zarr_files import decoded_fast
from cellmark.schemas.errors import ReadError
from fixtures.stored_cells import N_CELLS, drawn, write_zarr

BLOSC = {2: "numcodecs.blosc", 3: "blosc"}


def write(folder: Path, matrix: Callable[[Any], Any], version: int, **keywords: Any) -> Path:
    """With its matrix in chunks of 16 rows, or 50 values, as `keywords` say."""
    path = write_zarr(folder, matrix, version)
    root = zarr.open_group(path, mode="a")
    for name in ["X"] if matrix is np.asarray else ["X/data", "X/indices"]:
        values, attributes = root[name][()], dict(root[name].attrs)
        chunks, shards = ((16, 5), (32, 15)) if values.ndim == 2 else ((50,), (100,))
        del root[name]
        sizes = {"chunks": chunks, "shards": shards} if keywords.get("sharded") else {"chunks": chunks}
        kept = {key: value for key, value in keywords.items() if key != "sharded"}
        root.create_array(name, data=values, **sizes, **kept).attrs.update(attributes)
    zarr.consolidate_metadata(path)
    return path


@pytest.mark.filterwarnings("ignore:Consolidated metadata", "ignore:Numcodecs codecs")
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("matrix", [sp.csr_matrix, np.asarray])
@pytest.mark.parametrize(
    ("version", "keywords"),
    [(2, {}), (3, {"compressors": zarr.codecs.BloscCodec()}), (3, {"sharded": True})],
)
def test_rows_of_chunks_and_shards_are_read(
    version: int, keywords: dict[str, Any], matrix: Callable[[Any], Any], zipped: bool, tmp_path: Path
) -> None:
    if version == 2:
        import numcodecs

        keywords = {"compressors": numcodecs.Blosc()}
    path = write(tmp_path, matrix, version, **keywords)
    if zipped:
        path = Path(shutil.make_archive(str(tmp_path / "packed.zarr"), "zip", path))
    expected = drawn().X.toarray()
    for start, stop in ((0, N_CELLS), (15, 40), (31, 33)):
        with open_cells(path, rows=RowRange(start, stop)) as part:
            np.testing.assert_array_equal(part.load().toarray(), expected[start:stop])
            some = np.array([0, 1, stop - start - 1])
            np.testing.assert_array_equal(part.take(some).toarray(), expected[start:stop][some])
            assert part.obs["text"].iloc[-1] == f"α{stop - 1}\n"
    if matrix is np.asarray and keywords.get("sharded"):
        assert stored_rows(path, n_values=500, most_rows=1000).cuts == (0, 32, N_CELLS)
        assert stored_rows(path, n_values=230, most_rows=1000).cuts == (0, 16, 32, 48, N_CELLS)


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damage_is_found_by_those_who_read_it(damage: str, tmp_path: Path) -> None:
    path = write(tmp_path, sp.csr_matrix, 3, compressors=zarr.codecs.BloscCodec())
    last = max((path / "X" / "data" / "c").iterdir(), key=lambda file: int(file.name))
    if damage == "missing":
        last.unlink()
    else:
        last.write_bytes(last.read_bytes()[:-3])
    with open_cells(path, rows=RowRange(0, 20)) as part:
        np.testing.assert_array_equal(part.load().toarray(), drawn().X.toarray()[:20])
    with open_cells(path, rows=RowRange(40, N_CELLS)) as part, pytest.raises(ReadError) as raised:
        part.load()
    assert raised.value.code == "FILE_UNREADABLE"


def test_ids_that_are_missing_are_refused(tmp_path: Path) -> None:
    path = write_zarr(tmp_path, sp.csr_matrix, 2)
    index = path / "obs" / "_index"
    texts = index / "values" if (index / "values").is_dir() else index  # AnnData 0.13 writes a mask beside them
    (block,) = (file for file in texts.iterdir() if not file.name.startswith("."))
    block.unlink()
    with pytest.raises(ReadError, match="empty names"):
        open_cells(path, rows=RowRange(3, 5))


@pytest.mark.parametrize("dtype", ["f4", "i8", "u1", "?", ">f4", "f2"])
@pytest.mark.parametrize(
    ("zarr_format", "shards", "zipped"), [(2, None, False), (3, None, False), (3, 60, False), (3, 60, True)]
)
def test_zarrs_decodes_the_same_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, zarr_format: Any, shards: int | None, zipped: bool
) -> None:
    """Where it can: what it leaves to zarr is read all the same."""
    pytest.importorskip("zarrs")
    values = np.random.default_rng(0).integers(0, 3, 200).astype(dtype)
    place = tmp_path / ("store.zip" if zipped else "store")
    store: Any = zarr.storage.ZipStore(place, mode="w") if zipped else zarr.storage.LocalStore(place)
    keywords: dict[str, Any] = {} if shards is None else {"shards": (shards,)}
    zarr.create_array(store, name="values", data=values, chunks=(20,), zarr_format=zarr_format, **keywords)
    store.close()
    group = zarr.open_group(zarr.storage.ZipStore(place, mode="r") if zipped else place, mode="r")
    array = group["values"]
    fast = decoded_fast(array)
    assert (fast is array) == (not array.dtype.isnative)
    for rows in (slice(0, 200), slice(15, 130), slice(199, 200)):
        np.testing.assert_array_equal(fast[rows], values[rows])
    monkeypatch.setitem(sys.modules, "zarrs", None)
    assert decoded_fast(fast) is fast
