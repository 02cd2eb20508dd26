"""Settings of a training run: all that is wrong with them at once, and what is told of them."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

from cellmark.schemas.errors import ParameterError
from cellmark.training.choices import BaselineKind, Device, EvaluationLevel, Metric, PresetName, Pruner, Ranking
from cellmark.training.config import TrainingConfig
from cellmark.training.markers.marker_ranking import MarkerSettings
from cellmark.training.network.classifier import NetworkShape
from cellmark.training.network.fit import FitSettings
from cellmark.training.presets import preset
from cellmark.training.tuning.tune_settings import SearchSpace, TuneSettings

DATA = Path("/somewhere/of/mine/cells.h5ad")


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_cells": 2}, {"max_genes": 1}, {"min_panel_share": 0.0}, {"min_panel_share": 1.1}, {"seed": -1},
        {"seed": 2**32}, {"device": "tpu"}, {"hold_out": ("d1",)}, {"name": ""}, {"name": "a/b"}, {"name": " a"},
        {"min_panel_share": float("nan")}, {"n_members": 0},
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
        {"weight_decay": -1.0}, {"noise": -0.1}, {"noise": float("inf")}, {"balance": "some"}, {"schedule": "linear"},
        {"optimizer": "sgd"}, {"warmup_steps": -1}, {"stop": "never"}, {"gate_penalty": -1e-3},
        {"gate_penalty": float("nan")},
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


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_trials": -1}, {"max_epochs": 0}, {"metric": "auc"}, {"pruner": "mean"}, {"prune_after": -1},
        {"patience": 0}, {"time_budget": 0.0}, {"time_budget": float("nan")}, {"time_budget": float("inf")},
        {"study_name": "apart"}, {"study": " "},
    ],
)  # fmt: skip
def test_a_setting_of_the_search_outside_its_range_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError) as caught:
        TrainingConfig(data=DATA, tune=replace(TuneSettings(), **wrong))  # type: ignore[arg-type]
    assert [finding.where for finding in caught.value.findings] == [f"tune.{name}" for name in wrong]


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_layers": (0, 2)}, {"n_layers": (3, 1)}, {"units": (0, 8)}, {"dropout": (0.2, 1.0)},
        {"dropout": (float("nan"), 0.3)}, {"learning_rate": (0.0, 1e-3)}, {"learning_rate": (1e-3, 1e-5)},
        {"learning_rate": (1e-3, float("inf"))}, {"noise": (-1.0, 1.0)},
    ],
)  # fmt: skip
def test_an_impossible_search_space_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError) as caught:
        TrainingConfig(data=DATA, tune=TuneSettings(space=replace(SearchSpace(), **wrong)))  # type: ignore[arg-type]
    assert [finding.where for finding in caught.value.findings] == [f"tune.space.{name}" for name in wrong]


@pytest.mark.parametrize(
    "wrong",
    [
        {"ranking": "best"}, {"baseline": "median"}, {"n_permutations": 0}, {"n_bootstraps": -1}, {"n_candidates": 0},
    ],
)  # fmt: skip
def test_a_setting_of_the_markers_outside_its_range_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError) as caught:
        TrainingConfig(data=DATA, markers=replace(MarkerSettings(), **wrong))  # type: ignore[arg-type]
    assert [finding.where for finding in caught.value.findings] == [f"markers.{name}" for name in wrong]


def test_a_gene_cannot_be_included_and_excluded() -> None:
    with pytest.raises(ParameterError, match="CD3E"):
        TrainingConfig(data=DATA, markers=MarkerSettings(include_genes=("CD3E", "CD4"), exclude_genes=("CD3E",)))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"min_cells": 2}, "min_cells: expected at least 3; found 2. Three parts need three cells of every type."),
        ({"max_genes": 1}, "max_genes: expected at least 2, or 0 for all; found 1. Raise it."),
        ({"min_panel_share": 0.0}, "min_panel_share: expected above 0, at most 1; found 0.0. Give a share"),
        ({"fit": FitSettings(max_epochs=0)}, "max_epochs: expected at least 1; found 0. Raise it."),
        ({"fit": FitSettings(most_missing=1.0)}, "most_missing: expected at least 0, below 1; found 1.0."),
        ({"fit": FitSettings(balance="some")}, "balance: expected weights or upsample or none; found 'some'."),
        ({"device": "tpu"}, "device: expected cpu or cuda; found 'tpu'. Name one of them."),
        ({"seed": "3"}, "seed: expected a whole number from 0 to 2**32 - 1; found '3'."),
    ],
)  # fmt: skip
def test_bounds_are_said_in_words(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        TrainingConfig(data=DATA, **wrong)  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        TrainingConfig(data=DATA, min_cells=0, seed=-1, fit=FitSettings(max_epochs=0))
    assert [finding.where for finding in caught.value.findings] == ["min_cells", "seed", "max_epochs"]


def test_parameters_are_flat_and_name_no_folder_of_this_machine() -> None:
    config = TrainingConfig(
        data=DATA, test_data=DATA.with_name("test.h5ad"), donor="batch", hold_out=("d1", "d2"),
        figures=Path("/somewhere/figures"), markers=MarkerSettings(exclude_genes=tuple(f"RPL{n}" for n in range(30))),
        tune=TuneSettings(n_trials=3, study="postgresql://me:secret@somewhere/studies", study_name="apart"),
    )  # fmt: skip
    parameters = config.parameters()
    assert parameters["data"] == "cells.h5ad"
    assert parameters["test_data"] == "test.h5ad"
    assert parameters["hold_out"] == "d1,d2"
    assert parameters["fit.learning_rate"] == config.fit.learning_rate
    assert parameters["fit.dropout"] == config.fit.shape.dropout
    assert parameters["tune.space.units"] == (256, 512)
    assert parameters["tune.study_name"] == "apart"
    assert parameters["markers.exclude_genes"].endswith("RPL19 and 10 more")
    assert not any("secret" in str(value) for value in parameters.values())
    assert not any("somewhere" in str(value) for value in parameters.values())
    assert not any(isinstance(value, dict) for value in parameters.values())


def test_what_the_command_line_offers_is_what_is_checked(cellmark: Callable[..., SimpleNamespace]) -> None:
    """Each value that the help of `train` offers for a choice makes a configuration."""
    help_text = " ".join(cellmark("train", "--help-all").out.split())
    offered = {
        "device": Device, "evaluate": EvaluationLevel, "preset": PresetName, "ranking": Ranking,
        "baseline": BaselineKind, "tune-metric": Metric, "pruner": Pruner,
    }  # fmt: skip
    for option, choices in offered.items():
        values = re.escape("|".join(get_args(choices)))
        assert re.search(f"--{option} <{values}>", help_text), option
    for name in ("device", "evaluate", "preset"):
        for value in get_args(offered[name]):
            TrainingConfig(Path("x.h5ad"), **{name: value})
    for name in ("ranking", "baseline"):
        for value in get_args(offered[name]):
            TrainingConfig(Path("x.h5ad"), markers=MarkerSettings(**{name: value}))
    for value in get_args(PresetName):
        preset(value)
    refused = cellmark("train", "x.h5ad", "--ranking", "default")
    assert refused.status == 1
    assert "ranking: expected evidence or published or contribution" in refused.err
    assert "found 'default'" in refused.err
