"""Figures as PNG files in a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cellmark.schemas.atomic_output import whole_folder

from .figures import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figures(figures: "Mapping[str, Figure | bytes]", folder: Path, *, force: bool | None = None) -> None:
    """Write each figure as `<name>.png` into a new folder: all of them, or nothing.

    `figures`: by name; bytes are those of a PNG. Raises `OutputError` when `folder` exists (and `force` is not given)
    or cannot be written.
    """
    with whole_folder(folder, force=force) as draft:
        for name, figure in figures.items():
            (draft / f"{name}.png").write_bytes(figure if isinstance(figure, bytes) else png(figure))
