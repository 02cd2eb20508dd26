"""A list of names that can be recognised, so that work on it can be remembered."""

from functools import cached_property

import numpy as np

from ..cells.cell_source import CellSource

BETWEEN = "\0"
ENDS = 64


class NameList:
    """Names of genes, [names], Python's or NumPy's text. Two lists are equal when their bytes are.

    One list in two kinds of arrays is two lists; work on it is then done twice.
    """

    def __init__(self, names: np.ndarray) -> None:
        self._given = np.asarray(names)

    @cached_property
    def names(self) -> np.ndarray:
        """Object [names]."""
        return np.asarray(self._given, dtype=object)

    @cached_property
    def _bytes(self) -> bytes:
        """The names and where each ends: `ab` and `c` are not `a` and `bc`."""
        if self._given.dtype.kind == "U" and self._given.size and self._given.dtype.itemsize:
            return _bytes_of_block(self._given)
        listed = self.names.tolist()
        joined = BETWEEN.join(listed)
        lengths = b""
        if joined.count(BETWEEN) != max(len(listed) - 1, 0):  # a name holds one itself
            lengths = np.fromiter(map(len, listed), dtype=np.int64, count=len(listed)).tobytes()
        return b"%d %d " % (len(listed), len(lengths)) + lengths + joined.encode("utf-8", "surrogatepass")

    def __hash__(self) -> int:
        # Comparing all bytes costs less than one digest of them, and few lists are remembered.
        return hash((len(self._bytes), self._bytes[:ENDS], self._bytes[-ENDS:]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NameList) and self._bytes == other._bytes


def names_of(source: CellSource) -> NameList:
    """The names of a source's genes, the same list for the same source: they are read once."""
    found: tuple[np.ndarray, NameList] | None = getattr(source, "_listed", None)
    if found is None or found[0] is not source.var_names:
        return remember_names(source, NameList(source.var_names))
    return found[1]


def remember_names(source: CellSource, names: NameList) -> NameList:
    """Let `names_of` give this list for a source, whose names it holds."""
    source._listed = (source.var_names, names)  # type: ignore[attr-defined]
    return names


def _bytes_of_block(names: np.ndarray) -> bytes:
    """NumPy's text, which has equally many characters for each name, filled up with zeros."""
    characters = np.ascontiguousarray(names, dtype=names.dtype.newbyteorder("=")).view(np.uint32)
    # Names of genes are ASCII: a quarter of the bytes to compare and to keep.
    plain = characters.astype(np.uint8) if characters.max() < 128 else characters
    return b"".join((b"block %d %d " % (names.dtype.itemsize, plain.itemsize), plain.data))
