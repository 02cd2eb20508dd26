"""Rows that come table by table, written as they come: .csv or .parquet."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from cellmark.schemas.atomic_output import whole_file


def write_rows(tables: Iterable[pa.Table], schema: pa.Schema, path: Path, *, force: bool = False) -> int:
    """Write tables of one schema into a file, whole or not at all. Returns the number of rows. Raises `OutputError`."""
    n_rows = 0
    with whole_file(path, force=force) as draft:
        if path.suffix == ".parquet":
            writer = pq.ParquetWriter(draft, schema, compression="zstd")
        else:
            writer = pa_csv.CSVWriter(draft, schema)
        with writer:
            for table in tables:
                if table.num_rows:
                    writer.write_table(table)
                    n_rows += table.num_rows
    return n_rows
