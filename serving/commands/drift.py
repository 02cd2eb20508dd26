"""`cellmark drift`: whether cells are like those that the model was tested on."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions

from ..scoring.call_options import NO_FLOORS, Floors
from . import exit_codes
from . import options as cli_options


@cli_options.takes_groups
def drift(
    data: Annotated[
        Path,
        typer.Argument(help="Cells in any format that annotate reads, or a .csv or .parquet that annotate wrote."),
    ],
    model: cli_options.Model,
    calls: Annotated[
        bool,
        typer.Option("--calls", help="Use the calls in the file (cellmark_* columns). Its counts are not read."),
    ] = False,
    distilled: Annotated[
        bool,
        typer.Option(
            "--distilled",
            help="Call with the distilled network, or compare calls that it made. Needs a model trained with "
            "--distill.",
            rich_help_panel="Calls",
        ),
    ] = False,
    reading: ReadingOptions = AS_IT_IS,
    floors: Floors = NO_FLOORS,
    sample: cli_options.Sample = None,
    fixed_threshold: cli_options.FixedThreshold = False,
    trusted: cli_options.Trusted = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the report as JSON to standard output.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Output file of the report: .html or .json.")] = None,
    fail_on: Annotated[
        Literal["moved", "far"] | None,
        typer.Option(
            "--fail-on",
            help="Exit with status 3 at this verdict or a worse one, and when nothing could be judged.",
        ),
    ] = None,
    log_to_mlflow: Annotated[
        bool,
        typer.Option(
            "--log-to-mlflow",
            help="Also log an MLflow run, with the measures as metrics and the report as artifacts.",
            rich_help_panel="MLflow",
        ),
    ] = False,
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment",
            help="MLflow experiment to log to. Default: MLFLOW_EXPERIMENT_NAME, or cellmark-drift if unset.",
            rich_help_panel="MLflow",
        ),
    ] = None,
    device: cli_options.Device = "cpu",
    force: cli_options.Force = False,
) -> None:
    """Compare cells with the held-out cells of the model's training: depth, genes, confidence, novelty, composition.

    Each measure is ok, moved or far, by thresholds that docs/drift.md states. A different composition of types is
    reported, but does not change the verdict. Cells are called as `annotate` calls them, a file as one sample; shares
    of unassigned cells are compared by the model's fixed threshold. The exit status is 0 whatever was found, unless
    --fail-on is given.

    Example: `cellmark drift new.h5ad --model models:/pbmc@champion -o drift.html`

    Example: `cellmark drift new.h5ad --model models:/pbmc@champion --fail-on far --log-to-mlflow`

    Example: `cellmark drift calls.parquet --model models:/pbmc@champion`
    """
    import json

    from cellmark.schemas.atomic_output import refuse_existing, whole_file
    from cellmark.schemas.cells.read import require_input
    from cellmark.schemas.drift.drift_words import plain_report
    from cellmark.schemas.json_document import print_document
    from cellmark.schemas.reference_profile import read_profile
    from cellmark.schemas.report.render import render_drift

    from ..files.annotate_file import load_annotator
    from ..files.drift import check_experiment, drift_of_calls, drift_of_file, fails
    from ..files.fetch_inputs import fetch_input
    from ..models.log_drift import log_drift
    from ..models.model_source import open_model
    from ..models.registry import open_registry
    from ..outputs.write_calls import check_format, check_not_input
    from ..reader.read_calls import holds_calls
    from ..reader.reader_server import start_reader
    from ..terminal.show import show_drift, waiting

    check_experiment(experiment, log_to_mlflow=log_to_mlflow)
    options = cli_options.whole_samples(sample, fixed_threshold)
    data = fetch_input(data)
    require_input(data)
    has_calls = calls or holds_calls(data)
    if has_calls and (sample is not None or fixed_threshold):
        raise typer.BadParameter("they need cells: calls are made already.", param_hint="--sample, --fixed-threshold")
    if out is not None:
        check_format(out, (".html", ".json"))
        refuse_existing(out, force=force)
        check_not_input(out, [data])
    # Better now than after the work.
    client = open_registry() if log_to_mlflow else None
    if has_calls:
        if not trusted:
            start_reader()
        with waiting(f"Loading {model}"):
            source = open_model(model)
        report = drift_of_calls(source, data, distilled=distilled, trusted=trusted)
    else:
        annotator = load_annotator(
            model,
            device=device,
            trusted=trusted,
            floors=floors,
            distilled=distilled,
        )
        read_profile(annotator.bundle, distilled=distilled)
        source = annotator.source
        report = drift_of_file(annotator, data, reading, options, trusted=trusted)
    text = json.dumps(plain_report(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if out is not None:
        page = render_drift(report) if out.suffix == ".html" else text
        with whole_file(out, force=force) as draft:
            draft.write_text(page, encoding="utf-8", newline="\n")
    if json_output:
        print_document(plain_report(report))
    else:
        show_drift(report)
        if out is not None:
            typer.echo(f"Written to {out}")
    if client is not None:
        run_id = log_drift(client, report, source, page=render_drift(report), text=text, experiment=experiment)
        typer.echo(f"Logged to MLflow as run {run_id}", err=json_output)
    if fails(report.severity, fail_on):
        raise typer.Exit(exit_codes.DRIFTED)
