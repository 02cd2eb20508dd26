"""Adam over the weights of networks side by side, each with its own learning rate and its schedule."""

import math
from collections.abc import Sequence

import torch

from .fit_settings import FitSettings
from .stacked_networks import StackedNetworks

GATE_RATE = 10.0
"""The gate's learning rate over that of the other weights: it has far to go, and few epochs."""


PLATEAU_PATIENCE = 3
PLATEAU_FACTOR = 0.5
PLATEAU_THRESHOLD = 1e-4
"""A loss is better when it is less by this share: with these values as `torch.optim.lr_scheduler.ReduceLROnPlateau`."""


class LearningRate:
    """Rises in a line over the first batches, then follows the schedule from epoch to epoch."""

    def __init__(self, settings: FitSettings) -> None:
        self._settings = settings
        self._steps = 0
        self._epochs = 0
        self._factor = 1.0
        self._best = math.inf
        self._waited = 0

    def next_step(self) -> float:
        """The rate of the next batch."""
        self._steps += 1
        warmed = min(1.0, self._steps / self._settings.warmup_steps) if self._settings.warmup_steps else 1.0
        return self._settings.learning_rate * warmed * self._factor

    def finish_epoch(self, train_loss: float) -> None:
        """All training cells were seen once more."""
        self._epochs += 1
        if self._settings.schedule == "cosine":
            self._factor = (1 + math.cos(math.pi * self._epochs / self._settings.max_epochs)) / 2
        elif self._settings.schedule == "plateau":
            if train_loss < self._best * (1 - PLATEAU_THRESHOLD):
                self._best, self._waited = train_loss, 0
            else:
                self._waited += 1
            if self._waited > PLATEAU_PATIENCE:
                self._factor, self._waited = self._factor * PLATEAU_FACTOR, 0


class StackedOptimizer:
    """Adam over stacked weights, with each member's own rate and decay; steps are fused into one pass over memory."""

    def __init__(self, networks: StackedNetworks, members: Sequence[FitSettings]) -> None:
        self._networks = networks
        self._members = list(members)
        self._penalty = members[0].gate_penalty
        self._adam = self._new()

    def _new(self) -> torch.optim.Optimizer:
        kind = torch.optim.AdamW if self._members[0].optimizer == "adamw" else torch.optim.Adam
        # Views: the optimizer writes into the stacked weights.
        self._views = [[values.detach()[member] for values in self._networks.parameters] for member in self._numbers]
        groups = []
        for settings, views in zip(self._members, self._views, strict=True):
            learned = views if self._networks.gate is None else views[:-1]
            groups.append({"params": learned, "weight_decay": settings.weight_decay, "times": 1.0})
            if self._networks.gate is not None:
                groups.append({"params": views[-1:], "weight_decay": 0.0, "times": GATE_RATE})
        return kind(groups, fused=True)

    @property
    def _numbers(self) -> range:
        return range(len(self._members))

    def step(self, losses: torch.Tensor, rates: Sequence[float]) -> None:
        """One step of every member. `losses`: [members]; `rates`: learning rate of each."""
        total = losses.sum()
        gate = self._networks.gate
        if gate is not None:
            total = total + self._penalty * gate.sum()
        parameters = self._networks.parameters
        gradients = torch.autograd.grad(total, parameters)
        for member, views in enumerate(self._views):
            for view, gradient in zip(views, gradients, strict=True):
                # Fused steps read memory in order, whatever the strides say.
                view.grad = gradient[member].contiguous()
        groups = self._adam.param_groups
        for number, group in enumerate(groups):
            group["lr"] = rates[number * len(rates) // len(groups)] * group["times"]
        self._adam.step()
        if gate is not None:
            gate.detach().clamp_(min=0)

    def select(self, members: Sequence[int]) -> None:
        """Go on with `members` (numbers as they are now), each where it was."""
        before, views = self._adam, self._views
        self._networks.select(members)
        self._members = [self._members[member] for member in members]
        self._adam = self._new()
        for member, own in zip(members, self._views, strict=True):
            for old, new in zip(views[member], own, strict=True):
                self._adam.state[new] = before.state[old]
