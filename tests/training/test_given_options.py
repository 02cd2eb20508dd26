import pytest

from cellmark.schemas.errors import ParameterError
from cellmark.training.markers.marker_ranking import MarkerSettings
from cellmark.training.network.classifier import NetworkShape
from cellmark.training.network.fit import FitSettings
from cellmark.training.presets import PUBLISHED, fit_given, given, tune_given
from cellmark.training.tuning.tune_settings import SearchSpace, TuneSettings


def test_only_what_was_given_changes() -> None:
    assert given(MarkerSettings(n_candidates=7), ranking="published", baseline=None) == MarkerSettings(
        ranking="published", n_candidates=7
    )
    fit = fit_given(PUBLISHED.fit, hidden_units=None, dropout=0.5, noise=0.0, patience=None)
    assert fit.shape == NetworkShape((256,), 0.5)
    assert (fit.noise, fit.patience, fit.balance) == (0.0, 6, "upsample")
    assert fit_given(FitSettings(), hidden_units="12,7", dropout=None).shape == NetworkShape((12, 7), 0.25)


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
