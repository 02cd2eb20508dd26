"""Values that HDF5 packed with gzip, unpacked beside it: in half the time, and with the package isal in a quarter."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec

import h5py
import numpy as np

zlib = import_module("isal.isal_zlib" if find_spec("isal") is not None else "zlib")
MOST_THREADS = 4
PIPELINES = ([h5py.h5z.FILTER_DEFLATE], [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE])
"""Filters in the order of writing."""


class GzipValues:
    """A list of numbers in gzip. Ranges of it, `values[start:stop]`, are what `dataset` would give: what does not
    unpack as expected is asked of HDF5, which knows more ways of storing and says what is wrong.

    Storage chunks are unpacked by threads, since zlib lets others work meanwhile and HDF5 does not. The last one of a
    range is kept: the next range mostly begins in it.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self.id, self.dtype, self.chunks = dataset.id, dataset.dtype, dataset.chunks
        self._size: int = dataset.chunks[0]
        self._shuffled = filters_of(dataset) == PIPELINES[1]
        self._kept: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, wanted: slice) -> np.ndarray:
        start, stop, _ = wanted.indices(len(self))
        out = np.empty(max(stop - start, 0), dtype=self.dtype)
        numbers = range(start // self._size, -(-stop // self._size)) if len(out) else range(0)

        def fill(number: int) -> np.ndarray:
            chunk, first = self._chunk(number), number * self._size
            begin, end = max(first, start), min(first + self._size, stop)
            out[begin - start : end - start] = chunk[begin - first : end - first]
            return chunk

        if len(numbers) == 1:
            self._kept = numbers[0], fill(numbers[0])
        elif numbers:
            # All but one are forgotten at once.
            for number, chunk in zip(numbers, self._pool.map(fill, numbers), strict=True):
                if number == numbers[-1]:
                    self._kept = number, chunk
        return out

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS), thread_name_prefix="cellmark-unpack")

    def _chunk(self, number: int) -> np.ndarray:
        kept = self._kept
        if kept is not None and kept[0] == number:
            return kept[1]
        first = number * self._size
        content = self._unpacked(first)
        if content is None:
            values: np.ndarray = self._dataset[first : first + self._size]
            return values
        if self._shuffled:
            turned: np.ndarray = np.frombuffer(content, dtype=np.uint8).reshape(self.dtype.itemsize, self._size).T
            return turned.ravel().view(self.dtype)
        return np.frombuffer(content, dtype=self.dtype)

    def _unpacked(self, first: int) -> bytes | None:
        n_bytes = self._size * self.dtype.itemsize
        try:
            not_filtered, packed = self.id.read_direct_chunk((first,))
            unpacker = zlib.decompressobj()
            # One byte more than there may be: the check sum at the end is read too.
            content: bytes = unpacker.decompress(packed, n_bytes + 1)
        except Exception:  # of h5py, zlib or isal: HDF5 says better what is wrong
            return None
        return content if not not_filtered and unpacker.eof and len(content) == n_bytes else None


def filters_of(dataset: h5py.Dataset) -> list[int]:
    """Numbers of the filters that values pass when they are written, in order."""
    created = dataset.id.get_create_plist()
    return [int(created.get_filter(number)[0]) for number in range(created.get_nfilters())]


def fast_values(dataset: h5py.Dataset) -> "h5py.Dataset | GzipValues":
    """The dataset, or a faster way to its values where there is one. `dataset`: of one dimension."""
    numbers = dataset.dtype.kind in "iuf" and dataset.chunks is not None
    return GzipValues(dataset) if numbers and filters_of(dataset) in PIPELINES else dataset
