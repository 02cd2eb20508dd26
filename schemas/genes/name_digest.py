"""A list of names that is known by its digest, so that work on it can be remembered."""

import hashlib
from functools import cached_property

import numpy as np

from ..cells.cell_source import CellSource

BETWEEN = "\0"


class NameList:
    """Names of genes, [names], Python's or NumPy's text. Two lists are equal when their digests are.

    One list in two kinds of arrays has two digests; work on it is then done twice.
    """

    def __init__(self, names: np.ndarray) -> None:
        self._given = np.asarray(names)

    @cached_property
    def names(self) -> np.ndarray:
        """Object [names]."""
        return np.asarray(self._given, dtype=object)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the names and where each ends: `ab` and `c` are not `a` and `bc`."""
        if self._given.dtype.kind == "U" and self._given.size and self._given.dtype.itemsize:
            return _digest_of_block(self._given)
        listed = self.names.tolist()
        joined = BETWEEN.join(listed)
        digest = hashlib.sha256(f"names {len(listed)}".encode())
        if joined.count(BETWEEN) != max(len(listed) - 1, 0):  # a name holds one itself
            digest.update(np.fromiter(map(len, listed), dtype=np.int64, count=len(listed)).tobytes())
        digest.update(joined.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NameList) and self.digest == other.digest


def names_of(source: CellSource) -> NameList:
    """The names of a source's genes, the same list for the same source: they are digested once."""
    found: tuple[np.ndarray, NameList] | None = getattr(source, "_listed", None)
    if found is None or found[0] is not source.var_names:
        found = (source.var_names, NameList(source.var_names))
        source._listed = found  # type: ignore[attr-defined]
    return found[1]


def _digest_of_block(names: np.ndarray) -> bytes:
    """Digest of NumPy's text, which has equally many characters for each name, filled up with zeros."""
    characters = np.ascontiguousarray(names, dtype=names.dtype.newbyteorder("=")).view(np.uint32)
    # Names of genes are ASCII: a quarter of the bytes to digest.
    plain = characters.astype(np.uint8) if characters.max() < 128 else characters
    digest = hashlib.sha256(f"block {names.dtype.itemsize} {plain.dtype}".encode())
    digest.update(plain.data)
    return digest.digest()
