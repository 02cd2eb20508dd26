"""Are these raw counts? Checks of one chunk of rows, and the findings over all chunks of an input."""

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from ..errors import Finding

LARGEST_COUNT = 2**24
"""Above this, float32 no longer holds every whole number."""

BLOCK = 2**16
"""Values that are looked at at a time."""

N_EXAMPLES = 5
N_OFFENDERS = 20
"""Cells with values that are no counts whose ids are kept, so that they can be looked at again."""


@dataclass
class CountsProblems:
    """What is wrong with the values seen so far: how many entries, the ids of a few cells, the extremes."""

    n_negative: int = 0
    n_nan: int = 0
    n_infinite: int = 0
    n_fractional: int = 0
    n_large: int = 0
    n_empty: int = 0
    n_cells_changed: int = 0
    largest: float = 0.0
    offenders: list[str] = field(default_factory=list)
    cells: dict[str, list[str]] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return any((self.n_negative, self.n_nan, self.n_infinite, self.n_fractional, self.n_large, self.n_empty))

    def remember(self, kind: str, cell_ids: np.ndarray) -> None:
        kept = self.cells.setdefault(kind, [])
        kept.extend(str(cell_id) for cell_id in cell_ids[: N_EXAMPLES - len(kept)])

    def merge(self, other: "CountsProblems") -> None:
        """Add what a later chunk found."""
        for name in ("n_negative", "n_nan", "n_infinite", "n_fractional", "n_large", "n_empty", "n_cells_changed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.largest = max(self.largest, other.largest)
        self.offenders.extend(other.offenders[: N_OFFENDERS - len(self.offenders)])
        for kind, ids in other.cells.items():
            self.remember(kind, np.array(ids))

    def findings(
        self, counts_from: str, *, looks_like: str | None = None, remedy: str | None = None
    ) -> tuple[Finding, ...]:
        """One error per kind of problem. `counts_from`: where the values came from, such as `X`. `looks_like`,
        `remedy`: what negative and fractional values turned out to be, and what fixes it.
        """
        raw = remedy or "Provide raw counts: name the layer that holds them with --layer (layer= in Python)."
        found: list[Finding] = []

        def add(code: str, kind: str, expected: str, text: str, remedy: str) -> None:
            found.append(
                Finding(
                    code,
                    where=counts_from,
                    expected=expected,
                    found=text,
                    remedy=remedy,
                    examples=tuple(self.cells.get(kind, ())),
                )
            )

        if self.n_nan:
            add(
                "COUNTS_NAN",
                "nan",
                "a count for every gene",
                f"{self.n_nan} missing values (NaN)",
                "Leave out genes that were not measured; a gene without counts is 0.",
            )
        if self.n_infinite:
            add("COUNTS_INFINITE", "infinite", "finite counts", f"{self.n_infinite} infinite values", raw)
        if self.n_negative:
            looks = looks_like or "this looks scaled or corrected"
            add(
                "COUNTS_NEGATIVE",
                "negative",
                "counts of at least 0",
                f"{self.n_negative} negative values: {looks}",
                raw,
            )
        if self.n_fractional:
            looks = looks_like or f"this looks {'log-normalised' if self.largest < 20 else 'normalised or corrected'}"
            add(
                "COUNTS_NOT_WHOLE",
                "fractional",
                "raw counts, that is whole numbers",
                f"{self.n_fractional} values that are not whole (largest {self.largest:.4g}): {looks}",
                raw,
            )
        if self.n_large:
            add(
                "COUNTS_TOO_LARGE",
                "large",
                f"counts up to {LARGEST_COUNT}",
                f"{self.n_large} values above it (largest {self.largest:.4g})",
                raw,
            )
        if self.n_empty:
            add(
                "CELL_EMPTY",
                "empty",
                "at least one count in every cell",
                f"{self.n_empty} cells without any",
                "Take these cells out; nothing can be said of them.",
            )
        return tuple(found)


def check_counts(
    X: sp.csr_matrix, cell_ids: np.ndarray, totals: np.ndarray, *, per_10_000: bool = False
) -> CountsProblems:
    """Problems of one chunk. `X`: CSR, cells x genes of the input; `cell_ids`: [cells]; `totals`: row sums, [cells].
    `per_10_000`: the values are proved counts per 10,000, of which only empty cells are left to find.

    Few passes over the values when nothing is wrong: one is fine when it equals its own whole-number conversion.
    """
    problems = CountsProblems()
    data = X.data
    if data.dtype.kind == "b":
        data = data.astype(np.uint8)
    largest = _largest_if_fine(data) if data.dtype.kind in "fiu" and not per_10_000 else None
    if largest is not None:
        problems.largest = largest
    elif not per_10_000:
        _look_closely(X, np.asarray(data, dtype=np.float64), cell_ids, problems)
    empty = totals == 0
    if empty.any() and problems.n_negative:
        # Negative values may cancel others: only a cell without any other value than zero is empty.
        rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        empty &= np.bincount(rows[data != 0], minlength=X.shape[0]) == 0
    if empty.any():
        problems.n_empty = int(empty.sum())
        problems.remember("empty", cell_ids[empty])
    return problems


def _largest_if_fine(data: np.ndarray) -> float | None:
    """The largest value when all are counts, None when any has to be looked at closely."""
    if len(data) == 0:
        return 0.0
    if data.dtype in (np.float32, np.float64):
        return _largest_of_floats(data)
    low, high = data.min(), data.max()
    # NaN makes both comparisons false, so it is caught here too.
    if not (low >= 0 and high <= LARGEST_COUNT):
        return None
    return float(high) if data.dtype.kind != "f" or np.array_equal(data, data.astype(np.int32)) else None


def _largest_of_floats(data: np.ndarray) -> float | None:
    """Blocks that stay in a cache: each value is fetched from memory once. As unsigned numbers, the bits of counts are
    in the order of the counts, and those of what is negative, infinite or missing are above those of every count that
    is allowed.
    """
    data = np.ascontiguousarray(data)
    bits = data.view(np.uint32 if data.dtype == np.float32 else np.uint64)
    most = np.array(LARGEST_COUNT, dtype=data.dtype).view(bits.dtype)[()]
    largest, scratch = bits.dtype.type(0), bytearray()
    for start in range(0, len(data), BLOCK):
        values = data[start : start + BLOCK]
        largest = max(largest, bits[start : start + BLOCK].max())
        # -0.0 is a count, and looked at closely.
        if largest > most:
            return None
        if len(scratch) != values.nbytes:
            scratch = bytearray(values.nbytes)
        np.floor(values, out=np.frombuffer(scratch, dtype=data.dtype))
        # Two blocks of bytes are compared in half the time that NumPy takes.
        if scratch != values.data:
            return None
    return float(largest.view(data.dtype))


def _look_closely(X: sp.csr_matrix, data: np.ndarray, cell_ids: np.ndarray, problems: CountsProblems) -> None:
    rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    finite = np.isfinite(data)
    kinds = {
        "nan": np.isnan(data),
        "infinite": np.isinf(data),
        "negative": finite & (data < 0),
        "fractional": finite & (np.rint(data) != data),
        "large": finite & (data > LARGEST_COUNT),
    }
    for kind, wrong in kinds.items():
        if wrong.any():
            setattr(problems, f"n_{kind}", int(wrong.sum()))
            problems.remember(kind, cell_ids[np.unique(rows[wrong])])
    changed = np.unique(rows[kinds["negative"] | kinds["fractional"]])
    problems.n_cells_changed = len(changed)
    problems.offenders = [str(cell_id) for cell_id in cell_ids[changed[:N_OFFENDERS]]]
    problems.largest = max(float(data[finite].max()), 0.0) if finite.any() else 0.0
