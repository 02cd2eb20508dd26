"""Calls of a whole sample: thresholds that know how far it is shifted, and what its answer says of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cellmark.schemas.calls.sample_shift import SampleShift, State, judged_cells, sample_shift
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.checks.likely_columns import columns_in_words, likely_donors
from cellmark.schemas.errors import Finding, ParameterError
from cellmark.schemas.near_names import given_as

from .call_options import CallOptions
from .call_rules import CallRules
from .score import Calls

MOST_NAMED, MOST_SAMPLES = 5, 10_000


@dataclass(frozen=True)
class JudgedSamples:
    """The samples of one input, by name; the name is None where the input is one sample. `column`: that names them.
    `rules`: with thresholds of its cells.
    """

    column: str | None
    shifts: Mapping[str | None, SampleShift]
    rules: CallRules

    def facts(self, cell_types: Sequence[str]) -> dict[str, Any]:
        """`sample_shift` of an answer."""
        return facts_of_shifts(self.column, self.shifts, cell_types)

    def notes(self, cell_types: Sequence[str]) -> list[Finding]:
        return shift_notes(self.shifts, cell_types)

    @property
    def state(self) -> State | None:
        """The state of the only sample."""
        return None if self.column is not None else self.shifts[None].state


def judge_as_sample(rules: CallRules, best: np.ndarray, novelty: np.ndarray, *, n_cells: int) -> SampleShift | None:
    """The shift of one sample; None for a model that has nothing to compare it with. `best`, `novelty`: of its cells
    `judged_cells(n_cells)`.
    """
    if rules.novelty_threshold is None or rules.sample_shift is None:
        return None
    return sample_shift(best, novelty, n_cells=n_cells, threshold=rules.novelty_threshold, reference=rules.sample_shift)


def judge_samples(
    rules: CallRules, calls: Calls, options: CallOptions, samples: np.ndarray | None
) -> JudgedSamples | None:
    """As `judge_as_sample`, of all cells of an input. `samples`: see `samples_of`; None: all are one. None where the
    options ask for fixed thresholds.
    """
    best, novelty = calls.best, calls.novelty
    if novelty is None or not (options.as_sample or samples is not None):
        return None
    shifts: dict[str | None, SampleShift] = {}
    thresholds = np.empty(len(best), dtype=np.float32)
    names, of_cell = (np.array([None]), np.zeros(len(best), dtype=int)) if samples is None else _numbered(samples)
    for number, name in enumerate(names):
        rows = np.flatnonzero(of_cell == number)
        looked_at = rows[judged_cells(len(rows))]
        shift = judge_as_sample(rules, best[looked_at], novelty[looked_at], n_cells=len(rows))
        if shift is None:
            return None
        shifts[name] = shift
        thresholds[rows] = shift.thresholds[best[rows]]
    return JudgedSamples(options.sample, shifts, replace(rules, cell_thresholds=thresholds))


def samples_of(source: CellSource, column: str | None) -> np.ndarray | None:
    """What a column of `obs` says of each cell, str [cells]. Raises `ParameterError` where there is no such column, or
    one of too many samples.
    """
    if column is None:
        return None
    if source.obs.columns.tolist().count(column) != 1:
        near = likely_donors(source.obs, column)
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="sample",
            expected="one column of obs with samples",
            found=f"{column!r}, where obs has {columns_in_words(source.obs)}",
            remedy=f"Did you mean {given_as('--sample', near)}?" if near else "Omit --sample: the file is one sample.",
        )
    values = source.obs[column].astype(object)
    named: np.ndarray = values.where(values.notna(), "unknown").astype(str).to_numpy(dtype=str)
    refuse_many(column, source.obs[column].nunique())
    return named


def refuse_many(column: str, n_samples: int) -> None:
    """Raise `ParameterError` for a column that names more samples than an answer can speak of."""
    if n_samples > MOST_SAMPLES:
        raise ParameterError.not_a_choice(
            "sample",
            choices=f"one column of obs with samples, at most {MOST_SAMPLES:,} of them",
            found=f"{column!r}, which has {n_samples:,} values",
        )


def facts_of_shifts(
    column: str | None, shifts: Mapping[str | None, SampleShift], cell_types: Sequence[str]
) -> dict[str, Any]:
    """As `shift_facts`, of samples by name, or of the only one."""
    if column is None:
        return shift_facts(shifts[None], cell_types)
    named = {str(name): shift_facts(shift, cell_types) for name, shift in shifts.items()}
    return {"column": column, "samples": named}


def shift_facts(shift: SampleShift, cell_types: Sequence[str]) -> dict[str, Any]:
    """As an answer says it. `thresholds`: by best type, only where they differ from the model's; `foreign_types`: those
    whose thresholds are lowered, where there are any.
    """
    facts: dict[str, Any] = {"state": shift.state, "shift": shift.shift, "cap": shift.cap}
    if shift.state == "shifted" or shift.foreign.any():
        facts["thresholds"] = dict(zip(cell_types, map(float, shift.thresholds), strict=True))
    if shift.foreign.any():
        facts["foreign_types"] = [cell_types[code] for code in np.flatnonzero(shift.foreign).tolist()]
    return facts


def thresholds_by_type(facts: Mapping[str, Any], fixed: float, cell_types: Sequence[str]) -> np.ndarray:
    """The thresholds that `shift_facts` of one sample speak of, float32 [types]; `fixed`: the model's."""
    own = facts.get("thresholds", {})
    return np.array([own.get(name, fixed) for name in cell_types], dtype=np.float32)


