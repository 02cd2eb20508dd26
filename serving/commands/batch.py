"""`cellmark batch`: jobs of any size, in a folder, by one process or many."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions

from ..scoring.call_options import NO_FLOORS, Floors
from . import options as cli_options
from .batch_explain import explain_job
from .batch_receipts import reproduce_one, verify_job_files
from .help_levels import command_group

batch = command_group(
    help="Jobs of any size: plan, run on one machine or many, go on after a kill, verify, score again."
)
Job = Annotated[Path, typer.Argument(metavar="JOB", help="Folder of a job.")]


@batch.command()
@cli_options.takes_groups
def plan(
    data: Annotated[
        list[Path],
        typer.Argument(
            readable=False,
            help="Cells: files and folders of any format that `annotate` reads, globs in quotes, and sheets of samples "
            "(.csv with the header sample,path).",
        ),
    ],
    model: cli_options.Model,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="JOB", help="New folder of the job.")],
    reading: ReadingOptions = AS_IT_IS,
    floors: Floors = NO_FLOORS,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add one column of probabilities per cell type.")
    ] = False,
    label_set_error: Annotated[
        float | None,
        typer.Option(
            "--label-set-error", help="Error rate of the label sets. Default: the model's.", rich_help_panel="Calls"
        ),
    ] = None,
    format: Annotated[  # noqa: A002
        Literal["none", "parquet", "csv", "h5ad", "zarr"],
        typer.Option("--format", help="Format of one file of calls per sample, in JOB/results. none: shards alone."),
    ] = "none",
    explain: Annotated[
        int | None,
        typer.Option(
            "--explain",
            min=1,
            metavar="K",
            help="Keep the K genes that drove each call most, with attributions.",
            rich_help_panel="Calls",
        ),
    ] = None,
    distilled: Annotated[
        bool, typer.Option("--distilled", help="Call with the distilled network.", rich_help_panel="Calls")
    ] = False,
    sample: cli_options.Sample = None,
    fixed_threshold: cli_options.FixedThreshold = False,
    device: cli_options.Device = "cpu",
    shard_cells: Annotated[
        int, typer.Option("--shard-cells", min=100, help="Most cells of one shard.", rich_help_panel="Job")
    ] = 100_000,
    copy_model: Annotated[
        bool,
        typer.Option(
            "--copy-model/--no-copy-model",
            help="Keep a copy of the model in the job, to score again later.",
            rich_help_panel="Job",
        ),
    ] = True,
) -> None:
    """Look at every sample, divide it into shards, and write that down. Nothing is scored yet.

    A sample that cannot be used is named, and does not stop the others. The job keeps the model that it begins with.

    Example: `cellmark batch plan samples.csv -m models:/pbmc@champion -o job`, then `cellmark batch run job`
    """
    from ..reader.reader_server import start_reader

    start_reader()  # whose imports take as long as those below
    from ..batch.job_records import JobOptions, JobOutputs
    from ..batch.make_job import job_spec, load_model, make_job
    from ..batch.plan_all import plan_all
    from ..batch.show_run import job_state, show_state
    from ..files.batch_inputs import batch_inputs
    from ..files.fetch_inputs import fetch_inputs
    from ..models.model_source import open_model
    from ..terminal.show import waiting

    cli_options.whole_samples(sample, fixed_threshold)
    inputs = fetch_inputs(batch_inputs(data))
    options = JobOptions.of(
        reading,
        floors,
        probabilities=probabilities,
        label_set_error=label_set_error,
        explain=explain,
        distilled=distilled,
        fixed_threshold=fixed_threshold,
        sample=sample,
        device=device,
    )
    outputs = None if format == "none" else JobOutputs(folder="results", format=format)
    with waiting(f"Loading {model}"):
        source = open_model(model)
        spec = job_spec(inputs, source, options, asked=model, outputs=outputs, shard_cells=shard_cells)
        job = make_job(out, spec, source, copy_model=copy_model)
        annotator = load_model(job)
    annotator.rules(label_set_error)
    plan_all(job, annotator)
    show_state(job, job_state(job))


@batch.command()
def run(
    job: Job,
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="Processes of this machine that share the work.")
    ] = 1,
    array_task: Annotated[
        str | None,
        typer.Option(
            "--array-task",
            metavar="I/N",
            help="Score every N-th shard from number I (0 to N-1) on: one task of a SLURM array (auto) or of a "
            "Kubernetes indexed job (auto/N).",
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="SCHEDULER",
            help="Have the workers of a Dask cluster score: address of its scheduler (tcp://host:8786) or its "
            "scheduler file. Needs the extra `dask`.",
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="First plan and score anew the samples that have no calls.")
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", min=1, help="Threads that score, beside the reader.", show_default="cores; 1 with --dask"
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing.")] = False,
) -> None:
    """Score all that is left to score. After a kill, an error or a full disk the same command goes on.

    Several may run in one folder at a time, on one machine or on many that share it: a shard that one of them works on
    is left alone by the others. The exit status is 1 where a sample has no calls.

    Example: `cellmark batch run job --processes 4`
    """
    from ..reader.reader_server import start_reader

    if dask is not None and (array_task is not None or processes > 1):
        raise typer.BadParameter("give one of them.", param_hint="--dask, --array-task, --processes")
    start_reader()  # whose imports take as long as those below
    from contextlib import nullcontext

    from ..batch.array_task import part_of
    from ..batch.job_folder import JobFolder
    from ..batch.make_job import load_model
    from ..batch.run_job import JobRun
    from ..batch.run_job import retry_failed as forget_failed
    from ..batch.run_processes import others_at_work, threads_of
    from ..batch.run_with_dask import run_with_dask
    from ..batch.show_run import Silent, exit_status, run_progress, show_end
    from ..terminal.show import waiting

    part = None if array_task is None else part_of(array_task)
    folder = JobFolder(job)
    if retry_failed:
        forget_failed(folder)
    workers = threads if threads is not None or processes == 1 else threads_of(processes)

    def load():  # type: ignore[no-untyped-def]
        if quiet:
            return load_model(folder)
        with waiting(f"Loading {folder.spec.model.name}"):
            return load_model(folder)

    shown = nullcontext(Silent()) if quiet else run_progress(folder)
    with shown as listener, others_at_work(folder, processes, part):
        run = JobRun(folder, load, listener, part=part, workers=workers)
        if dask is not None:
            run_with_dask(folder, dask, run, listener, threads=threads or 1)
        else:
            run.run()
    raise typer.Exit(exit_status(folder) if quiet else show_end(folder))


@batch.command()
def status(
    job: Job, as_json: Annotated[bool, typer.Option("--json", help="Write JSON to the standard output.")] = False
) -> None:
    """How far every sample is.

    Example: `cellmark batch status job`
    """
    from cellmark.schemas.json_document import print_document

    from ..batch.job_folder import JobFolder
    from ..batch.show_run import job_state, show_state, state_as_json

    folder = JobFolder(job)
    states = job_state(folder)
    if as_json:
        print_document(state_as_json(folder, states))
    else:
        show_state(folder, states)


@batch.command()
def report(
    job: Job,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="HTML", help="Output file. Default: JOB/report.html.")
    ] = None,
    force: cli_options.Force = False,
) -> None:
    """Write one page about a job: what to look at first, every sample, times and receipts.

    A finished job has it already. The page is self-contained, and says how far an unfinished job is.

    Example: `cellmark batch report job -o report.html`
    """
    from cellmark.schemas.atomic_output import refuse_existing

    from ..batch.job_folder import JobFolder
    from ..batch.read_job_facts import write_report
    from ..outputs.write_calls import check_format

    folder = JobFolder(job)
    if out is not None:
        check_format(out, (".html",))
        refuse_existing(out, force=force)
    typer.echo(f"Written to {write_report(folder, out)}")


@batch.command()
def collect(
    job: Job,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for one file per sample.")
    ] = None,
    format: Annotated[  # noqa: A002
        Literal["parquet", "csv", "h5ad", "zarr"], typer.Option("--format", help="Format of these files.")
    ] = "parquet",
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place",
            help="Add the calls to the inputs themselves, .h5ad files and .zarr folders: a complete copy is written "
            "beside each, checked, and takes its place.",
        ),
    ] = False,
    force: cli_options.Force = False,
) -> None:
    """Write the calls of every finished sample as one file.

    Example: `cellmark batch collect job -o calls --format h5ad`
    """
    from ..batch.collect_calls import collect_calls, collect_in_place
    from ..batch.job_folder import JobFolder
    from ..terminal.show import waiting

    if (out is None) == (not in_place):
        raise typer.BadParameter("give one of them.", param_hint="--out, --in-place")
    folder = JobFolder(job)
    with waiting("Writing calls") as say:
        if out is None:
            paths = collect_in_place(folder, on_sample=say)
        else:
            paths = collect_calls(folder, out, format, force=force, on_sample=say)
    for path in paths:
        typer.echo(f"Written to {path}")


batch.command("explain")(explain_job)
batch.command("verify")(verify_job_files)
batch.command("reproduce")(reproduce_one)
