"""A model of CellTypist's, taken over."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .said_in_python import speaks_python

if TYPE_CHECKING:
    from .model import Model


@speaks_python
def import_celltypist(
    path: str | os.PathLike[str],
    *,
    trust_pickle: bool = False,
    folder: str | os.PathLike[str] | None = None,
    name: str | None = None,
    organism: str | None = None,
    min_panel_share: float = 0.5,
) -> "Model":
    """Make a model of a CellTypist file: the same calls, with explanations, and with a warning of what is not measured.

    Confidence is not calibrated, no cell stays unassigned, and there is no reference for `drift`. Raises `ReadError`
    for a file that is not trusted or holds anything else, `OutputError` where `folder` exists, and `SetupError`
    (`EXTRA_MISSING`) without the extra `train`; the model itself needs it no more.

    Parameters
    ----------
    path
        Model of CellTypist: a `.pkl` file. CellTypist keeps those that it downloads in `~/.celltypist/data/models`.
    trust_pickle
        Read the file although it is a pickle. A separate process takes its arrays out and runs nothing.
    folder
        A new folder for the model; by default a temporary one, which is gone with the model.
    name
        What the model is called; by default as the file.
    organism
        Organism of its cells, such as `human`; by default as the names of its genes tell.
    min_panel_share
        Share of the model's genes that cells to annotate must have.

    Examples
    --------
    >>> model = cm.import_celltypist("Immune_All_Low.pkl", trust_pickle=True)
    >>> model.types
    ['B cell', 'NK cell', 'T cell']
    """
    from cellmark.schemas.atomic_output import refuse_existing
    from cellmark.serving.files.import_celltypist import import_celltypist as run
    from cellmark.serving.models.model_source import ModelSource

    from .model import Model

    if folder is not None:
        refuse_existing(Path(folder), force=None)
    scratch = tempfile.TemporaryDirectory(prefix="cellmark-") if folder is None else None
    place = Path(scratch.name) / "bundle" if scratch is not None else Path(str(folder))
    bundle = run(
        Path(path), place, trust_pickle=trust_pickle, name=name, organism=organism, min_panel_share=min_panel_share
    )
    return Model(ModelSource(bundle, bundle.manifest.name, None, str(place)), scratch=scratch)
