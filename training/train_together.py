"""The training loop: one pass over batches for all networks that share their cells, their shape and their noise."""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp
import torch
from torch.nn import functional

from .balance import type_weights, upsampled
from .classifier import Classifier
from .fit_result import Epoch, FitResult, mean_epoch, summarize
from .fit_settings import FitSettings
from .learning_rate import LearningRate
from .stacked_networks import StackedNetworks, write
from .standardization import log2_scale, standardization
from .torch_device import fast_products, one_thread, torch_device

MIN_GAIN = {"validation_loss": 1e-4, "train_loss": 0.0}
"""A loss is better when it is less by more than this."""
GATE_RATE = 10.0
"""The gate's learning rate over that of the other weights: it has far to go, and few epochs."""
NOISE_POOL = 2**20
CHUNK = 1024


def shared(settings: FitSettings) -> tuple[object, ...]:
    """What members must have in common to be trained together."""
    return (
        settings.shape.hidden_units, settings.batch_size, settings.noise, settings.balance, settings.standardize,
        settings.optimizer, settings.gate_penalty,
    )  # fmt: skip


@one_thread()
@fast_products()
def train_together(
    x: sp.csr_matrix,
    codes: np.ndarray,
    *,
    train: np.ndarray,
    validation: np.ndarray,
    n_types: int,
    members: Sequence[FitSettings],
    seed: int,
    device: str,
    on_epoch: Callable[[Epoch], None],
) -> tuple[FitResult, ...]:
    """Train one network for each of `members`, which have `shared` in common; results in their order.

    A batch's rows are made dense, standardised and given their noise once for all members; weights, dropout, learning
    rates, the moment to stop and the epoch to keep are each member's own. `on_epoch` hears the mean over the members
    that are still training.
    """
    common, on_device = members[0], torch_device(device)
    mean, scale = standardization(x[train]) if common.standardize else log2_scale(x.shape[1])
    classifiers = _new_classifiers(members, n_types, mean, scale, seed=seed)
    networks = StackedNetworks(classifiers, device=on_device)
    runs = [_Run(settings) for settings in members]
    optimizer = _Optimizer(networks, members)
    dense = _DenseCells(x, mean, scale, on_device)
    draws, generator = np.random.default_rng(seed), torch.Generator(on_device).manual_seed(seed)
    weights = torch.as_tensor(type_weights(codes[train], n_types=n_types, balance=common.balance), dtype=torch.float32)
    cells = upsampled(train, codes[train], seed=seed) if common.balance == "upsample" else train
    cell_weights = weights.to(on_device) if common.balance == "weights" else torch.ones(n_types, device=on_device)
    noise = _Noise(common.noise, batch_size=common.batch_size, n_genes=x.shape[1], n_cells=len(cells), device=on_device)
    targets = torch.as_tensor(codes, dtype=torch.long)
    active = list(range(len(members)))
    for number in range(1, max(settings.max_epochs for settings in members) + 1):
        order = draws.permutation(cells)
        noise.draw(generator)
        totals = torch.zeros(len(active), device=on_device)
        for batch in _batches(order, common.batch_size):
            logits = networks.logits(noise.added(dense[batch], draws), generator=generator)
            losses = _losses(logits, targets[batch].to(on_device), cell_weights)
            optimizer.step(losses, [runs[member].rate.next_step() for member in active])
            totals += losses.detach() * len(batch)
        with torch.no_grad():
            chunks = _batches(validation, CHUNK, at_least=0)
            validation_logits = torch.cat([networks.logits(dense[chunk]) for chunk in chunks], dim=1).cpu()
        train_losses = (totals / len(cells)).tolist()
        epochs = []
        for place, member in enumerate(active):
            epoch = summarize(number, train_losses[place], validation_logits[place], targets[validation], weights)
            epochs.append(epoch)
            if runs[member].hear(epoch):
                runs[member].weights = networks.copy(place)
        on_epoch(mean_epoch(epochs))
        going = [place for place, member in enumerate(active) if not runs[member].finished]
        if not going:
            break
        if len(going) < len(active):
            optimizer.select(going)
            active = [active[place] for place in going]
    return tuple(
        FitResult(write(run.weights, classifier).eval(), tuple(run.epochs), run.best_epoch)
        for run, classifier in zip(runs, classifiers, strict=True)
    )


