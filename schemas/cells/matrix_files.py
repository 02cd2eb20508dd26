"""Which files of a folder belong together: a matrix (`.mtx`), the names of its genes, the names of its cells.

Known are those of 10x Genomics and STARsolo, also behind a sample's name as GEO publishes them; of Parse Biosciences
(`all_genes.csv`, `cell_metadata.csv`), kallisto|bustools (`cells_x_genes.genes.txt`), alevin-fry
(`quants_mat_cols.txt`), Expression Atlas (`.mtx_rows`), and others whose names say as much.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ReadError
from .reading import READ

EXPECTED_FOLDER = "a 10x matrix folder (matrix.mtx, barcodes.tsv, features.tsv or genes.tsv; also .gz)"
MATRIX = re.compile(r".*\.mtx(\.gz)?", re.IGNORECASE)
NAMES = re.compile(r".*\.(tsv|txt|csv|mtx_rows|mtx_cols)(\.gz)?", re.IGNORECASE)
GENES = re.compile(r"(^|[^a-z])(features?|genes?)([^a-z]|$)")
CELLS = re.compile(r"(^|[^a-z])(barcodes?|cells?|cell_metadata)([^a-z]|$)")
ROWS, COLUMNS = re.compile(r"(^|[._])rows([._]|$)"), re.compile(r"(^|[._])col(umn)?s([._]|$)")
PREFERRED = re.compile(r"features|barcodes")
"""`features.tsv` is taken before `genes.tsv`, `barcodes.tsv` before `cells.tsv`."""
SYMBOLS = re.compile(r"genes\.names")
"""kallisto's second list: the symbols of the genes whose ids are in the first."""
LIKELY = re.compile(r"(^|[._])(total|cell|mature|spliced)[._]")
UNLIKELY = re.compile(r"(^|[._])(nascent|ambiguous|unspliced|nucleus)[._]")
MOST_LOOKED_INTO = 2000
"""Folders below a folder, looked into for a matrix."""
SHOWN = 6


@dataclass(frozen=True, slots=True)
class MatrixFiles:
    """`genes`, `cells`: the files of names. `symbols`: a second one of genes, if there is one."""

    matrix: Path
    genes: Path
    cells: Path
    symbols: Path | None = None


def is_matrix(path: Path) -> bool:
    """Whether a file's name is that of a Matrix Market file."""
    return MATRIX.fullmatch(path.name) is not None


def find_matrix_files(path: Path) -> MatrixFiles:
    """The files that belong together: `path` is their folder, or the matrix.

    Raises `ReadError`: several matrices in the folder, names missing; for a matrix without any names beside it
    `FILE_FORMAT_UNKNOWN`.
    """
    matrix = path if path.is_file() else _the_matrix(path)
    others = [other for other in _files(matrix.parent) if NAMES.fullmatch(other.name)]
    rest = {other: other.name[_shared(matrix.name, other.name) :].lower() for other in others}
    # alevin-fry writes cells x genes, Expression Atlas genes x cells.
    rows_are_cells = "quants_mat" in matrix.name
    cells, genes = (ROWS, COLUMNS) if rows_are_cells else (COLUMNS, ROWS)
    symbols = _best(matrix, rest, SYMBOLS)
    found = {
        "genes": _best(matrix, {other: text for other, text in rest.items() if other != symbols}, GENES, genes),
        "cells": _best(matrix, rest, CELLS, cells),
    }
    if found["genes"] is None or found["cells"] is None or found["genes"] == found["cells"]:
        raise _names_missing(path, matrix, found["genes"], found["cells"])
    return MatrixFiles(matrix, found["genes"], found["cells"], symbols)


def _the_matrix(folder: Path) -> Path:
    matrices = [path for path in _files(folder) if MATRIX.fullmatch(path.name)]
    for name in ("matrix.mtx", "matrix.mtx.gz"):
        if folder / name in matrices:
            return folder / name
    if len(matrices) == 1:
        return matrices[0]
    # kb writes matrices of mature and nascent RNA side by side.
    likely = max(matrices, key=lambda path: bool(LIKELY.search(path.name)) - bool(UNLIKELY.search(path.name)))
    raise ReadError.of(
        "FILE_UNREADABLE",
        where=str(folder),
        expected="a folder with one matrix (.mtx)",
        found=f"{len(matrices)}: {_some(path.name for path in matrices)}",
        remedy=f"Give the matrix itself instead of the folder ({likely}); several make a batch.",
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _shared(name: str, other: str) -> int:
    """Characters that two names begin with, up to the last sign between words."""
    same = [0]
    for at, (one, two) in enumerate(zip(name, other, strict=False), start=1):
        if one != two:
            break
        if not (one.isalnum() and other[at : at + 1].isalnum()):
            same.append(at)
    return same[-1]


def _best(matrix: Path, rest: dict[Path, str], *patterns: re.Pattern[str]) -> Path | None:
    """The file whose name, after what it shares with the matrix's, says what it lists: the one that shares most, then
    the shortest, plain before compressed.
    """
    fit = [path for path, text in rest.items() if any(pattern.search(text) for pattern in patterns)]
    shared = {path: len(path.name) - len(rest[path]) for path in fit}
    return min(fit, key=lambda path: (-shared[path], len(PREFERRED.sub("", rest[path])), path.name), default=None)


def _names_missing(path: Path, matrix: Path, genes: Path | None, cells: Path | None) -> ReadError:
    if path == matrix and genes is None and cells is None:
        return ReadError.of(
            "FILE_FORMAT_UNKNOWN",
            where=str(path),
            expected=f"one of {READ}",
            found="a matrix alone, without the names of its genes and cells",
            remedy="Put features.tsv and barcodes.tsv of the same run beside it.",
        )
    missing = [word for word, file in (("features.tsv or genes.tsv", genes), ("barcodes.tsv", cells)) if file is None]
    there = _some(file.name for file in (matrix, genes, cells) if file is not None)
    return ReadError.of(
        "FILE_UNREADABLE",
        where=str(path),
        expected=EXPECTED_FOLDER,
        found=f"no {' and no '.join(missing) or 'two files of names'} in it (there: {there})",
        remedy="Put the folder's files together.",
    )


def folders_with_matrix(folder: Path) -> list[Path]:
    """Folders below `folder` that hold a matrix, up to four levels down; links are not followed."""
    waiting, found, looked_into = [(folder, 0)], [], 0
    while waiting and looked_into < MOST_LOOKED_INTO:
        at, level = waiting.pop(0)
        looked_into += 1
        try:
            inside = sorted(at.iterdir())
        except OSError:
            continue
        if level and any(MATRIX.fullmatch(path.name) for path in inside):
            found.append(at)
        elif level < 4:
            waiting += [(path, level + 1) for path in inside if path.is_dir() and not path.is_symlink()]
    return found


def _some(names: Iterator[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")
