"""One file of cells in, one file of calls out; and the start that other commands on one file share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd

from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.errors import InputError
from cellmark.schemas.quality.data_docs import refuse_used
from cellmark.schemas.quality.quality_report import QualityReport

from ..annotator import Annotator
from ..outputs.write_calls import check_not_input, check_output, write_calls
from ..reader.open_apart import open_source
from ..reader.reader_server import start_reader
from ..scoring.call_options import PLAIN_CALLS, CallOptions, Floors
from ..scoring.quality import QualityWatch
from ..scoring.session import Device
from ..terminal.show import cell_progress, waiting


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
        with _pasted_from_here(path):
            checked = annotator.check(source, reading.once_open())
        yield checked


@contextmanager
def _pasted_from_here(path: Path) -> Iterator[None]:
    """Commands of remedies that name the file by its name alone name its folder as well, so that they can be pasted."""
    try:
        yield
    except InputError as error:
        here, there = f"'{path.stem}.", f"'{path.parent / path.stem}."
        raise type(error)(*(replace(one, remedy=one.remedy.replace(here, there)) for one in error.findings)) from error


def load_annotator(
    model: str,
    *,
    device: Device,
    trusted: bool,
    floors: Floors,
    distilled: bool = False,
) -> Annotator:
    """The annotator that a command was asked for. Arguments as of its options; raises as `Annotator.load`.

    Where the input is not `trusted`, the process that is to read it starts first, beside the loading.
    """
    if not trusted:
        start_reader()
    with waiting(f"Loading {model}"):
        return Annotator.load(
            model,
            device=device,
            distilled=distilled,
            min_panel_share=floors.min_panel_share,
            min_attribution_share=floors.min_attribution_share,
            max_unknown_share=floors.max_unknown_share,
        )


def annotate_file(
    annotator: Annotator,
    path: Path,
    out: Path,
    reading: ReadingOptions = AS_IT_IS,
    calls: CallOptions = PLAIN_CALLS,
    *,
    with_quality: bool = False,
    data_docs: Path | None = None,
    trusted: bool = False,
    force: bool = False,
    columns_prefix: str | None = None,
) -> tuple[pd.DataFrame, QualityReport | None]:
    """Annotate `path` into `out` (by its extension) and return the calls.

    `with_quality`: compare
    the cells with the bundle's Great Expectations suites as well, which costs their import once; `data_docs`: do so and
    write its HTML pages to this new folder. `trusted`: read the file in this process (see `open_apart`).
    `columns_prefix`: see `column_name`. Raises
    `OutputError` before any work, and `InputError` with all problems of the input; then nothing is written.
    """
    annotator.rules(calls.label_set_error)
    if data_docs is not None:
        refuse_used(data_docs)
    check_output(out, force=force)
    check_not_input(out, [path], origin=path)
    may_write = out.suffix == ".h5ad"
    with open_checked(annotator, path, reading, trusted=trusted, may_write=may_write) as checked:
        watch = QualityWatch(checked) if with_quality or data_docs is not None else None
        vote = calls.vote(checked)
        with cell_progress(path.name, checked.source.n_obs) as advance:
            observe = watch.see if watch is not None else None
            frame = annotator.call(checked, calls, observe=observe, on_progress=advance)
        if vote is not None:
            with waiting("Voting over clusters"):
                frame = vote.add_to(frame)
        report = watch.compare(annotator.bundle, data_docs=data_docs) if watch is not None else None
        write_calls(frame, out, source=checked.given, origin=path, force=force, columns_prefix=columns_prefix)
    return frame, report
