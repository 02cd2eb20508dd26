"""New cells beside the held-out cells of a model's training: from a file of cells, or from calls made before."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import RowChunk
from cellmark.schemas.cells.reading_options import AS_IT_IS, NOT_KNOWN, ReadingOptions
from cellmark.schemas.checks.checked_cells import CheckedCells, PreparedChunk
from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, CONFIDENCE, NOVELTY, UNASSIGNED, UNS_KEY
from cellmark.schemas.drift.cells_within_types import expected_detection
from cellmark.schemas.drift.compare_cells import compare_cells
from cellmark.schemas.drift.drift_report import ORDER, DriftReport, PanelFacts, Severity
from cellmark.schemas.drift.reference_plane import ReferencePlane, read_plane
from cellmark.schemas.drift.spreads import CellsInPlane, cells_in_plane
from cellmark.schemas.errors import Finding, InputError, ParameterError
from cellmark.schemas.reference_profile import BEST, UNASSIGNED_CELL, ReferenceProfile, read_profile

from ..annotator import Annotator
from ..models.model_source import ModelSource
from ..reader.read_calls import read_calls
from ..scoring.call_options import PLAIN_CALLS, CallOptions
from ..scoring.call_rules import CallRules
from ..scoring.quality import QualityWatch
from ..terminal.show import cell_progress
from .annotate_file import open_checked


class DriftWatch(QualityWatch):
    """Watches the chunks of one input: quality of each cell, and how many cells count each gene of the panel."""

    def __init__(self, checked: CheckedCells) -> None:
        super().__init__(checked)
        self._detected = np.zeros(len(checked.match.measured), dtype=np.int64)
        self._n_cells = 0

    def see(self, chunk: RowChunk, prepared: PreparedChunk) -> None:
        """The next chunk; one with problems is passed over, since such an input is refused anyway."""
        super().see(chunk, prepared)
        if prepared.cells is not None:
            counts = prepared.cells.counts
            self._detected += np.bincount(counts.indices[counts.data > 0], minlength=len(self._detected))
            self._n_cells += counts.shape[0]

    @property
    def n_detected(self) -> np.ndarray:
        """How many cells count each gene of the panel, int64 [genes]."""
        return self._detected

    def detected(self) -> np.ndarray:
        """Share of cells that count each gene of the panel, [genes]; NaN for one that was not measured."""
        return np.where(self._checked.match.measured, self._detected / max(self._n_cells, 1), np.nan)


class PlaneWatch:
    """Where the cells of one input lie in the model's flat view, and which of them the fixed threshold refuses."""

    def __init__(self, plane: ReferencePlane, threshold: float | None) -> None:
        self._plane, self._threshold = plane, threshold
        self._seen: list[tuple[np.ndarray, np.ndarray]] = []

    def see(self, outputs: dict[str, np.ndarray]) -> None:
        """The annotator's outputs of the next cells."""
        places, novelty = self._plane.places(outputs["embedding"]), outputs.get("novelty")
        refused = np.zeros(len(places), dtype=bool)
        if novelty is not None and self._threshold is not None:
            refused = novelty > np.float32(self._threshold)
        self._seen.append((places, refused))

    def cells(self) -> CellsInPlane | None:
        """All cells that were seen; None for none."""
        if not self._seen:
            return None
        places, refused = (np.concatenate(parts) for parts in zip(*self._seen, strict=True))
        return cells_in_plane(self._plane, places, refused)


def quality_for_drift(cells: pd.DataFrame, *, normalised: bool) -> pd.DataFrame:
    """Library size, genes detected and mitochondrial share (where there are such genes) of each cell, in order. A
    normalised cell has no library size. `cells`: see `cell_quality`.
    """
    names = {"total_counts": "library_size", "mitochondrial_fraction": "mitochondrial_share"}
    unknown = ["total_counts"] if normalised else []
    return cells.drop(columns=["cell_id", "panel_fraction", *unknown]).rename(columns=names)


