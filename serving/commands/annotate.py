"""`cellmark annotate`: one input to one output, or a batch of inputs to a folder."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions

from ..outputs.pipeline_options import NO_PIPELINE, PipelineOptions
from ..scoring.call_options import NO_FLOORS, Floors
from . import exit_codes
from . import options as cli_options
from .complete import complete_obs


@cli_options.takes_groups
def annotate(
    data: Annotated[
        list[Path],
        typer.Argument(
            # One that may not be read is refused like any other broken input, and does not stop the rest.
            readable=False,
            help="Cells: .h5ad, .zarr, 10x .h5, a 10x matrix folder, .csv or .tsv, or a URL of them (https://, s3://). "
            "Several make a batch, and so do a folder of samples, a pattern in quotes ('runs/*.h5ad') and a sheet of "
            "samples: a .csv with the header sample,path and, if you like, donor, layer, library_size and columns of "
            "your own.",
        ),
    ],
    # Text, since a Path would lose the slash that says "a folder".
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="OUT",
            help="Output: a .h5ad, .csv or .parquet file, or a folder (end a new one with /).",
        ),
    ],
    model: cli_options.ModelOrService = None,
    service: Annotated[
        str | None,
        typer.Option(
            "--service",
            metavar="URL",
            help="Address of a running cellmark service that makes the calls, in place of --model.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            help="File with the API key of --service, as `cellmark keys create` showed it.",
            rich_help_panel="Service",
        ),
    ] = None,
    reading: ReadingOptions = AS_IT_IS,
    floors: Floors = NO_FLOORS,
    trusted: cli_options.Trusted = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add one column of probabilities per cell type to tables.")
    ] = False,
    label_set_error: Annotated[
        float | None,
        typer.Option(
            "--label-set-error",
            help="Error rate of the label sets. Choose one that the model was calibrated for (0.01 or 0.05). Default: "
            "the model's.",
            rich_help_panel="Calls",
        ),
    ] = None,
    batch_format: Annotated[
        Literal["parquet", "csv", "h5ad", "zarr"],
        typer.Option(
            "--format",
            help="File format of a batch's outputs: parquet, csv, h5ad or zarr (not --service).",
            rich_help_panel="Batches",
        ),
    ] = "parquet",
    explain: Annotated[
        int | None,
        typer.Option(
            "--explain",
            min=1,
            metavar="K",
            help="With a folder as OUT: keep the K genes that drove each call most, in NAME.explained.parquet.",
            rich_help_panel="Batches",
        ),
    ] = None,
    distilled: Annotated[
        bool,
        typer.Option(
            "--distilled",
            help="Call with the distilled network instead of the ensemble, which is faster. Needs a model trained "
            "with --distill.",
            rich_help_panel="Calls",
        ),
    ] = False,
    over: Annotated[
        str | None,
        typer.Option(
            "--over",
            autocompletion=complete_obs,
            metavar="OBS_COLUMN",
            help="Column of obs with clusters, such as leiden. Adds the most common call of each cell's cluster.",
        ),
    ] = None,
    over_computed: Annotated[
        bool,
        typer.Option(
            "--over-computed",
            help="Compute clusters (Leiden) and add the most common call of each cell's cluster. Needs the extra "
            "`clusters`.",
            rich_help_panel="Clusters",
        ),
    ] = False,
    resolution: Annotated[
        float | None,
        typer.Option(
            "--resolution",
            help="Resolution of the computed clusters. A larger value gives more and smaller clusters.",
            show_default="5 below 5,000 cells, up to 30",
            rich_help_panel="Clusters",
        ),
    ] = None,
    sample: cli_options.Sample = None,
    fixed_threshold: cli_options.FixedThreshold = False,
    data_docs: Annotated[
        Path | None,
        typer.Option(
            "--data-docs",
            help="New folder for quality reports: Great Expectations' HTML pages about each input.",
            rich_help_panel="Reports",
        ),
    ] = None,
    device: cli_options.Device = "cpu",
    pipeline: PipelineOptions = NO_PIPELINE,
    force: cli_options.Force = False,
    json_output: cli_options.Json = False,
) -> None:
    """Name the type of every cell. Cells unlike all that the model learned stay unassigned.

    A file is judged as one sample: where another laboratory makes all of its cells more novel, the threshold is raised
    by about as much as its types have in common. --fixed-threshold keeps the model's.

    One input: OUT is an .h5ad (a copy with new columns in obs), a .csv or a .parquet (both with a .json of facts).

    Several inputs, or a folder as OUT (end a new one with /): one output per input, and a summary.csv. A refused input
    does not stop the others, but makes the exit status 1. After a kill the same command goes on where it was. Outputs
    are named after their inputs, inputs of one name after the first folder in which their paths differ, those of a
    sheet after their sample.

    With --service a running service makes the calls and this machine needs no model: cells are sent in pieces, and
    outputs are the same. Quality is not compared then, and notes are made for each piece. A sample that is too large
    for one request is not judged as a whole, and a note says so.

    Example: `cellmark annotate new.h5ad --model models:/pbmc@champion -o calls.parquet`
    """
    import os
    from dataclasses import replace
    from functools import partial

    from cellmark.schemas.cells.read import require_input
    from cellmark.schemas.errors import Finding, ParameterError
    from cellmark.schemas.json_document import print_document
    from cellmark.schemas.quality.data_docs import refuse_used

    from ..files.annotate_file import annotate_file, load_annotator
    from ..files.batch import AnnotateOne, annotate_batch
    from ..files.batch_inputs import SUMMARY, batch_inputs, is_sheet
    from ..files.fetch_inputs import fetch_input, fetch_inputs
    from ..outputs.pipeline_outputs import check_pipeline, write_pipeline
    from ..outputs.write_calls import FORMATS, check_output
    from ..remote.urls import url_of
    from ..scoring.majority import ComputedClusters
    from ..terminal.documents import batch_document, calls_document
    from ..terminal.next_steps import next_steps
    from ..terminal.show import show_calls
    from ..terminal.show_notes import show_notes

    if (model is None) == (service is None):
        raise typer.BadParameter("give one of them.", param_hint="--model, --service")
    if key_file is not None and service is None:
        raise typer.BadParameter("it needs --service.", param_hint="--key-file")
    if service is not None and (data_docs is not None or distilled or device != "cpu"):
        raise typer.BadParameter(
            "they need the model itself: --model.", param_hint="--data-docs, --distilled, --device with --service"
        )
    target = Path(out)
    is_folder = os.path.isdir(out) or out.endswith(("/", os.sep))
    from_sheet = any(map(is_sheet, data))
    inputs = batch_inputs(data)
    is_batch = len(inputs) > 1 or is_folder or from_sheet
    if is_batch and not is_folder and target.suffix in FORMATS:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="out",
            expected=f"a folder for the outputs of {len(inputs)} inputs",
            found=repr(out),
            remedy="Name a folder, such as -o calls/; --format says what its files are.",
        )
    if explain is not None and (not is_batch or service is not None):
        raise typer.BadParameter("it needs --model and a folder as OUT (end a new one with /).", param_hint="--explain")
    if over is not None and over_computed:
        raise typer.BadParameter("give only one of them.", param_hint="--over, --over-computed")
    if resolution is not None and not over_computed:
        raise typer.BadParameter("it needs --over-computed.", param_hint="--resolution")
    clusters = ComputedClusters(resolution=resolution) if over_computed else over
    if sample is not None and service is not None:
        raise typer.BadParameter("it needs --model.", param_hint="--sample")
    calls = replace(
        cli_options.whole_samples(sample, fixed_threshold),
        probabilities=probabilities,
        label_set_error=label_set_error,
        over=clusters,
    )
    if is_batch and trusted:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="trusted",
            expected="one input",
            found="a batch, of which one file must not stop the others",
            remedy="Omit --trusted, or annotate the file by itself.",
        )
    if is_batch and pipeline.any:
        raise typer.BadParameter("they need one input and a file as OUT.", param_hint="--columns-prefix and others")
    check_pipeline(pipeline, force=force)
    if not is_batch:
        if url_of(inputs[0].path) is None:
            require_input(inputs[0].path)
        if data_docs is not None:
            refuse_used(data_docs)
        check_output(target, force=force)
    inputs = fetch_inputs(inputs) if is_batch else [replace(inputs[0], path=fetch_input(inputs[0].path))]
    if is_batch and service is None:
        from ..batch.annotate_folder import annotate_folder
        from ..batch.job_records import JobOptions

        options = JobOptions.of(
            reading,
            floors,
            probabilities=probabilities,
            label_set_error=label_set_error,
            over=over,
            over_computed=over_computed,
            resolution=resolution,
            explain=explain,
            distilled=distilled,
            fixed_threshold=fixed_threshold,
            sample=sample,
            device=device,
        )
        status = annotate_folder(
            inputs, target, str(model), options, format=batch_format, data_docs=data_docs, force=force
        )
        if json_output:
            print_document(batch_document(target, target / SUMMARY))
        raise typer.Exit(status)
    annotate_one: AnnotateOne
    if service is not None:
        from ..client.annotate_remotely import annotate_remotely, open_client

        annotate_one = partial(annotate_remotely, open_client(service, key_file, floors))
    else:
        annotator = load_annotator(str(model), device=device, trusted=trusted, floors=floors, distilled=distilled)
        annotator.rules(label_set_error)
        annotate_one = partial(annotate_file, annotator)
    if is_batch:
        n_failed = annotate_batch(
            annotate_one,
            inputs,
            target,
            reading,
            calls,
            format=batch_format,
            data_docs=data_docs,
            force=force,
        )
        if json_output:
            print_document(batch_document(target, target / SUMMARY))
        raise typer.Exit(exit_codes.REFUSED if n_failed else exit_codes.DONE)
    frame, _ = annotate_one(
        inputs[0].path,
        target,
        reading,
        calls,
        data_docs=data_docs,
        trusted=trusted,
        force=force,
        columns_prefix=pipeline.columns_prefix,
    )
    write_pipeline(pipeline, frame, target, local=service is None, force=force)
    show_notes(Finding(**note) for note in frame.attrs["cellmark"]["notes"])
    show_calls(frame, target)
    following = None if model is None else next_steps(frame, inputs[0].path, model, reading, calls, floors)
    for line in following.lines() if following else ():
        typer.echo(line, err=True)
    if json_output:
        print_document(calls_document(frame, data[0], target, following.commands if following else ()))
