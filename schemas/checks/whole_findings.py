"""What shows only in an input as a whole: values that no cell alone betrays, and cells with the very same counts.

In droplets cells with the very same counts happen by copying alone.
"""

import hashlib

import numpy as np
import scipy.sparse as sp

from ..cells.cell_source import CellSource, RowChunk
from ..counts.whole_numbers import judge_whole_numbers
from ..errors import Finding
from .counts_elsewhere import look_at


def whole_findings(source: CellSource, sample: sp.csr_matrix, *, to_train: bool = False) -> tuple[Finding, ...]:
    """`sample`: CSR, cells drawn from all of `source`, whole numbers of at least 0. `to_train`: see `look_at`.

    An error where the values themselves rule counts out; a warning where depth was taken out, since the cells can still
    be distinguished, and a sample of unusual cells could look so.
    """
    if judge_whole_numbers(sample).kind == "counts":
        return ()
    looks = look_at(source, sample, to_train=to_train)
    if looks.state.name == "counts":
        return ()
    is_warning = looks.state.name == "depth_corrected"
    evidence = f" ({looks.state.evidence[0]})" if looks.state.evidence else ""
    return (
        Finding(
            "COUNTS_ONE_DEPTH" if is_warning else "COUNTS_NOT_RAW",
            where=source.counts_from,
            expected="raw counts",
            found=f"whole numbers that are not counts: {looks.text}{evidence}",
            remedy=looks.remedy,
            severity="warning" if is_warning else "error",
        ),
    )


N_EXAMPLES = 5


class IdenticalCells:
    """Watches the chunks of one input; keeps about 150 bytes a cell."""

    def __init__(self) -> None:
        self._first: dict[bytes, int] = {}
        self._pairs: list[tuple[int, int]] = []
        self._n_copies = 0

    def see(self, chunk: RowChunk) -> None:
        """The next cells. Empty ones are skipped: they have a finding of their own."""
        X = chunk.X if chunk.X.has_sorted_indices else chunk.X.sorted_indices()
        indices, data, ends = X.indices.astype(np.int64), X.data.astype(np.float64), X.indptr
        for row in range(X.shape[0]):
            places = slice(ends[row], ends[row + 1])
            kept = data[places] != 0
            if not kept.any():
                continue
            text = indices[places][kept].tobytes() + data[places][kept].tobytes()
            digest = hashlib.blake2b(text, digest_size=16).digest()
            first = self._first.setdefault(digest, chunk.start + row)
            if first != chunk.start + row:
                self._n_copies += 1
                if len(self._pairs) < N_EXAMPLES:
                    self._pairs.append((first, chunk.start + row))

    def findings(self, source: CellSource) -> tuple[Finding, ...]:
        """The error of cells that are there more than once."""
        if not self._n_copies:
            return ()
        ids = source.cell_ids
        return (
            Finding(
                "CELLS_IDENTICAL",
                where=source.counts_from,
                expected="cells that differ in their counts",
                found=f"{self._n_copies} cells with exactly the counts of another",
                remedy="Remove the copies. They come from joining a file with itself or with a part of it.",
                examples=tuple(f"{ids[second]} = {ids[first]}" for first, second in self._pairs),
            ),
        )
