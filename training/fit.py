"""Fitting one network: batches are slices of a matrix, early stopping watches validation cells."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from .classifier import Classifier, NetworkShape
from .torch_device import one_thread, torch_device

MIN_SD = 0.1
"""Floor of a gene's standard deviation in standardising: rarer genes would be blown up otherwise."""


@dataclass(frozen=True)
class FitSettings:
    """How a network is fitted. `noise`: sd of Gaussian noise on standardised inputs; `patience`: epochs without a
    better validation loss before training stops; `class_weights`: whether rare types count as much as common ones.
    """

    shape: NetworkShape = field(default_factory=NetworkShape)
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    batch_size: int = 64
    max_epochs: int = 60
    patience: int = 10
    noise: float = 1.0
    class_weights: bool = True


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training cells gave. Losses are weighted as training weighs them."""

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


@one_thread()
def fit(
    x: sp.csr_matrix,
    codes: np.ndarray,
    *,
    train: np.ndarray,
    validation: np.ndarray,
    n_types: int,
    settings: FitSettings,
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> FitResult:
    """Train a classifier.

    `x`: CSR, float32, cells x panel genes, ln(1 + counts per 10,000). `codes`: int [cells]. `train`, `validation`: cell
    numbers. Only training cells give the standardisation, the class weights and the gradients; validation cells decide
    when to stop and which epoch to keep. Deterministic on the CPU for a given seed. `on_epoch` hears of every epoch.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    on_device = torch_device(device)
    mean, scale = standardization(x[train])
    classifier = Classifier(x.shape[1], n_types, settings.shape, mean=mean, scale=scale).to(on_device)
    class_weights = _class_weights(codes[train], n_types, settings)
    criterion = nn.CrossEntropyLoss(weight=class_weights.to(on_device))
    validation_criterion = nn.CrossEntropyLoss(weight=class_weights)
    optimizer = torch.optim.AdamW(
        classifier.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.max_epochs)
    targets = torch.as_tensor(codes, dtype=torch.long)
    epochs: list[Epoch] = []
    best: Epoch | None = None
    weights = {name: value.clone() for name, value in classifier.state_dict().items()}
    for number in range(1, settings.max_epochs + 1):
        classifier.train()
        order = train[torch.randperm(len(train), generator=generator).numpy()]
        total, seen = 0.0, 0
        for cells in _batches(order, settings.batch_size):
            inputs = classifier.standardize(_dense(x, cells, on_device))
            if settings.noise > 0:
                inputs = inputs + settings.noise * torch.randn_like(inputs)
            loss = criterion(classifier.layers(inputs), targets[cells].to(on_device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total, seen = total + float(loss.detach()) * len(cells), seen + len(cells)
        schedule.step()
        logits = predict_logits(classifier, x, validation)
        epoch = _summarize(number, total / seen, logits, targets[validation], validation_criterion, n_types)
        epochs.append(epoch)
        on_epoch(epoch)
        if best is None or epoch.validation_loss < best.validation_loss - 1e-4:
            best = epoch
            weights = {name: value.clone() for name, value in classifier.state_dict().items()}
        elif number - best.number >= settings.patience:
            break
    classifier.load_state_dict(weights)
    assert best is not None  # noqa: S101  (max_epochs is at least 1)
    return FitResult(classifier.cpu().eval(), tuple(epochs), best.number)


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
            classifier(_dense(x, rows[start : start + batch_size], device)).cpu()
            for start in range(0, max(len(rows), 1), batch_size)
        ]
    return torch.cat(pieces)


def standardization(x: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (at least `MIN_SD`) of each gene, [genes]. `x`: CSR, training cells x genes."""
    mean = np.asarray(x.mean(axis=0, dtype=np.float64)).ravel()
    mean_square = np.asarray(x.multiply(x).mean(axis=0, dtype=np.float64)).ravel()
    return mean, np.maximum(np.sqrt(np.maximum(mean_square - mean**2, 0)), MIN_SD)


def _batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        # BatchNorm has no variance for a batch of one cell.
        last = batches.pop()
        batches[-1] = np.concatenate([batches[-1], last])
    return batches


def _dense(x: sp.csr_matrix, cells: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(x[cells].toarray()).to(device)


def _class_weights(codes: np.ndarray, n_types: int, settings: FitSettings) -> torch.Tensor:
    if not settings.class_weights:
        return torch.ones(n_types)
    sizes = np.maximum(np.bincount(codes, minlength=n_types), 1)
    weights = 1 / sizes
    return torch.as_tensor(weights / weights.mean(), dtype=torch.float32)


def _summarize(
    number: int, train_loss: float, logits: torch.Tensor, targets: torch.Tensor, criterion: nn.Module, n_types: int
) -> Epoch:
    with torch.no_grad():
        loss = float(criterion(logits, targets))
    calls = logits.argmax(dim=1)
    pairs = torch.bincount(targets * n_types + calls, minlength=n_types**2).reshape(n_types, n_types).double()
    right = pairs.diagonal()
    present = pairs.sum(1) > 0
    f1 = 2 * right / (pairs.sum(0) + pairs.sum(1)).clamp(min=1)
    return Epoch(number, train_loss, loss, float(right.sum() / pairs.sum()), float(f1[present].mean()))
