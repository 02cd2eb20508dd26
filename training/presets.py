"""Named bundles of settings: `default`, for a laptop, and `published`, the procedure of Zhang et al. 2026 (bbag223)."""

from dataclasses import dataclass, field
from typing import Any

from cellmark.schemas.errors import ParameterError

from .markers.marker_settings import MarkerSettings
from .network.fit import FitSettings
from .tuning.tune_settings import TuneSettings

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
    fit: FitSettings = field(default_factory=FitSettings)
    tune: TuneSettings = field(default_factory=lambda: TuneSettings(n_trials=DEFAULT_TRIALS, patience=TRIAL_PATIENCE))
    markers: MarkerSettings = field(default_factory=MarkerSettings)

    def settings(self) -> dict[str, Any]:
        """As arguments of `TrainingConfig`."""
        return {name: getattr(self, name) for name in ("max_genes", "n_members", "fit", "tune", "markers")}


DEFAULT = Preset()
PUBLISHED = Preset(
    max_genes=None,
    n_members=15,
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
