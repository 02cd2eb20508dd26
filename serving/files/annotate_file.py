"""One file of cells in, one file of calls out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cellmark.schemas.quality.data_docs import refuse_used
from cellmark.schemas.quality.quality_report import QualityReport

from ..annotator import Annotator
from ..outputs.write_calls import check_not_input, check_output, write_calls
from ..reader.open_apart import open_source
from ..scoring.majority import Over, Vote
from ..scoring.quality import QualityWatch
from ..terminal.progress import cell_progress, waiting


def annotate_file(
    annotator: Annotator,
    path: Path,
    out: Path,
    *,
    library_size: str | None = None,
    reading: Mapping[str, Any] | None = None,
    probabilities: bool = False,
    label_set_error: float | None = None,
    over: Over | None = None,
    with_quality: bool = False,
    data_docs: Path | None = None,
    trusted: bool = False,
    force: bool = False,
) -> tuple[pd.DataFrame, QualityReport | None]:
    """Annotate `path` into `out` (by its extension) and return the calls.

    `reading`: arguments of `open_cells`. `label_set_error`, `over`: see `Annotator.annotate`. `with_quality`: compare
    the cells with the bundle's Great Expectations suites as well, which costs their import once; `data_docs`: do so and
    write its HTML pages to this new folder. `trusted`: read the file in this process (see `open_apart`). Raises
    `OutputError` before any work, and `InputError` with all problems of the input; then nothing is written.
    """
    rules = annotator.rules(label_set_error)
    if data_docs is not None:
        refuse_used(data_docs)
    check_output(out, force=force)
    check_not_input(out, [path], origin=path)
    with open_source(path, reading, trusted=trusted, may_write=out.suffix == ".h5ad") as source:
        checked = annotator.check(source, library_size=library_size)
        watch = QualityWatch(checked) if with_quality or data_docs is not None else None
        vote = Vote(source, checked.cell_ids, over) if over is not None else None
        with cell_progress(path.name, source.n_obs) as advance:
            observe = watch.see if watch is not None else None
            frame = annotator.call(
                checked, rules=rules, probabilities=probabilities, observe=observe, on_progress=advance
            )
        if vote is not None:
            with waiting("Voting over clusters"):
                frame = vote.add_to(frame)
        report = watch.compare(annotator.bundle, data_docs=data_docs) if watch is not None else None
        write_calls(frame, out, source=source, origin=path, force=force)
    return frame, report
