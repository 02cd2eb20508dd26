"""What a report is made of: a bundle's files, what only a finished bundle knows, and how its numbers are written."""

from dataclasses import dataclass

import pandas as pd

from ..bundle import Bundle, read_optional_table
from ..golden_cells import read_golden
from ..manifest.bundle_files import (
    CELL_MAP,
    MARKER_SPREAD,
    REFERENCE_PROFILE,
    TRAINING_SUMMARY,
    WORKED_EXAMPLES,
    content_error,
)
from ..manifest.manifest import Manifest
from ..manifest.manifest_evaluation import Estimate
from ..manifest.marker_spread import MarkerSpread
from ..manifest.training_summary import TrainingSummary
from ..manifest.worked_examples import WorkedExamples
from ..reference_profile import ReferenceProfile, read_profile
from .drawn_examples import drawn_examples


@dataclass(frozen=True)
class Identity:
    """Digests, date and environment. Not in the report that lies in the bundle: no file can hold the digest of the
    folder that it lies in, and the date of a training must not change the model's digest.

    `version`: of the registered model, None for a bare folder.
    """

    version: str | None
    bundle_digest: str
    manifest_digest: str
    created: str
    environment: dict[str, str]


@dataclass(frozen=True)
class ReportFacts:
    """`markers`, `genes`: the bundle's tables. `cell_map`: the UMAP of held-out cells. None: the bundle has none.

    `name`: what commands call the model by. `reference`: what held-out cells looked like. `examples`: a cell of each
    type, explained. `spread`: densities of the best markers, and their means over the UMAP.
    """

    name: str
    manifest: Manifest
    markers: pd.DataFrame
    genes: pd.DataFrame
    cell_map: pd.DataFrame | None = None
    training: TrainingSummary | None = None
    identity: Identity | None = None
    reference: ReferenceProfile | None = None
    examples: WorkedExamples | None = None
    spread: MarkerSpread | None = None


def read_facts(bundle: Bundle, *, name: str | None = None, version: str | None = None) -> ReportFacts:
    """The facts of a finished bundle. `name`, `version`: of the registered model. Raises `BundleError` on tables and a
    summary that are not of the documented form.
    """
    manifest = bundle.manifest
    return ReportFacts(
        name or manifest.name,
        manifest,
        bundle.markers,
        bundle.genes,
        read_optional_table(bundle, CELL_MAP),
        read_summary(bundle),
        Identity(version, manifest.bundle_digest, manifest.manifest_digest, manifest.created, manifest.environment),
        read_profile(bundle) if REFERENCE_PROFILE in manifest.files else None,
        read_examples(bundle),
        read_spread(bundle),
    )


def read_summary(bundle: Bundle) -> TrainingSummary | None:
    """The training data's summary, None where the bundle has none."""
    if TRAINING_SUMMARY not in bundle.manifest.files:
        return None
    try:
        return TrainingSummary.model_validate_json(bundle.path(TRAINING_SUMMARY).read_bytes())
    except ValueError as error:
        raise content_error(TRAINING_SUMMARY, "a summary of the training data", str(error).splitlines()[0]) from error


def read_examples(bundle: Bundle) -> WorkedExamples:
    """Real examples where the bundle has some, else those of its golden cells."""
    if WORKED_EXAMPLES not in bundle.manifest.files:
        return drawn_examples(read_golden(bundle), bundle.manifest.cell_type_names, bundle.panel.symbols)
    try:
        return WorkedExamples.model_validate_json(bundle.path(WORKED_EXAMPLES).read_bytes())
    except ValueError as error:
        raise content_error(WORKED_EXAMPLES, "examples of cell types", str(error).splitlines()[0]) from error


def read_spread(bundle: Bundle) -> MarkerSpread | None:
    """How the best markers are spread, None for a bundle that does not tell."""
    if MARKER_SPREAD not in bundle.manifest.files:
        return None
    try:
        return MarkerSpread.model_validate_json(bundle.path(MARKER_SPREAD).read_bytes())
    except ValueError as error:
        raise content_error(MARKER_SPREAD, "densities of markers", str(error).splitlines()[0]) from error


NOT_MEASURED = "not measured"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in per cent; `not measured` without one."""
    return NOT_MEASURED if share is None else f"{100 * share:.{digits}f} %"


def score(value: float | None) -> str:
    """Three decimals; `not measured` without a value."""
    return NOT_MEASURED if value is None else f"{value:.3f}"


def interval(estimate: Estimate | None) -> str:
    """The 95 % interval in words, empty without one."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    how = "of" if estimate.value == 1 else "bootstrap over"
    over = f", {how} {estimate.over}" if estimate.over else ""
    return f"95 % interval {estimate.low:.3f} to {estimate.high:.3f}{over}"


def count(value: int, one: str, many: str | None = None) -> str:
    """`1 donor`, `1,204 donors`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def listed(names: list[str], most: int = 8) -> str:
    """Names with commas; how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
