"""Fitting networks: one pass over batches for all that share their cells, their shape and their noise.

Batches are slices of a matrix; where asked to, early stopping watches validation cells. Torch computes on the device
asked for, and on the CPU with one thread.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import scipy.sparse as sp
import torch

from cellmark.schemas.errors import SetupError

from .augmentation import Augmentation
from .batch_inputs import MIN_SD, DenseCells, Noise, PoorerCells, batches, log2_scale, standardization
from .classifier import Classifier
from .contributions import mean_of_types
from .fit_settings import Epoch, FitData, FitResult, FitSettings, mean_epoch, summarize, unjudged
from .objective import Objective, judging_weights, type_weights, upsampled
from .stacked_networks import LearningRate, StackedNetworks, StackedOptimizer, write


def torch_device(name: str) -> torch.device:
    """The device. Raises `SetupError` (`DEVICE_UNAVAILABLE`) for a CUDA that is not there: no silent CPU."""
    if name == "cuda" and not torch.cuda.is_available():
        build = torch.version.cuda or "none: this torch is a CPU build"
        raise SetupError.of(
            "DEVICE_UNAVAILABLE",
            where="device",
            expected="a working cuda device",
            found=f"none (CUDA of torch: {build})",
            remedy="Use --device cpu, or install a CUDA build of torch on a machine with an NVIDIA GPU.",
        )
    return torch.device(name)


@contextmanager
def one_thread() -> Iterator[None]:
    """One CPU thread for torch, and as many as before afterwards.

    A batch is small, and on busy cores the barriers of a second thread cost far more than it gains: 60 epochs on 461
    cells took 73 s with two threads and 3 s with one, on two cores in use by others. The sums of one thread are also
    the same on every number of cores, and so are the weights.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def fast_products() -> Iterator[None]:
    """Lets torch multiply float32 matrices by its fastest way, and as before afterwards.

    On the CPU that is oneDNN's, where the default is MKL's: as exact on most processors, and twice as fast on some that
    are not Intel's. Where the processor (AMX) or the GPU multiplies shorter numbers in hardware, factors are rounded to
    8 or 11 bits, far less than the noise added in training. Not for answers that are compared.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


MIN_GAIN = {"validation_loss": 1e-4, "train_loss": 0.0}
"""A loss is better when it is less by more than this."""
CHUNK = 1024


def shared(settings: FitSettings) -> tuple[object, ...]:
    """What members must have in common to be trained together."""
    return (
        settings.shape.hidden_units,
        settings.batch_size,
        settings.noise,
        settings.balance,
        settings.standardize,
        settings.optimizer,
        settings.gate_penalty,
        settings.stop == "last_epoch",
        Augmentation.of(settings),
    )


@one_thread()
@fast_products()
def train_together(
    data: FitData,
    *,
    members: Sequence[FitSettings],
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[FitResult, ...]:
    """Train one network for each of `members`, which have `shared` in common; results in their order.

    A batch's rows are made dense, standardised and given their noise once for all members; weights, dropout, learning
    rates, the moment to stop and the epoch to keep are each member's own. `on_epoch` hears the mean over the members
    that are still training.
    """
    common, on_device = members[0], torch_device(device)
    x, codes, train = data.x, data.codes, data.learned(common)
    mean, scale = standardization(x[train]) if common.standardize else log2_scale(x.shape[1])
    classifiers = _new_classifiers(members, data.n_types, mean, scale, seed=seed)
    networks = StackedNetworks(classifiers, device=on_device)
    runs = [_Run(settings) for settings in members]
    optimizer = StackedOptimizer(networks, members)
    dense = DenseCells(x, mean, scale, on_device)
    draws, generator = np.random.default_rng(seed), torch.Generator(on_device).manual_seed(seed)
    weights = type_weights(codes[train], n_types=data.n_types, balance=common.balance)
    cells = upsampled(train, codes[train], seed=seed) if common.balance == "upsample" else train
    in_training = np.ones(data.n_types) if common.balance == "upsample" else weights
    objective = Objective(codes, type_weights=in_training, teacher=data.teacher, device=on_device)
    judge = None if common.stop == "last_epoch" else _Judge(data, weights, dense, common, device=on_device)
    poorer = PoorerCells(
        dense,
        Augmentation.of(common),
        baseline=mean_of_types(x[train], codes[train], data.n_types),
        seed=seed,
    )
    noise = Noise(common.noise, batch_size=common.batch_size, n_genes=x.shape[1], n_cells=len(cells), device=on_device)
    active = list(range(len(members)))
    for number in range(1, max(settings.max_epochs for settings in members) + 1):
        order = draws.permutation(cells)
        noise.draw(generator)
        totals = torch.zeros(len(active), device=on_device)
        for batch in batches(order, common.batch_size):
            logits = networks.logits(noise.added(poorer[batch], draws), generator=generator)
            losses = objective.losses(logits, batch)
            optimizer.step(losses, [runs[member].rate.next_step() for member in active])
            totals += losses.detach() * len(batch)
        train_losses = (totals / len(cells)).tolist()
        if judge is None:
            epochs = [unjudged(number, loss) for loss in train_losses]
        else:
            epochs = judge.epochs(number, networks, train_losses)
        for place, (member, epoch) in enumerate(zip(active, epochs, strict=True)):
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


class _Judge:
    """What networks make of the validation cells, epoch by epoch."""

    def __init__(
        self,
        data: FitData,
        weights: np.ndarray,
        dense: DenseCells,
        settings: FitSettings,
        *,
        device: torch.device,
    ) -> None:
        """`weights`: of the types in training, see `type_weights`."""
        self._cells, self._dense = data.validation, dense
        codes = data.codes[data.validation]
        judging = judging_weights(weights, codes, balance=settings.balance)
        self._objective = Objective(data.codes, type_weights=judging, teacher=data.teacher, device=device)
        self._targets = torch.as_tensor(codes, dtype=torch.long)

    def epochs(self, number: int, networks: StackedNetworks, train_losses: Sequence[float]) -> list[Epoch]:
        """The measures of each network after the epoch `number`."""
        with torch.no_grad():
            chunks = batches(self._cells, CHUNK, at_least=0)
            logits = torch.cat([networks.logits(self._dense[chunk]) for chunk in chunks], dim=1)
        losses = self._objective.losses(logits, self._cells).tolist()
        return [
            summarize(number, train_loss, loss, of_network.cpu(), self._targets)
            for train_loss, loss, of_network in zip(train_losses, losses, logits, strict=True)
        ]


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
        """Whether the epoch is to be kept: the best so far, or the last one."""
        self.epochs.append(epoch)
        self.rate.finish_epoch(epoch.train_loss)
        if self._settings.stop == "last_epoch":
            self.best_epoch = epoch.number
            return self.finished
        loss = getattr(epoch, self._settings.stop)
        better = self.best_epoch == 0 or loss < self._best - MIN_GAIN[self._settings.stop]
        if better:
            self._best, self.best_epoch = loss, epoch.number
        return better

    @property
    def finished(self) -> bool:
        waited = 0 if self._settings.stop == "last_epoch" else len(self.epochs) - self.best_epoch
        return waited >= self._settings.patience or len(self.epochs) >= self._settings.max_epochs


def _new_classifiers(
    members: Sequence[FitSettings], n_types: int, mean: np.ndarray, scale: np.ndarray, *, seed: int
) -> list[Classifier]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return [
            Classifier(len(mean), n_types, settings.shape, mean=mean, scale=scale, gated=settings.gate_penalty > 0)
            for settings in members
        ]


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

    `FitData.learned` are the cells that give the standardisation, the class weights and the gradients. Where
    `settings.stop` is the validation loss, validation cells decide when to stop and which epoch to keep. With
    `settings.augmented`
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