def drift_of_file(
    annotator: Annotator,
    path: Path,
    reading: ReadingOptions = AS_IT_IS,
    options: CallOptions = PLAIN_CALLS,
    *,
    trusted: bool = False,
) -> DriftReport:
    """Annotate the cells of a file and compare them with the model's profile.

    Arguments as in `annotate_file`; whatever `options` say of samples, shares of unassigned cells are compared by the
    model's fixed threshold, as those of held-out cells are. Raises `ModelError` (`PROFILE_MISSING`) before any work,
    and `InputError` with all problems of the input.
    """
    read_profile(annotator.bundle, distilled=annotator.session.distilled)
    with (
        open_checked(annotator, path, reading, trusted=trusted) as checked,
        cell_progress(path.name, checked.source.n_obs) as advance,
    ):
        return drift_of_checked(annotator, checked, options, name=str(path), on_progress=advance)


def drift_of_checked(
    annotator: Annotator,
    checked: CheckedCells,
    options: CallOptions = PLAIN_CALLS,
    *,
    name: str,
    on_progress: Callable[[int], None] = lambda n_cells: None,
) -> DriftReport:
    """As `drift_of_file`, of an input that has passed the annotator's `check`. `name`: what the report calls it."""
    bundle, distilled = annotator.bundle, annotator.session.distilled
    profile = read_profile(bundle, distilled=distilled)
    watch, threshold = DriftWatch(checked), annotator.rules().novelty_threshold
    plane = read_plane(bundle, distilled=distilled)
    over = None if plane is None else PlaneWatch(plane, threshold)
    calls = annotator.call(
        checked,
        options,
        observe=watch.see,
        observe_outputs=None if over is None else over.see,
        on_progress=on_progress,
    )
    cells, facts = cells_of_calls(calls, threshold), calls.attrs[UNS_KEY]
    return compare_with_profile(
        bundle,
        profile,
        pd.concat([cells, quality_for_drift(watch.cells(), normalised=checked.normalised)], axis=1),
        watch.detected(),
        attribution_share=facts["attribution_share"],
        normalised=checked.normalised,
        notes=[*(str(Finding(**note)) for note in facts["notes"]), *notes_on_unassigned(calls, cells)],
        facts=_facts(annotator.source, name, "counts", distilled=distilled) | _thresholds(facts, calls),
        in_plane=None if over is None else over.cells(),
    )


def compare_with_profile(
    bundle: Bundle,
    profile: ReferenceProfile,
    cells: pd.DataFrame,
    detected: np.ndarray,
    *,
    attribution_share: float | None,
    normalised: bool,
    notes: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    in_plane: CellsInPlane | None = None,
) -> DriftReport:
    """The columns of `cells_of_calls` and `quality_for_drift` beside a profile. `detected`: share of cells that count
    each gene of the panel, [genes], NaN for one that was not measured.
    """
    shares = cells[BEST].value_counts(normalize=True)
    panel = PanelFacts(
        bundle.panel.symbols,
        detected,
        expected_detection(bundle.genes, bundle.markers, {str(name): float(share) for name, share in shares.items()}),
        attribution_share,
    )
    unknown = {"library_size": NOT_KNOWN} if normalised else {}
    return compare_cells(cells, profile, panel=panel, notes=notes, facts=facts, unknown=unknown, in_plane=in_plane)


def drift_of_calls(source: ModelSource, path: Path, *, distilled: bool = False, trusted: bool = False) -> DriftReport:
    """Compare calls that `cellmark annotate` wrote with the model's profile; what calls do not tell is left out.

    `distilled`: they are the second annotator's, as the facts beside a table tell by themselves. Raises `ModelError` as
    `drift_of_file`, and `InputError` for a file without calls, or with another model's or annotator's.
    """
    if not distilled:
        read_profile(source.bundle)
    frame, facts = read_calls(path, trusted=trusted)
    told = facts.get("bundle_digest")
    digest = told if isinstance(told, str) else None
    notes = [
        "Only calls were read: depth, genes and mitochondria are not compared. Give the cells themselves for these."
    ]
    if digest is None:
        notes.append("The file does not say which model made its calls.")
    by_second = facts.get("distilled") is True
    if digest is not None and distilled and not by_second:
        raise _calls_of_another(
            path,
            f"calls of the second annotator of {source.bundle.digest[:12]}",
            "those of the first one",
            "Omit --distilled.",
        )
    distilled = distilled or by_second
    profile = read_profile(source.bundle, distilled=distilled)
    strangers = set(frame[BEST_CELL_TYPE].astype(str)) - set(profile.cell_types)
    if (digest is not None and digest != source.bundle.digest) or strangers:
        made_by = f"those of {digest[:12]}" if digest is not None else f"types such as {sorted(strangers)[0]!r}"
        raise _calls_of_another(
            path,
            f"calls of the model {source.bundle.digest[:12]}",
            made_by,
            "Name the model that made them, or give the cells themselves.",
        )
    threshold = CallRules.of(source.bundle.manifest, distilled=distilled).novelty_threshold
    cells = cells_of_calls(frame, threshold)
    return compare_cells(
        cells,
        profile,
        notes=[*notes, *notes_on_unassigned(frame, cells)],
        facts=_facts(source, str(path), "calls", distilled=distilled)
        | _thresholds({**facts, "novelty_threshold": threshold}, frame),
    )


