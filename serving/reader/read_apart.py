"""What a reader process does with its one file: open it, hand out its parts, write calls into a copy of it."""

import io
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anndata
import anndata.io
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.api import request_cells
from cellmark.schemas.api.requests import cells_from_body
from cellmark.schemas.cells import read_h5ad, read_loom, read_matrix_folder, read_table, read_zarr  # noqa: F401
from cellmark.schemas.cells.anndata_facts import facts_of_h5ad
from cellmark.schemas.cells.cell_source import CellSource, RowChunk
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.read_limits import ReadLimits
from cellmark.schemas.cells.reading import reading
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.cells.recover_counts import recover_source
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.cells.stored_matrix import BLOCK_VALUES, native
from cellmark.schemas.cells.stored_rows import stored_rows
from cellmark.schemas.errors import CellmarkError
from cellmark.schemas.normalization import slice_rows

from ..outputs.write_calls import write_into
from ..outputs.write_zarr import write_zarr_into
from .call_tables import read_call_table
from .celltypist_file import read_celltypist
from .model_message import pack_model
from .own_maps import own_maps, pack_maps
from .reader_messages import Message, pack, pack_error, pack_findings, pack_frame, unpack_frame
from .rows_message import pack_rows

Receive = Callable[[], Message]
Send = Callable[[Message], None]
Handler = Callable[[Message], Message]


def serve_file(receive: Receive, send: Send) -> None:
    """Answer questions until nobody asks any more (`EOFError`)."""
    file = OpenFile()
    handlers: dict[str, Handler] = {
        "kind": file.kind,
        "calls": file.calls,
        "celltypist": file.celltypist,
        "rows": file.rows,
        "open": file.open,
        "frame": file.frame,
        "chunks": file.chunks,
        "next": file.next,
        "take": file.take,
        "write": file.write,
        "markers": file.markers,
        "describe": file.describe,
        "maps": file.maps,
    }
    while True:
        question = receive()
        try:
            answer = handlers[question.facts["ask"]](question)
        except CellmarkError as error:
            out_of_memory = isinstance(error.__cause__, MemoryError)
            answer = Message({"out_of_memory": True} if out_of_memory else pack_error(error))
        except MemoryError:
            answer = Message({"out_of_memory": True})
        except OSError as error:
            answer = Message({"os_error": error.errno or 0, "text": str(error)[:500]})
        except Exception as error:
            answer = Message({"fault": f"{type(error).__name__}: {error}"[:500]})
        send(answer)


