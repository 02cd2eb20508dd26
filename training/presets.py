"""Named sets of settings, and options of the command line over them: what was given counts.

`default` is for a laptop, `published` the procedure of Zhang et al. 2026 (bbag223).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from cellmark.schemas.errors import ParameterError

from .choices import Stop
from .markers.marker_ranking import MarkerSettings
from .network.fit import FitSettings
from .setting_bounds import whole_numbers
from .tuning.tune_settings import SearchSpace, TuneSettings

DEFAULT_TRIALS = 0
"""Trials of the preset `default`."""
TRIAL_PATIENCE = 10
"""In both presets: it saves much and never changed the winner of a search (docs/methods/tuning.md)."""
DEFAULT_MEMBERS = 5


@dataclass(frozen=True)
class Preset:
    """Settings that go together; each can also be given by itself. `max_genes`: None for all that pass the filter."""

    max_genes: int | None = 2000
    n_members: int = DEFAULT_MEMBERS
    linear_member: bool = True
    fit: FitSettings = field(default_factory=FitSettings)
    tune: TuneSettings = field(default_factory=lambda: TuneSettings(n_trials=DEFAULT_TRIALS, patience=TRIAL_PATIENCE))
    markers: MarkerSettings = field(default_factory=MarkerSettings)

    def settings(self) -> dict[str, Any]:
        """As arguments of `TrainingConfig`."""
        return {
            name: getattr(self, name) for name in ("max_genes", "n_members", "linear_member", "fit", "tune", "markers")
        }


DEFAULT = Preset()
PUBLISHED = Preset(
    max_genes=None,
    n_members=15,
    linear_member=False,
    fit=FitSettings(
        balance="upsample",
        standardize=False,
        optimizer="adam",
        schedule="plateau",
        warmup_steps=30,
        weight_decay=1e-3,
        stop="train_loss",
        max_epochs=50,
        patience=6,
        noise=1.0,
        augmented=0.0,
    ),
    tune=TuneSettings(n_trials=30, patience=TRIAL_PATIENCE, plain=True, base_first=False),
    markers=MarkerSettings(ranking="published", baseline="random", n_permutations=1000, n_candidates=50),
)
PRESETS = {"default": DEFAULT, "published": PUBLISHED}


def preset(name: str) -> Preset:
    """Raises `ParameterError` for an unknown name."""
    if name not in PRESETS:
        raise ParameterError.not_a_choice("preset", choices=" or ".join(PRESETS), found=repr(name))
    return PRESETS[name]


Settings = TypeVar("Settings", bound=Any)


def given(settings: Settings, **options: Any) -> Settings:
    """`settings` with the options that are not None."""
    changed: Settings = replace(settings, **{name: value for name, value in options.items() if value is not None})
    return changed


def fit_given(
    fit: FitSettings,
    *,
    hidden_units: str | None,
    dropout: float | None,
    stop: Stop | None = None,
    patience: int | None = None,
    **options: Any,
) -> FitSettings:
    """`hidden_units`: whole numbers between commas. Raises `ParameterError` for anything else.

    A patience where no loss ends training asks for the validation loss.
    """
    units = None if hidden_units is None else whole_numbers(hidden_units, "hidden_units")
    if stop is None and patience is not None and fit.stop == "last_epoch":
        stop = "validation_loss"
    fit = fit.until(stop or fit.stop)
    return given(fit, shape=given(fit.shape, hidden_units=units, dropout=dropout), patience=patience, **options)


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
