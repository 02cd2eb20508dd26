"""Settings of a training run: all that is wrong with them at once, and what is told of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from cellmark.schemas.errors import ParameterError
from cellmark.training.classifier import NetworkShape
from cellmark.training.config import TrainingConfig
from cellmark.training.fit import FitSettings

DATA = Path("/somewhere/of/mine/cells.h5ad")


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_cells": 2}, {"max_genes": 1}, {"min_panel_share": 0.0}, {"min_panel_share": 1.1}, {"seed": -1},
        {"seed": 2**32}, {"device": "tpu"}, {"hold_out": ("d1",)}, {"name": ""}, {"name": "a/b"}, {"name": " a"},
        {"min_panel_share": float("nan")},
    ],
)  # fmt: skip
def test_a_setting_outside_its_range_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError) as caught:
        TrainingConfig(data=DATA, **wrong)  # type: ignore[arg-type]
    assert [finding.where for finding in caught.value.findings] == list(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_epochs": 0}, {"patience": 0}, {"batch_size": 1}, {"learning_rate": 0.0}, {"learning_rate": float("nan")},
        {"weight_decay": -1.0}, {"noise": -0.1}, {"noise": float("inf")},
    ],
)  # fmt: skip
def test_a_setting_of_the_fit_outside_its_range_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError) as caught:
        TrainingConfig(data=DATA, fit=replace(FitSettings(), **wrong))  # type: ignore[arg-type]
    assert [finding.where for finding in caught.value.findings] == list(wrong)


@pytest.mark.parametrize(
    ("shape", "name"), [(NetworkShape((), 0.1), "hidden_units"), (NetworkShape((8, 0)), "hidden_units"),
                        (NetworkShape((8,), 1.0), "dropout"), (NetworkShape((8,), -0.1), "dropout")]
)  # fmt: skip
def test_an_impossible_network_is_refused(shape: NetworkShape, name: str) -> None:
    with pytest.raises(ParameterError, match=name):
        TrainingConfig(data=DATA, fit=FitSettings(shape=shape))


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        TrainingConfig(data=DATA, min_cells=0, seed=-1, fit=FitSettings(max_epochs=0))
    assert [finding.where for finding in caught.value.findings] == ["min_cells", "seed", "max_epochs"]


def test_parameters_are_flat_and_name_no_folder_of_this_machine() -> None:
    config = TrainingConfig(data=DATA, test_data=DATA.with_name("test.h5ad"), donor="batch", hold_out=("d1", "d2"))
    parameters = config.parameters()
    assert parameters["data"] == "cells.h5ad"
    assert parameters["test_data"] == "test.h5ad"
    assert parameters["hold_out"] == "d1,d2"
    assert parameters["fit.learning_rate"] == config.fit.learning_rate
    assert parameters["fit.dropout"] == config.fit.shape.dropout
    assert not any("somewhere" in str(value) for value in parameters.values())
    assert not any(isinstance(value, dict) for value in parameters.values())