class OpenFile:
    """The file and what was asked of it so far."""

    def __init__(self) -> None:
        self.path = Path()
        self.source: CellSource | None = None
        self.stream: Iterator[RowChunk] = iter(())
        self.n_streams = 0

    @property
    def opened(self) -> CellSource:
        if self.source is None:
            raise ValueError("nothing is open")
        return self.source

    def kind(self, question: Message) -> Message:
        """Whether an HDF5 file of unknown name is 10x's or an AnnData."""
        path = Path(question.facts["path"])
        with reading(path, "an .h5ad or a 10x .h5"), h5py.File(path, "r") as file:
            return Message({"tenx": "matrix" in file and "obs" not in file})

    def calls(self, question: Message) -> Message:
        """A table of calls: see `read_call_table`."""
        facts = question.facts
        limits = ReadLimits(**facts["limits"])
        return pack_frame(read_call_table(Path(facts["path"]), limits, facts.get("columns")))

    def celltypist(self, question: Message) -> Message:
        """A model of CellTypist's: see `read_celltypist`."""
        return pack_model(read_celltypist(Path(question.facts["path"])))

    def rows(self, question: Message) -> Message:
        """Where the input can be cut: see `stored_rows`."""
        facts = question.facts
        self.path, reading_options = Path(facts["path"]), ReadingOptions(**facts["reading"])
        limits, sizes = ReadLimits(**facts["limits"]), {name: facts[name] for name in ("n_values", "most_rows")}
        return pack_rows(stored_rows(self.path, reading_options, **sizes, limits=limits))

    def open(self, question: Message) -> Message:
        """Open the file; tell what is known of it without its values."""
        facts = question.facts
        limits = ReadLimits(**facts["limits"])
        extra: tuple[np.ndarray, ...] = ()
        more: dict[str, Any] = {}
        if facts.get("json") is not None or facts.get("npz_name") is not None:
            if facts.get("json") is not None:
                cells = cells_from_body(question.arrays[0].tobytes(), limits=limits)
            else:
                self.path = Path(facts["path"])
                cells = request_cells.read_npz(self.path, name=facts["npz_name"], limits=limits)
            self.source = recover_source(cells.source) if facts["recover_counts"] else cells.source
            if cells.library_size is not None:
                extra = (np.asarray(cells.library_size, dtype=np.float64),)
            more = {"genes_source": cells.genes_source, "findings": pack_findings(cells.findings)}
        else:
            self.path = Path(facts["path"])
            rows = None if facts["rows"] is None else RowRange(*facts["rows"])
            self.source = open_cells(self.path, ReadingOptions(**facts["reading"]), limits=limits, rows=rows)
        source = self.source
        organism = source.uns.get("organism")
        return Message(
            {
                "name": source.name,
                "counts_from": source.counts_from,
                "notes": pack_findings(source.notes),
                "organism": organism if isinstance(organism, str) else None,
                "others": [[other.layer, other.where] for other in source.others],
                "n_obs": source.n_obs,
                "n_vars": source.n_vars,
                "n_total": source.n_total,
                **more,
            },
            extra,
        )

    def frame(self, question: Message) -> Message:
        """`obs` or `var`."""
        return pack_frame(self.opened.obs if question.facts["of"] == "obs" else self.opened.var)

    def chunks(self, question: Message) -> Message:
        """Begin to read all rows; `next` hands out blocks of them."""
        self.n_streams += 1
        self.stream = blocks(self.opened)
        return Message({"stream": self.n_streams})

    def next(self, question: Message) -> Message:
        """The next block of the stream, or its end."""
        chunk = next(self.stream, None)
        if chunk is None:
            return Message({"end": True})
        return _matrix(chunk.X, {"start": chunk.start})

    def take(self, question: Message) -> Message:
        """Some rows of the matrix, or of another one of the input (`other`, its number)."""
        (rows,) = question.arrays
        other = question.facts["other"]
        if other is None:
            return _matrix(self.opened.take(rows), {})
        return _matrix(self.opened.others[other].take(rows), {})

    def describe(self, question: Message) -> Message:
        """What an `.h5ad` has beside its cells: see `facts_of_h5ad`."""
        with reading(self.path, "an AnnData file (.h5ad)"):
            return Message({"facts": asdict(facts_of_h5ad(self.path))})

    def maps(self, question: Message) -> Message:
        """The maps that the file brings: see `own_maps`."""
        return pack_maps(own_maps(self.path, self.opened.n_obs))

    def write(self, question: Message) -> Message:
        """Write calls into a draft, an empty file (`write_into`) or folder (`write_zarr_into`)."""
        draft, frame = Path(question.facts["draft"]), unpack_frame(question)
        write = write_zarr_into if draft.is_dir() else write_into
        prefix = question.facts.get("prefix")
        write(draft, frame, question.facts["uns"], source=self.opened, origin=self.path, prefix=prefix)
        return Message({"written": True})

    def markers(self, question: Message) -> Message:
        """Write markers into a draft: see `put_markers`."""
        from ..outputs.write_markers import put_markers  # of one command only

        facts = question.facts
        n_genes, n_types = put_markers(
            Path(facts["draft"]),
            unpack_frame(question),
            source=self.opened,
            origin=self.path,
            groupby=facts["groupby"],
            key=facts["key"],
        )
        return Message({"genes": n_genes, "types": n_types})


def read_own_cells() -> None:
    """Write an `.h5ad` of two cells into memory, and read it."""
    content = io.BytesIO()
    names = pd.Index(["a", "b"], dtype=object)
    frame = pd.DataFrame({"text": ["x", "y"], "type": pd.Categorical(["x", "y"]), "number": [1.0, 2.0]}, index=names)
    with h5py.File(content, "w") as file:
        X = sp.csr_matrix(np.eye(2, dtype=np.float32))
        anndata.io.write_elem(file, "/", anndata.AnnData(X, obs=frame, var=frame))
    file = h5py.File(content, "r")
    with read_h5ad.open_cells_of(file, Path("cells.h5ad"), layer=None, limits=ReadLimits()) as source:
        unpack_frame(pack_frame(source.obs))
        for chunk in blocks(source):
            pack(_matrix(chunk.X, {}))


def blocks(source: CellSource) -> Iterator[RowChunk]:
    """All rows in order, some millions of values at a time, as they come from a file."""
    X = getattr(getattr(source, "source", source), "X", None)
    # A file is read by blocks whatever is asked for; of what is in memory, counts are recovered a block at a time.
    n_rows = source.n_obs if X is None else BLOCK_VALUES * source.n_obs // max(X.nnz, 1)
    for chunk in source.chunks(max(n_rows, 1)):
        n_pieces = -(-max(chunk.X.nnz, 1) // BLOCK_VALUES)
        step = -(-chunk.X.shape[0] // n_pieces)
        for start in range(0, chunk.X.shape[0], step):
            piece = slice_rows(chunk.X, start, min(start + step, chunk.X.shape[0]))
            yield RowChunk(chunk.start + start, piece)


def _matrix(X: sp.csr_matrix, facts: dict[str, Any]) -> Message:
    X = sp.csr_matrix(X)
    index_type = np.int32 if max(X.nnz, *X.shape) < 2**31 else np.int64
    indices, indptr = (part.astype(index_type, copy=False) for part in (X.indices, X.indptr))
    return Message({**facts, "shape": list(X.shape)}, (native(X.data), indices, indptr))
