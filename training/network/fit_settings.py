"""How a network is fitted: everything but the cells and the seed."""

from dataclasses import dataclass, field
from typing import Literal

from .classifier import NetworkShape

Balance = Literal["weights", "upsample", "none"]
Optimizer = Literal["adamw", "adam"]
Schedule = Literal["cosine", "plateau", "constant"]
Stop = Literal["validation_loss", "train_loss"]


@dataclass(frozen=True)
class FitSettings:
    """How a network is fitted.

    `noise`: sd of Gaussian noise on the inputs, in their unit. `patience`: epochs without a better loss before training
    stops, and `stop` which loss; the epoch with the best one is kept.

    `balance`: how rare types come to count as much as common ones: by `weights` of the loss, by drawing cells until all
    types are as large as the largest (`upsample`), or not at all (`none`).

    `standardize`: whether each gene's mean and standard deviation are taken out; if not, inputs are
    log2(1 + counts per 10,000). `optimizer`: `adam` has weight decay as a part of the gradient, `adamw` beside it.

    `schedule` of the learning rate: a half `cosine` over `max_epochs`, halved on a `plateau` of the training loss (3
    epochs), or `constant`; the first `warmup_steps` batches rise to it in a line.

    `gate_penalty`: strength of the gene gate's L1 penalty; 0 for no gate.

    `augmented`: share of the cells of a batch that are thinned to fewer counts and, drawn apart, of those that lose
    genes; 0 for neither. `least_counts`: smallest share of a thinned cell's counts that is left. `most_missing`:
    largest share of the genes that is lost to a cell. See `Augmentation`.
    """

    shape: NetworkShape = field(default_factory=NetworkShape)
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    batch_size: int = 64
    max_epochs: int = 60
    patience: int = 10
    noise: float = 1.0
    balance: Balance = "weights"
    standardize: bool = True
    optimizer: Optimizer = "adamw"
    schedule: Schedule = "cosine"
    warmup_steps: int = 0
    stop: Stop = "validation_loss"
    gate_penalty: float = 0.0
    augmented: float = 0.5
    least_counts: float = 0.1
    most_missing: float = 0.5
