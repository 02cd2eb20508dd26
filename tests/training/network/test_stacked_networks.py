"""Networks side by side answer as each does alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, ReduceLROnPlateau

from cellmark.training.network.classifier import Classifier, NetworkShape
from cellmark.training.network.fit_settings import FitSettings
from cellmark.training.network.stacked_networks import LearningRate, StackedNetworks, write

CPU = torch.device("cpu")
SHAPES = [(16,), (16, 12), (16, 12, 8)]


@pytest.fixture
def drawn(draw_classifier: Callable[..., Classifier]) -> Callable[..., list[Classifier]]:
    def draw(hidden: tuple[int, ...], *, gated: bool = False) -> list[Classifier]:
        classifiers = [draw_classifier(hidden, seed=seed) for seed in range(3)]
        if gated:
            for number, classifier in enumerate(classifiers):
                gate = torch.rand(30, generator=torch.Generator().manual_seed(number)).clamp(min=0.2) - 0.2
                classifier.gate = torch.nn.Parameter(gate)
        return classifiers

    return draw


@pytest.mark.parametrize("hidden", SHAPES)
@pytest.mark.parametrize("gated", [False, True])
def test_logits_equal_those_of_each_network(
    drawn: Callable[..., list[Classifier]], hidden: tuple[int, ...], gated: bool
) -> None:
    classifiers = drawn(hidden, gated=gated)
    networks = StackedNetworks(classifiers, device=CPU)
    x = torch.rand(9, 30) * 4
    mean, scale = classifiers[0].mean, classifiers[0].scale
    with torch.no_grad():
        found = networks.logits((x - mean) / scale)
        for logits, classifier in zip(found, classifiers, strict=True):
            classifier.mean, classifier.scale = mean, scale
            torch.testing.assert_close(logits, classifier(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("hidden", SHAPES)
def test_gradients_equal_those_of_each_network(
    drawn: Callable[..., list[Classifier]], hidden: tuple[int, ...], gated: bool
) -> None:
    classifiers = drawn(hidden, gated=gated)
    networks = StackedNetworks(classifiers, device=CPU)
    inputs, weights = torch.randn(9, 30), torch.randn(3, 9, 4)
    for classifier in classifiers:
        classifier.eval()
    found = torch.autograd.grad((networks.logits(inputs) * weights).sum(), networks.parameters)
    for member, classifier in enumerate(classifiers):
        gate = 1 if classifier.gate is None else classifier.gate
        (classifier.layers(inputs * gate) * weights[member]).sum().backward()
        linear = [layer for layer in classifier.layers if isinstance(layer, torch.nn.Linear)]
        norms = [layer for layer in classifier.layers if isinstance(layer, torch.nn.BatchNorm1d)]
        expected = [layer.weight for layer in linear] + [norm.weight for norm in norms] + [norm.bias for norm in norms]
        expected += [linear[-1].bias] + ([classifier.gate] if gated else [])
        assert len(expected) == len(found)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours[member], theirs.grad, rtol=1e-4, atol=1e-4)


def test_weights_written_back_answer_as_before(drawn: Callable[..., list[Classifier]]) -> None:
    classifiers = drawn((16, 12), gated=True)
    networks = StackedNetworks(classifiers, device=CPU)
    target = Classifier(
        30, 4, NetworkShape((16, 12)), mean=classifiers[1].mean.numpy(), scale=classifiers[1].scale.numpy(), gated=True
    ).eval()
    x = torch.rand(9, 30) * 4
    assert write(networks.copy(1), target) is target
    torch.testing.assert_close(target(x), classifiers[1](x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(target.gate_values(), classifiers[1].gate_values())


def test_selected_members_answer_as_before(drawn: Callable[..., list[Classifier]]) -> None:
    networks = StackedNetworks(drawn((16, 12), gated=True), device=CPU)
    inputs = torch.randn(5, 30)
    with torch.no_grad():
        before = networks.logits(inputs)
        networks.select([0, 2])
        assert len(networks) == 2
        torch.testing.assert_close(networks.logits(inputs), before[[0, 2]])


def test_dropout_silences_its_share_of_units_and_keeps_the_mean() -> None:
    shapes = [NetworkShape((512,), dropout=dropout) for dropout in (0.0, 0.5)]
    classifiers = [Classifier(4, 2, shape, mean=np.zeros(4), scale=np.ones(4)) for shape in shapes]
    for classifier in classifiers:
        # Logits are the sum and minus the sum of hidden units, which dropout alone changes.
        torch.nn.init.ones_(classifier.layers[-1].weight[0])
        torch.nn.init.constant_(classifier.layers[-1].weight[1], -1)
    networks = StackedNetworks(classifiers, device=CPU)
    inputs = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    draws = torch.stack([networks.logits(inputs, generator=generator).detach() for _ in range(30)])
    never, half = draws[:, 0], draws[:, 1]
    assert torch.equal(never[0], never[1])
    assert half[:, :, 0].std(0).mean() > 5
    with torch.no_grad():
        networks.kept[:] = 1
        whole = networks.logits(inputs, generator=generator)[1]
    assert float(half.mean()) == pytest.approx(float(whole.mean()), rel=0.01, abs=0.05)
    assert float(half[:, :, 0].mean()) == pytest.approx(float(whole[:, 0].mean()), rel=0.01)


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
