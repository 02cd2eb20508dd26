"""A matrix in Matrix Market form with its genes and cells named in files beside it: 10x folders and their like."""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import Finding, ReadError
from .cell_source import MemoryCells
from .check_hdf5 import MOST_COMPRESSED
from .matrix_files import EXPECTED_FOLDER, MatrixFiles, find_matrix_files
from .open_limited import open_limited
from .read_limits import NO_LIMITS, ReadLimits
from .read_tenx import matrix_cells
from .reading import reading
from .table_orientation import names_swapped

LONGEST_LINE = 4096
"""Bytes of a line in the header of a Matrix Market file."""
READ_AHEAD = 1024**2
MOST_TEXT = 4 * 1024**3
"""Bytes of a list of features or barcodes."""
HEADERS = re.compile(
    r"(|x|v1|id|gene|gene_?ids?|gene_?names?|gene_?symbols?|symbols?|features?|feature_?ids?|ensembl(_?gene)?(_?id)?|"
    r"cells?|cell_?ids?|cell_?names?|cell_?keys?|feature_?keys?|barcodes?|cell_?barcodes?|bc_wells?|index)",
    re.IGNORECASE,
)
"""First fields of a first line that is a header."""
GENERIC = re.compile(r"|x|v\d+|\d+", re.IGNORECASE)
"""Headers that say nothing, as R writes them."""
SYMBOL_HEADER = re.compile(r"name|symbol", re.IGNORECASE)
SAMPLE = 2000
"""Names looked at to tell genes from cells."""
CELLS_IN_ROWS = re.compile(r"(count_matrix|DGE|cells_x_\w+|quants_mat|spliced|unspliced)\b", re.IGNORECASE)
"""Matrices that Parse's, kallisto's and alevin's programs write with cells as rows."""


def read_matrix_folder(path: Path, *, limits: ReadLimits = NO_LIMITS) -> MemoryCells:
    """The cells of a folder as Cell Ranger (version 2, 3 and later), STARsolo and others write it, or of its matrix.

    `path`: the folder, or its `.mtx`. `var_names` are symbols, `var["gene_ids"]` the ids of the first column. The
    numbers of names show whether rows are genes or cells. Features that are not gene expression are left out,
    with a note. Raises `ReadError`: a file missing, damaged, or of another length than the matrix.
    """
    with reading(path, EXPECTED_FOLDER):
        files = find_matrix_files(path)
        declared = _declared(files.matrix)
        # Which side is which is not known yet.
        limits.check(str(path), cells=min(declared.shape), nonzeros=declared.n_values)
        gene_header, genes = _columns(files.genes, limits, set(declared.shape))
        cell_header, cells = _columns(files.cells, limits, set(declared.shape))
        limits.check(str(path), cells=len(cells), genes=len(genes))
        turned = _cells_in_rows(files, declared.shape, genes, cells)
        X = _values(files.matrix, declared, limits)
        names, var = _gene_names(gene_header, genes, files, limits)
        obs = {name: _typed(cells[k]) for k, name in enumerate(cell_header) if k and name}
        notes = (_turned_note(path, X.shape),) if turned and not CELLS_IN_ROWS.search(files.matrix.name) else ()
        ids = cells[0].to_numpy(dtype=object)
        return matrix_cells(sp.csr_matrix(X if turned else X.T), ids, names, var, path, obs=obs, notes=notes)


def _cells_in_rows(files: MatrixFiles, shape: tuple[int, int], genes: pd.DataFrame, cells: pd.DataFrame) -> bool:
    """Whether the rows of the matrix are cells. Raises `ReadError` where the names do not fit its shape."""
    upright, turned = shape == (len(genes), len(cells)), shape == (len(cells), len(genes))
    if turned and not upright:
        some, ids = genes.head(SAMPLE), list(cells[0].head(SAMPLE))
        if any(names_swapped(gene_names=list(some[column]), cell_ids=ids) for column in some):
            raise ValueError(f"{files.genes.name} lists cells, {files.cells.name} lists genes")
    if not upright and not turned:
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=str(files.matrix.parent),
            expected="as many names as the matrix has rows and columns",
            found=f"a matrix of {shape[0]} x {shape[1]} where {files.genes.name} has {len(genes)} lines and "
            f"{files.cells.name} has {len(cells)}",
            remedy=f"Put the lists of genes and cells that belong to {files.matrix.name} beside it.",
        )
    return turned and (not upright or CELLS_IN_ROWS.search(files.matrix.name) is not None)


