"""The beginning of a job, and its model: the one that it began with, wherever an alias points by now."""

import os
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from cellmark.schemas.atomic_output import whole_folder
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import BundleError, ParameterError

from ..annotator import Annotator
from ..files.batch_inputs import BatchInput
from ..models.model_source import ModelSource, open_model
from ..remote.urls import shown_input, url_of
from ..scoring.session import ModelSession
from .explained_cells import EXPLAINED
from .job_folder import JobFolder
from .job_records import JobInput, JobModel, JobOptions, JobOutputs, JobSpec
from .score_shard import utc_now

SHARD_VALUES = 100_000_000
"""Stored values of one shard, about: 50,000 cells of 2,000 genes each, some seconds of work."""
SHARD_CELLS = 100_000
MODEL = "model"


def job_spec(
    inputs: Sequence[BatchInput],
    source: ModelSource,
    options: JobOptions,
    *,
    asked: str,
    outputs: JobOutputs | None = None,
    shard_values: int = SHARD_VALUES,
    shard_cells: int = SHARD_CELLS,
) -> JobSpec:
    """What a job is asked for. `asked`: how the model was named there. Raises `ParameterError` for a name that is that
    of another sample's explanations.
    """
    names = {one.name for one in inputs}
    if options.explain is not None and (taken := sorted(names & {f"{name}{EXPLAINED}" for name in names})):
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="explain",
            expected="samples whose names are no other sample's explanations",
            found=taken[0],
            remedy="Rename it, or give it a name in a sheet of samples.",
        )
    return JobSpec(
        created=utc_now(),
        cellmark=version("cellmark"),
        model=job_model(source, asked),
        options=options,
        shard_values=shard_values,
        shard_cells=shard_cells,
        outputs=outputs,
        inputs=tuple(
            JobInput(
                name=one.name,
                path=os.path.abspath(one.path) if url_of(one.path) is None else shown_input(one.path),
                donor=one.donor,
                layer=one.layer,
                library_size=one.library_size,
                metadata=dict(one.metadata),
            )
            for one in inputs
        ),
    )


def job_model(source: ModelSource, asked: str) -> JobModel:
    """How a job names its model: never by an alias, which may be moved while it runs."""
    uri = source.uri
    if source.version is not None:
        uri = f"models:/{source.name}/{source.version}"
    elif not uri.startswith(("runs:/", "models:/")):
        uri = os.path.abspath(source.bundle.folder)
    return JobModel(
        asked=asked,
        name=source.name,
        version=source.version,
        uri=uri,
        bundle_digest=source.bundle.digest,
        cell_types=tuple(source.bundle.manifest.cell_type_names),
    )


def make_job(folder: Path, spec: JobSpec, source: ModelSource, *, copy_model: bool) -> JobFolder:
    """A new job in `folder`, with a copy of its model on request. Raises `OutputError` where there is one."""
    if copy_model:
        with whole_folder(folder / MODEL, force=True) as draft:
            shutil.copytree(source.bundle.folder, draft, dirs_exist_ok=True)
    return JobFolder.create(folder, spec)


def load_model(job: JobFolder) -> Annotator:
    """The model of a job, ready to answer. Raises as `open_bundle` and `ModelSession`."""
    wanted, options = job.spec.model, job.spec.options
    bundle = open_bundle(job)
    floors = options.floors
    return Annotator(
        ModelSource(bundle, wanted.name, wanted.version, wanted.uri),
        ModelSession(bundle, device=options.device, distilled=options.distilled),
        min_panel_share=floors.min_panel_share,
        min_attribution_share=floors.min_attribution_share,
        max_unknown_share=floors.max_unknown_share,
    )


def open_bundle(job: JobFolder) -> Bundle:
    """The model of a job, from its folder where it was copied there. Raises `BundleError` for another one, and as
    `open_model`.
    """
    wanted = job.spec.model
    copied = job.folder / MODEL
    bundle = Bundle.open(copied) if copied.is_dir() else open_model(wanted.uri).bundle
    if bundle.digest != wanted.bundle_digest:
        raise BundleError.of(
            "BUNDLE_DIGEST_MISMATCH",
            where=str(bundle.folder),
            expected=f"the model that the job began with, {wanted.bundle_digest[:12]}…",
            found=f"another, {bundle.digest[:12]}…",
            remedy="Bring the first one back, or begin a new job.",
        )
    return bundle
