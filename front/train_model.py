"""Training in memory: an AnnData becomes a model, without a file of cells and without a registry."""

import os
import tempfile
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from .said_in_python import speaks_python

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from cellmark.schemas.cells.cell_source import CellSource

    from .model import Model

IN_MEMORY = "adata"
"""What cells in memory are called where a file would be named."""
NOT_HERE = ("bundle", "figures", "json")
"""Options of the command line that Python has as `folder`, as `cm.pl`, and as the model itself."""


@speaks_python
def train(
    adata: "AnnData | pd.DataFrame | str | os.PathLike[str]",
    label: str = "cell_type",
    donor: str | None = None,
    *,
    name: str = "cellmark",
    folder: str | os.PathLike[str] | None = None,
    hold_out: str | Sequence[str] = (),
    test_share: float = 0.2,
    layer: str | None = None,
    library_size: str | None = None,
    genes_of: "AnnData | pd.DataFrame | str | os.PathLike[str] | None" = None,
    seed: int = 0,
    device: str = "cpu",
    verbose: bool = True,
    **settings: Any,
) -> "Model":
    """Train, evaluate, explain and prove a model of labelled cells; `adata` stays as it is.

    Cells pass the same checks as a file does. What the model learned from is recorded as for a file too: a SHA-256
    over cell ids, gene names, counts, library sizes, labels and donors, in the manifest's `training_data.digest`.
    Nothing is registered: `model.register("pbmc")` does that, `model.save(folder)` keeps the model. Raises
    `InputError` or `LabelError` for cells that cannot be used, `ParameterError` for settings out of their range, and
    `SetupError` (`EXTRA_MISSING`) without the extra `train`.

    Parameters
    ----------
    adata
        Labelled cells: raw counts, or ln(1 + counts per 10,000). Of a data frame, cells x genes, columns of text are
        its `obs`. A path is read as `cellmark train` reads it.
    label, donor
        Columns of `obs` with the cell types and the donors. With donors the test part consists of whole ones.
    name
        What the model is called.
    folder
        A new folder for the model; by default a temporary one, which is gone with the model.
    hold_out
        Donors of the test part; by default the one that has enough cells of the most types.
    test_share
        Share of the cells in the test part where there are no donors.
    layer, library_size
        Layer of the counts, by default `X`; column of each cell's total count, by default the sum over its genes.
    genes_of
        Cells that wait for the model: it learns only from genes that they have. Nothing but the names of their genes
        is used.
    seed, device
        Of all that is drawn at random; `cpu` or `cuda`.
    verbose
        Show steps and notes on standard error.
    settings
        Further options of `cellmark train`, by name: `members=3`, `max_epochs=20`, `min_cells=20`,
        `preset="published"`, `trials=30`, `distill=True`.

    Examples
    --------
    >>> model = cm.train(adata, label="cell_type", name="tiny", max_epochs=15, verbose=False)
    >>> model.types
    ['B cell', 'NK cell', 'T cell']
    """
    from cellmark.serving.scoring.training_steps import missing_training, needs_training

    if missing_training():
        raise needs_training("cm.train")
    from cellmark.schemas.atomic_output import refuse_existing
    from cellmark.schemas.spoken import in_python
    from cellmark.serving.models.model_source import ModelSource
    from cellmark.training.commands.given_config import given_config
    from cellmark.training.listener import Listener
    from cellmark.training.run import train as run
    from cellmark.training.tracking.listeners import Terminal

    from .model import Model

    options = {
        "label": label,
        "donor": donor,
        "name": name,
        "hold_out": hold_out if isinstance(hold_out, str) else ",".join(hold_out),
        "test_share": test_share,
        "layer": layer,
        "library_size": library_size,
        "genes_of": None if genes_of is None else Path(genes_of) if is_path(genes_of) else Path(IN_MEMORY),
        "seed": seed,
        "device": device,
    }
    config = given_config(Path(adata) if is_path(adata) else Path(IN_MEMORY), **_with_defaults(options, settings))
    if folder is not None:
        refuse_existing(Path(folder), force=None)
    source = None if is_path(adata) else _source(adata, layer=layer, library_size=library_size)
    query = None if genes_of is None or is_path(genes_of) else _source(genes_of, layer=None, library_size=None)
    scratch = tempfile.TemporaryDirectory(prefix="cellmark-") if folder is None else None
    place = Path(scratch.name if scratch is not None else str(folder))
    bundle_folder = place / "bundle" if scratch is not None else place
    if verbose:
        with Terminal(max_epochs=config.fit.max_epochs, words=in_python) as screen:
            trained = run(config, bundle_folder, screen, source=source, query=query)
    else:
        trained = run(config, bundle_folder, Listener(), source=source, query=query)
    source_of_model = ModelSource(trained.bundle, trained.bundle.manifest.name, None, str(bundle_folder))
    return Model(source_of_model, scratch=scratch)


def is_path(cells: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Whether cells are named rather than given."""
    return isinstance(cells, str | os.PathLike)


def _source(cells: Any, *, layer: str | None, library_size: str | None) -> "CellSource":
    import pandas as pd

    from cellmark.schemas.cells.read_anndata import cells_from_anndata
    from cellmark.schemas.cells.read_frame import cells_from_frame

    if isinstance(cells, pd.DataFrame):
        return cells_from_frame(cells, layer=layer, library_size=library_size)
    return cells_from_anndata(cells, layer=layer)


def _with_defaults(options: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """All options of `cellmark train`: those given, and the defaults. Raises `ParameterError` for an unknown one."""
    from cellmark.schemas.errors import ParameterError
    from cellmark.training.commands.given_config import default_options

    known = {name: value for name, value in default_options().items() if name not in NOT_HERE}
    unknown = sorted(set(settings) - set(known))
    if unknown:
        alike = get_close_matches(unknown[0], known, n=3)
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where=unknown[0],
            expected="a setting of the training",
            found=f"{unknown[0]}={settings[unknown[0]]!r}",
            remedy=f"Did you mean {' or '.join(alike)}?" if alike else f"Name one of: {', '.join(sorted(known))}.",
        )
    return {**default_options(), **settings, **options}
