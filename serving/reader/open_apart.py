"""Opening an untrusted file: a separate process reads it, which can be killed. A folder must hold plain files alone."""

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellmark.schemas.cells.anndata_facts import AnndataFacts, facts_of_h5ad
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.matrix_files import EXPECTED_FOLDER, find_matrix_files, is_matrix
from cellmark.schemas.cells.read import open_cells, refuse_special, require_input
from cellmark.schemas.cells.reading import reading as reading_file
from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.cells.stored_rows import StoredRows
from cellmark.schemas.errors import ReadError
from cellmark.schemas.imported_model import ImportedModel

from .model_message import unpack_model
from .reader_cells import ReaderCells
from .reader_messages import Message, unpack_frame
from .reader_process import Answer, Reader, try_twice
from .reader_server import reader_server
from .reading_rules import ReadingRules
from .rows_message import unpack_rows

JSON_MEMORY = 1536 * 1024**2
"""Bytes that reading a JSON body may take. The largest that is allowed takes less than half of it."""
MODEL_MEMORY, MODEL_MEMORY_TIMES = 512 * 1024**2, 8
"""Bytes that reading another tool's model may take: so many, and the file this many times."""
MOST_FILES = 5_000_000
MOST_LEVELS = 64


def refuse_links_out(folder: Path) -> int:
    """The bytes of the files in `folder`. Raises `ReadError` for links that lead out of it, for pipes and devices, and
    for more files or levels than any store of cells has.
    """
    n_bytes, n_files = 0, 0
    root = os.path.realpath(folder)
    waiting = [(root, 0)]
    while waiting:
        at, level = waiting.pop()
        with os.scandir(at) as entries:
            for entry in entries:
                n_files += 1
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISLNK(status.st_mode):
                    if not os.path.realpath(entry.path).startswith(root + os.sep):
                        raise _unsafe(folder, "a link to a place outside", entry.path)
                elif stat.S_ISDIR(status.st_mode):
                    waiting.append((entry.path, level + 1))
                elif stat.S_ISREG(status.st_mode):
                    n_bytes += status.st_size
                else:
                    raise _unsafe(folder, "a pipe, a socket or a device", entry.path)
        if n_files > MOST_FILES or level > MOST_LEVELS:
            raise _unsafe(folder, f"more than {MOST_FILES:,} files or {MOST_LEVELS} levels", at)
    return n_bytes


def refuse_links(folder: Path, files: Iterable[Path]) -> None:
    """Raise `ReadError` for files of `folder` that are links to a place outside."""
    root = os.path.realpath(folder)
    for file in files:
        if file.is_symlink() and not os.path.realpath(file).startswith(root + os.sep):
            raise _unsafe(folder, "a link to a place outside", os.path.join(root, file.name))


def _unsafe(folder: Path, found: str, path: str) -> ReadError:
    inside = os.path.relpath(path, os.path.realpath(folder))[:200]
    return ReadError.of(
        "FILE_UNREADABLE",
        where=str(folder),
        expected="plain files inside the folder",
        found=found,
        remedy="Copy what it points to into the folder. On the command line --trusted reads your own data as it is.",
        examples=(inside,),
    )


UNPACKS_TO = 10
"""Times larger that a text is without its `.gz`, for the time that it takes."""


def open_apart(
    path: str | os.PathLike[str],
    reading: ReadingOptions = AS_IT_IS,
    *,
    rules: ReadingRules | None = None,
    may_write: bool = False,
    rows: RowRange | None = None,
    turned: Path | None = None,
) -> ReaderCells:
    """As `open_cells`, read by a process of its own, within `rules` (by default those of the environment).

    Raises as `open_cells`, `ReadError` (`FILE_UNREADABLE`) also when the reader crashes or takes more time or memory
    than it may, `INPUT_TOO_LARGE` for what is beyond the limits, and `ReaderKilledError` when somebody else ended it,
    and the second one as well. `may_write`: calls are to be written into a copy of the file. Close the source after
    use: the process ends then.
    """
    question = {"reading": reading.for_opening(), "rows": None if rows is None else [rows.start, rows.stop]}
    return _open(Path(path), question, _chosen(rules, turned), may_write=may_write, rows=rows)


def _chosen(rules: ReadingRules | None, turned: Path | None) -> ReadingRules:
    chosen = rules or ReadingRules.from_environment()
    return chosen if turned is None else replace(chosen, limits=replace(chosen.limits, turned=os.path.abspath(turned)))


def open_npz_apart(path: Path, *, name: str, recover_counts: bool = False, rules: ReadingRules) -> ReaderCells:
    """As `read_npz`, by a process of its own."""
    return _open(path, {"npz_name": name, "recover_counts": recover_counts}, rules, may_write=False)


def open_json_apart(body: bytes | bytearray, *, name: str, recover_counts: bool, rules: ReadingRules) -> ReaderCells:
    """As `cells_from_body`, by a process of its own: what a large body's names take in memory, and the time that it
    holds the interpreter, are not the service's.
    """
    budget = replace(rules.budget, memory_bytes=min(rules.budget.memory_bytes, JSON_MEMORY))
    asked = {"ask": "open", "json": name, "recover_counts": recover_counts, "limits": asdict(rules.limits)}
    return _opened(
        lambda _: reader_server().fork(budget, name=name, n_bytes=len(body)), asked, np.frombuffer(body, dtype=np.uint8)
    )


