"""A batch of inputs: one output each and a summary; a broken input does not stop the others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from cellmark.schemas.atomic_output import refuse_existing, unwritable, whole_file
from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions
from cellmark.schemas.columns import CELL_TYPE, CONFIDENCE, UNASSIGNED, UNS_KEY
from cellmark.schemas.errors import CellmarkError, Finding
from cellmark.schemas.quality.data_docs import refuse_used, write_docs_index
from cellmark.schemas.quality.quality_report import QualityReport

from ..outputs.write_calls import check_not_input, check_output
from ..scoring.call_options import PLAIN_CALLS, CallOptions
from ..terminal.show import show_batch, show_outcome
from ..terminal.show_notes import show_notes
from .batch_inputs import SUMMARY, BatchInput, output_names, sheet_columns

SUMMARY_COLUMNS = (
    "input",
    "output",
    "status",
    "n_cells",
    "most_common_cell_type",
    "median_confidence",
    "n_unassigned",
    "genes_matched",
    "genes_missing",
    "attribution_share",
    "library_size_source",
    "quality",
    "codes",
    "message",
    "data_docs",
)

NOT_COMPARED = "not compared"
"""In the column `quality`: the service that made the calls has the suites, and this process does not."""


class AnnotateOne(Protocol):
    """Makes one file of calls from one file of cells: `annotate_file` of a model, or `annotate_remotely`."""

    def __call__(
        self,
        path: Path,
        out: Path,
        reading: ReadingOptions = ...,
        calls: CallOptions = ...,
        *,
        with_quality: bool = ...,
        data_docs: Path | None = ...,
        trusted: bool = ...,
        force: bool = ...,
        columns_prefix: str | None = ...,
    ) -> tuple[pd.DataFrame, QualityReport | None]: ...


def annotate_batch(
    annotate_one: AnnotateOne,
    inputs: Sequence[BatchInput],
    folder: Path,
    reading: ReadingOptions = AS_IT_IS,
    calls: CallOptions = PLAIN_CALLS,
    *,
    format: str = "parquet",  # noqa: A002
    data_docs: Path | None = None,
    trusted: bool = False,
    force: bool = False,
) -> int:
    """Annotate every input into `folder` and write `summary.csv` there; returns how many inputs failed.

    `annotate_one`: `partial(annotate_file, annotator)`, or of a service. Each input is also compared with the bundle's
    Great Expectations suites, where they are at hand; what is unlike the training data is a warning in the summary's
    column `quality`. `data_docs`: a new folder for Great Expectations' HTML pages, one folder in it for each input and
    an `index.html`. `trusted`: read the files in this process (see `open_apart`). Raises `OutputError` and
    `ParameterError` before any work when the outputs cannot be written.
    """
    targets = output_names(inputs, folder, format=format)
    paths = [one.path for one in inputs]
    refuse_existing(folder / SUMMARY, force=force)
    check_not_input(folder / SUMMARY, paths)
    for path, target in zip(paths, targets, strict=True):
        check_output(target, force=force)
        check_not_input(target, paths, origin=path)
    if data_docs is not None:
        refuse_used(data_docs)
    for made in (folder, data_docs):
        try:
            if made is not None:
                made.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(made or folder, error) from error
    rows: list[dict[str, Any]] = []
    for one, target in zip(inputs, targets, strict=True):
        findings: Sequence[Finding] = ()
        try:
            row = _annotate(
                annotate_one,
                one.path,
                target,
                one.reading(reading),
                calls,
                data_docs=None if data_docs is None else data_docs / target.stem,
                trusted=trusted,
                force=force,
            )
        except CellmarkError as error:
            findings = error.findings
            row = {
                "input": str(one.path),
                "status": "refused",
                "codes": ";".join(finding.code for finding in findings),
                "message": " | ".join(map(str, findings)),
            }
        rows.append(row | sheet_columns(one.donor, one.metadata, SUMMARY_COLUMNS))
        show_outcome(row, number=len(rows), of=len(inputs))
        show_notes(findings)
    columns = dict.fromkeys((*SUMMARY_COLUMNS, *(name for row in rows for name in row)))
    summary = pd.DataFrame(rows, columns=list(columns)).astype({"n_cells": "Int64"})
    for column in ("n_unassigned", "genes_matched", "genes_missing"):
        summary[column] = summary[column].astype("Int64")
    with whole_file(folder / SUMMARY, force=force) as draft:
        summary.to_csv(draft, index=False)
    if data_docs is not None:
        write_docs_index(data_docs, rows)
    show_batch(summary, folder / SUMMARY)
    return int((summary["status"] != "ok").sum())


def _annotate(
    annotate_one: AnnotateOne,
    path: Path,
    target: Path,
    reading: ReadingOptions,
    calls: CallOptions,
    *,
    data_docs: Path | None,
    trusted: bool,
    force: bool,
) -> dict[str, Any]:
    frame, report = annotate_one(
        path,
        target,
        reading,
        calls,
        with_quality=True,
        data_docs=data_docs,
        trusted=trusted,
        force=force,
    )
    facts = frame.attrs[UNS_KEY]
    return {
        "input": str(path),
        "output": str(target),
        "status": "ok",
        "n_cells": len(frame),
        "most_common_cell_type": frame[CELL_TYPE].value_counts().index[0],
        "median_confidence": float(frame[CONFIDENCE].median()),
        "n_unassigned": int((frame[CELL_TYPE] == UNASSIGNED).sum()),
        **{key: facts[key] for key in ("genes_matched", "genes_missing", "attribution_share", "library_size_source")},
        "quality": NOT_COMPARED if report is None else quality_in_words(report),
        "codes": ";".join(note["code"] for note in facts["notes"]),
        "data_docs": None if data_docs is None else str(data_docs / "index.html"),
    }


def quality_in_words(report: QualityReport) -> str:
    """`as in training`, or the measures that are not; for a model whose training cells nobody has, that it is so."""
    if report.success:
        return "as in training" if report.knows_training else "training cells not known"
    return "unlike training: " + ", ".join(dict.fromkeys(check.where for check in report.failed))
