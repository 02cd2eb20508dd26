"""How a table of counts is laid out: its separator, its column of text, the names of its columns of values."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from ..errors import Finding, ReadError

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", " ": "spaces"}
LONGEST_HEADER = 256 * 1024**2
"""Characters of the first line."""
N_SAMPLE = 50
"""Rows looked at to tell what the second column holds."""

LABEL_HEADERS = {
    "cell_type",
    "cell_types",
    "celltype",
    "cell type",
    "label",
    "labels",
    "cluster",
    "annotation",
    "donor",
}
"""Second columns that are no gene even when their values are numbers."""


@dataclass(frozen=True, slots=True)
class TableLayout:
    """`corner`: the header of the first column, empty where there is none. `text_header`: that of a second column of
    text, if there is one. `names`: the headers of the columns of values. `n_fields`: fields in every row.
    """

    delimiter: str
    corner: str
    text_header: str | None
    names: tuple[str, ...]
    n_fields: int

    @property
    def first_value(self) -> int:
        """The number of the first column of values."""
        return 1 if self.text_header is None else 2

    def column_name(self, number: int) -> str:
        """The header of a column, counted from 0."""
        headers = [self.corner, *([] if self.text_header is None else [self.text_header]), *self.names]
        return headers[number]


def rows_after_header(lines: TextIO, delimiter: str) -> tuple[list[str], Iterator[list[str]]]:
    """The first row that is not blank, and the others. The header is empty when there is none."""
    rows = (row for row in csv.reader(lines, delimiter=delimiter) if row)
    return next(rows, []), rows


def find_layout(
    lines: TextIO, path: Path, *, check_width: Callable[[int], None] = lambda n_columns: None
) -> TableLayout:
    """The layout of a table, from its first rows. Raises `ReadError`: nothing in it, another separator.

    `check_width` gets the number of columns before any other row is read, and may refuse it.
    """
    start = lines.tell()
    first_line = "\n"
    while first_line and not first_line.strip():
        first_line = lines.readline(LONGEST_HEADER)
    if not first_line:
        raise ReadError(no_cells(path), no_genes(path))
    if len(first_line) == LONGEST_HEADER:
        raise invalid_table(path, f"lines of fewer than {LONGEST_HEADER:,} characters", "a longer one")
    delimiter = _delimiter(first_line, path)
    lines.seek(start)
    header, rows = rows_after_header(lines, delimiter)
    check_width(len(header) - 1)
    header = [name.strip() for name in header]
    sample = list(islice(rows, N_SAMPLE))
    if sample and len(sample[0]) == len(header) + 1 and sample[0][-1].strip():
        # R's write.table gives the row names no header.
        header = ["", *header]
    second = [row[1] for row in sample if len(row) > 1]
    has_text = len(header) > 1 and (header[1].lower() in LABEL_HEADERS or _is_text(second))
    first_value = 2 if has_text else 1
    return TableLayout(delimiter, header[0], header[1] if has_text else None, tuple(header[first_value:]), len(header))


def _delimiter(first_line: str, path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    suffix = suffixes[-1] if suffixes else ""
    there = [mark for mark in SEPARATORS if mark in first_line]
    if suffix == ".txt":
        likely = [mark for mark in ("\t", ",", " ") if mark in there]
        return likely[0] if likely else "\t"
    expected = "," if suffix == ".csv" else "\t"
    if expected not in there and there:
        raise invalid_table(
            path,
            f"fields separated by {SEPARATORS[expected]}",
            SEPARATORS[there[0]],
            "Write the table again, commas for .csv and tabs for .tsv.",
        )
    return expected


def _is_text(values: list[str]) -> bool:
    """Whether most of the values that are there are no numbers."""
    filled = [value for value in values if value.strip() not in ("", "NA", "NaN", "nan")]
    return sum(not is_number(value) for value in filled) * 2 > len(filled)


def is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def invalid_table(path: Path, expected: str, found: str, remedy: str = "") -> ReadError:
    """The error of a table with text among its values, or rows of unequal length."""
    remedy = remedy or (
        "Keep one header of gene names, cell ids in the first column, at most one column of text after it, and numbers."
    )
    return ReadError.of("TABLE_INVALID", where=str(path), expected=expected, found=found, remedy=remedy)


def no_cells(path: Path) -> Finding:
    return Finding(
        "NO_CELLS",
        where=str(path),
        expected="at least one cell",
        found="none",
        remedy="Check how the table was written.",
    )


def no_genes(path: Path) -> Finding:
    return Finding(
        "NO_GENES",
        where=str(path),
        expected="at least one gene",
        found="none",
        remedy="Check how the table was written.",
    )