class _Run:
    """One member's way through training."""

    def __init__(self, settings: FitSettings) -> None:
        self.rate = LearningRate(settings)
        self.epochs: list[Epoch] = []
        self.best_epoch = 0
        self.weights: list[torch.Tensor] = []
        self._settings = settings
        self._best = np.inf

    def hear(self, epoch: Epoch) -> bool:
        """Whether the epoch is the best so far."""
        self.epochs.append(epoch)
        self.rate.finish_epoch(epoch.train_loss)
        loss = getattr(epoch, self._settings.stop)
        better = self.best_epoch == 0 or loss < self._best - MIN_GAIN[self._settings.stop]
        if better:
            self._best, self.best_epoch = loss, epoch.number
        return better

    @property
    def finished(self) -> bool:
        waited = len(self.epochs) - self.best_epoch
        return waited >= self._settings.patience or len(self.epochs) >= self._settings.max_epochs


class _Optimizer:
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


class _DenseCells:
    """Rows of `x` as the networks take them: dense, standardised, on the device."""

    def __init__(self, x: sp.csr_matrix, mean: np.ndarray, scale: np.ndarray, device: torch.device) -> None:
        self._x = x
        self._device = device
        self._factor = torch.as_tensor(1 / scale, dtype=torch.float32, device=device)
        self._shift = torch.as_tensor(-mean / scale, dtype=torch.float32, device=device)

    def __getitem__(self, cells: np.ndarray) -> torch.Tensor:
        values = torch.from_numpy(self._x[cells].toarray()).to(self._device)
        return torch.addcmul(self._shift, values, self._factor)


class _Noise:
    """Gaussian noise from a pool of normals, read from a place drawn anew for each batch.

    Drawing every batch's own normals, cells x genes, took a fifth of a fit's time. The pool is drawn anew for each
    epoch: with one pool for all of them, validation losses rose earlier.
    """

    def __init__(self, sd: float, *, batch_size: int, n_genes: int, n_cells: int, device: torch.device) -> None:
        # A batch may have one cell more than it should.
        size = max(min(NOISE_POOL, n_cells * n_genes), 2 * (batch_size + 1) * n_genes)
        self._sd = sd
        self._pool = torch.zeros(size if sd > 0 else 0, device=device)

    def draw(self, generator: torch.Generator) -> None:
        self._pool.normal_(0, self._sd, generator=generator)

    def added(self, inputs: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
        if not len(self._pool):
            return inputs
        start = generator.integers(len(self._pool) - inputs.numel())
        return inputs.add_(self._pool[start : start + inputs.numel()].view_as(inputs))


def _new_classifiers(
    members: Sequence[FitSettings], n_types: int, mean: np.ndarray, scale: np.ndarray, *, seed: int
) -> list[Classifier]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return [
            Classifier(len(mean), n_types, settings.shape, mean=mean, scale=scale, gated=settings.gate_penalty > 0)
            for settings in members
        ]


def _losses(logits: torch.Tensor, targets: torch.Tensor, type_weights: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of each member over a batch, weighted by the cells' types, [members]."""
    every = functional.cross_entropy(logits.transpose(1, 2), targets.expand(len(logits), -1), reduction="none")
    weights = type_weights[targets]
    return every @ (weights / weights.sum())


def _batches(cells: np.ndarray, size: int, *, at_least: int = 2) -> list[np.ndarray]:
    batches = [cells[start : start + size] for start in range(0, len(cells), size)]
    if len(batches) > 1 and len(batches[-1]) < at_least:
        # BatchNorm has no variance for a batch of one cell.
        last = batches.pop()
        batches[-1] = np.concatenate([batches[-1], last])
    return batches