def _calls_of_another(path: Path, expected: str, found: str, remedy: str) -> InputError:
    return InputError.of("CALLS_OF_ANOTHER_MODEL", where=str(path), expected=expected, found=found, remedy=remedy)


def cells_of_calls(frame: pd.DataFrame, threshold: float | None) -> pd.DataFrame:
    """The columns that `compare_cells` takes, of a frame of calls; its index is the cells' numbers.

    Cells that the model's fixed `threshold` refuses are unassigned here, also where a whole sample got a higher one:
    the profile's share of unassigned cells is by the fixed one.
    """
    novelty = frame[NOVELTY].to_numpy(dtype=np.float32)
    above = np.zeros(len(frame), dtype=bool) if threshold is None else novelty > np.float32(threshold)
    return pd.DataFrame(
        {
            BEST: frame[BEST_CELL_TYPE].astype(str).to_numpy(dtype=object),
            UNASSIGNED_CELL: is_unassigned(frame) | above,
            "confidence": frame[CONFIDENCE].to_numpy(dtype=np.float64),
            "novelty": frame[NOVELTY].to_numpy(dtype=np.float64),
        }
    )


def notes_on_unassigned(frame: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """By which threshold shares are compared, where the calls are by another one. `cells`: see `cells_of_calls`."""
    n_called, n_compared = int(is_unassigned(frame).sum()), int(cells[UNASSIGNED_CELL].sum())
    if n_called == n_compared:
        return []
    return [
        f"Judged as a whole sample, {n_called:,} of {len(frame):,} cells are unassigned; by the model's fixed "
        f"threshold it would be {n_compared:,}. The shares of unassigned cells below are by the fixed threshold, as "
        "those expected are."
    ]


def is_unassigned(frame: pd.DataFrame) -> np.ndarray:
    """Whether each cell has no call, bool [cells]."""
    found: np.ndarray = (frame[CELL_TYPE].astype(str) == UNASSIGNED).to_numpy()
    return found


def _thresholds(facts: Mapping[str, Any], frame: pd.DataFrame) -> dict[str, Any]:
    """What a report says of the calls: the thresholds, and how many cells are unassigned by them."""
    known = {name: facts[name] for name in ("novelty_threshold", "sample_shift") if facts.get(name) is not None}
    return {**known, "n_unassigned": int(is_unassigned(frame).sum())}


def _facts(source: ModelSource, name: str, made_from: str, *, distilled: bool) -> dict[str, Any]:
    second = {"distilled": True} if distilled else {}
    return {
        "input": name,
        "compared": made_from,
        "model": source.name,
        "model_version": source.version,
        "bundle_digest": source.bundle.digest,
        **second,
    }


def check_experiment(experiment: str | None, *, log_to_mlflow: bool) -> None:
    """Raise `ParameterError` for an experiment into which nothing would be logged."""
    if experiment is not None and not log_to_mlflow:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="experiment",
            expected="with --log-to-mlflow",
            found=repr(experiment),
            remedy="Add --log-to-mlflow, or omit --experiment.",
        )


def fails(severity: Severity | None, fail_on: Severity | None) -> bool:
    """Whether a verdict is at least `fail_on`. One that could not be made, None, fails too: nothing was shown to be as
    it should.
    """
    return fail_on is not None and (severity is None or ORDER[severity] >= ORDER[fail_on])
