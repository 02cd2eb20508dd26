"""How a network is fitted: everything but the cells and the seed."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from ..setting_bounds import Advice, AtLeast0, AtLeast1, BelowOne, NotNegative, Positive, ShareAboveZero
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

    `augmented`: share of the cells of a batch that are thinned to fewer counts and, drawn separately, of those that
    lose genes; 0 for neither. `least_counts`: smallest share of a thinned cell's counts that is left. `most_missing`:
    largest share of the genes that is lost to a cell. See `Augmentation`.
    """

    shape: NetworkShape = field(default_factory=NetworkShape)
    learning_rate: Annotated[Positive, Advice("Give a rate such as 0.001.")] = 1e-3
    weight_decay: Annotated[NotNegative, Advice("Give a value such as 0.0001.")] = 1e-4
    batch_size: Annotated[int, Field(ge=2), Advice("Raise it: BatchNorm needs two cells.")] = 64
    max_epochs: AtLeast1 = 60
    patience: AtLeast1 = 10
    noise: Annotated[NotNegative, Advice("Give a standard deviation such as 1.")] = 1.0
    balance: Balance = "weights"
    standardize: bool = True
    optimizer: Optimizer = "adamw"
    schedule: Schedule = "cosine"
    warmup_steps: AtLeast0 = 0
    stop: Stop = "validation_loss"
    gate_penalty: Annotated[NotNegative, Advice("Give a value such as 0.001, or 0 for none.")] = 0.0
    augmented: Annotated[
        float,
        Field(ge=0, le=1, allow_inf_nan=False),
        Advice("Give a share of cells such as 0.5, or 0 for none.", "from 0 to 1"),
    ] = 0.5
    least_counts: Annotated[ShareAboveZero, Advice("Give a share of counts such as 0.1.")] = 0.1
    most_missing: Annotated[BelowOne, Advice("Give a share of genes such as 0.5.")] = 0.5
