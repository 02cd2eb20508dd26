"""One file for each sample with the genes behind its calls, made of the shards' list columns."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_ID, CELL_TYPE, EXPLANATION_LISTS

from .call_tables import ShardWriter
from .job_folder import sync

EXPLAINED = ".explained"
"""At the end of a sample's name in that of the file."""
COLUMNS = (CELL_ID, CELL_TYPE, BEST_CELL_TYPE, *EXPLANATION_LISTS)


def explained_path(calls: Path) -> Path:
    """Where the genes behind calls lie, beside the file of calls of a sample."""
    return calls.with_name(f"{calls.stem}{EXPLAINED}.parquet")


def write_explained(shards: Sequence[Path], path: Path, *, drafts: Path | None) -> None:
    """One row for each cell, a row group at a time. `drafts`: see `whole_file`. Raises `OutputError`."""
    with whole_file(path, force=True, drafts=drafts) as draft:
        with ShardWriter(draft, {}) as writer:
            for shard in shards:
                with pq.ParquetFile(shard) as file:
                    for group in range(file.num_row_groups):
                        writer.add(file.read_row_group(group, columns=list(COLUMNS)))
        sync(draft)
