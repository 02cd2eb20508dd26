"""What a fit gave, epoch by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .classifier import Classifier

MEASURES = ("train_loss", "validation_loss", "validation_accuracy", "validation_macro_f1")


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training cells gave. Losses are weighted as training weighs them, that of
    validation cells as `judging_weights` says.
    """

    number: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    validation_macro_f1: float


@dataclass(frozen=True)
class FitResult:
    """`classifier`: in evaluation mode, on the CPU, with the weights of `best_epoch`."""

    classifier: Classifier
    epochs: tuple[Epoch, ...]
    best_epoch: int


def summarize(
    number: int, train_loss: float, validation_loss: float, logits: torch.Tensor, targets: torch.Tensor
) -> Epoch:
    """An epoch's measures. `logits`: validation cells x types; `targets`: int [validation cells]; on the CPU."""
    n_types = logits.shape[1]
    calls = logits.argmax(dim=1)
    pairs = torch.bincount(targets * n_types + calls, minlength=n_types**2).reshape(n_types, n_types).double()
    right = pairs.diagonal()
    present = pairs.sum(1) > 0
    f1 = 2 * right / (pairs.sum(0) + pairs.sum(1)).clamp(min=1)
    return Epoch(number, train_loss, validation_loss, float(right.sum() / pairs.sum()), float(f1[present].mean()))


def mean_epoch(epochs: Sequence[Epoch]) -> Epoch:
    """Means over networks of what one epoch gave. `epochs`: of one number."""
    return Epoch(epochs[0].number, *(float(np.mean([getattr(epoch, name) for epoch in epochs])) for name in MEASURES))
