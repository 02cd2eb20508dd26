"""`cellmark train`: labelled cells become a registered model."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    data: Annotated[
        Path,
        typer.Argument(help="Labelled cells: .h5ad, .zarr, .csv or .tsv (second column: the label) with raw counts."),
    ],
    label: Annotated[str, typer.Option("--label", help="Column of obs with the cell types.")] = "cell_type",
    name: Annotated[
        str, typer.Option("--name", help="Registered model; every training makes a version of it.")
    ] = "cellmark",
    donor: Annotated[
        str | None, typer.Option("--donor", help="Column of obs with the donors: the test part is whole donors.")
    ] = None,
    hold_out: Annotated[
        str | None,
        typer.Option("--hold-out", metavar="DONOR[,DONOR]", help="Donors to test on. Default: one by chance."),
    ] = None,
    test: Annotated[
        Path | None, typer.Option("--test", help="An independent labelled file to evaluate on as well.")
    ] = None,
    test_label: Annotated[
        str | None, typer.Option("--test-label", help="Its label column. Default: as --label.")
    ] = None,
    layer: Annotated[str | None, typer.Option("--layer", help="Where the raw counts are: a layer, or raw.")] = None,
    library_size: Annotated[
        str | None,
        typer.Option(
            "--library-size", metavar="OBS_COLUMN", help="Each cell's total over all genes. Default: the sum."
        ),
    ] = None,
    genes_by_cells: Annotated[bool, typer.Option("--genes-by-cells", help="The table has genes as rows.")] = False,
    min_cells: Annotated[int, typer.Option("--min-cells", help="Types with fewer cells are left out.")] = 10,
    max_genes: Annotated[
        int, typer.Option("--max-genes", help="Largest gene panel; 0 for all that pass the filter.")
    ] = 2000,
    min_panel_share: Annotated[
        float, typer.Option("--min-panel-share", help="Share of the panel that inputs must have measured.")
    ] = 0.5,
    hidden_units: Annotated[
        str, typer.Option("--hidden-units", metavar="N[,N]", help="Sizes of the hidden layers, first to last.")
    ] = "256",
    dropout: Annotated[float, typer.Option("--dropout", help="Share of hidden units silenced in training.")] = 0.25,
    learning_rate: Annotated[float, typer.Option("--learning-rate")] = 1e-3,
    noise: Annotated[float, typer.Option("--noise", help="Sd of Gaussian noise on standardised inputs.")] = 1.0,
    max_epochs: Annotated[int, typer.Option("--max-epochs")] = 60,
    patience: Annotated[int, typer.Option("--patience", help="Epochs without a better validation loss.")] = 10,
    device: Annotated[
        str, typer.Option("--device", help="cpu or cuda. A cuda that cannot be used is an error.")
    ] = "cpu",
    seed: Annotated[int, typer.Option("--seed", help="Of split, network and golden cells.")] = 0,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Keep a copy of the bundle in this new folder.")
    ] = None,
) -> None:
    """Train, evaluate, export and register a model.

    The counts must be raw. Cells are divided into training, validation and test parts (whole donors with --donor); the
    test part is read once, for the numbers reported. The run, its figures and the registered version go to MLflow
    (`MLFLOW_TRACKING_URI`, default a SQLite file in the working folder).

    Example: `cellmark train pbmc.h5ad --label cell_type --donor batch --name pbmc`
    """
    from rich.console import Console

    # Seconds on a busy machine, and nothing else would be seen of them.
    Console(stderr=True, highlight=False).print("Loading PyTorch …", style="dim")
    from cellmark.training.classifier import NetworkShape
    from cellmark.training.cli_numbers import whole_numbers
    from cellmark.training.config import TrainingConfig
    from cellmark.training.fit import FitSettings
    from cellmark.training.show import show_training
    from cellmark.training.train_and_register import train_and_register

    config = TrainingConfig(
        data=data,
        label=label,
        donor=donor,
        hold_out=tuple(part.strip() for part in hold_out.split(",") if part.strip()) if hold_out else (),
        name=name,
        layer=layer,
        library_size=library_size,
        genes_by_cells=genes_by_cells,
        test_data=test,
        test_label=test_label,
        min_cells=min_cells,
        max_genes=max_genes or None,
        min_panel_share=min_panel_share,
        seed=seed,
        device=device,  # type: ignore[arg-type]  # checked by the configuration
        fit=FitSettings(
            shape=NetworkShape(whole_numbers(hidden_units, "hidden_units"), dropout),
            learning_rate=learning_rate,
            noise=noise,
            max_epochs=max_epochs,
            patience=patience,
        ),
    )
    registered = train_and_register(config, bundle_folder=bundle)
    show_training(registered)
