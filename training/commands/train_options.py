"""Options of `cellmark train`. Annotations alone: the command has their defaults."""

from pathlib import Path
from typing import Annotated

import typer

from .. import choices

NET, SEARCH, MARKERS, OUT = "Networks", "Search for settings", "Markers", "Outputs"
"""Groups of options in the help."""

Name = Annotated[str, typer.Option("--name", help="Name of the registered model. Every training adds a version.")]
Donor = Annotated[
    str | None,
    typer.Option("--donor", help="Column of obs with the donors. With it, the test part consists of whole donors."),
]
HoldOut = Annotated[
    str | None,
    typer.Option(
        "--hold-out",
        metavar="DONOR[,DONOR]",
        help="Donors to hold out as the test part. Default: the donor that has enough cells of the most types.",
    ),
]
TestShare = Annotated[
    float,
    typer.Option(
        "--test-share", help="Share of the cells in the test part, when no donors are given. 0: no test part."
    ),
]
Test = Annotated[Path | None, typer.Option("--test", help="Independent labelled file to evaluate on as well.")]
TestLabel = Annotated[
    str | None,
    typer.Option(
        "--test-label", help="Column of obs with the cell types in the file given to --test. Default: as --label."
    ),
]
TestLayer = Annotated[
    str | None,
    typer.Option("--test-layer", help="Layer of the file given to --test with raw counts. Default: as --layer."),
]
TestLibrarySize = Annotated[
    str | None,
    typer.Option(
        "--test-library-size",
        metavar="OBS_COLUMN",
        help="Column of obs with the library sizes in the file given to --test. Default: as --library-size.",
    ),
]
TestLabels = Annotated[
    Path | None,
    typer.Option(
        "--test-labels",
        help="CSV file (columns from,to) that maps the labels of --test and the model's types to shared names.",
    ),
]
Ontology = Annotated[
    Path | None,
    typer.Option(
        "--ontology",
        help="CSV file (columns label,ontology_id) with the Cell Ontology terms of the labels, as `cellmark "
        "ontology` suggests them. Enables coarse calls. Needs the extra `ontology`.",
    ),
]
Preset = Annotated[
    choices.PresetName,
    typer.Option(
        "--preset",
        help="Source of settings that are not given. default: cellmark's, for a laptop. published: those of the "
        "published procedure.",
    ),
]
MaxGenes = Annotated[
    int | None,
    typer.Option(
        "--max-genes",
        help="Largest number of genes in the panel. 0: all genes that pass the filter. [2000; published: 0]",
    ),
]
MinPanelShare = Annotated[
    float,
    typer.Option(
        "--min-panel-share",
        help="Smallest share (0 to 1) of the panel that an input to annotate must have measured.",
    ),
]
Members = Annotated[
    int | None,
    typer.Option(
        "--members",
        help="Number of networks in the ensemble, whose logits are averaged. [5; published: 15]",
        rich_help_panel=NET,
    ),
]
HiddenUnits = Annotated[
    str | None,
    typer.Option(
        "--hidden-units", metavar="N[,N]", help="Sizes of the hidden layers, in order. [256]", rich_help_panel=NET
    ),
]
Dropout = Annotated[
    float | None,
    typer.Option(
        "--dropout", help="Dropout: share of hidden units set to zero in training. [0.25]", rich_help_panel=NET
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        "--learning-rate", help="Learning rate. Members use 0.7 to 1.3 times this. [0.001]", rich_help_panel=NET
    ),
]
Noise = Annotated[
    float | None,
    typer.Option(
        "--noise",
        help="Standard deviation of Gaussian noise added to the standardised inputs in training. [1]",
        rich_help_panel=NET,
    ),
]
Augmented = Annotated[
    float | None,
    typer.Option(
        "--augmented",
        help="Share of cells that are trained on with fewer counts or missing genes. [0.5; published: 0]",
        rich_help_panel=NET,
    ),
]
MaxEpochs = Annotated[
    int | None,
    typer.Option(
        "--max-epochs",
        help="Largest number of passes over the training cells. [60; published: 50]",
        rich_help_panel=NET,
    ),
]
Patience = Annotated[
    int | None,
    typer.Option(
        "--patience",
        help="Stop after this many epochs without a better validation loss. [10; published: 6]",
        rich_help_panel=NET,
    ),
]
GatePenalty = Annotated[
    float | None,
    typer.Option(
        "--gate-penalty",
        help="Penalty on learned gene weights. A larger value uses fewer genes. 0: no gene weights. [0]",
        rich_help_panel=NET,
    ),
]
Distill = Annotated[
    bool,
    typer.Option(
        "--distill",
        help="Also train one network that imitates the ensemble, for faster annotation (annotate --distilled).",
        rich_help_panel=NET,
    ),
]
Trials = Annotated[
    int | None,
    typer.Option(
        "--trials",
        help="Number of settings to try in a search with Optuna. 0: no search. [0; published: 30]",
        rich_help_panel=SEARCH,
    ),
]
TrialEpochs = Annotated[
    int | None,
    typer.Option("--trial-epochs", help="Largest number of epochs of a trial. [50]", rich_help_panel=SEARCH),
]
TrialPatience = Annotated[
    int | None,
    typer.Option(
        "--trial-patience",
        help="Stop a trial after this many epochs without a better validation loss. 0: never. [10]",
        rich_help_panel=SEARCH,
    ),
]
Pruner = Annotated[
    choices.Pruner | None,
    typer.Option(
        "--pruner",
        help="median: stop trials that are worse than half of the earlier ones. none: never. [median]",
        rich_help_panel=SEARCH,
    ),
]
TuneMetric = Annotated[
    choices.Metric | None,
    typer.Option(
        "--tune-metric",
        help="Metric on the validation cells that the search maximises. [accuracy]",
        rich_help_panel=SEARCH,
    ),
]
Space = Annotated[
    list[str] | None,
    typer.Option(
        "--space",
        metavar="NAME=LOW,HIGH",
        help="Range to search for n_layers, units, dropout, learning_rate or noise. Repeat the option for several.",
        rich_help_panel=SEARCH,
    ),
]
TimeBudget = Annotated[
    float | None,
    typer.Option(
        "--time-budget",
        metavar="SECONDS",
        help="Stop the search after this many seconds and use the best settings found.",
        rich_help_panel=SEARCH,
    ),
]
Study = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="FILE|URL",
        help="SQLite file or database URL (postgresql://...) that stores the trials. Makes the search resumable, "
        "and lets several processes share it.",
        rich_help_panel=SEARCH,
    ),
]
StudyName = Annotated[
    str | None,
    typer.Option(
        "--study-name",
        help="Name of the Optuna study. Default: made of the model's name, the data and the search settings.",
        rich_help_panel=SEARCH,
    ),
]
Ranking = Annotated[
    choices.Ranking | None,
    typer.Option(
        "--ranking",
        help="How to rank the genes of a type: by evidence, by the published marker score, or by contribution. "
        "[evidence; published: published]",
        rich_help_panel=MARKERS,
    ),
]
Baseline = Annotated[
    choices.BaselineKind | None,
    typer.Option(
        "--baseline",
        help="Reference expression for contributions: the mean over types, zero, or random. [mean; published: random]",
        rich_help_panel=MARKERS,
    ),
]
Permutations = Annotated[
    int | None,
    typer.Option("--permutations", help="Number of label permutations for p-values. [1000]", rich_help_panel=MARKERS),
]
IncludeGenes = Annotated[
    str | None,
    typer.Option(
        "--include-genes",
        metavar="FILE|GENE[,GENE]",
        help="Rank only these genes as markers: names separated by commas, a file, or a built-in list (surface, "
        "ribosomal, mitochondrial, hemoglobin).",
        rich_help_panel=MARKERS,
    ),
]
ExcludeGenes = Annotated[
    str | None,
    typer.Option(
        "--exclude-genes",
        metavar="FILE|GENE[,GENE]",
        help="Genes to exclude from the markers, given as for --include-genes.",
        rich_help_panel=MARKERS,
    ),
]
Evaluate = Annotated[
    choices.EvaluationLevel,
    typer.Option(
        "--evaluate",
        help="full also leaves out each cell type in turn, which takes minutes to an hour.",
    ),
]
Device = Annotated[
    choices.Device, typer.Option("--device", help="Device to compute on. An error if cuda cannot be used.")
]
Seed = Annotated[int, typer.Option("--seed", help="Random seed.")]
Bundle = Annotated[
    Path | None, typer.Option("--bundle", help="New folder for a copy of the bundle.", rich_help_panel=OUT)
]
NoCellMap = Annotated[
    bool,
    typer.Option(
        "--no-cell-map",
        help="Omit the UMAP of held-out cells from the bundle and its report, with their labels and calls.",
        rich_help_panel=OUT,
    ),
]
Figures = Annotated[Path | None, typer.Option("--figures", help="New folder for the pictures.", rich_help_panel=OUT)]
