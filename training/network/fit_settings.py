"""What a fit is given, and what it gives: settings, cells, and the network with its measures epoch by epoch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, Self

import numpy as np
import scipy.sparse as sp
import torch
from pydantic import Field

from ..choices import Stop
from ..setting_bounds import Advice, AtLeast0, AtLeast1, BelowOne, NotNegative, Positive, ShareAboveZero
from .classifier import Classifier, NetworkShape

Balance = Literal["weights", "upsample", "none"]
LAST_EPOCH, MAX_EPOCHS = 20, 60
"""Epochs where the last one is kept (docs/benchmarks.md), and at most where a loss may end training earlier."""
Optimizer = Literal["adamw", "adam"]
Schedule = Literal["cosine", "plateau", "constant"]


@dataclass(frozen=True)
class FitSettings:
    """How a network is fitted.

    `noise`: sd of Gaussian noise on the inputs, in their unit.

    `stop`: when training ends. `last_epoch`: after `max_epochs`, of which the last is kept, so that no cells need be
    kept aside and validation cells are learned too. Or after `patience` epochs without a better `validation_loss` or
    `train_loss`, where the epoch with the best one is kept and validation cells are not learned.

    `balance`: how rare types come to count as much as common ones: by `weights` of the loss, by drawing cells until all
    types are as large as the largest (`upsample`), or not at all (`none`).

    `standardize`: whether each gene's mean and standard deviation are taken out; if not, inputs are
    log2(1 + counts per 10,000). `optimizer`: `adam` has weight decay as a part of the gradient, `adamw` beside it.

    `schedule` of the learning rate: a half `cosine` over `max_epochs`, halved on a `plateau` of the training loss (3
    epochs), or `constant`; the first `warmup_steps` batches rise to it in a line.

    `gate_penalty`: strength of the gene gate's L1 penalty; 0 for no gate.

    `augmented`: share of the cells of a batch that are thinned to fewer counts and, drawn separately, of those that
    lose genes; 0 for neither. `least_counts`: smallest share of a thinned cell's counts that is left. `most_missing`:
    largest share of the genes that is lost to a cell. See `Augmentation`.
    """

    shape: NetworkShape = field(default_factory=NetworkShape)
    learning_rate: Annotated[Positive, Advice("Give a rate such as 0.001.")] = 1e-3
    weight_decay: Annotated[NotNegative, Advice("Give a value such as 0.0001.")] = 1e-4
    batch_size: Annotated[int, Field(ge=2), Advice("Raise it: BatchNorm needs two cells.")] = 64
    max_epochs: AtLeast1 = LAST_EPOCH
    patience: AtLeast1 = 10
    noise: Annotated[NotNegative, Advice("Give a standard deviation such as 1.")] = 1.0
    balance: Balance = "weights"
    standardize: bool = True
    optimizer: Optimizer = "adamw"
    schedule: Schedule = "cosine"
    warmup_steps: AtLeast0 = 0
    stop: Stop = "last_epoch"
    gate_penalty: Annotated[NotNegative, Advice("Give a value such as 0.001, or 0 for none.")] = 0.0
    augmented: Annotated[
        float,
        Field(ge=0, le=1, allow_inf_nan=False),
        Advice("Give a share of cells such as 0.5, or 0 for none.", "from 0 to 1"),
    ] = 0.5
    least_counts: Annotated[ShareAboveZero, Advice("Give a share of counts such as 0.1.")] = 0.1
    most_missing: Annotated[BelowOne, Advice("Give a share of genes such as 0.5.")] = 0.5

    def until(self, stop: Stop) -> Self:
        """The same, but for when training ends, and how many epochs that may take."""
        if stop == self.stop:
            return self
        epochs = MAX_EPOCHS if self.stop == "last_epoch" else self.max_epochs
        return replace(self, stop=stop, max_epochs=LAST_EPOCH if stop == "last_epoch" else epochs)


@dataclass(frozen=True)
class FitData:
    """`x`: CSR, float32, cells x panel genes, ln(1 + counts per 10,000). `codes`: int [cells], from 0. `train`,
    `validation`: cell numbers; `n_types`: types that are learned, whether they have cells there or not.

    `teacher`: logits, float32, cells x types, that are learned instead of the labels; None for the labels. Their rows
    matter where `train` and `validation` are.
    """

    x: sp.csr_matrix
    codes: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    n_types: int
    teacher: np.ndarray | None = None

    @property
    def seen(self) -> np.ndarray:
        """Numbers of the cells that fitting looks at, sorted."""
        return np.sort(np.concatenate([self.train, self.validation]))

    def learned(self, settings: FitSettings) -> np.ndarray:
        """Numbers of the cells that give gradients: validation cells only where they settle nothing."""
        return self.seen if settings.stop == "last_epoch" else self.train

    def divided(self, train: np.ndarray, validation: np.ndarray) -> Self:
        """The same cells, divided in another way. `train`, `validation`: cell numbers."""
        return replace(self, train=train, validation=validation)


MEASURES = ("train_loss", "validation_loss", "validation_accuracy", "validation_macro_f1")


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training cells gave. Losses are weighted as training weighs them, that of
    validation cells as `judging_weights` says. NaN is what no cells were kept aside for.
    """

    number: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    validation_macro_f1: float

    def measures(self) -> dict[str, float]:
        """By name, those that there are."""
        return {name: value for name in MEASURES if not math.isnan(value := getattr(self, name))}


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


def unjudged(number: int, train_loss: float) -> Epoch:
    """An epoch of networks that no cells were kept aside for."""
    return Epoch(number, train_loss, math.nan, math.nan, math.nan)


def mean_epoch(epochs: Sequence[Epoch]) -> Epoch:
    """Means over networks of what one epoch gave. `epochs`: of one number."""
    return Epoch(epochs[0].number, *(float(np.mean([getattr(epoch, name) for epoch in epochs])) for name in MEASURES))
