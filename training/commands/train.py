"""`cellmark train`: labelled cells become a registered model."""

from pathlib import Path
from typing import Annotated

import typer

from .reading_options import GenesByCells, Label, LabelledData, Layer, LibrarySize, MinCells

NET, SEARCH, MARKERS, OUT = "The networks", "The search for their settings", "Markers", "What is kept"
"""Groups of options in the help."""


def train(
    data: LabelledData,
    label: Label = "cell_type",
    name: Annotated[
        str, typer.Option("--name", help="Registered model; every training makes a version of it.")
    ] = "cellmark",
    donor: Annotated[
        str | None, typer.Option("--donor", help="Column of obs with the donors: the test part is whole donors.")
    ] = None,
    hold_out: Annotated[
        str | None,
        typer.Option(
            "--hold-out",
            metavar="DONOR[,DONOR]",
            help="Donors to test on. Default: one that has enough cells of the most types.",
        ),
    ] = None,
    test_share: Annotated[
        float, typer.Option("--test-share", help="Share of the cells to test on, without donors; 0 for no test part.")
    ] = 0.2,
    test: Annotated[
        Path | None, typer.Option("--test", help="An independent labelled file to evaluate on as well.")
    ] = None,
    test_label: Annotated[
        str | None, typer.Option("--test-label", help="Its label column. Default: as --label.")
    ] = None,
    test_labels: Annotated[
        Path | None,
        typer.Option(
            "--test-labels", help="A CSV file (from,to) that brings its labels and the model's to shared names."
        ),
    ] = None,
    ontology: Annotated[
        Path | None,
        typer.Option(
            "--ontology",
            help="A CSV file (label,ontology_id) with the Cell Ontology terms of the labels, as `cellmark ontology` "
            "suggests them: for coarser calls where a type is unsure. Needs the extra ontology.",
        ),
    ] = None,
    layer: Layer = None,
    library_size: LibrarySize = None,
    genes_by_cells: GenesByCells = False,
    min_cells: MinCells = 10,
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            metavar="default|published",
            help="Where settings come from that are not given: cellmark's, for a laptop, or the published procedure.",
        ),
    ] = "default",
    max_genes: Annotated[
        int | None,
        typer.Option("--max-genes", help="Largest gene panel; 0: all that pass the filter. [2000; published: 0]"),
    ] = None,
    min_panel_share: Annotated[
        float, typer.Option("--min-panel-share", help="Share of the panel that inputs must have measured.")
    ] = 0.5,
    members: Annotated[
        int | None,
        typer.Option("--members", help="Networks whose answers are averaged. [5; published: 15]", rich_help_panel=NET),
    ] = None,
    hidden_units: Annotated[
        str | None,
        typer.Option(
            "--hidden-units", metavar="N[,N]", help="Sizes of the hidden layers, in order. [256]", rich_help_panel=NET
        ),
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option("--dropout", help="Share of hidden units silenced in training. [0.25]", rich_help_panel=NET),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Of the middle member. [0.001]", rich_help_panel=NET)
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option("--noise", help="Sd of Gaussian noise on the inputs in training. [1]", rich_help_panel=NET),
    ] = None,
    augmented: Annotated[
        float | None,
        typer.Option(
            "--augmented",
            help="Share of cells trained on with fewer counts and genes missing. [0.5; published: 0]",
            rich_help_panel=NET,
        ),
    ] = None,
    max_epochs: Annotated[
        int | None,
        typer.Option("--max-epochs", help="Passes over the training cells. [60; published: 50]", rich_help_panel=NET),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option("--patience", help="Epochs without a better loss. [10; published: 6]", rich_help_panel=NET),
    ] = None,
    gate_penalty: Annotated[
        float | None,
        typer.Option(
            "--gate-penalty", help="Learn one weight per gene, the sparser the larger this is. [0]", rich_help_panel=NET
        ),
    ] = None,
    distill: Annotated[
        bool,
        typer.Option("--distill", help="Also fit one network to the members' answers.", rich_help_panel=NET),
    ] = False,
    trials: Annotated[
        int | None,
        typer.Option("--trials", help="Settings to try; 0: no search. [0; published: 30]", rich_help_panel=SEARCH),
    ] = None,
    trial_epochs: Annotated[
        int | None, typer.Option("--trial-epochs", help="Longest trial. [50]", rich_help_panel=SEARCH)
    ] = None,
    trial_patience: Annotated[
        int | None,
        typer.Option(
            "--trial-patience",
            help="Epochs without a better validation loss that end a trial; 0: none do. [10]",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    pruner: Annotated[
        str | None,
        typer.Option(
            "--pruner",
            metavar="median|none",
            help="Whether a trial ends that is worse than half of those before. [median]",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    tune_metric: Annotated[
        str | None,
        typer.Option(
            "--tune-metric",
            metavar="accuracy|macro_f1",
            help="What is to be large on validation cells. [accuracy]",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            "--space",
            metavar="NAME=LOW,HIGH",
            help="A range to search: n_layers, units, dropout, learning_rate or noise; may be given again.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    time_budget: Annotated[
        float | None,
        typer.Option(
            "--time-budget",
            metavar="SECONDS",
            help="End the search after so long and use the best settings found.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            metavar="FILE|URL",
            help="Keep the trials in a SQLite file or a database (postgresql://...), where a search that was stopped "
            "goes on and several processes share one.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    study_name: Annotated[
        str | None,
        typer.Option(
            "--study-name",
            help="Default: of the model's name, the data and the settings of the search.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    ranking: Annotated[
        str | None,
        typer.Option(
            "--ranking",
            metavar="default|published|contribution",
            help="How the genes of a type are ordered.",
            rich_help_panel=MARKERS,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="mean|zero|random",
            help="What contributions are measured against. [mean; published: random]",
            rich_help_panel=MARKERS,
        ),
    ] = None,
    permutations: Annotated[
        int | None,
        typer.Option("--permutations", help="Of the labels, for p-values. [1000]", rich_help_panel=MARKERS),
    ] = None,
    include_genes: Annotated[
        str | None,
        typer.Option(
            "--include-genes",
            metavar="FILE|GENE[,GENE]",
            help="Only these may be markers, such as a panel of surface proteins.",
            rich_help_panel=MARKERS,
        ),
    ] = None,
    exclude_genes: Annotated[
        str | None,
        typer.Option(
            "--exclude-genes",
            metavar="FILE|GENE[,GENE]",
            help="These may not be markers.",
            rich_help_panel=MARKERS,
        ),
    ] = None,
    evaluate: Annotated[
        str, typer.Option("--evaluate", metavar="fast|full", help="full: also the protocols that take long.")
    ] = "fast",
    device: Annotated[
        str, typer.Option("--device", help="cpu or cuda. A cuda that cannot be used is an error.")
    ] = "cpu",
    seed: Annotated[int, typer.Option("--seed", help="Of everything that is drawn by chance.")] = 0,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Keep a copy of the bundle in this new folder.", rich_help_panel=OUT)
    ] = None,
    no_cell_map: Annotated[
        bool,
        typer.Option(
            "--no-cell-map",
            help="Keep held-out cells' places, labels and calls out of the bundle; its report then has no map.",
            rich_help_panel=OUT,
        ),
    ] = False,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Keep the pictures in this new folder.", rich_help_panel=OUT)
    ] = None,
) -> None:
    """Train, evaluate, export and register a model.

    The counts must be raw. Cells are divided into training, validation and test parts (whole donors with --donor); the
    test part is read once, for the numbers reported. The run, its figures and the registered version go to MLflow
    (`MLFLOW_TRACKING_URI`, default a SQLite file in the working folder). A value in square brackets is the preset's.

    Example: `cellmark train pbmc.h5ad --label cell_type --donor batch --name pbmc`

    As published, to be stopped and gone on with: `cellmark train pbmc.h5ad --preset published --study pbmc-study.db`
    """
    from rich.console import Console

    # Seconds on a busy machine, and nothing else would be seen of them.
    Console(stderr=True, highlight=False).print("Loading PyTorch …", style="dim")
    from ..config import TrainingConfig
    from ..given_options import fit_given, genes_given, given, tune_given
    from ..presets import preset as preset_named
    from ..train_and_register import train_and_register
    from .show import show_training

    chosen = preset_named(preset)
    config = TrainingConfig(
        data=data,
        label=label,
        donor=donor,
        hold_out=tuple(part.strip() for part in hold_out.split(",") if part.strip()) if hold_out else (),
        test_share=test_share,
        name=name,
        layer=layer,
        library_size=library_size,
        genes_by_cells=genes_by_cells,
        test_data=test,
        test_label=test_label,
        test_labels=test_labels,
        ontology=ontology,
        min_cells=min_cells,
        max_genes=chosen.max_genes if max_genes is None else max_genes or None,
        min_panel_share=min_panel_share,
        seed=seed,
        device=device,  # type: ignore[arg-type]  # checked by the configuration
        preset=preset,
        fit=fit_given(
            chosen.fit, hidden_units=hidden_units, dropout=dropout, learning_rate=learning_rate, noise=noise,
            augmented=augmented, max_epochs=max_epochs, patience=patience, gate_penalty=gate_penalty,
        ),
        tune=tune_given(
            chosen.tune, space=space, patience=trial_patience, n_trials=trials, max_epochs=trial_epochs, pruner=pruner,
            metric=tune_metric, time_budget=time_budget, study=study, study_name=study_name,
        ),
        n_members=chosen.n_members if members is None else members,
        markers=given(
            chosen.markers, ranking=ranking, baseline=baseline, n_permutations=permutations,
            include_genes=genes_given(include_genes), exclude_genes=genes_given(exclude_genes),
        ),
        distill=distill,
        evaluate=evaluate,  # type: ignore[arg-type]  # checked by the configuration
        figures=figures,
        cell_map=not no_cell_map,
    )  # fmt: skip
    registered = train_and_register(config, bundle_folder=bundle)
    show_training(registered)
