"""Cells of a file that another process reads: a `CellSource` like any other."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from pydantic import TypeAdapter, ValidationError

from cellmark.schemas.api.request_cells import GenesSource
from cellmark.schemas.cells.anndata_facts import MOST_EMBEDDINGS, MOST_KEYS, AnndataFacts
from cellmark.schemas.cells.cell_source import OtherMatrix, RowChunk
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.normalization import slice_rows

from ..outputs.copy_file import RemoteCells
from .own_maps import unpack_maps
from .reader_messages import BrokenMessageError, Message, is_count, pack_frame, unpack_findings, unpack_frame
from .reader_process import Reader, ReaderKilledError

MOST_OTHERS = 1000
FACTS = TypeAdapter(AnndataFacts)


class ReaderCells(RemoteCells):
    """Cells of a reader's open file. `library_size`: that of an `.npz` or JSON, float64 [cells], None otherwise.
    `genes_source`, `findings`: of JSON, as `RequestCells` has them.

    `open_file` starts a reader and gives it with what it said of the file, or of `rows` of it. What the reader tells is
    checked before it is used: it may be damaged, whatever its file did to it. One loop over `chunks` at a time; a new
    one ends the one before. A reader that somebody killed is replaced once, where it was.
    """

    def __init__(self, open_file: Callable[[], tuple[Reader, Message]], rows: RowRange | None = None) -> None:
        self._open_file, self._rows = open_file, rows
        self._may_replace = False
        self._stream: object = None
        self._n_blocks = 0
        self._awaited = False
        self._ahead: Message | None = None
        self._reader, opened = open_file()
        try:
            self._describe_cells(opened)
        except BaseException:
            self._reader.close()
            raise
        self._may_replace = True

    def _describe_cells(self, opened: Message) -> None:
        with self._reader.watched():
            facts = opened.facts
            self.name, self.counts_from = _text(facts, "name"), _text(facts, "counts_from")
            self.notes = unpack_findings(facts.get("notes"))
            organism = facts.get("organism")
            self.uns = {"organism": organism} if isinstance(organism, str) else {}
            self.obs, self.var = self._frame("obs", facts.get("n_obs")), self._frame("var", facts.get("n_vars"))
            self._place(facts.get("n_total"))
            self.var_names = self.var.index.to_numpy(dtype=object).astype(str)
            self.others = self._others(facts.get("others"))
            self.library_size: np.ndarray | None = opened.arrays[0] if opened.arrays else None
            self.genes_source: GenesSource = "keys" if facts.get("genes_source") == "keys" else "genes"
            self.findings = unpack_findings(facts.get("findings", []))

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        return self._take(rows, None)

    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        """As every source's. One block is read ahead: the reader reads while these cells are worked on."""
        stream = object()
        self._stream = None
        self._ask({"ask": "chunks"})
        self._stream, self._n_blocks, self._ahead = stream, 0, None
        start = 0
        self._ask_ahead()
        while (block := self._next_block(stream, start)) is not None:
            self._n_blocks += 1
            self._ask_ahead()
            for row in range(0, block.shape[0], n_rows):
                yield RowChunk(start + row, slice_rows(block, row, min(row + n_rows, block.shape[0])))
            start += block.shape[0]

    def write_into(self, draft: Path, frame: pd.DataFrame, uns: dict[str, Any], *, prefix: str | None = None) -> None:
        packed = pack_frame(frame)
        question = {"ask": "write", "draft": str(draft.resolve()), "uns": uns, "prefix": prefix, **packed.facts}
        self._ask(question, *packed.arrays, writes=True)

    def write_markers(self, draft: Path, table: pd.DataFrame, *, groupby: str, key: str) -> tuple[int, int]:
        packed = pack_frame(table)
        question = {"ask": "markers", "draft": str(draft.resolve()), "groupby": groupby, "key": key, **packed.facts}
        told = self._ask(question, *packed.arrays, writes=True).facts
        return int(told.get("genes", 0)), int(told.get("types", 0))

    def describe(self) -> AnndataFacts:
        """What the file has beside its cells."""
        answer = self._ask({"ask": "describe"})
        with self._reader.watched():
            return _facts(answer.facts.get("facts"))

    def own_maps(self) -> dict[str, np.ndarray]:
        answer = self._ask({"ask": "maps"})
        with self._reader.watched():
            return unpack_maps(answer, self.n_obs)

    def close(self) -> None:
        self._reader.close()

    def _ask(self, question: dict[str, Any], *arrays: np.ndarray, writes: bool = False) -> Message:
        try:
            return self._ask_once(question, *arrays, writes=writes)
        except ReaderKilledError:
            if writes:  # what it had written is half of something
                raise
            self._replace_reader()
            return self._ask_once(question, *arrays)

    def _ask_once(self, question: dict[str, Any], *arrays: np.ndarray, writes: bool = False) -> Message:
        if self._awaited:
            # The answer on its way belongs to the loop over chunks.
            self._ahead = self._receive()
        return self._reader.ask(question, *arrays, writes=writes)

    def _ask_ahead(self) -> None:
        try:
            self._reader.send({"ask": "next"})
            self._awaited = True
        except ReaderKilledError:
            self._replace_reader()

    def _receive(self) -> Message:
        self._awaited = False
        return self._reader.receive()

    def _replace_reader(self) -> None:
        """A fresh reader where the killed one was: in the middle of a loop, with its next block asked for. Raises the
        `ReaderKilledError` that is being handled where that was done before.
        """
        if not self._may_replace:
            raise
        self._may_replace = False
        self._reader, _ = self._open_file()
        self._awaited, self._ahead = False, None
        if self._stream is not None:
            self._reader.ask({"ask": "chunks"})
            for _ in range(self._n_blocks):
                self._reader.ask({"ask": "next"})
            self._reader.send({"ask": "next"})
            self._awaited = True

    def _next_block(self, stream: object, start: int) -> sp.csr_matrix | None:
        if stream != self._stream:
            raise RuntimeError("another loop over the same cells was begun")
        answer = self._receive_block() if self._ahead is None else self._ahead
        self._ahead = None
        with self._reader.watched():
            if answer.facts.get("end"):
                return None
            if answer.facts.get("start") != start:
                raise BrokenMessageError("rows out of order")
            block = _matrix(answer, n_rows=None, n_columns=self.n_vars)
            if block.shape[0] == 0 or start + block.shape[0] > self.n_obs:
                raise BrokenMessageError("more rows than cells")
            return block

    def _receive_block(self) -> Message:
        try:
            return self._receive()
        except ReaderKilledError:
            self._replace_reader()
            return self._receive()

    def _frame(self, of: str, n_rows: object) -> pd.DataFrame:
        frame = unpack_frame(self._ask({"ask": "frame", "of": of}))
        if len(frame) != n_rows or frame.index.hasnans:
            raise BrokenMessageError(f"an {of} that does not fit")
        return frame

    def _place(self, n_total: object) -> None:
        rows, n_obs = self._rows, len(self.obs)
        if not is_count(n_total):
            raise BrokenMessageError("a file without its number of cells")
        if (n_obs != n_total) if rows is None else (n_obs != len(rows) or n_total < rows.stop):
            raise BrokenMessageError("other cells than those asked for")
        self.lies_at(0 if rows is None else rows.start, n_total)

    def _others(self, listed: object) -> tuple[OtherMatrix, ...]:
        if not isinstance(listed, list) or len(listed) > MOST_OTHERS:
            raise BrokenMessageError("invalid other matrices")
        others = []
        for number, entry in enumerate(listed):
            if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[1], str):
                raise BrokenMessageError("another matrix without a name")
            if not (entry[0] is None or isinstance(entry[0], str)):
                raise BrokenMessageError("a layer whose name is no text")
            others.append(OtherMatrix(entry[0], entry[1], partial(self._take, other=number)))
        return tuple(others)

    def _take(self, rows: np.ndarray, other: int | None) -> sp.csr_matrix:
        answer = self._ask({"ask": "take", "other": other}, np.asarray(rows, dtype=np.int64))
        with self._reader.watched():
            # Another matrix, such as raw.X, may have more genes.
            return _matrix(answer, n_rows=len(rows), n_columns=self.n_vars if other is None else None)