def _turned_note(path: Path, shape: tuple[int, int]) -> Finding:
    return Finding(
        "MATRIX_TURNED",
        where=str(path),
        expected="genes as rows",
        found=f"cells as rows, by the numbers of names ({shape[0]} cells, {shape[1]} genes)",
        remedy="It was read that way; nothing needs to be done.",
        severity="info",
    )


def _gene_names(
    header: list[str], genes: pd.DataFrame, files: MatrixFiles, limits: ReadLimits
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Names of the genes, and columns of `var`: ids and, where the files have them, feature types and others."""
    ids, named = 0, min(1, genes.shape[1] - 1)
    if header:
        named = next((k for k, text in enumerate(header) if SYMBOL_HEADER.search(text)), named)
        ids = 1 if named == 0 and len(header) > 1 else 0
    var = {"gene_ids": genes[ids]}
    if header:
        var |= {text.lower(): genes[k] for k, text in enumerate(header) if text and k not in (ids, named)}
    elif genes.shape[1] > 2:
        var["feature_types"] = genes[2]
    symbols = genes[named]
    if named == ids and files.symbols is not None:
        _, listed = _columns(files.symbols, limits, {len(genes)})
        symbols = listed[0] if len(listed) == len(genes) else symbols
    names = symbols.where(symbols != "", genes[ids])
    return names.to_numpy(dtype=object), {name: values.to_numpy(dtype=object) for name, values in var.items()}


def _typed(values: pd.Series) -> np.ndarray:
    """Numbers where all of a column are."""
    numbers = pd.to_numeric(values, errors="coerce")
    return (values if numbers.isna().any() else numbers).to_numpy()


@dataclass(frozen=True, slots=True)
class _Declared:
    """What the header of a Matrix Market file declares. `n_numbers`: in the line of an entry; `n_lines`: of the header,
    the line of sizes included.
    """

    shape: tuple[int, int]
    n_values: int
    n_numbers: int
    n_lines: int


def _declared(file: Path) -> _Declared:
    with open_limited(file, 1024**3) as stream:
        first = stream.readline(LONGEST_LINE).lower().split()
        line, n_lines = b"%", 1
        while line.startswith(b"%") or (line and not line.strip()):
            line, n_lines = stream.readline(LONGEST_LINE), n_lines + 1
    sizes = [int(size) for size in line.split()]
    if len(first) < 3 or len(sizes) not in (2, 3) or min(sizes) < 0:
        raise ValueError(f"{file.name} has no header of a Matrix Market file")
    n_values = sizes[2] if len(sizes) == 3 else sizes[0] * sizes[1]
    # A value takes two bytes or more, and deflate makes them at most 1,032 times smaller.
    if n_values * 2 > file.stat().st_size * (MOST_COMPRESSED if file.suffix == ".gz" else 1) + LONGEST_LINE:
        raise ValueError(f"{file.name} says that it holds {n_values} values, far more than are stored")
    n_numbers = 1 if b"array" in first else 2 if b"pattern" in first else 3
    return _Declared((sizes[0], sizes[1]), n_values, n_numbers + (b"complex" in first), n_lines)


def _values(file: Path, declared: _Declared, limits: ReadLimits) -> Any:
    """The matrix as SciPy reads it. Raises `ReadError` at a line with more or fewer numbers than an entry has."""
    from scipy.io import mmread

    with open_limited(file, limits.max_unpacked_bytes) as stream:
        lines = _CheckedLines(stream, declared)
        try:
            X: Any = mmread(lines, spmatrix=True)
        except Exception:
            if lines.wrong is None:
                raise
    if lines.wrong is not None:
        raise _wrong_line(file, declared, *lines.wrong)
    if X.dtype.kind not in "fiub":
        raise ValueError(f"a matrix of {X.dtype}")
    return X


class _CheckedLines:
    """`stream`, of a Matrix Market file, whose lines are looked at as they are read: SciPy ignores what stands behind
    an entry's numbers. `wrong`: the number of the first line of another length, and the line.
    """

    def __init__(self, stream: IO[bytes], declared: _Declared) -> None:
        self._stream, self._declared = stream, declared
        self._ahead, self._at = b"", 0
        self._rest, self._n_lines = b"", 0
        self.wrong: tuple[int, bytes] | None = None

    def read(self, size: int) -> bytes:
        """SciPy asks for a kilobyte at a time; a megabyte is looked at together."""
        if self._at >= len(self._ahead):
            self._ahead, self._at = self._stream.read(READ_AHEAD), 0
            whole, end, rest = (self._rest + self._ahead).rpartition(b"\n")
            if not self._ahead:
                whole, rest = whole + end + rest, b""
            self._rest = rest
            if self.wrong is None and whole:
                self._look(whole)
        self._at += size
        return self._ahead[self._at - size : self._at]

    def _look(self, text: bytes) -> None:
        """`text`: whole lines, the last one without its end."""
        n_lines, gaps = text.count(b"\n") + 1, text.count(b" ") + text.count(b"\t")
        past_header = self._n_lines >= self._declared.n_lines
        # Most programs write one sign between numbers: then no line needs to be looked at by itself.
        if past_header and gaps == n_lines * (self._declared.n_numbers - 1) and b"\n\n" not in text:
            self._n_lines += n_lines
            return
        for line in text.split(b"\n"):
            self._n_lines += 1
            if self._n_lines > self._declared.n_lines and len(line.split()) not in (0, self._declared.n_numbers):
                self.wrong = self._n_lines, line
                return


def _wrong_line(file: Path, declared: _Declared, number: int, line: bytes) -> ReadError:
    n_found = len(line.split())
    remedy = "Check that the file is complete, and write it again from its source."
    if n_found == declared.n_numbers + 2:
        old, new = file.parent, f"{file.parent}-total"
        remedy = (
            "Early STARsolo wrote spliced, unspliced and ambiguous counts like this: use Solo.out/Gene/filtered of the "
            f"same run, or add them up: mkdir '{new}' && cp '{old}'/*.tsv* '{new}' && gzip -cdf '{file}' | awk 'NR <= "
            f"{declared.n_lines} {{print; next}} {{print $1, $2, $3 + $4 + $5}}' > '{new}/matrix.mtx'"
        )
    return ReadError.of(
        "FILE_UNREADABLE",
        where=str(file),
        expected=f"{declared.n_numbers} numbers in every line (row, column, count)",
        found=f"{n_found} in line {number:,}: {line[:60].decode(errors='replace').strip()!r}",
        remedy=remedy,
    )


def _columns(file: Path, limits: ReadLimits, n_expected: set[int]) -> tuple[list[str], pd.DataFrame]:
    """The header of a list of names, empty where there is none, and its columns as text, numbered; a gene called NA
    stays one. `n_expected`: how many names there may be. Raises `ValueError` for lines of unequal length.
    """
    with open_limited(file, min(limits.max_unpacked_bytes, MOST_TEXT)) as stream:
        text = stream.read().decode("utf-8-sig")
    is_csv = ".csv" in file.suffixes
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter="," if is_csv else "\t") if any(row)]
    headed = len(rows) - 1 in n_expected and len(rows) not in n_expected
    header = rows.pop(0) if rows and headed and HEADERS.fullmatch(rows[0][0].strip()) else []
    numbered = rows and len(rows[0]) > 1 and [row[0] for row in rows] == [str(k + 1) for k in range(len(rows))]
    # R writes the numbers of rows in front; a header may lack their column.
    rows = [row[1:] for row in rows] if numbered else rows
    header = header[1:] if numbered and rows and len(header) > len(rows[0]) else header
    header = [] if all(map(GENERIC.fullmatch, header)) else header
    if not header:
        # Places of a gene on its chromosome may follow, and not every line has them.
        rows = [row[:3] for row in rows]
    if len({len(row) for row in (header or rows[0], *rows)} if rows else ()) > 1:
        raise ValueError(f"{file.name} has lines of unequal length")
    return header, pd.DataFrame(rows, columns=range(len(rows[0]) if rows else 1), dtype=object)
