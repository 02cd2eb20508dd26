from dataclasses import replace

import optuna
import pytest

from cellmark.training.network.classifier import NetworkShape
from cellmark.training.network.fit import FitSettings
from cellmark.training.tuning.tune_settings import SearchSpace, drawn_values

SPACE = SearchSpace(noise=(0.5, 1.5))


def draw(seed: int) -> FitSettings:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return SPACE.suggest(study.ask(), FitSettings(batch_size=17))


def test_what_is_drawn_lies_in_the_space_and_the_rest_is_the_base() -> None:
    drawn = [draw(seed) for seed in range(60)]
    assert all(SPACE.contains(settings) for settings in drawn)
    assert {len(settings.shape.hidden_units) for settings in drawn} == {1, 2, 3}
    assert any(len(set(settings.shape.hidden_units)) > 1 for settings in drawn), "layers have sizes of their own"
    assert all(settings.batch_size == 17 for settings in drawn)
    low = sum(settings.learning_rate < 1e-4 for settings in drawn)
    assert 15 < low < 45, "half of the draws are below the middle of the logarithmic scale"


def test_values_drawn_give_the_same_settings_again() -> None:
    settings = draw(3)
    values = drawn_values(settings)
    assert SPACE.suggest(optuna.trial.FixedTrial(values), FitSettings(batch_size=17)) == settings


@pytest.mark.parametrize(
    "outside",
    [
        {"shape": NetworkShape((64,))}, {"shape": NetworkShape((256,) * 4)}, {"shape": NetworkShape((256,), 0.5)},
        {"learning_rate": 2e-3}, {"noise": 0.0},
    ],
)  # fmt: skip
def test_settings_outside_are_told_from_those_inside(outside: dict[str, object]) -> None:
    assert SPACE.contains(FitSettings())
    assert not SPACE.contains(replace(FitSettings(), **outside))  # type: ignore[arg-type]
