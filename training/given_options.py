"""Options of the command line over a preset's settings: what was given counts, the rest is the preset's."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from cellmark.schemas.errors import ParameterError

from .cells.cli_numbers import whole_numbers
from .network.fit import FitSettings
from .tuning.tune_settings import SearchSpace, TuneSettings

Settings = TypeVar("Settings", bound=Any)


def given(settings: Settings, **options: Any) -> Settings:
    """`settings` with the options that are not None."""
    changed: Settings = replace(settings, **{name: value for name, value in options.items() if value is not None})
    return changed


def fit_given(fit: FitSettings, *, hidden_units: str | None, dropout: float | None, **options: Any) -> FitSettings:
    """`hidden_units`: whole numbers between commas. Raises `ParameterError` for anything else."""
    units = None if hidden_units is None else whole_numbers(hidden_units, "hidden_units")
    return given(fit, shape=given(fit.shape, hidden_units=units, dropout=dropout), **options)


def tune_given(
    tune: TuneSettings, *, space: Sequence[str] | None, patience: int | None, **options: Any
) -> TuneSettings:
    """`space`: ranges as `NAME=LOW,HIGH`; `patience`: 0 for none. Raises `ParameterError` for another form."""
    if patience == 0:
        tune, patience = replace(tune, patience=None), None
    return given(tune, space=given(tune.space, **_ranges(space or [])), patience=patience, **options)


def genes_given(text: str | None) -> tuple[str, ...] | None:
    """A file of gene symbols, or symbols between commas; None where nothing was given."""
    if text is None:
        return None
    from .markers.gene_lists import gene_list

    return gene_list(text)


def _ranges(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    names = [field.name for field in fields(SearchSpace)]
    ranges: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, _, bounds = text.partition("=")
        number = int if name in ("n_layers", "units") else float
        try:
            if name not in names:
                raise ValueError(name)
            low, high = (number(bound) for bound in bounds.split(","))
        except ValueError:
            expected = f"NAME=LOW,HIGH, NAME being one of {', '.join(names)}"
            remedy = "Give a range such as learning_rate=1e-4,1e-2, and whole numbers for n_layers and units."
            raise ParameterError.of(
                "PARAMETER_INVALID", where="space", expected=expected, found=repr(text), remedy=remedy
            ) from None
        ranges[name] = (low, high)
    return ranges
