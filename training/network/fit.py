"""Fitting one network: batches are slices of a matrix, early stopping watches validation cells."""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import torch

from .batch_inputs import MIN_SD, standardization
from .classifier import Classifier
from .fit_data import FitData
from .fit_result import Epoch, FitResult
from .fit_settings import FitSettings
from .torch_device import one_thread
from .train_together import train_together

__all__ = ["MIN_SD", "Epoch", "FitResult", "FitSettings", "fit", "predict_logits", "standardization"]


def fit(
    data: FitData,
    *,
    settings: FitSettings,
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> FitResult:
    """Train a classifier.

    Only training cells give the standardisation, the class weights and the gradients; validation cells decide
    when to stop and which epoch to keep, unless `settings.stop` is the training loss. With `settings.augmented`
    `data.x` must come from counts (see `thin`). Deterministic on the CPU for a given seed. `on_epoch` hears of every
    epoch.
    """
    (result,) = train_together(data, members=[settings], seed=seed, device=device, on_epoch=on_epoch)
    return result


@one_thread()
def predict_logits(
    classifier: Classifier, x: sp.csr_matrix, cells: np.ndarray | None = None, *, batch_size: int = 1024
) -> torch.Tensor:
    """Logits in evaluation mode, cells x types, on the CPU. `x`: CSR, ln(1 + counts per 10,000); `cells`: rows."""
    classifier.eval()
    device = classifier.mean.device
    rows = np.arange(x.shape[0]) if cells is None else cells
    with torch.no_grad():
        pieces = [
            classifier(torch.from_numpy(x[rows[start : start + batch_size]].toarray()).to(device)).cpu()
            for start in range(0, max(len(rows), 1), batch_size)
        ]
    return torch.cat(pieces)
