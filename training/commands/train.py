"""`cellmark train`: labelled cells become a registered model."""

from pathlib import Path
from typing import Annotated

import typer

from ..choices import BaselineKind, Device, EvaluationLevel, Metric, PresetName, Pruner, Ranking
from .reading_options import GenesByCells, Label, LabelledData, Layer, LibrarySize, MinCells

NET, SEARCH, MARKERS, OUT = "The networks", "The search for their settings", "Markers", "What is kept"
"""Groups of options in the help."""


def train(
    data: LabelledData,
    label: Label = "cell_type",
    name: Annotated[
        str, typer.Option("--name", help="Name of the registered model. Every training adds a version.")
    ] = "cellmark",
    donor: Annotated[
        str | None,
        typer.Option("--donor", help="Column of obs with the donors. With it, the test part consists of whole donors."),
    ] = None,
    hold_out: Annotated[
        str | None,
        typer.Option(
            "--hold-out",
            metavar="DONOR[,DONOR]",
            help="Donors to hold out as the test part. Default: the donor that has enough cells of the most types.",
        ),
    ] = None,
    test_share: Annotated[
        float,
        typer.Option(
            "--test-share", help="Share of the cells in the test part, when no donors are given. 0: no test part."
        ),
    ] = 0.2,
    test: Annotated[
        Path | None, typer.Option("--test", help="Independent labelled file to evaluate on as well.")
    ] = None,
    test_label: Annotated[
        str | None,
        typer.Option(
            "--test-label", help="Column of obs with the cell types in the file given to --test. Default: as --label."
        ),
    ] = None,
    test_layer: Annotated[
        str | None,
        typer.Option("--test-layer", help="Layer of the file given to --test with raw counts. Default: as --layer."),
    ] = None,
    test_library_size: Annotated[
        str | None,
        typer.Option(
            "--test-library-size",
            metavar="OBS_COLUMN",
            help="Column of obs with the library sizes in the file given to --test. Default: as --library-size.",
        ),
    ] = None,
    test_labels: Annotated[
        Path | None,
        typer.Option(
            "--test-labels",
            help="CSV file (columns from,to) that maps the labels of --test and the model's types to shared names.",
        ),
    ] = None,
    ontology: Annotated[
        Path | None,
        typer.Option(
            "--ontology",
            help="CSV file (columns label,ontology_id) with the Cell Ontology terms of the labels, as `cellmark "
            "ontology` suggests them. Enables coarse calls. Needs the extra `ontology`.",
        ),
    ] = None,
    layer: Layer = None,
    library_size: LibrarySize = None,
    genes_by_cells: GenesByCells = False,
    min_cells: MinCells = 10,
    preset: Annotated[
        PresetName,
        typer.Option(
            "--preset",
            help="Source of settings that are not given. default: cellmark's, for a laptop. published: those of the "
            "published procedure.",
        ),
    ] = "default",
    max_genes: Annotated[
        int | None,
        typer.Option(
            "--max-genes",
            help="Largest number of genes in the panel. 0: all genes that pass the filter. [2000; published: 0]",
        ),
    ] = None,
    min_panel_share: Annotated[
        float,
        typer.Option(
            "--min-panel-share",
            help="Smallest share (0 to 1) of the panel that an input to annotate must have measured.",
        ),
    ] = 0.5,
    members: Annotated[
        int | None,
        typer.Option(
            "--members",
            help="Number of networks in the ensemble, whose logits are averaged. [5; published: 15]",
            rich_help_panel=NET,
        ),
    ] = None,
    hidden_units: Annotated[
        str | None,
        typer.Option(
            "--hidden-units", metavar="N[,N]", help="Sizes of the hidden layers, in order. [256]", rich_help_panel=NET
        ),
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option(
            "--dropout", help="Dropout: share of hidden units set to zero in training. [0.25]", rich_help_panel=NET
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate", help="Learning rate. Members use 0.7 to 1.3 times this. [0.001]", rich_help_panel=NET
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            "--noise",
            help="Standard deviation of Gaussian noise added to the standardised inputs in training. [1]",
            rich_help_panel=NET,
        ),
    ] = None,
    augmented: Annotated[
        float | None,
        typer.Option(
            "--augmented",
            help="Share of cells that are trained on with fewer counts or missing genes. [0.5; published: 0]",
            rich_help_panel=NET,
        ),
    ] = None,
    max_epochs: Annotated[
        int | None,
        typer.Option(
            "--max-epochs",
            help="Largest number of passes over the training cells. [60; published: 50]",
            rich_help_panel=NET,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience",
            help="Stop after this many epochs without a better validation loss. [10; published: 6]",
            rich_help_panel=NET,
        ),
    ] = None,
    gate_penalty: Annotated[
        float | None,
        typer.Option(
            "--gate-penalty",
            help="Penalty on learned gene weights. A larger value uses fewer genes. 0: no gene weights. [0]",
            rich_help_panel=NET,
        ),
    ] = None,
    distill: Annotated[
        bool,
        typer.Option(
            "--distill",
            help="Also train one network that imitates the ensemble, for faster annotation (annotate --distilled).",
            rich_help_panel=NET,
        ),
    ] = False,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials",
            help="Number of settings to try in a search with Optuna. 0: no search. [0; published: 30]",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    trial_epochs: Annotated[
        int | None,
        typer.Option("--trial-epochs", help="Largest number of epochs of a trial. [50]", rich_help_panel=SEARCH),
    ] = None,
    trial_patience: Annotated[
        int | None,
        typer.Option(
            "--trial-patience",
            help="Stop a trial after this many epochs without a better validation loss. 0: never. [10]",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    pruner: Annotated[
        Pruner | None,
        typer.Option(
            "--pruner",
            help="median: stop trials that are worse than half of the earlier ones. none: never. [median]",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    tune_metric: Annotated[
        Metric | None,
        typer.Option(
            "--tune-metric",
            help="Metric on the validation cells that the search maximises. [accuracy]",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            "--space",
            metavar="NAME=LOW,HIGH",
            help="Range to search for n_layers, units, dropout, learning_rate or noise. Repeat the option for several.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    time_budget: Annotated[
        float | None,
        typer.Option(
            "--time-budget",
            metavar="SECONDS",
            help="Stop the search after this many seconds and use the best settings found.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            metavar="FILE|URL",
            help="SQLite file or database URL (postgresql://...) that stores the trials. Makes the search resumable, "
            "and lets several processes share it.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    study_name: Annotated[
        str | None,
        typer.Option(
            "--study-name",
            help="Name of the Optuna study. Default: made of the model's name, the data and the search settings.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    ranking: Annotated[
        Ranking | None,
        typer.Option(
            "--ranking",
            help="How to rank the genes of a type: by evidence, by the published marker score, or by contribution. "
            "[evidence; published: published]",
            rich_help_panel=MARKERS,
        ),
    ] = None,
    baseline: Annotated[
        BaselineKind | None,
        typer.Option(
            "--baseline",
            help="Reference expression for contributions: the mean over types, zero, or random. [mean; published: "
            "random]",
            rich_help_panel=MARKERS,
        ),
    ] = None,
    permutations: Annotated[
        int | None,
        typer.Option(
            "--permutations", help="Number of label permutations for p-values. [1000]", rich_help_panel=MARKERS
        ),
    ] = None,
    include_genes: Annotated[
        str | None,
        typer.Option(
            "--include-genes",
            metavar="FILE|GENE[,GENE]",
            help="Rank only these genes as markers: names separated by commas, a file, or a built-in list (surface, "
            "ribosomal, mitochondrial, hemoglobin).",
            rich_help_panel=MARKERS,
        ),
    ] = None,
    exclude_genes: Annotated[
        str | None,
        typer.Option(
            "--exclude-genes",
            metavar="FILE|GENE[,GENE]",
            help="Genes to exclude from the markers, given as for --include-genes.",
            rich_help_panel=MARKERS,
        ),
    ] = None,
    evaluate: Annotated[
        EvaluationLevel,
        typer.Option(
            "--evaluate",
            help="full also leaves out each cell type in turn, which takes minutes to an hour.",
        ),
    ] = "fast",
    device: Annotated[
        Device, typer.Option("--device", help="Device to compute on. An error if cuda cannot be used.")
    ] = "cpu",
    seed: Annotated[int, typer.Option("--seed", help="Random seed.")] = 0,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="New folder for a copy of the bundle.", rich_help_panel=OUT)
    ] = None,
    no_cell_map: Annotated[
        bool,
        typer.Option(
            "--no-cell-map",
            help="Omit the UMAP of held-out cells from the bundle and its report, with their labels and calls.",
            rich_help_panel=OUT,
        ),
    ] = False,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="New folder for the pictures.", rich_help_panel=OUT)
    ] = None,
) -> None:
    """Train, evaluate, export and register a model.

    The counts must be raw. Cells are divided into training, validation and test parts (whole donors with --donor). The
    test part is used once, for the reported scores. The run, its figures and the registered version go to MLflow
    (`MLFLOW_TRACKING_URI`; default: a SQLite file in the working folder). Values in square brackets are the defaults of
    the presets.

    Example: `cellmark train pbmc.h5ad --label cell_type --donor batch --name pbmc`

    The published procedure, resumable: `cellmark train pbmc.h5ad --preset published --study pbmc-study.db`
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
        test_layer=test_layer,
        test_library_size=test_library_size,
        test_labels=test_labels,
        ontology=ontology,
        min_cells=min_cells,
        max_genes=chosen.max_genes if max_genes is None else max_genes or None,
        min_panel_share=min_panel_share,
        seed=seed,
        device=device,
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
        evaluate=evaluate,
        figures=figures,
        cell_map=not no_cell_map,
    )  # fmt: skip
    registered = train_and_register(config, bundle_folder=bundle)
    show_training(registered)
