"""How a table of counts is laid out: its separator, and which columns name its rows, describe them, hold values."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from ..errors import Finding, ReadError
from .table_headers import (
    CELL_NAMES,
    GENE_COLUMNS,
    GENE_NAMES,
    INDEX,
    MEASURES,
    OBS_COLUMNS,
    plain_header,
)
from .table_orientation import ENOUGH, names_cell, names_gene

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", " ": "spaces"}
EXTENSION_OF = {",": ".csv", "\t": ".tsv"}
LONGEST_HEADER = 256 * 1024**2
"""Characters of the first line."""
MOST_REMARKS = 10_000
"""Lines that begin with # before the header."""
N_SAMPLE = 50
"""Rows looked at to tell what a column holds."""
N_FIRST = 3
"""Rows looked at to tell which columns may hold text."""


@dataclass(frozen=True, slots=True)
class TableLayout:
    """`headers`: of all columns, an empty one where there is none. `n_skipped`: lines before the header. `row_names`:
    the number of the column that names the rows. `described`: of those that describe them. `values`: of those that hold
    values. `empty`: of one that a separator at the ends of lines makes. `first_rows`: all their fields.
    """

    delimiter: str
    headers: tuple[str, ...]
    n_skipped: int
    row_names: int
    described: tuple[int, ...]
    values: tuple[int, ...]
    empty: int | None
    first_rows: tuple[tuple[str, ...], ...]

    @property
    def sample(self) -> tuple[str, ...]:
        """Names of the first rows."""
        return tuple(row[self.row_names] for row in self.first_rows if len(row) > self.row_names)

    @property
    def kept(self) -> tuple[int, ...]:
        """The columns that describe rows, without those that only number them."""
        return tuple(number for number in self.described if INDEX.fullmatch(plain_header(self.headers[number])) is None)

    @property
    def corner(self) -> str:
        """The header of the rows' names."""
        return self.headers[self.row_names]

    @property
    def names(self) -> tuple[str, ...]:
        """The headers of the columns of values."""
        return tuple(self.headers[number] for number in self.values)

    def rows_after_header(self, lines: TextIO) -> Iterator[list[str]]:
        """Read up to the end of the header; its other rows, field by field."""
        for _ in range(self.n_skipped):
            lines.readline()
        rows = _rows(lines, self.delimiter)
        next(rows, None)
        return rows


def _rows(lines: TextIO, delimiter: str) -> Iterator[list[str]]:
    return (row for row in csv.reader(lines, delimiter=delimiter) if row)


def find_layout(
    lines: TextIO,
    path: Path,
    *,
    genes_by_cells: bool = False,
    check_width: Callable[[int], None] = lambda n_columns: None,
) -> TableLayout:
    """The layout of a table, from its first rows. Raises `ReadError`: nothing in it, another separator.

    `genes_by_cells`: rows are genes. `check_width` gets the number of columns before any other row is read, and may
    refuse it.
    """
    start = lines.tell()
    n_skipped, delimiter = _before_header(lines, path)
    lines.seek(start)
    for _ in range(n_skipped):
        lines.readline()
    rows = _rows(lines, delimiter)
    header = [name.strip() for name in next(rows, [])]
    check_width(len(header) - 1)
    sample = list(islice(rows, N_SAMPLE))
    if sample and len(sample[0]) == len(header) + 1 and sample[0][-1].strip():
        # R's write.table gives the row names no header.
        header = ["", *header]
    whole = [row for row in sample if len(row) == len(header)]
    empty = len(header) - 1
    is_empty = empty > 0 and not header[-1] and bool(whole) and not any(row[-1].strip() for row in whole)
    columns = _Columns(header[:empty] if is_empty else header, whole)
    row_names = columns.row_names(GENE_NAMES if genes_by_cells else CELL_NAMES)
    described = columns.describing(row_names, genes_by_cells=genes_by_cells)
    values = [number for number in range(columns.n) if number != row_names and number not in described]
    return TableLayout(
        delimiter,
        tuple(header),
        n_skipped,
        row_names,
        tuple(sorted(described)),
        tuple(values),
        empty if is_empty else None,
        tuple(map(tuple, sample)),
    )


