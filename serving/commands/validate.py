"""`cellmark validate`: everything that is wrong with an input, before it is used."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions

from ..scoring.call_options import NO_FLOORS, Floors
from . import exit_codes
from .complete import complete_model, complete_obs
from .options import Data, Trusted, takes_groups

TRAINING = "Labelled cells"


@takes_groups
def validate(
    data: Data,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            autocompletion=complete_model,
            help="Bundle folder or MLflow URI of the model to check the cells against. Without it, only checks that "
            "need no model are run.",
        ),
    ] = None,
    profile: Annotated[
        Literal["query", "train", "publish"],
        typer.Option(
            "--profile",
            help="Purpose of the cells. query: to annotate. train: to train on. publish: a reference to publish "
            "(CELLxGENE's schema).",
        ),
    ] = "query",
    reading: ReadingOptions = AS_IT_IS,
    floors: Floors = NO_FLOORS,
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            autocompletion=complete_obs,
            help="Column of obs with the cell types. Default with --profile train: cell_type.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    donor: Annotated[
        str | None,
        typer.Option(
            "--donor", autocompletion=complete_obs, help="Column of obs with the donors.", rich_help_panel=TRAINING
        ),
    ] = None,
    min_cells: Annotated[
        int, typer.Option("--min-cells", help="Smallest number of cells that a type needs.", rich_help_panel=TRAINING)
    ] = 10,
    hold_out: Annotated[
        str | None,
        typer.Option(
            "--hold-out",
            metavar="DONOR[,DONOR]",
            help="Donors that train is to hold out, as its option of this name.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    test_share: Annotated[
        float,
        typer.Option(
            "--test-share",
            help="Share of the cells in train's test part, when no donors are given.",
            rich_help_panel=TRAINING,
        ),
    ] = 0.2,
    seed: Annotated[
        int, typer.Option("--seed", help="Random seed of train, which draws its parts.", rich_help_panel=TRAINING)
    ] = 0,
    trusted: Trusted = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the findings as JSON to standard output.")] = False,
    data_docs: Annotated[
        Path | None,
        typer.Option(
            "--data-docs", help="New folder for quality reports: Great Expectations' HTML pages about the input."
        ),
    ] = None,
) -> None:
    """Check an input and report all findings at once. The exit status is 1 when it would be refused.

    Errors are what annotate, train or a portal would refuse. With --model, warnings also come from Great Expectations:
    cells or samples unlike the training data.

    Example: `cellmark validate new.h5ad --model models:/pbmc@champion`

    Example: `cellmark validate labelled.h5ad --profile train --label cell_type --donor donor`

    Example: `cellmark validate reference.h5ad --profile publish`
    """
    from cellmark.schemas.json_document import print_document

    from ..files.fetch_inputs import fetch_input
    from ..reader.reader_server import start_reader
    from ..remote.urls import shown_input
    from ..terminal.show import show_findings, waiting

    of_models = {
        "--model": model,
        "--data-docs": data_docs,
        "--min-panel-share": floors.min_panel_share,
        "--min-attribution-share": floors.min_attribution_share,
    }
    _check_options(profile, of_models, {"--label": label, "--donor": donor, "--hold-out": hold_out}, model)
    name = shown_input(data)
    if not trusted:
        start_reader()
    data = fetch_input(data)
    with waiting(f"Checking {name}"):
        report: Any
        if model is not None:
            from ..files.validate import validate_path
            from ..models.model_source import open_model

            report = validate_path(
                open_model(model).bundle, data, reading, floors=floors, data_docs=data_docs, trusted=trusted
            )
        else:
            from cellmark.schemas.checks.check_split import SplitOptions

            from ..files.validate import check_path

            report = check_path(
                data,
                reading,
                profile=profile,
                label=label,
                donor=donor,
                min_cells=min_cells,
                split=SplitOptions(tuple(filter(None, map(str.strip, (hold_out or "").split(",")))), test_share, seed),
                max_unknown_share=floors.max_unknown_share,
                trusted=trusted,
            )
    if json_output:
        print_document(report.to_dict())
    elif report.findings:
        show_findings(report.findings, f"{name}: {'passes' if report.valid else 'would be refused'}")
    if not json_output:
        typer.echo(report.summary(name))
    raise typer.Exit(exit_codes.DONE if report.valid else exit_codes.REFUSED)


def _check_options(profile: str, of_models: dict[str, Any], of_labels: dict[str, Any], model: str | None) -> None:
    """Refuse options that the profile, or the lack of a model, would leave without effect."""
    from cellmark.schemas.checks.checks import require_profile
    from cellmark.schemas.errors import ParameterError

    require_profile(profile)
    if profile == "query":
        idle = [name for name, value in of_labels.items() if value is not None]
        idle += [name for name, value in of_models.items() if value is not None and model is None]
        mend = "Give --profile train for labels and donors, and --model for the others."
    else:
        idle = [name for name, value in of_models.items() if value is not None]
        mend = "Omit it: a model is asked only of cells to annotate."
    if idle:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where=idle[0],
            expected=f"an option of --profile {profile}",
            found=", ".join(idle),
            remedy=mend,
        )
