"""Learning rates equal those of torch's schedulers."""

from dataclasses import replace

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, ReduceLROnPlateau

from cellmark.training.network.fit_settings import FitSettings
from cellmark.training.network.stacked_networks import LearningRate

SETTINGS = FitSettings(learning_rate=0.02, max_epochs=12)
LOSSES = [1.0, 0.8, 0.9, 0.85, 0.81, 0.9, 0.79995, 0.9, 0.7, 0.71, 0.72, 0.73]


def rates(settings: FitSettings, *, steps: int = 2) -> list[float]:
    """The rate of each epoch's first batch, with the training losses above."""
    rate = LearningRate(settings)
    found = []
    for loss in LOSSES:
        found.append(rate.next_step())
        for _ in range(steps - 1):
            assert rate.next_step() == found[-1]
        rate.finish_epoch(loss)
    return found


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=SETTINGS.learning_rate)


def test_the_half_cosine_is_that_of_torch() -> None:
    expected = optimizer()
    schedule = CosineAnnealingLR(expected, SETTINGS.max_epochs)
    for found in rates(SETTINGS):
        assert found == pytest.approx(expected.param_groups[0]["lr"])
        expected.step()
        schedule.step()


def test_the_plateau_is_that_of_torch() -> None:
    expected = optimizer()
    schedule = ReduceLROnPlateau(expected, factor=0.5, patience=3)
    seen = set()
    for found, loss in zip(rates(replace(SETTINGS, schedule="plateau")), LOSSES, strict=True):
        assert found == pytest.approx(expected.param_groups[0]["lr"])
        seen.add(found)
        schedule.step(loss)
    assert len(seen) > 1


def test_a_constant_rate_stays() -> None:
    assert set(rates(replace(SETTINGS, schedule="constant"))) == {SETTINGS.learning_rate}


def test_the_warm_up_is_a_line_over_its_steps() -> None:
    rate = LearningRate(replace(SETTINGS, schedule="constant", warmup_steps=4))
    expected = optimizer()
    schedule = LinearLR(expected, start_factor=1 / 4, total_iters=3)
    for _ in range(8):
        assert rate.next_step() == pytest.approx(expected.param_groups[0]["lr"])
        expected.step()
        schedule.step()
