"""The training loop takes the steps that torch's own optimizers would take, for each member apart."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from cellmark.training.network.batch_inputs import standardization
from cellmark.training.network.classifier import Classifier, NetworkShape
from cellmark.training.network.fit import _new_classifiers, predict_logits, train_together
from cellmark.training.network.fit_settings import FitData, FitResult, FitSettings
from cellmark.training.network.stacked_networks import GATE_RATE

N_TYPES = 3


@pytest.fixture(autouse=True)
def whole_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training multiplies all 24 bits of its factors, as the reference does.

    `fast_products` lets processors with AMX round factors to bfloat16, 8 bits: steps differ by more than any tolerance
    that could still tell a wrong optimizer from a right one. Here the optimizer is in question, not the products.
    """
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda precision: None)


# One batch an epoch, no noise and no dropout: nothing is left to chance but the first weights.
EXACT = FitSettings(
    shape=NetworkShape((12, 8), dropout=0.0), max_epochs=8, batch_size=500, noise=0.0, patience=99, learning_rate=5e-3,
    stop="validation_loss", schedule="constant", weight_decay=0.05, augmented=0.0,
)  # fmt: skip


def draw(n_cells: int = 160) -> tuple[sp.csr_matrix, np.ndarray]:
    generator = np.random.default_rng(0)
    codes = np.arange(n_cells) % N_TYPES
    x = generator.exponential(1, (n_cells, 20)) * (generator.random((n_cells, 20)) < 0.6)
    for number in range(N_TYPES):
        x[codes == number, 4 * number : 4 * number + 4] += 1.0
    return sp.csr_matrix(x.astype(np.float32)), codes


def run(members: list[FitSettings], *, seed: int = 0) -> tuple[FitResult, ...]:
    x, codes = draw()
    return train_together(FitData(x, codes, np.arange(40, 160), np.arange(40), N_TYPES), members=members, seed=seed)


def by_torch(settings: FitSettings, start: Classifier) -> tuple[Classifier, list[float]]:
    """The same training, step by step, with torch's optimizers; training losses."""
    x, codes = draw()
    inputs = torch.as_tensor(x.toarray()[40:])
    targets = torch.as_tensor(codes[40:])
    weights = torch.ones(N_TYPES)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    # A linear layer's bias before BatchNorm has a gradient of rounding errors alone, which Adam would blow up.
    biases = {layer.bias for layer, after in pairwise(start.layers) if isinstance(after, torch.nn.BatchNorm1d)}
    learned = [value for name, value in start.named_parameters() if name != "gate" and value not in biases]
    groups = [{"params": learned, "weight_decay": settings.weight_decay, "lr": settings.learning_rate}]
    if start.gate is not None:
        groups.append({"params": [start.gate], "weight_decay": 0.0, "lr": GATE_RATE * settings.learning_rate})
    optimizer = kind(groups)
    losses = []
    start.train()
    for _ in range(settings.max_epochs):
        loss = torch.nn.functional.cross_entropy(start(inputs), targets, weight=weights)
        losses.append(float(loss.detach()))
        penalty = 0 if start.gate is None else settings.gate_penalty * start.gate.abs().sum()
        optimizer.zero_grad()
        (loss + penalty).backward()
        optimizer.step()
        if start.gate is not None:
            start.gate.data.clamp_(min=0)
    return start.eval(), losses


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("gate_penalty", [0.0, 3e-3])
def test_every_member_takes_the_steps_of_torch(optimizer: str, gate_penalty: float) -> None:
    base = replace(EXACT, optimizer=optimizer, gate_penalty=gate_penalty, balance="none", stop="train_loss")
    members = [base, replace(base, learning_rate=2e-2, weight_decay=0.0), replace(base, learning_rate=1e-3)]
    results = run(members)
    x, _ = draw()
    mean, scale = standardization(x[40:])
    starts = _new_classifiers(members, N_TYPES, mean, scale, seed=0)
    for settings, result, start in zip(members, results, starts, strict=True):
        expected, losses = by_torch(settings, start)
        assert [epoch.train_loss for epoch in result.epochs] == pytest.approx(losses, rel=2e-4)
        assert losses[-1] < losses[0]
        torch.testing.assert_close(
            predict_logits(result.classifier, x), predict_logits(expected, x), rtol=2e-3, atol=2e-3
        )
        if gate_penalty:
            found = result.classifier.gate_values()
            assert found is not None
            np.testing.assert_allclose(found, expected.gate_values(), rtol=1e-3, atol=5e-3)


def test_a_member_that_stops_leaves_the_others_as_they_were() -> None:
    short, long = replace(EXACT, max_epochs=3), replace(EXACT, max_epochs=8)
    stopped, went_on = run([short, long])
    _, alone = run([long, long])
    assert (len(stopped.epochs), len(went_on.epochs)) == (3, 8)
    # Nothing is drawn between epochs here, so the second member's way is the same with company and without.
    assert went_on.epochs[-1].train_loss == pytest.approx(alone.epochs[-1].train_loss, rel=1e-4)
    x, _ = draw()
    torch.testing.assert_close(
        predict_logits(went_on.classifier, x), predict_logits(alone.classifier, x), rtol=1e-3, atol=1e-3
    )


def test_the_best_epoch_by_training_loss_is_kept() -> None:
    settings = replace(EXACT, stop="train_loss", patience=3, learning_rate=0.3, max_epochs=60, optimizer="adam")
    (result,) = run([settings])
    losses = [epoch.train_loss for epoch in result.epochs]
    assert result.best_epoch == int(np.argmin(losses)) + 1
    assert len(losses) == min(result.best_epoch + 3, 60)


def test_a_strong_penalty_closes_the_gate_of_genes_that_say_nothing() -> None:
    settings = replace(EXACT, max_epochs=60, gate_penalty=3e-3, noise=0.5, batch_size=20)
    (result,) = run([settings])
    gate = result.classifier.gate_values()
    assert gate is not None
    assert gate.min() >= 0
    assert gate[:12].mean() > 2 * gate[12:].mean()