class _Columns:
    """Headers and the first rows of a table."""

    def __init__(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.n, self._headers, self._rows = len(headers), headers, rows
        self.plain = [plain_header(name) for name in headers]
        first = rows[:N_FIRST]
        maybe = [number for number in range(self.n) if any(not is_number(row[number] or "0") for row in first)]
        self._text = {number for number in maybe if _is_text(self._of(number))}

    def _of(self, number: int) -> list[str]:
        return [row[number].strip() for row in self._rows]

    def row_names(self, known: frozenset[str]) -> int:
        """The first column, unless it only numbers the rows and another one names them."""
        if self.n > 1 and self._is_index(0):
            for number in sorted(self._text):
                if self.plain[number] in known:
                    return number
        return 0

    def _is_index(self, number: int) -> bool:
        if INDEX.fullmatch(self.plain[number]) is None or not self._rows:
            return False
        return self._of(number) in ([str(start + k) for k in range(len(self._rows))] for start in (0, 1))

    def describing(self, row_names: int, *, genes_by_cells: bool) -> set[int]:
        """Numbers of the columns that describe the rows: by their header, or text before or after all values; where
        most headers look like cells', also numbers there under one that does not.
        """
        known = GENE_COLUMNS | MEASURES if genes_by_cells else OBS_COLUMNS
        found: set[int] = set()
        for number, name in enumerate(self.plain):
            if name in known or (name and self._is_index(number)):
                found.add(number)
        found.add(0)
        looks_like_values = names_cell if genes_by_cells else names_gene
        some = self._headers[1 :: max(self.n // N_SAMPLE, 1)]
        all_cells = genes_by_cells and sum(map(names_cell, some)) >= ENOUGH * len(some)
        for order in (range(self.n), reversed(range(self.n))):
            for number in order:
                if number in found or number == row_names:
                    continue
                stranger = self._headers[number] != "" and not looks_like_values(self._headers[number])
                words = number == 1 or (stranger and self._is_words(number))
                if not (all_cells and stranger) and (number not in self._text or not words):
                    break
                found.add(number)
        return found - {row_names}

    def _is_words(self, number: int) -> bool:
        """Whether a column of text holds words, not what a spreadsheet writes for an error."""
        filled = [value for value in self._of(number) if value]
        return sum(bool(re.match(r"[^#]*[A-Za-z]", value)) or value in "+-." for value in filled) * 2 > len(filled)


def _before_header(lines: TextIO, path: Path) -> tuple[int, str]:
    """Lines before the header, blank or remarks, and the separator."""
    n_lines, last_remark, first = 0, "", "\n"
    while first and (not first.strip() or first.startswith("#")):
        if first.strip():
            last_remark = first
        first = lines.readline(LONGEST_HEADER)
        n_lines += 1
        if len(first) == LONGEST_HEADER:
            raise invalid_table(path, f"lines of fewer than {LONGEST_HEADER:,} characters", "a longer one")
        if n_lines > MOST_REMARKS:
            raise invalid_table(path, f"at most {MOST_REMARKS:,} lines before the header", "more")
    if not first:
        raise ReadError(no_cells(path), no_genes(path))
    delimiter = _delimiter(first, path)
    # A header may begin with # itself.
    is_header = 0 < first.count(delimiter) == last_remark.count(delimiter)
    return n_lines - 1 - is_header, delimiter


def _delimiter(first_line: str, path: Path) -> str:
    suffixes = [suffix for suffix in path.suffixes if suffix.lower() != ".gz"]
    suffix = suffixes[-1].lower() if suffixes else ""
    there = [mark for mark in SEPARATORS if mark in first_line]
    likely = "\t" if "\t" in there else max(",;", key=first_line.count)
    likely = likely if likely in there else " " if there else "\t"
    if suffix == ".txt":
        return likely
    expected = "," if suffix == ".csv" else "\t"
    if there and (expected not in there or (expected, likely) == (",", ";")):
        right = EXTENSION_OF.get(likely, ".txt")
        renamed = f"{path.name[: path.name.rindex(suffixes[-1])]}{right}{'.gz' * (path.suffix.lower() == '.gz')}"
        raise invalid_table(
            path,
            f"fields separated by {SEPARATORS[expected]}",
            SEPARATORS[likely],
            f"Rename it, since the extension says what separates fields: mv '{path}' '{path.with_name(renamed)}'",
        )
    return expected


def _is_text(values: list[str]) -> bool:
    """Whether most of the values that are there are no numbers."""
    filled = [value for value in values if value not in ("", "NA", "NaN", "nan")]
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
        "Keep one header of gene names, cell ids in the first column, columns of text next to them, and numbers."
    )
    return ReadError.of("TABLE_INVALID", where=str(path), expected=expected, found=found, remedy=remedy)


def edited(path: Path, script: str, word: str) -> str:
    """The shell's command that writes a table anew by a script of sed, `word` added to its name."""
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    script = script.replace("\t", "\\t")
    return f"gzip -cdf '{path}' | sed '{script}' > '{plain.with_stem(f'{plain.stem}_{word}')}'"


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
