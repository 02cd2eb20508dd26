"""Cells whose file another process holds open; what is written into a copy of the file is written there as well."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import pandas as pd

from cellmark.schemas.cells.cell_source import CellSource


class RemoteCells(CellSource):
    """Cells of another process, which also writes outputs: this one never opens an untrusted file."""

    @abstractmethod
    def write_into(self, draft: Path, frame: pd.DataFrame, uns: dict[str, Any]) -> None:
        """Write calls into `draft`, a copy of the file or an empty one: see `write_calls.write_into`."""

    @abstractmethod
    def write_markers(self, draft: Path, table: pd.DataFrame, *, groupby: str, key: str) -> tuple[int, int]:
        """Write markers into `draft`, to be a copy of the file: see `write_markers.put_markers`."""
