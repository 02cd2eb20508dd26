"""`cellmark batch verify` and `reproduce`: a job held against its receipt."""

from pathlib import Path
from typing import Annotated

import typer

from . import exit_codes

Job = Annotated[Path, typer.Argument(metavar="JOB", help="Folder of a job.")]
Shard = Annotated[
    str, typer.Option("--shard", metavar="[SAMPLE:]K", help="Number of a shard, of the first sample or of SAMPLE.")
]


def verify_job_files(job: Job) -> None:
    """Compare every file of a finished job, its outputs, its model and its inputs with the job's receipt.

    The exit status is 1 where a byte was changed, or a file is missing or was added.

    Example: `cellmark batch verify job`
    """
    from ..batch.job_folder import JobFolder
    from ..batch.verify_job import finished, verify_job
    from ..terminal.show import waiting

    folder = JobFolder(job)
    with waiting(f"Reading {folder.folder}"):
        found = verify_job(folder)
    for one in found:
        typer.echo(f"{one.what}: {one.path}")
    manifest = finished(folder)
    if found:
        typer.echo(f"{len(found)} differences from the receipt of {manifest.created}.")
        raise typer.Exit(exit_codes.REFUSED)
    n_files = len(manifest.files) + len(manifest.outputs) + len(manifest.inputs)
    typer.echo(f"{n_files} files as in the receipt of {manifest.created} ({manifest.digest[:12]}).")


def reproduce_one(job: Job, shard: Shard = "0") -> None:
    """Score one shard again and compare it, bit for bit, with what the job holds.

    The exit status is 1 where it differs: another model, input, processor or release of a library.

    Example: `cellmark batch reproduce job --shard 3`, `cellmark batch reproduce job --shard liver:0`
    """
    from ..batch.finish_job import versions
    from ..batch.job_folder import JobFolder
    from ..batch.make_job import load_model
    from ..batch.verify_job import find_shard, reproduce_shard
    from ..terminal.show import waiting

    folder = JobFolder(job)
    sample, number = find_shard(folder, shard)
    with waiting(f"Scoring shard {number} of {sample.name} again"):
        found = reproduce_shard(folder, sample, number, load_model(folder))
    for one in found:
        typer.echo(f"{one.what}: {one.path}")
    if not found:
        typer.echo(f"Shard {number} of {sample.name}: the same bytes.")
        return
    then = {} if folder.manifest is None else folder.manifest.versions
    for name, now in versions().items():
        if then.get(name) not in (None, now):
            typer.echo(f"{name} was {then[name]}, here it is {now}.")
    raise typer.Exit(exit_codes.REFUSED)
