"""A file of cells, opened and aligned to a model's genes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions
from cellmark.schemas.checks.checked_cells import CheckedCells

from ..annotator import Annotator
from ..reader.open_apart import open_source


@contextmanager
def open_checked(
    annotator: Annotator,
    path: Path,
    reading: ReadingOptions = AS_IT_IS,
    *,
    trusted: bool = False,
    may_write: bool = False,
) -> Iterator[CheckedCells]:
    """The cells of a file, as `Annotator.check` gives them; the file is open within the `with` block.

    `trusted`, `may_write`: see `open_source`. Raises as that and `Annotator.check`.
    """
    with open_source(path, reading, trusted=trusted, may_write=may_write) as source:
        yield annotator.check(source, ReadingOptions(library_size=reading.library_size))
