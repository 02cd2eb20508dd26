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

        def fill(number: int, chunk: np.ndarray) -> None:
            first = number * self._size
            begin, end = max(first, start), min(first + self._size, stop)
            out[begin - start : end - start] = chunk[begin - first : end - first]

        # HDF5 is asked by this thread alone: its lock may be held by it, and others would wait for that without end.
        packed = [self._packed(number) for number in numbers]
        unpacked = map(self._unpacked, packed) if len(packed) < 2 else self._pool.map(self._unpacked, packed)
        for number, content in zip(numbers, unpacked, strict=True):
            chunk = self._dataset[number * self._size : (number + 1) * self._size] if content is None else content
            fill(number, chunk)
            if number == numbers[-1]:
                self._kept = number, chunk
        return out

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS), thread_name_prefix="cellmark-unpack")

    def _packed(self, number: int) -> np.ndarray | bytes | None:
        """A chunk as it is stored, or its values where they are at hand; None for one that HDF5 has to read."""
        if self._kept is not None and self._kept[0] == number:
            return self._kept[1]
        try:
            not_filtered, packed = self.id.read_direct_chunk((number * self._size,))
        except Exception:  # of h5py: HDF5 says better what is wrong
            return None
        return None if not_filtered else bytes(packed)

    def _unpacked(self, packed: np.ndarray | bytes | None) -> np.ndarray | None:
        """Values of a chunk, None for one that HDF5 has to read."""
        if packed is None or isinstance(packed, np.ndarray):
            return packed
        n_bytes = self._size * self.dtype.itemsize
        try:
            unpacker = zlib.decompressobj()
            # One byte more than there may be: the check sum at the end is read too.
            content: bytes = unpacker.decompress(packed, n_bytes + 1)
        except Exception:  # of zlib or isal: HDF5 says better what is wrong
            return None
        if not unpacker.eof or len(content) != n_bytes:
            return None
        if self._shuffled:
            turned: np.ndarray = np.frombuffer(content, dtype=np.uint8).reshape(self.dtype.itemsize, self._size).T
            values: np.ndarray = turned.ravel().view(self.dtype)
            return values
        return np.frombuffer(content, dtype=self.dtype)


def filters_of(dataset: h5py.Dataset) -> list[int]:
    """Numbers of the filters that values pass when they are written, in order."""
    created = dataset.id.get_create_plist()
    return [int(created.get_filter(number)[0]) for number in range(created.get_nfilters())]


def fast_values(dataset: h5py.Dataset) -> "h5py.Dataset | GzipValues":
    """The dataset, or a faster way to its values where there is one. `dataset`: of one dimension."""
    numbers = dataset.dtype.kind in "iuf" and dataset.chunks is not None
    return GzipValues(dataset) if numbers and filters_of(dataset) in PIPELINES else dataset
