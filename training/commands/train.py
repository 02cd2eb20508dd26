"""`cellmark train`: labelled cells become a registered model."""

from typing import Any

from .reading_options import LabelledData
from .train_options import takes_options


@takes_options
def train(data: LabelledData, **options: Any) -> None:
    """Train, evaluate, export and register a model.

    The counts must be raw. Cells are divided into training, validation and test parts (whole donors with --donor). The
    test part is used once, for the reported scores. The run and the registered version go to MLflow (`cellmark config
    show` says where). Values in square brackets are the presets'.

    Example: `cellmark train pbmc.h5ad --label cell_type --donor batch --name pbmc`

    Example, a model of genes that the cells to annotate have: `cellmark train pbmc.h5ad --genes-of new.h5ad`

    Example, the published procedure, resumable: `cellmark train pbmc.h5ad --preset published --study pbmc-study.db`
    """
    from rich.console import Console

    from cellmark.schemas.json_document import print_document

    from .early_check import refuse_wrong_columns

    refuse_wrong_columns(data, options)
    # Seconds on a busy machine, and nothing else would be seen of them.
    Console(stderr=True, highlight=False).print("Loading PyTorch …", style="dim")
    from ..train_and_register import train_and_register
    from .given_config import given_config
    from .show import show_training, training_document

    as_json = options.pop("json")
    config = given_config(data, **options)
    registered = train_and_register(config, bundle_folder=options["bundle"])
    show_training(registered, query=config.genes_of)
    if as_json:
        print_document(training_document(registered, query=config.genes_of))
