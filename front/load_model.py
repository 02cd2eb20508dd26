"""A model from a folder or from MLflow's registry."""

import os
from typing import TYPE_CHECKING, Any

from .said_in_python import speaks_python

if TYPE_CHECKING:
    from .model import Model


@speaks_python
def load(
    uri: str | os.PathLike[str],
    *,
    device: str = "cpu",
    threads: int = 1,
    distilled: bool = False,
    min_panel_share: float | None = None,
    min_attribution_share: float | None = None,
    max_unknown_share: float | None = None,
) -> "Model":
    """Open a model. Its files are verified now; its graphs are loaded, and tested on golden cells, when they are used.

    Raises `ModelError` where there is no such model, `BundleError` for a damaged one, and `RegistryError` where MLflow
    does not answer.

    Parameters
    ----------
    uri
        A bundle folder, or an MLflow URI: `models:/pbmc@champion`, `models:/pbmc/3`, `models:/m-ID`, `runs:/ID/model`.
    device, threads
        Where onnxruntime computes (`cpu` or `cuda`), and with how many threads.
    distilled
        Call with one network in place of the ensemble, where training made one.
    min_panel_share, min_attribution_share, max_unknown_share
        What an input must have of the model's genes, in place of the model's own floors.

    Examples
    --------
    >>> model = cm.load(folder)
    >>> model.types
    ['B cell', 'NK cell', 'T cell']
    """
    from cellmark.serving.models.model_source import open_model

    from .model import Model

    floors: dict[str, Any] = {
        "min_panel_share": min_panel_share,
        "min_attribution_share": min_attribution_share,
        "max_unknown_share": max_unknown_share,
    }
    return Model(open_model(uri), device=device, threads=threads, distilled=distilled, **floors)
