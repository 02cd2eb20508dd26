"""Answers that are tables: CSV, Parquet and Arrow, with the facts of the answer in their metadata; and the copy of an
uploaded file with the calls in it.
"""

import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.columns import UNS_KEY

from ..limits.body_files import full_disk_refused
from ..outputs.write_calls import write_calls
from .answer_types import ARROW, CSV

BLOCK = 1024**2


def table_bytes(table: pd.DataFrame, facts: dict[str, Any], media_type: str) -> bytes:
    """A table of rows as CSV, Parquet or an Arrow stream, which hold `facts` as JSON in the metadata `cellmark`."""
    table.attrs = {}
    if media_type == CSV:
        return table.to_csv(index=False).encode()
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(table, preserve_index=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), UNS_KEY: json.dumps(facts)})
    content = io.BytesIO()
    if media_type == ARROW:
        with pa.ipc.new_stream(content, arrow.schema) as writer:
            writer.write_table(arrow)
    else:
        pq.write_table(arrow, content, compression="zstd")
    return content.getvalue()


def annotated_copy(frame: pd.DataFrame, source: CellSource, origin: Path | None) -> Iterator[bytes]:
    """Blocks of an `.h5ad`: a copy of the file at `origin` with the calls, as `cellmark annotate` writes it.

    It is written before this returns, so what goes wrong is raised here; nothing of it has a name while it is sent.
    """
    with full_disk_refused(), tempfile.TemporaryDirectory(prefix="cellmark-") as folder:
        path = Path(folder) / "calls.h5ad"
        write_calls(frame, path, source=source, origin=origin, force=True)
        file = path.open("rb")

    def blocks() -> Iterator[bytes]:
        with file:
            while block := file.read(BLOCK):
                yield block

    return blocks()
