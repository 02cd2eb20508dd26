"""The network: linear layers with BatchNorm, ReLU and dropout on standardised ln(1 + counts per 10,000)."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import nn

from ..setting_bounds import Advice, AtLeast1, BelowOne


@dataclass(frozen=True)
class NetworkShape:
    """`hidden_units`: size of each hidden layer, first to last. `dropout`: share of units silenced in training."""

    hidden_units: Annotated[
        tuple[AtLeast1, ...],
        Field(min_length=1),
        Advice("Give sizes such as 256.", "one hidden layer or more, of 1 unit or more"),
    ] = (256,)
    dropout: Annotated[BelowOne, Advice("Give a share such as 0.25.")] = 0.25


class Classifier(nn.Module):
    """Cell-type logits of normalised expression.

    The first step standardises each gene with the training cells' mean and standard deviation (buffers, not weights);
    a gene is divided by at least `MIN_SD`, so that rare genes are not blown up. With `gated`, each standardised gene is
    then multiplied by a weight of its own, which training holds at 0 or above.
    """

    def __init__(
        self,
        n_genes: int,
        n_types: int,
        shape: NetworkShape,
        *,
        mean: np.ndarray,
        scale: np.ndarray,
        gated: bool = False,
    ) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32))
        self.gate = nn.Parameter(torch.ones(n_genes)) if gated else None
        layers: list[nn.Module] = []
        width = n_genes
        for units in shape.hidden_units:
            layers += [nn.Linear(width, units), nn.BatchNorm1d(units), nn.ReLU(), nn.Dropout(shape.dropout)]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, n_types))

    @property
    def is_linear(self) -> bool:
        """Whether it has no hidden layer, as logistic regression (`linear_member`)."""
        return len(self.layers) == 1

    def standardize(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised expression, cells x genes. `x`: ln(1 + counts per 10,000)."""
        return (x - self.mean) / self.scale

    def inputs(self, x: torch.Tensor) -> torch.Tensor:
        """What the layers take, cells x genes: standardised expression times the gate, if there is one."""
        values = self.standardize(x)
        return values if self.gate is None else values * self.gate

    def gate_values(self) -> np.ndarray | None:
        """The learned weight of each gene, float32 [genes], at least 0; None without a gate."""
        return None if self.gate is None else self.gate.detach().cpu().numpy().copy()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, cells x types. `x`: ln(1 + counts per 10,000), cells x genes."""
        logits: torch.Tensor = self.layers(self.inputs(x))
        return logits
