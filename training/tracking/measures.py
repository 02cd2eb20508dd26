"""What MLflow shows of a run beside its curves: measures in groups, the settings that took effect, its name."""

from cellmark.schemas.checks.split import Split
from cellmark.schemas.manifest.manifest import Manifest

from ..cells.labelled_cells import LabelledCells
from ..config import TrainingConfig
from ..evaluation.evaluate import flat_metrics
from ..figures.evaluation_files import evaluation_metrics, trust_metrics

PARTS = ("train", "validation", "test")
MOST_NAMED = 3
"""Donors that a run's name lists; more are counted."""


def manifest_metrics(manifest: Manifest) -> dict[str, float]:
    """Everything that a manifest measures. What stands before the last `/` of a name is its group on MLflow's pages."""
    return {
        **flat_metrics(manifest.metrics),
        **evaluation_metrics(manifest.evaluation),
        **trust_metrics(manifest),
        "panel/n_genes": float(manifest.panel.n_genes),
        **{f"{part}/n_cells": float(getattr(manifest.split, part).n_cells) for part in PARTS},
    }


def given_settings(config: TrainingConfig) -> dict[str, str]:
    """The settings that were chosen, as text. Those that the data decide (see `found_settings`) and those that were not
    set are left out: MLflow keeps the first value of a parameter for ever.
    """
    chosen = {key: str(value) for key, value in config.parameters().items() if value not in (None, "")}
    for key in ("hold_out", "library_size", "test_share"):
        chosen.pop(key, None)
    return chosen


def found_settings(config: TrainingConfig, cells: LabelledCells, split: Split) -> dict[str, str]:
    """What the settings came to on these cells: the donors of the test part, drawn or given, where the library size is
    from, and how cells were divided.
    """
    found = {
        "library_size": config.library_size or cells.library_size_source,
        "counts_from": cells.counts_from,
        "split": split.strategy,
    }
    if cells.donors is not None:
        found["hold_out"] = ",".join(donors_of_test(cells, split)) or "none"
        found["hold_out_chosen"] = "given" if config.hold_out else "drawn" if len(split.test) else "no test part"
    else:
        found["test_share"] = str(config.test_share)
    return found


def donors_of_test(cells: LabelledCells, split: Split) -> list[str]:
    """Donors of the test part, sorted; none without donors or a test part."""
    return [] if cells.donors is None else sorted({str(donor) for donor in cells.donors[split.test]})


def run_name(name: str, *, version: str | None, held_out: str | None) -> str:
    """Such as `pancreas v1, human4 out`, so that runs of one model differ. None for what is not known yet."""
    numbered = name if version is None else f"{name} v{version}"
    return numbered if held_out is None else f"{numbered}, {held_out}"


def held_out_words(donors: list[str] | None, *, test_share: float) -> str:
    """What was held out for the test part, in a few words. `donors`: None where cells were divided by chance."""
    if donors is None:
        return f"{test_share:.0%} of cells out" if test_share else "no test part"
    if not donors:
        return "no test part"
    return f"{', '.join(donors)} out" if len(donors) <= MOST_NAMED else f"{len(donors)} donors out"


def held_out(manifest: Manifest) -> str:
    """As `held_out_words`, of a finished model; of an imported one, what it is from."""
    if manifest.imported is not None:
        return f"from {manifest.imported.tool}"
    split = manifest.split
    n_cells = sum(getattr(split, part).n_cells for part in PARTS)
    return held_out_words(split.test.donors, test_share=split.test.n_cells / n_cells if n_cells else 0.0)