def thresholds_of_cells(
    facts: Mapping[str, Any] | None,
    fixed: float,
    cell_types: Sequence[str],
    best: np.ndarray,
    samples: np.ndarray | None,
) -> np.ndarray:
    """The threshold of each cell by `sample_shift` of an answer (None: `fixed`), float32 [cells]. `best`: int [cells];
    `samples`: as for `judge_samples`.
    """
    if facts is None:
        return np.full(len(best), fixed, dtype=np.float32)
    if samples is None:
        of_types = thresholds_by_type(facts, fixed, cell_types)[None]
        return np.asarray(of_types[0, best])
    names, of_cell = _numbered(samples)
    of_types = np.stack([thresholds_by_type(facts["samples"][name], fixed, cell_types) for name in names])
    return np.asarray(of_types[of_cell, best])


def shift_notes(shifts: Mapping[str | None, SampleShift], cell_types: Sequence[str]) -> list[Finding]:
    """What people should know of the samples of an input, one note of each kind."""
    notes = []
    for state, code, severity, remedy in (
        ("shifted", "SAMPLE_SHIFTED", "info", SHIFTED),
        ("beyond", "SAMPLE_BEYOND_TRAINING", "warning", BEYOND),
    ):
        found = {name: shift for name, shift in shifts.items() if shift.state == state}
        if not found:
            continue
        largest = max(found.values(), key=lambda shift: np.inf if shift.shift is None else shift.shift)
        which = "this sample is" if None in found else f"{len(found)} of {len(shifts)} samples are"
        notes.append(
            Finding(
                code,
                where="cells",
                expected=f"cells as novel as those of training's laboratory, or up to {largest.cap:.2f} more",
                found=f"{which} shifted as a whole"
                + ("" if largest.shift is None else f", by {largest.shift:.2f}")
                + ("" if None in found or len(found) == 1 else " at most"),
                remedy=remedy,
                severity=severity,  # type: ignore[arg-type]
                examples=tuple(str(name) for name in found if name is not None)[:MOST_NAMED],
            )
        )
    return notes + _foreign_note(shifts, cell_types)


def _foreign_note(shifts: Mapping[str | None, SampleShift], cell_types: Sequence[str]) -> list[Finding]:
    foreign = {name: shift for name, shift in shifts.items() if shift.foreign.any()}
    if not foreign:
        return []
    codes = np.flatnonzero(np.any([shift.foreign for shift in foreign.values()], axis=0)).tolist()
    types = tuple(cell_types[code] for code in codes)
    names, more = ", ".join(types[:MOST_NAMED]), len(types) - MOST_NAMED
    return [
        Finding(
            "TYPES_FOREIGN_TO_SAMPLE",
            where="cells",
            expected="most cells that are called a type within the model's threshold",
            found=f"most of those called {names}{f' and {more} more types' if more > 0 else ''} above it"
            f"{'' if None in foreign else f', in {len(foreign)} of {len(shifts)} samples'}",
            remedy=FOREIGN_TYPES,
            severity="info",
            examples=types[:MOST_NAMED],
        )
    ]


SHIFTED = (
    "Another chemistry or laboratory? Calls count from thresholds that are raised by as much; --fixed-threshold keeps "
    "the model's."
)
BEYOND = (
    "Compare them: cellmark drift. Another tissue, organism or protocol? Training saw no such shift, so no threshold "
    "is raised and cells may stay unassigned."
)
FOREIGN_TYPES = (
    "They are likely something else, so the others keep the type only where they are typical of it. What they are: "
    "cellmark markers novel; --fixed-threshold keeps the model's threshold."
)


def _numbered(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    codes, names = pd.factorize(samples)
    return np.asarray(names), codes