def is_tenx(path: Path, *, rules: ReadingRules) -> bool:
    """Whether an HDF5 file of unknown name is 10x's rather than an AnnData."""
    return _ask(path, {"ask": "kind"}, rules, lambda answer: answer.facts.get("tenx") is True)


def calls_apart(path: Path, columns: Sequence[str] | None = None, *, rules: ReadingRules | None = None) -> pd.DataFrame:
    """As `read_call_table`, by a process of its own."""
    chosen = rules or ReadingRules.from_environment()
    listed = None if columns is None else list(columns)
    return _ask(path, {"ask": "calls", "columns": listed, "limits": asdict(chosen.limits)}, chosen, unpack_frame)


def celltypist_apart(path: Path, *, rules: ReadingRules | None = None) -> ImportedModel:
    """As `read_celltypist`, by a process of its own."""
    chosen = rules or ReadingRules.from_environment()
    most = MODEL_MEMORY + MODEL_MEMORY_TIMES * path.stat().st_size if path.is_file() else MODEL_MEMORY
    budget = replace(chosen.budget, memory_bytes=min(chosen.budget.memory_bytes, most))
    return _ask(path, {"ask": "celltypist"}, replace(chosen, budget=budget), unpack_model)


def stored_rows_apart(
    path: str | os.PathLike[str],
    reading: ReadingOptions = AS_IT_IS,
    *,
    n_values: int,
    most_rows: int,
    rules: ReadingRules | None = None,
    turned: Path | None = None,
) -> StoredRows:
    """As `stored_rows`, by a process of its own, within `rules`. `turned`, and what is raised: as of `open_apart`."""
    chosen = _chosen(rules, turned)
    question = {"ask": "rows", "reading": reading.for_opening(), "limits": asdict(chosen.limits)}
    return _ask(Path(path), {**question, "n_values": n_values, "most_rows": most_rows}, chosen, unpack_rows)


def _ask(path: Path, question: dict[str, Any], rules: ReadingRules, unpack: Callable[[Message], Answer]) -> Answer:
    """What a reader that is asked one question answers."""

    def ask(scratch: int) -> Answer:
        reader = _start(path, rules, may_write=False, scratch=scratch)
        try:
            with reader.watched():
                return unpack(reader.ask({**question, "path": str(path)}))
        finally:
            reader.close()

    return try_twice(lambda: _with_room(ask, rules.limits.max_scratch_bytes))


def _with_room(ask: Callable[[int], Answer], most_scratch: int) -> Answer:
    """What `ask` gives, which takes the bytes that the reader may write: none, unless the file needs them."""
    try:
        return ask(0)
    except ReadError as error:
        if not most_scratch or error.code != "SCRATCH_FULL":
            raise
    return ask(most_scratch)


def open_source(
    path: str | os.PathLike[str],
    reading: ReadingOptions = AS_IT_IS,
    *,
    trusted: bool = False,
    may_write: bool = False,
    rows: RowRange | None = None,
    turned: Path | None = None,
) -> CellSource:
    """The cells of a file: by `open_cells` where it is trusted, else by `open_apart`."""
    if trusted:
        return open_cells(path, reading, rows=rows, turned=turned)
    return open_apart(path, reading, may_write=may_write, rows=rows, turned=turned)


def describe_h5ad(path: Path, source: CellSource) -> AnndataFacts:
    """What an `.h5ad` has beside its cells, found out by the process that opened them as `source`."""
    if isinstance(source, ReaderCells):
        return source.describe()
    with reading_file(path, "an AnnData file (.h5ad)"):
        return facts_of_h5ad(path)


def _open(
    path: Path, question: Mapping[str, Any], rules: ReadingRules, *, may_write: bool, rows: RowRange | None = None
) -> ReaderCells:
    asked = {"ask": "open", **question, "path": str(path), "limits": asdict(rules.limits)}

    def start(scratch: int) -> Reader:
        return _start(path, rules, may_write=may_write, scratch=scratch)

    return _opened(start, asked, rows=rows, most_scratch=rules.limits.max_scratch_bytes)


def _opened(
    start: Callable[[int], Reader],
    asked: dict[str, Any],
    *arrays: np.ndarray,
    rows: RowRange | None = None,
    most_scratch: int = 0,
) -> ReaderCells:
    def open_once(scratch: int) -> tuple[Reader, Message]:
        reader = start(scratch)
        try:
            return reader, reader.ask(asked, *arrays)
        except BaseException:
            reader.close()
            raise

    return try_twice(lambda: ReaderCells(lambda: _with_room(open_once, most_scratch), rows))


def _start(path: Path, rules: ReadingRules, *, may_write: bool, scratch: int = 0) -> Reader:
    require_input(path)
    refuse_special(path)
    n_bytes = reading_bytes(path)
    return reader_server().fork(rules.budget, name=str(path), n_bytes=n_bytes, may_write=may_write, scratch=scratch)


def reading_bytes(path: Path) -> int:
    """Bytes that there are to read, roughly. Raises `ReadError` for a folder with links that lead out of it, and for a
    matrix whose names are such links.
    """
    if path.is_dir():
        packed = any(path.glob("*.gz"))
        return refuse_links_out(path) * (UNPACKS_TO if packed else 1)
    files = [path]
    if is_matrix(path):
        with reading_file(path, EXPECTED_FOLDER):
            found = find_matrix_files(path)
        files += [file for file in (found.genes, found.cells, found.symbols) if file is not None]
        refuse_links(path.parent, files[1:])
    return sum(file.stat().st_size * (UNPACKS_TO if file.suffix.lower() == ".gz" else 1) for file in files)
