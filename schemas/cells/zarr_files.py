"""Arrays of a zarr store, read once their files were looked at: whether they are there, and as long as they say."""

import math
import warnings
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np


class StoreFiles:
    """The files of a store, a folder or a zip archive. Close it after use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._archive = ZipFile(path) if path.is_file() else None

    def read(self, name: str, n_bytes: int) -> tuple[bytes, int] | None:
        """The first bytes of a file, all for -1, and its size; None where it is missing."""
        try:
            if self._archive is not None:
                entry = self._archive.getinfo(name)
                with self._archive.open(entry) as file:
                    return file.read(n_bytes), entry.file_size
            with (self._path / name).open("rb") as file:
                return file.read(n_bytes), (self._path / name).stat().st_size
        except (KeyError, FileNotFoundError):
            return None

    def has(self, name: str) -> bool:
        if self._archive is not None:
            return name in self._archive.NameToInfo
        return (self._path / name).is_file()

    def blocks_of(self, array: Any) -> Iterator[str]:
        """The names of the files that hold an array's values."""
        if self._archive is not None:
            names: Iterator[str] = (entry.filename for entry in self._archive.infolist())
            names = (name for name in names if name.startswith(f"{array.path}/"))
        else:
            files = (file for file in (self._path / array.path).rglob("*") if file.is_file())
            names = (file.relative_to(self._path).as_posix() for file in files)
        for name in names:
            last = name.rpartition("/")[2]
            if not last.startswith(".") and last not in ("", "zarr.json"):
                yield name

    def close(self) -> None:
        if self._archive is not None:
            self._archive.close()


def blocks_of_rows(array: Any, rows: slice) -> Iterator[str]:
    """The names of the files that hold some rows of an array."""
    grid = array.shards or array.chunks
    first = range(rows.start // grid[0], -(-rows.stop // grid[0]))
    others = (range(-(-size // chunk)) for size, chunk in zip(array.shape[1:], grid[1:], strict=True))
    for place in product(first, *others):
        yield f"{array.path}/{array.metadata.encode_chunk_key(place)}"


def check_blocks(part: Any, files: StoreFiles, rows: slice | None = None) -> None:
    """Raise `ValueError` for a block of values, of `rows` or all, whose header is not true of it.

    Of a block that is shorter than it says blosc reads what lies beyond in memory, and of text in more pieces than
    there can be numcodecs makes as many objects, by the thousand million.
    """
    import zarr

    arrays = [part] if isinstance(part, zarr.Array) else [item for _, item in part.members(max_depth=None)]
    for array in arrays:
        if not isinstance(array, zarr.Array) or array.shards is not None:
            continue
        is_text = any(str(getattr(item, "codec_id", "")).startswith("vlen") for item in array.filters)
        is_blosc = any("blosc" in type(codec).__name__.lower() for codec in array.compressors)
        if not (is_text or is_blosc):
            continue
        for name in files.blocks_of(array) if rows is None else blocks_of_rows(array, rows):
            found = files.read(name, -1 if is_text else 16)
            if found is None:
                continue
            values, size = found
            if is_blosc and (len(values) < 16 or int.from_bytes(values[12:16], "little") != size):
                raise ValueError(f"a block of {array.path} is truncated")
            for codec in array.compressors if is_text else ():
                values = codec.decode(values)
            if is_text and int.from_bytes(bytes(values[:4]), "little") > max(math.prod(array.chunks), 1):
                raise ValueError(f"a block of {array.path} claims more text than it holds")


def decoded_fast(array: Any) -> Any:
    """The same array, whose values the package zarrs decodes where it is installed, if it can: numbers in the byte
    order of this machine.
    """
    try:
        import zarrs  # noqa: F401 (it makes itself known to zarr)
    except ImportError:
        return array
    if array.dtype.kind not in "fiub" or not array.dtype.isnative:
        return array
    import zarr

    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}), warnings.catch_warnings():
        # It says of each array what it leaves to zarr: that in a zip archive, or of an unknown codec.
        warnings.simplefilter("ignore")
        return zarr.open_array(array.store, path=array.path, mode="r", zarr_format=array.metadata.zarr_format)


class CheckedArray:
    """An array of which rows are read once their files were checked."""

    def __init__(self, array: Any, files: StoreFiles) -> None:
        self._array, self._files = decoded_fast(array), files
        self.attrs, self.dtype, self.shape, self.ndim = array.attrs, array.dtype, array.shape, array.ndim
        self.size, self.chunks, self.shards = array.size, array.chunks, array.shards

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        check_blocks(self._array, self._files, slice(start, stop))
        values: np.ndarray = self._array[start:stop]
        return values

    def misses(self, rows: slice) -> bool:
        """Whether any file that should hold these rows is missing."""
        return not all(map(self._files.has, blocks_of_rows(self._array, rows)))


class CheckedGroup:
    """A group of such arrays."""

    def __init__(self, group: Any, files: StoreFiles) -> None:
        self._group, self._files = group, files
        self.attrs = group.attrs

    def __getitem__(self, name: str) -> Any:
        inside = self._group[name]
        return (CheckedGroup if hasattr(inside, "keys") else CheckedArray)(inside, self._files)
