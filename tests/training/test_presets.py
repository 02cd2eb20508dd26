"""Named bundles of settings: what they are, and that they are used as they stand."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from cellmark.schemas.errors import ParameterError
from cellmark.training.config import TrainingConfig
from cellmark.training.markers.marker_ranking import MarkerSettings
from cellmark.training.network.classifier import NetworkShape
from cellmark.training.network.fit import FitSettings
from cellmark.training.presets import DEFAULT, PRESETS, PUBLISHED, fit_given, given, preset, tune_given
from cellmark.training.tuning.tune_settings import SearchSpace, TuneSettings

DATA = Path("cells.h5ad")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_valid_configuration(name: str) -> None:
    config = TrainingConfig(data=DATA, preset=name, **preset(name).settings())
    assert config.fit == PRESETS[name].fit
    assert {field.name for field in fields(PRESETS[name])} == set(PRESETS[name].settings())


def test_a_configuration_without_a_word_is_the_default_preset() -> None:
    assert TrainingConfig(data=DATA) == TrainingConfig(data=DATA, preset="default", **DEFAULT.settings())


def test_the_published_procedure_is_that_of_the_paper() -> None:
    """Values from the description of the method (Zhang et al. 2026, bbag223)."""
    tune, fit, markers = PUBLISHED.tune, PUBLISHED.fit, PUBLISHED.markers
    assert (tune.n_trials, tune.max_epochs, tune.pruner, tune.metric) == (30, 50, "median", "accuracy")
    assert tune.patience == 10, "not published; see docs/tuning.md"
    assert tune.space == SearchSpace((1, 3), (256, 512), (0.2, 0.3), (1e-5, 1e-3), (1.0, 1.0))
    assert (fit.balance, fit.standardize, fit.noise) == ("upsample", False, 1.0)
    assert (fit.warmup_steps, fit.weight_decay, fit.schedule) == (30, 1e-3, "plateau")
    assert (fit.stop, fit.patience) == ("train_loss", 6)
    assert PUBLISHED.n_members == 5 * 3
    assert PUBLISHED.max_genes is None
    assert (markers.ranking, markers.baseline) == ("published", "random")
    assert (markers.n_permutations, markers.n_candidates) == (1000, 50)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ParameterError, match="default or published"):
        preset("fast")


def test_only_what_was_given_changes() -> None:
    assert given(MarkerSettings(n_candidates=7), ranking="published", baseline=None) == MarkerSettings(
        ranking="published", n_candidates=7
    )
    fit = fit_given(PUBLISHED.fit, hidden_units=None, dropout=0.5, noise=0.0, patience=None, stop=None)
    assert fit.shape == NetworkShape((256,), 0.5)
    assert (fit.noise, fit.patience, fit.balance) == (0.0, 6, "upsample")
    assert fit_given(FitSettings(), hidden_units="12,7", dropout=None).shape == NetworkShape((12, 7), 0.25)


def test_a_loss_ends_training_where_it_or_a_patience_is_given() -> None:
    def found(fit: FitSettings, **options: Any) -> tuple[str, int, int]:
        fit = fit_given(fit, hidden_units=None, dropout=None, **options)
        return fit.stop, fit.max_epochs, fit.patience

    assert found(FitSettings()) == ("last_epoch", 20, 10)
    assert found(FitSettings(), max_epochs=7) == ("last_epoch", 7, 10)
    assert found(FitSettings(), patience=3) == ("validation_loss", 60, 3)
    assert found(FitSettings(), stop="train_loss", max_epochs=9) == ("train_loss", 9, 10)
    assert found(PUBLISHED.fit, patience=3) == ("train_loss", 50, 3)
    assert found(PUBLISHED.fit, stop="last_epoch") == ("last_epoch", 20, 6)


def test_a_patience_of_zero_is_none() -> None:
    patient = TuneSettings(patience=5)
    assert tune_given(patient, space=None, patience=0).patience is None
    assert tune_given(patient, space=None, patience=None).patience == 5
    assert tune_given(patient, space=None, patience=2, n_trials=4) == TuneSettings(patience=2, n_trials=4)


def test_ranges_are_read_and_the_others_stay() -> None:
    tune = tune_given(TuneSettings(), space=["units=8,32", "learning_rate=1e-4,1e-2"], patience=None)
    assert tune.space == SearchSpace(units=(8, 32), learning_rate=(1e-4, 1e-2))
    assert isinstance(tune.space.units[0], int)


@pytest.mark.parametrize("text", ["units", "units=8", "units=8,9,10", "units=8.5,9", "width=1,2", "noise=a,b", "=1,2"])
def test_a_range_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="NAME=LOW,HIGH"):
        tune_given(TuneSettings(), space=[text], patience=None)
