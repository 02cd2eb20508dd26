"""`cellmark annotate` with a folder as output: a job whose records lie in a subfolder of it."""

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from cellmark.schemas.atomic_output import refuse_existing, unwritable
from cellmark.schemas.errors import ParameterError
from cellmark.schemas.quality.data_docs import refuse_used, write_docs_index

from ..files.batch_inputs import SUMMARY, BatchInput
from ..models.model_source import ModelSource, open_model
from ..outputs.write_calls import FORMATS, check_not_input, check_output
from ..reader.reader_server import start_reader
from ..terminal.show import waiting
from .explained_cells import explained_path
from .finish_job import summary_rows
from .job_folder import SMALL_FACE, JobFolder
from .job_records import JobOptions, JobOutputs, JobSpec
from .make_job import job_spec, load_model, make_job
from .run_job import JobRun
from .sample_outputs import ZARR
from .show_run import run_progress, show_end


def annotate_folder(
    inputs: Sequence[BatchInput],
    folder: Path,
    model: str,
    options: JobOptions,
    *,
    format: Literal["parquet", "csv", "h5ad", "zarr"] = "parquet",  # noqa: A002
    data_docs: Path | None = None,
    force: bool = False,
) -> int:
    """Annotate every input into `folder`, one file each, and write `summary.csv` there; the exit status.

    The same call goes on where an earlier one was ended, with the model that it began with. Raises before any work for
    outputs that are there already, and for an unfinished job of another call.
    """
    outputs = JobOutputs(
        folder="..",
        format=format,
        data_docs=None if data_docs is None else os.path.abspath(data_docs),
    )
    start_reader()
    with ExitStack() as stack:
        stack.enter_context(waiting(f"Loading {model}"))
        source = open_model(model)
        spec = job_spec(inputs, source, options, outputs=outputs, asked=model)
        begun = unfinished_job(folder, spec, force=force)
        if begun is None:
            refuse_outputs(spec, inputs, folder, data_docs, force=force)
            begun = _begin(folder, spec, source, data_docs)
        annotator = load_model(begun)
    annotator.rules(options.label_set_error)
    with run_progress(begun) as listener:
        JobRun(begun, lambda: annotator, listener).run()
    if data_docs is not None:
        write_docs_index(data_docs, summary_rows(begun))
    return show_end(begun)


def unfinished_job(folder: Path, spec: JobSpec, *, force: bool) -> JobFolder | None:
    """The job of the same call that was ended before its end. Raises `ParameterError` (`JOB_DIFFERENT`) for one of
    another call, unless `force`.
    """
    place = folder / SMALL_FACE
    if not (place / "job.json").exists():
        return None
    job = JobFolder(place)
    if job.manifest is not None:
        return None
    if job.spec.asked() == spec.asked():
        return job
    if force:
        return None
    raise ParameterError.of(
        "JOB_DIFFERENT",
        where=str(folder),
        expected="the same call as the one that was ended there before its end",
        found="other inputs, another model or other options",
        remedy=f"Finish the first: cellmark batch run {place}. Or begin anew with --force, or in another folder.",
    )


def refuse_outputs(
    spec: JobSpec, inputs: Sequence[BatchInput], folder: Path, data_docs: Path | None, *, force: bool
) -> None:
    """Raise `OutputError` for outputs that are there already, or are inputs."""
    paths = [one.path for one in inputs]
    refuse_existing(folder / SUMMARY, force=force)
    check_not_input(folder / SUMMARY, paths)
    assert spec.outputs is not None  # noqa: S101
    for one, path in zip(spec.inputs, paths, strict=True):
        target = folder / f"{one.name}.{spec.outputs.format}"
        check_output(target, force=force, formats=(*FORMATS, ZARR))
        check_not_input(target, paths, origin=path)
        if spec.options.explain is not None:
            refuse_existing(explained_path(target), force=force)
            check_not_input(explained_path(target), paths)
    if data_docs is not None:
        refuse_used(data_docs)


def _begin(folder: Path, spec: JobSpec, source: ModelSource, data_docs: Path | None) -> JobFolder:
    place = folder / SMALL_FACE
    try:
        for made in (folder, data_docs):
            if made is not None:
                made.mkdir(parents=True, exist_ok=True)
        if place.exists():
            shutil.rmtree(place)
    except OSError as error:
        raise unwritable(folder, error) from error
    return make_job(place, spec, source, copy_model=False)
