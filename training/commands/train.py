"""`cellmark train`: labelled cells become a registered model."""

from typing import Any

from .reading_options import LabelledData
from .train_options import GENERAL, MARKERS, NETWORKS, SEARCH, takes_options

FIELDS = {
    "test": "test_data",
    "trials": "n_trials",
    "trial_epochs": "max_epochs",
    "trial_patience": "patience",
    "tune_metric": "metric",
    "permutations": "n_permutations",
}
"""Settings that have another name than their option."""


@takes_options
def train(data: LabelledData, **options: Any) -> None:
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
    from ..presets import fit_given, genes_given, given, preset, tune_given
    from ..train_and_register import train_and_register
    from .show import show_training

    chosen = preset(options["preset"])
    members, distill, max_genes = (options.pop(name) for name in ("members", "distill", "max_genes"))
    hold_out = options.pop("hold_out") or ""
    for name in ("include_genes", "exclude_genes"):
        options[name] = genes_given(options[name])
    general, networks, search, markers = (
        {FIELDS.get(name, name): options[name] for name in group if name in options}
        for group in (GENERAL, NETWORKS, SEARCH, MARKERS)
    )
    config = TrainingConfig(
        data=data,
        **general,
        hold_out=tuple(part.strip() for part in hold_out.split(",") if part.strip()),
        max_genes=chosen.max_genes if max_genes is None else max_genes or None,
        fit=fit_given(chosen.fit, **networks),
        tune=tune_given(chosen.tune, **search),
        n_members=chosen.n_members if members is None else members,
        markers=given(chosen.markers, **markers),
        distill=distill,
        figures=options["figures"],
        cell_map=not options["no_cell_map"],
    )
    show_training(train_and_register(config, bundle_folder=options["bundle"]))
