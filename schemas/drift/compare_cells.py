"""How far new cells are from the held-out cells of a model's training: effect sizes, judged by stated thresholds.

A sample with more T cells than the training data is another sample, not a fault, and other types bring other depths.
So depth, genes, mitochondria, confidence and novelty are compared within types, and composition never makes a fault.
`docs/drift.md` explains every number. Arrays and frames in, a report out; NumPy and pandas only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ..reference_profile import (
    FEWEST_CELLS,
    HIGH,
    LEVELS,
    UNASSIGNED_CELL,
    CellsProfile,
    ReferenceProfile,
    composition_of,
    measured,
)
from .cells_within_types import CellsWithinTypes, beyond_chance, ks_distance
from .drift_report import (
    LIMITS,
    ORDER,
    DriftReport,
    GeneDrift,
    Limits,
    Measure,
    PanelFacts,
    Severity,
    TypeDrift,
    judged_size,
    limits_of,
    severity_of,
)
from .spreads import CellsInPlane, spreads_of

MOST = 0.5
"""Share of a type's cells: a type with more novel ones, or more unassigned ones where the profile has few cells of the
type, is outside the training range.
"""


def compare_cells(
    cells: pd.DataFrame,
    profile: ReferenceProfile,
    *,
    panel: PanelFacts | None = None,
    top: int = 10,
    notes: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    unknown: Mapping[str, str] | None = None,
    in_plane: CellsInPlane | None = None,
) -> DriftReport:
    """Compare cells (columns as in `describe_cells`) with a profile. `panel`: None where only calls are known; `top`:
    genes to name. `notes`, `facts`, `in_plane`: handed on. `unknown`: why a measure is not in `cells`.
    """
    within, limits = CellsWithinTypes(cells, profile), limits_of(profile)
    found = (
        _ratio("library_size", within, limits),
        _ratio("genes_detected", within, limits),
        _mitochondrial(within, limits),
        *_panel(panel, len(cells), limits),
        _tail("confidence", within, limits),
        _tail("novelty", within, limits),
        _unassigned(cells, profile.overall, limits),
        _composition(cells, profile, limits),
    )
    reasons = unknown or {}
    measures = tuple(replace(one, reason=reasons.get(one.name, one.reason)) for one in found)
    types = _cell_types(within)
    severity = _worst([measure.severity for measure in measures if measure.is_fault], types)
    return DriftReport(
        len(cells),
        profile.overall.n_cells,
        profile.overall.n_answers,
        profile.part,
        severity,
        measures,
        limits,
        types,
        () if panel is None else _moved_genes(panel, top),
        None if panel is None else panel.attribution_share,
        tuple(notes),
        dict(facts or {}),
        spreads_of(within),
        in_plane,
    )


def _described(name: str, within: CellsWithinTypes) -> Measure:
    """Medians and distance, unjudged, or why there are none."""
    values, quantiles = measured(within.cells, name), within.profile.overall.quantiles(name)
    if quantiles is None:
        return Measure(name, reason="not in the profile: training did not measure it, or held out too few cells")
    if values is None:
        return Measure(name, expected=within.profile.overall.median(name), reason="not in this input")
    return Measure(
        name, float(np.median(values)), within.profile.overall.median(name), ks=ks_distance(values, quantiles)
    )


def _judged(measure: Measure, effect: float, severity: Severity, n_cells: int) -> Measure:
    few = n_cells < FEWEST_CELLS
    return Measure(
        measure.name,
        measure.observed,
        measure.expected,
        effect,
        measure.ks,
        None if few else severity,
        measure.is_fault,
        f"fewer than {FEWEST_CELLS} cells" if few else None,
    )


def _ratio(name: str, within: CellsWithinTypes, limits: Mapping[str, Limits]) -> Measure:
    described, medians = _described(name, within), within.medians(name)
    usable = [(n_cells, found, expected) for n_cells, found, expected in medians if found > 0 and expected > 0]
    if described.reason is not None or not usable:
        return described
    sizes, found, expected = (np.array(column, dtype=np.float64) for column in zip(*usable, strict=True))
    ratio = float(np.exp(np.average(np.log(found / expected), weights=sizes)))
    return _judged(described, ratio, severity_of(limits[name], judged_size(name, ratio)), len(within.cells))


def _mitochondrial(within: CellsWithinTypes, limits: Mapping[str, Limits]) -> Measure:
    name = "mitochondrial_share"
    described, medians = _described(name, within), within.medians(name)
    if described.reason is not None or not medians:
        return described
    sizes, found, expected = (np.array(column, dtype=np.float64) for column in zip(*medians, strict=True))
    difference = float(np.average(found - expected, weights=sizes))
    return _judged(described, difference, severity_of(limits[name], abs(difference)), len(within.cells))


def _tail(name: str, within: CellsWithinTypes, limits: Mapping[str, Limits]) -> Measure:
    described, beyond = _described(name, within), within.beyond(name)
    if described.reason is not None or beyond is None:
        return described
    share, n_cells = float(beyond.mean()), len(beyond)
    chance = not beyond_chance(share, 1 - LEVELS[HIGH], n_cells=n_cells, n_expected=within.profile.overall.n_answers)
    return _judged(described, share, "ok" if chance else severity_of(limits[name], share), n_cells)


def _unassigned(cells: pd.DataFrame, expected: CellsProfile, limits: Mapping[str, Limits]) -> Measure:
    if expected.unassigned is None:
        return Measure("unassigned", reason="not in the profile: the model leaves no cell unassigned")
    share = float(cells[UNASSIGNED_CELL].mean())
    excess = share - expected.unassigned
    real = beyond_chance(share, expected.unassigned, n_cells=len(cells), n_expected=expected.n_answers)
    described = Measure("unassigned", share, expected.unassigned)
    return _judged(described, excess, severity_of(limits["unassigned"], excess) if real else "ok", len(cells))


def _panel(panel: PanelFacts | None, n_cells: int, limits: Mapping[str, Limits]) -> tuple[Measure, Measure]:
    if panel is None:
        reason = "calls alone do not tell"
        return Measure("panel_overlap", expected=1.0, reason=reason), Measure("detection", reason=reason)
    there = np.isfinite(panel.observed)
    overlap = float(there.mean())
    missing = float((~there).mean())
    covered = Measure("panel_overlap", overlap, 1.0, missing, severity=severity_of(limits["panel_overlap"], missing))
    if not there.any():
        return covered, Measure("detection", reason="not in this input")
    observed, expected = panel.observed[there], panel.expected[there]
    effect = _beyond_sampling(observed, expected, n_cells)
    described = Measure("detection", float(observed.mean()), float(expected.mean()))
    return covered, _judged(described, effect, severity_of(limits["detection"], effect), n_cells)


def _beyond_sampling(observed: np.ndarray, expected: np.ndarray, n_cells: int) -> float:
    """Mean absolute difference of rates, [genes] each, without what drawing `n_cells` cells alone makes of it.

    A rate p of n cells is off by sqrt(2 / pi) sqrt(p (1 - p) / n) on average; two causes add up in squares.
    """
    expected = np.clip(expected, 0, 1)  # shares of types do not sum to 1 exactly
    by_chance = np.sqrt(2 / np.pi * expected * (1 - expected) / max(n_cells, 1)).mean()
    difference = np.abs(observed - expected).mean()
    return float(np.sqrt(max(difference**2 - by_chance**2, 0.0)))


def _composition(cells: pd.DataFrame, profile: ReferenceProfile, limits: Mapping[str, Limits]) -> Measure:
    n_called = int((~cells[UNASSIGNED_CELL].to_numpy(dtype=bool)).sum())
    if n_called == 0:
        return Measure("composition", is_fault=False, reason="every cell stays unassigned")
    names = list(profile.composition)
    found = np.array(list(composition_of(cells, names).values()))
    expected = np.array([profile.composition[name] for name in names])
    variation = float(np.abs(found - expected).sum() / 2)
    real = any(
        beyond_chance(one, other, n_cells=n_called, n_expected=profile.overall.n_cells)
        for one, other in zip(found, expected, strict=True)
    )
    severity = severity_of(limits["composition"], variation) if real else "ok"
    return _judged(Measure("composition", is_fault=False), variation, severity, n_called)


def _cell_types(within: CellsWithinTypes) -> tuple[TypeDrift, ...]:
    profile, found = within.profile, []
    composition = composition_of(within.cells, list(profile.composition))
    strange, unsure = within.beyond("novelty"), within.beyond("confidence")
    refused = within.cells[UNASSIGNED_CELL].to_numpy(dtype=bool)
    for name, reference in profile.cell_types.items():
        rows = within.rows[name]
        n_cells = len(rows)
        known = reference if reference.unassigned is not None else profile.overall
        share = float(refused[rows].mean()) if n_cells and known.unassigned is not None else None
        is_strange = float(strange[rows].mean()) if strange is not None and n_cells else None
        values, depth = within.values("library_size", name), reference.median("library_size")
        found.append(
            TypeDrift(
                name,
                n_cells,
                composition[name],
                profile.composition.get(name, 0.0),
                share,
                known.unassigned,
                is_strange,
                float(unsure[rows].mean()) if unsure is not None and n_cells else None,
                float(np.median(values)) / depth if n_cells >= FEWEST_CELLS and values is not None and depth else None,
                _outside(n_cells, reference, known, share, is_strange),
            )
        )
    return tuple(found)


def _outside(
    n_cells: int, reference: CellsProfile, known: CellsProfile, share: float | None, strange: float | None
) -> bool | None:
    """Whether a type's cells are outside the training range. `known`: the profile that says how many stay unassigned;
    `share`: of them; `strange`: beyond what 95 % of held-out cells reach.
    """
    if n_cells < FEWEST_CELLS or share is None or strange is None or known.unassigned is None:
        return None
    if reference.n_answers < FEWEST_CELLS:
        # Rare types are refused more often than others, how much more is not known: only the flagrant is reported.
        return True if share > MOST else None
    excess, expected = share - known.unassigned, 1 - LEVELS[HIGH]
    is_strange = strange > MOST and beyond_chance(strange, expected, n_cells=n_cells, n_expected=reference.n_answers)
    is_refused = excess >= LIMITS["unassigned"].far and beyond_chance(
        share, known.unassigned, n_cells=n_cells, n_expected=known.n_answers
    )
    return is_strange or is_refused


def _moved_genes(panel: PanelFacts, top: int) -> tuple[GeneDrift, ...]:
    difference = np.where(np.isfinite(panel.observed), panel.observed - panel.expected, 0.0)
    order = np.argsort(-np.abs(difference), kind="stable")[:top]
    return tuple(
        GeneDrift(
            str(panel.genes[place]),
            float(panel.observed[place]),
            float(panel.expected[place]),
            float(difference[place]),
        )
        for place in order
        if difference[place] != 0
    )


def _worst(severities: Sequence[Severity | None], types: Sequence[TypeDrift]) -> Severity | None:
    judged: list[Severity] = [severity for severity in severities if severity is not None]
    if any(cell_type.outside for cell_type in types):
        judged.append("moved")
    if not judged:
        return None
    worst: Severity = max(judged, key=ORDER.__getitem__)
    return worst
