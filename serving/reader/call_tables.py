"""A table of calls, `.parquet` or `.csv`, within limits: of rows, columns and bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cellmark.schemas.cells.open_limited import open_limited
from cellmark.schemas.cells.read_limits import ReadLimits
from cellmark.schemas.cells.reading import reading
from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, CONFIDENCE, NOVELTY
from cellmark.schemas.errors import ReadError

NEEDED = (CELL_TYPE, BEST_CELL_TYPE, CONFIDENCE, NOVELTY)
TABLES = (".parquet", ".csv")
EXPECTED = "a table of calls, as cellmark annotate writes it"
LONGEST_HEADER = 1024**2
"""Bytes of a CSV's first line."""
MOST_ROWS = 2**62
"""That pandas can count, for a reading without limits."""
MOST_COLUMNS = 20_000
"""More than calls with the probability of every type would have."""


def read_call_table(path: Path, limits: ReadLimits, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Those of the columns `NEEDED` that a table has, one row per cell, text and numbers as they stand; or of others,
    `columns`, which a CSV gives as text.

    Raises `ReadError`: `INPUT_TOO_LARGE` for more rows or bytes than `limits`, or more columns than calls have, by
    the headers where there are any; `FILE_UNREADABLE` for what is no table.
    """
    with reading(path, EXPECTED):
        if path.suffix.lower() == ".parquet":
            return _read_parquet(path, limits, NEEDED if columns is None else columns)
        return _read_csv(path, limits, columns)


def _read_parquet(path: Path, limits: ReadLimits, columns: Sequence[str]) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=False) as file:
        metadata, schema = file.metadata, file.schema_arrow
        limits.check(str(path), cells=metadata.num_rows)
        _check_columns(path, len(schema.names))
        names = [name for name in columns if name in schema.names]
        for name in names:
            kind = schema.field(name).type
            if pa.types.is_nested(kind.value_type if pa.types.is_dictionary(kind) else kind):
                raise ValueError(f"{name} holds lists")
        _check_bytes(path, _unpacked_bytes(metadata, set(names)), limits)
        # One thread: a reader is a fork, in which a pool of others would wait for ever.
        frame: pd.DataFrame = file.read(columns=names, use_threads=False).to_pandas(
            use_threads=False, ignore_metadata=True
        )
        return frame


def _unpacked_bytes(metadata: Any, names: set[str]) -> int:
    """What the columns take unpacked, as the file declares it."""
    total = 0
    for group in range(metadata.num_row_groups):
        columns = metadata.row_group(group)
        for number in range(columns.num_columns):
            column = columns.column(number)
            if column.path_in_schema in names:
                total += column.total_uncompressed_size
    return total


def _read_csv(path: Path, limits: ReadLimits, columns: Sequence[str] | None) -> pd.DataFrame:
    with open_limited(path, limits.max_unpacked_bytes, is_text=True) as file:
        header = file.readline(LONGEST_HEADER)
        if not header.endswith(b"\n") and len(header) == LONGEST_HEADER:
            raise ValueError(f"a first line of more than {LONGEST_HEADER} bytes")
        _check_columns(path, header.count(b",") + 1)
        file.seek(0)
        frame = pd.read_csv(
            file,
            usecols=lambda name: name in (NEEDED if columns is None else columns),
            keep_default_na=False,
            na_values=[""],
            nrows=min(limits.max_cells + 1, MOST_ROWS),
            dtype={CELL_TYPE: str, BEST_CELL_TYPE: str} if columns is None else str,
        )
        limits.check(str(path), cells=len(frame))
        return frame


def _check_columns(path: Path, n_columns: int) -> None:
    if n_columns > MOST_COLUMNS:
        raise _too_large(
            path, f"at most {MOST_COLUMNS:,} columns", f"{n_columns:,}", "Keep the columns of calls alone."
        )


def _check_bytes(path: Path, n_bytes: int, limits: ReadLimits) -> None:
    most = limits.max_unpacked_bytes
    if n_bytes > most:
        remedy = "Divide it into files of fewer cells, or raise CELLMARK_MAX_UNPACKED_BYTES."
        raise _too_large(path, f"at most {most:,} bytes unpacked", f"{n_bytes:,}", remedy)


def _too_large(path: Path, expected: str, found: str, remedy: str) -> ReadError:
    return ReadError.of("INPUT_TOO_LARGE", where=str(path), expected=expected, found=found, remedy=remedy)
