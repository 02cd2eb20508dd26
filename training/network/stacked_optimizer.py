"""Adam over the weights of networks side by side, each with its own learning rate."""

from collections.abc import Sequence

import torch

from .fit_settings import FitSettings
from .stacked_networks import StackedNetworks

GATE_RATE = 10.0
"""The gate's learning rate over that of the other weights: it has far to go, and few epochs."""


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
