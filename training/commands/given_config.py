"""Options of `cellmark train`, given by name, as one configuration."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import TrainingConfig
from ..presets import fit_given, genes_given, given, preset, tune_given
from .train_options import GENERAL, GROUPS, MARKERS, NETWORKS, SEARCH

FIELDS = {
    "test": "test_data",
    "trials": "n_trials",
    "trial_epochs": "max_epochs",
    "trial_patience": "patience",
    "tune_metric": "metric",
    "permutations": "n_permutations",
}
"""Settings that have another name than their option."""


def default_options() -> dict[str, Any]:
    """Every option by its name, with underscores, and what it is where nothing was given."""
    return {name: one.default for group in GROUPS.values() for name, one in group.items()}


def given_config(data: Path, **options: Any) -> TrainingConfig:
    """The configuration of a training. `options`: all of `default_options`. Raises `ParameterError`."""
    chosen = preset(options["preset"])
    members, linear, distill = (options.pop(name) for name in ("members", "linear_member", "distill"))
    max_genes = options.pop("max_genes")
    hold_out, levels = (_listed(options.pop(name)) for name in ("hold_out", "levels"))
    for name in ("include_genes", "exclude_genes"):
        options[name] = genes_given(options[name])
    general, networks, search, markers = (
        {FIELDS.get(name, name): options[name] for name in group if name in options}
        for group in (GENERAL, NETWORKS, SEARCH, MARKERS)
    )
    return TrainingConfig(
        data=data,
        **general,
        hold_out=hold_out,
        levels=levels,
        max_genes=chosen.max_genes if max_genes is None else max_genes or None,
        fit=fit_given(chosen.fit, **networks),
        tune=tune_given(chosen.tune, **search),
        n_members=chosen.n_members if members is None else members,
        linear_member=chosen.linear_member if linear is None else linear,
        markers=given(chosen.markers, **markers),
        distill=distill,
        figures=options["figures"],
        cell_map=not options["no_cell_map"],
        real_examples=options["real_examples"],
    )


def _listed(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names that stand between commas, or in a list."""
    parts = given.split(",") if isinstance(given, str) else given or ()
    return tuple(part.strip() for part in parts if part.strip())
