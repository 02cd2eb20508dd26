"""Networks of one shape side by side, as one batch of matrices, and Adam over their weights.

Each network has its own learning rate and its schedule.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional

from .classifier import Classifier
from .fit_settings import FitSettings

Layer = TypeVar("Layer", bound=nn.Module)


class StackedNetworks:
    """The weights of several classifiers of one shape, stacked: [members, ...].

    A linear layer that BatchNorm follows has no use for its bias, which the mean takes out again: here it has none, and
    0 once written back. In training a gate must be held at 0 or above by its owner.
    """

    def __init__(self, classifiers: Sequence[Classifier], *, device: torch.device) -> None:
        linear = [_layers(classifier, nn.Linear) for classifier in classifiers]
        norms = [_layers(classifier, nn.BatchNorm1d) for classifier in classifiers]
        dropouts = [_layers(classifier, nn.Dropout)[0].p for classifier in classifiers]
        self.weights = [_stack([layer.weight for layer in layers], device) for layers in zip(*linear, strict=True)]
        self.gammas = [_stack([layer.weight for layer in layers], device) for layers in zip(*norms, strict=True)]
        self.betas = [_stack([layer.bias for layer in layers], device) for layers in zip(*norms, strict=True)]
        self.bias = _stack([layers[-1].bias for layers in linear], device)
        gates = [classifier.gate for classifier in classifiers if classifier.gate is not None]
        self.gate = _stack(gates, device) if gates else None
        biases = [[layer.bias for layer in layers[:-1]] for layers in linear]
        means = [[norm.get_buffer("running_mean") for norm in layers] for layers in norms]
        variances = [[norm.get_buffer("running_var") for norm in layers] for layers in norms]
        with torch.no_grad():
            self.means = [
                _stack(layers, device).detach() - _stack(own, device).detach()
                for layers, own in zip(zip(*means, strict=True), zip(*biases, strict=True), strict=True)
            ]
            self.variances = [_stack(layers, device).detach() for layers in zip(*variances, strict=True)]
        self.kept = 1 - torch.tensor(dropouts, device=device)[None, :, None]
        self._workspace = torch.empty_like(self.weights[0], requires_grad=False)

    def __len__(self) -> int:
        return len(self.bias)

    @property
    def parameters(self) -> list[torch.Tensor]:
        """Everything that is learned, each [members, ...]; a gate comes last."""
        return [*self.weights, *self.gammas, *self.betas, self.bias, *([] if self.gate is None else [self.gate])]

    def logits(self, inputs: torch.Tensor, *, generator: torch.Generator | None = None) -> torch.Tensor:
        """Logits, members x cells x types. `inputs`: standardised expression, cells x genes, the same for all members.

        With a `generator` as in training: BatchNorm of this batch, and dropout drawn from it.
        """
        n_cells, n_members = len(inputs), len(self)
        z: torch.Tensor = _FirstLayer.apply(inputs, self.weights[0], self.gate, self._workspace)  # type: ignore[no-untyped-call]
        layers = zip(self.weights[1:], self.gammas, self.betas, self.means, self.variances, strict=True)
        for number, (weight, gamma, beta, mean, variance) in enumerate(layers, start=1):
            z = functional.batch_norm(
                z, mean.view(-1), variance.view(-1), gamma.view(-1), beta.view(-1), training=generator is not None
            )
            hidden = functional.relu(z).view(n_cells, n_members, -1)
            if generator is not None:
                drawn = torch.rand(hidden.shape, generator=generator, device=hidden.device)
                hidden = hidden * ((drawn < self.kept) / self.kept)
            z = torch.bmm(hidden.transpose(0, 1), weight.transpose(1, 2))
            if number < len(self.weights) - 1:
                z = z.transpose(0, 1).reshape(n_cells, -1)
        return z + self.bias[:, None, :]

    def select(self, members: Sequence[int]) -> None:
        """Leave the computation to `members` (numbers as they are now)."""
        rows = torch.as_tensor(members, device=self.bias.device)

        def picked(values: torch.Tensor) -> torch.Tensor:
            return values.detach()[rows].requires_grad_(values.requires_grad)

        self.weights, self.gammas, self.betas = (
            [picked(values) for values in group] for group in (self.weights, self.gammas, self.betas)
        )
        self.bias = picked(self.bias)
        self.gate = None if self.gate is None else picked(self.gate)
        self.means, self.variances = ([picked(values) for values in group] for group in (self.means, self.variances))
        self.kept = self.kept[:, rows]
        self._workspace = self._workspace[: len(rows)]

    def copy(self, member: int) -> list[torch.Tensor]:
        """A copy of one member's weights and statistics, for `write`."""
        return [values[member].detach().clone() for values in (*self.parameters, *self.means, *self.variances)]


class _FirstLayer(torch.autograd.Function):
    """Pre-activations of the first layer, cells x (members times units), for inputs that need no gradient.

    The gated weights, and then their gradient, are written into `workspace`: gigabytes of fresh memory in each epoch
    cost more than the products. So a gradient must be used before the next pass.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, gate: torch.Tensor | None, workspace: torch.Tensor
    ) -> torch.Tensor:
        ctx.inputs, ctx.weight, ctx.gate, ctx.workspace = inputs, weight, gate, workspace
        used = weight if gate is None else torch.mul(weight, gate[:, None, :], out=workspace)
        return inputs @ used.flatten(0, 1).T

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor | None, None]:
        weight, gate, workspace = ctx.weight, ctx.gate, ctx.workspace
        torch.mm(gradient.T, ctx.inputs, out=workspace.flatten(0, 1))
        if gate is None:
            return None, workspace, None, None
        of_gate = torch.stack([(own * values).sum(0) for own, values in zip(workspace, weight, strict=True)])
        return None, workspace.mul_(gate[:, None, :]), of_gate, None


def write(copied: Sequence[torch.Tensor], classifier: Classifier) -> Classifier:
    """Put weights from `StackedNetworks.copy` into a classifier of that shape, on the CPU; returns it."""
    linear, norms = _layers(classifier, nn.Linear), _layers(classifier, nn.BatchNorm1d)
    places = [layer.weight for layer in linear] + [norm.weight for norm in norms] + [norm.bias for norm in norms]
    places += [linear[-1].bias] + ([] if classifier.gate is None else [classifier.gate])
    places += [norm.get_buffer("running_mean") for norm in norms] + [norm.get_buffer("running_var") for norm in norms]
    with torch.no_grad():
        for place, values in zip(places, copied, strict=True):
            place.copy_(values)
        for layer in linear[:-1]:
            layer.bias.zero_()
    return classifier


def _layers(classifier: Classifier, kind: type[Layer]) -> list[Layer]:
    return [layer for layer in classifier.layers if isinstance(layer, kind)]


def _stack(values: Sequence[torch.Tensor], device: torch.device) -> torch.Tensor:
    return torch.stack([value.detach() for value in values]).to(device).requires_grad_()


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
