"""`cellmark train`: labelled cells become a registered model."""

from .reading_options import GenesByCells, Label, LabelledData, Layer, LibrarySize, MinCells
from .train_options import (
    Augmented,
    Baseline,
    Bundle,
    Device,
    Distill,
    Donor,
    Dropout,
    Evaluate,
    ExcludeGenes,
    Figures,
    GatePenalty,
    HiddenUnits,
    HoldOut,
    IncludeGenes,
    LearningRate,
    MaxEpochs,
    MaxGenes,
    Members,
    MinPanelShare,
    Name,
    NoCellMap,
    Noise,
    Ontology,
    Patience,
    Permutations,
    Preset,
    Pruner,
    Ranking,
    Seed,
    Space,
    Study,
    StudyName,
    Test,
    TestLabel,
    TestLabels,
    TestLayer,
    TestLibrarySize,
    TestShare,
    TimeBudget,
    TrialEpochs,
    TrialPatience,
    Trials,
    TuneMetric,
)


def train(
    data: LabelledData,
    label: Label = "cell_type",
    name: Name = "cellmark",
    donor: Donor = None,
    hold_out: HoldOut = None,
    test_share: TestShare = 0.2,
    test: Test = None,
    test_label: TestLabel = None,
    test_layer: TestLayer = None,
    test_library_size: TestLibrarySize = None,
    test_labels: TestLabels = None,
    ontology: Ontology = None,
    layer: Layer = None,
    library_size: LibrarySize = None,
    genes_by_cells: GenesByCells = False,
    min_cells: MinCells = 10,
    preset: Preset = "default",
    max_genes: MaxGenes = None,
    min_panel_share: MinPanelShare = 0.5,
    members: Members = None,
    hidden_units: HiddenUnits = None,
    dropout: Dropout = None,
    learning_rate: LearningRate = None,
    noise: Noise = None,
    augmented: Augmented = None,
    max_epochs: MaxEpochs = None,
    patience: Patience = None,
    gate_penalty: GatePenalty = None,
    distill: Distill = False,
    trials: Trials = None,
    trial_epochs: TrialEpochs = None,
    trial_patience: TrialPatience = None,
    pruner: Pruner = None,
    tune_metric: TuneMetric = None,
    space: Space = None,
    time_budget: TimeBudget = None,
    study: Study = None,
    study_name: StudyName = None,
    ranking: Ranking = None,
    baseline: Baseline = None,
    permutations: Permutations = None,
    include_genes: IncludeGenes = None,
    exclude_genes: ExcludeGenes = None,
    evaluate: Evaluate = "fast",
    device: Device = "cpu",
    seed: Seed = 0,
    bundle: Bundle = None,
    no_cell_map: NoCellMap = False,
    figures: Figures = None,
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
    from ..presets import fit_given, genes_given, given, tune_given
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
            chosen.fit,
            hidden_units=hidden_units,
            dropout=dropout,
            learning_rate=learning_rate,
            noise=noise,
            augmented=augmented,
            max_epochs=max_epochs,
            patience=patience,
            gate_penalty=gate_penalty,
        ),
        tune=tune_given(
            chosen.tune,
            space=space,
            patience=trial_patience,
            n_trials=trials,
            max_epochs=trial_epochs,
            pruner=pruner,
            metric=tune_metric,
            time_budget=time_budget,
            study=study,
            study_name=study_name,
        ),
        n_members=chosen.n_members if members is None else members,
        markers=given(
            chosen.markers,
            ranking=ranking,
            baseline=baseline,
            n_permutations=permutations,
            include_genes=genes_given(include_genes),
            exclude_genes=genes_given(exclude_genes),
        ),
        distill=distill,
        evaluate=evaluate,
        figures=figures,
        cell_map=not no_cell_map,
    )
    registered = train_and_register(config, bundle_folder=bundle)
    show_training(registered)