def _facts(told: object) -> AnndataFacts:
    """Raises `BrokenMessageError` for what are no facts of an AnnData."""
    try:
        facts = FACTS.validate_python(told)
    except ValidationError as error:
        raise BrokenMessageError("invalid facts") from error
    if len(facts.uns) > MOST_KEYS or len(facts.embeddings) > MOST_EMBEDDINGS:
        raise BrokenMessageError("more facts than are asked for")
    return facts


def _text(facts: dict[str, Any], key: str) -> str:
    if not isinstance(facts.get(key), str):
        raise BrokenMessageError(f"a {key} that is no text")
    return str(facts[key])


def _matrix(message: Message, *, n_rows: int | None, n_columns: int | None) -> sp.csr_matrix:
    """The CSR matrix of an answer. Raises `BrokenMessageError` unless its parts fit together."""
    shape = message.facts.get("shape")
    if not isinstance(shape, list) or len(shape) != 2 or not all(map(is_count, shape)) or len(message.arrays) != 3:
        raise BrokenMessageError("a matrix without its shape")
    if (n_rows is not None and shape[0] != n_rows) or (n_columns is not None and shape[1] != n_columns):
        raise BrokenMessageError("a matrix of another shape")
    data, indices, indptr = message.arrays
    if indices.dtype not in (np.int32, np.int64) or indptr.dtype != indices.dtype or len(indptr) != shape[0] + 1:
        raise BrokenMessageError("a matrix whose parts do not fit")
    if not len(indptr) or indptr[-1] != len(indices) or len(indices) != len(data):
        raise BrokenMessageError("a matrix whose parts do not fit")
    if indptr[0] != 0 or (np.diff(indptr) < 0).any():
        raise BrokenMessageError("a matrix whose rows do not fit")
    if len(indices) and (indices.min() < 0 or indices.max() >= shape[1]):
        raise BrokenMessageError("a matrix whose columns do not fit")
    return sp.csr_matrix((data, indices, indptr), shape=tuple(shape), copy=False)
