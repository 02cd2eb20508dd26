"""A list of names that is known by its digest, so that work on it can be remembered."""

import hashlib
from functools import cached_property

import numpy as np


class NameList:
    """`names`: object [names]. Two lists are equal when their digests are."""

    def __init__(self, names: np.ndarray) -> None:
        self.names = np.asarray(names, dtype=object)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the names and their lengths: `ab` and `c` are not `a` and `bc`."""
        listed = self.names.tolist()
        lengths = np.fromiter(map(len, listed), dtype=np.int64, count=len(listed))
        digest = hashlib.sha256(lengths.tobytes())
        digest.update("".join(listed).encode("utf-8", "surrogatepass"))
        return digest.digest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NameList) and self.digest == other.digest
