"""Opening an untrusted file: a separate process reads it, which can be killed."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from cellmark.schemas.cells.anndata_facts import AnndataFacts, facts_of_h5ad
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.check_folder import refuse_links_out
from cellmark.schemas.cells.read import open_cells, refuse_special, require_input
from cellmark.schemas.cells.reading import reading as reading_file
from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions

from .reader_cells import ReaderCells
from .reader_messages import unpack_frame
from .reader_process import Reader
from .reader_server import reader_server
from .reading_rules import ReadingRules

UNPACKS_TO = 10
"""Times larger that a text is without its `.gz`, for the time that it takes."""


def open_apart(
    path: str | os.PathLike[str],
    reading: ReadingOptions = AS_IT_IS,
    *,
    rules: ReadingRules | None = None,
    may_write: bool = False,
) -> ReaderCells:
    """As `open_cells`, read by a process of its own, within `rules` (by default those of the environment).

    Raises as `open_cells`, `ReadError` (`FILE_UNREADABLE`) also when the reader dies or takes more time or memory than
    it may, and `INPUT_TOO_LARGE` for what is beyond the limits. `may_write`: calls are to be written into a copy of
    the file. Close the source after use: the process ends then.
    """
    question = {"reading": reading.for_opening()}
    return _open(Path(path), question, rules or ReadingRules.from_environment(), may_write=may_write)


def open_npz_apart(path: Path, *, name: str, recover_counts: bool = False, rules: ReadingRules) -> ReaderCells:
    """As `read_npz`, by a process of its own."""
    return _open(path, {"npz_name": name, "recover_counts": recover_counts}, rules, may_write=False)


def is_tenx(path: Path, *, rules: ReadingRules) -> bool:
    """Whether an HDF5 file of unknown name is 10x's rather than an AnnData."""
    reader = _start(path, rules, may_write=False)
    try:
        return reader.ask({"ask": "kind", "path": str(path)}).facts.get("tenx") is True
    finally:
        reader.close()


def calls_apart(path: Path, *, rules: ReadingRules | None = None) -> pd.DataFrame:
    """As `read_call_table`, by a process of its own."""
    rules = rules or ReadingRules.from_environment()
    reader = _start(path, rules, may_write=False)
    try:
        with reader.watched():
            return unpack_frame(reader.ask({"ask": "calls", "path": str(path), "limits": asdict(rules.limits)}))
    finally:
        reader.close()


def open_source(
    path: str | os.PathLike[str],
    reading: ReadingOptions = AS_IT_IS,
    *,
    trusted: bool = False,
    may_write: bool = False,
) -> CellSource:
    """The cells of a file: by `open_cells` where it is trusted, else by `open_apart`."""
    if trusted:
        return open_cells(path, reading)
    return open_apart(path, reading, may_write=may_write)


def describe_h5ad(path: Path, source: CellSource) -> AnndataFacts:
    """What an `.h5ad` has beside its cells, found out by the process that opened them as `source`."""
    if isinstance(source, ReaderCells):
        return source.describe()
    with reading_file(path, "an AnnData file (.h5ad)"):
        return facts_of_h5ad(path)


def _open(path: Path, question: Mapping[str, Any], rules: ReadingRules, *, may_write: bool) -> ReaderCells:
    reader = _start(path, rules, may_write=may_write)
    try:
        opened = reader.ask({"ask": "open", **question, "path": str(path), "limits": asdict(rules.limits)})
        return ReaderCells(reader, opened)
    except BaseException:
        reader.close()
        raise


def _start(path: Path, rules: ReadingRules, *, may_write: bool) -> Reader:
    require_input(path)
    refuse_special(path)
    return reader_server().fork(rules.budget, name=str(path), n_bytes=reading_bytes(path), may_write=may_write)


def reading_bytes(path: Path) -> int:
    """Bytes that there are to read, roughly. Raises `ReadError` for a folder with links that lead out of it."""
    if path.is_dir():
        packed = any(path.glob("*.gz"))
        return refuse_links_out(path) * (UNPACKS_TO if packed else 1)
    return path.stat().st_size * (UNPACKS_TO if path.suffix.lower() == ".gz" else 1)
