"""Losses equal torch's cross-entropy."""

import numpy as np
import torch
from torch.nn import functional

from cellmark.training.network.objective import TEMPERATURE, Objective

CODES = np.array([0, 2, 1, 1, 0, 2, 2])
CELLS = np.array([6, 0, 3, 2])
WEIGHTS = np.array([0.5, 1.0, 2.0])
CPU = torch.device("cpu")


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 2


def test_losses_towards_labels_are_the_weighted_cross_entropy_of_each_member() -> None:
    logits = draw(2, 4, 3)
    found = Objective(CODES, type_weights=WEIGHTS, teacher=None, device=CPU).losses(logits, CELLS)
    criterion = torch.nn.CrossEntropyLoss(weight=torch.as_tensor(WEIGHTS, dtype=torch.float32))
    expected = torch.stack([criterion(of_member, torch.as_tensor(CODES[CELLS])) for of_member in logits])
    torch.testing.assert_close(found, expected)


def test_a_pupil_that_says_what_the_teacher_says_has_the_least_loss() -> None:
    teacher = draw(7, 3)
    objective = Objective(CODES, type_weights=np.ones(3), teacher=teacher.numpy(), device=CPU)
    pupils = torch.stack([teacher[CELLS], teacher[CELLS] + 3, draw(4, 3)])
    same, shifted, other = objective.losses(pupils, CELLS)
    soft = torch.softmax(teacher[CELLS] / TEMPERATURE, dim=1)
    torch.testing.assert_close(same, -(soft * soft.log()).sum(1).mean())
    torch.testing.assert_close(same, shifted)
    divergence = functional.kl_div(functional.log_softmax(draw(4, 3) / TEMPERATURE, dim=1), soft, reduction="batchmean")
    torch.testing.assert_close(other - same, divergence)
    assert divergence > 0.01
