"""What becomes of the annotator's outputs: when a cell stays unassigned, which types its set holds, which coarser
type is sure. All of it was measured in training and stands in the manifest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from cellmark.schemas.columns import COARSE_CELL_TYPE, SET_SEPARATOR, UNASSIGNED, level_columns
from cellmark.schemas.errors import ParameterError
from cellmark.schemas.manifest.manifest import Manifest
from cellmark.schemas.manifest.manifest_ontology import coarse_members
from cellmark.schemas.manifest.manifest_trust import SampleShiftEntry, flattened


@dataclass(frozen=True)
class LevelRule:
    """One level. `names`: of its groups; `members`: float32, types x groups; `temperature`: see `LevelEntry`."""

    names: tuple[str, ...]
    members: np.ndarray
    temperature: float


@dataclass(frozen=True)
class CallRules:
    """`novelty_threshold`: above it a cell is unassigned. `set_thresholds`: of the probability after `flattening`,
    float32 [types], with `error_rate`. `coarse_names`, `members` (float32, types x terms): types and the terms above
    them, the most specific first; the first term of which the types' probabilities sum to `coarse_probability` is the
    coarse call. `levels`: the coarsest first. `sample_shift`: what a whole sample is compared with; `cell_thresholds`:
    float32 [cells], in place of `novelty_threshold`. None: the model has no such measure. `ranked_by`: the output that
    orders types.
    """

    novelty_threshold: float | None = None
    sample_shift: SampleShiftEntry | None = None
    cell_thresholds: np.ndarray | None = None
    set_thresholds: np.ndarray | None = None
    flattening: float = 1.0
    error_rate: float | None = None
    coarse_names: tuple[str, ...] = ()
    members: np.ndarray | None = None
    coarse_probability: float = 1.0
    levels: tuple[LevelRule, ...] = ()
    ranked_by: Literal["probabilities", "logits"] = "probabilities"

    @property
    def names_of_columns(self) -> dict[str, tuple[str, ...]]:
        """What the columns of coarse calls and of levels may hold, in order."""
        levels = {level_columns(number)[0]: level.names for number, level in enumerate(self.levels, start=1)}
        return {COARSE_CELL_TYPE: self.coarse_names, **{name: (*held, UNASSIGNED) for name, held in levels.items()}}

    @classmethod
    def of(cls, manifest: Manifest, *, error_rate: float | None = None, distilled: bool = False) -> "CallRules":
        """The rules of a model, or of its second annotator (`distilled`). `error_rate`: of the label sets, one that the
        model has; None for its default.

        Raises `ParameterError` for another error rate.
        """
        # The second annotator answers differently, so it has measures of its own.
        measured = manifest.distilled if distilled else manifest
        sets, novelty = (measured.label_sets, measured.novelty) if measured is not None else (None, None)
        level = None
        if sets is not None:
            wanted = sets.default_error_rate if error_rate is None else error_rate
            level = next((one for one in sets.levels if abs(one.error_rate - wanted) < 1e-9), None)
        if error_rate is not None and level is None:
            known = ", ".join(f"{one.error_rate:g}" for one in sets.levels) if sets is not None else ""
            raise ParameterError.of(
                "PARAMETER_INVALID",
                where="label_set_error",
                expected=known or "a model with label sets",
                found=f"{error_rate:g}",
                remedy="Name one of the error rates that the model was calibrated for, or omit it.",
            )
        return cls(
            novelty_threshold=None if novelty is None else novelty.threshold,
            sample_shift=None if novelty is None else novelty.sample_shift,
            set_thresholds=None if level is None else np.array(level.thresholds, dtype=np.float32),
            flattening=1.0 if sets is None else sets.flattening,
            error_rate=None if level is None else level.error_rate,
            levels=_levels(manifest, distilled=distilled),
            ranked_by=manifest.ranked_by,
            **_coarse(manifest),
        )


def _coarse(manifest: Manifest) -> dict[str, Any]:
    if manifest.ontology is None:
        return {}
    types, terms = manifest.cell_type_names, manifest.ontology.terms
    return {
        "coarse_names": (*types, *(term.name for term in terms)),
        "members": coarse_members(types, terms),
        "coarse_probability": manifest.ontology.probability,
    }


def _levels(manifest: Manifest, *, distilled: bool) -> tuple[LevelRule, ...]:
    if manifest.levels is None:
        return ()
    levels, types = manifest.levels.levels, manifest.cell_type_names
    temperatures = [level.temperature for level in levels]
    if distilled and manifest.distilled is not None:
        temperatures = manifest.distilled.level_temperatures or [1.0] * len(levels)
    return tuple(
        LevelRule(level.names, level.members(types), temperature)
        for level, temperature in zip(levels, temperatures, strict=True)
    )


def packed_sets(probabilities: np.ndarray, thresholds: np.ndarray, *, flattening: float = 1.0) -> np.ndarray:
    """The types that each cell's set holds, as bits, uint8, cells x ceil(types / 8).

    `probabilities`: cells x types; `thresholds`: [types], of these after `flattening`. Types that reach their
    threshold, and always the best one: a set is never empty.
    """
    found = flattened(probabilities, flattening) >= thresholds
    found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
    return np.packbits(found, axis=1)


def set_column(sets: np.ndarray | None, n_cells: int, cell_types: Sequence[str]) -> pd.Categorical:
    """Sets as text, types in the model's order joined by " | "; empty for all cells where there are none.

    `sets`: uint8, cells x ceil(types / 8), as `packed_sets` gives them. A category for each set that is
    there: of a million cells few differ.
    """
    if sets is None:
        return pd.Categorical.from_codes(np.full(n_cells, -1), categories=pd.Index([], dtype=object))
    if n_cells == 0:
        return pd.Categorical([])
    # As one value a row: np.unique by rows sorts them column by column, which is slower by far.
    rows = np.ascontiguousarray(sets).view(np.dtype((np.void, sets.shape[1]))).ravel()
    _, first, codes = np.unique(rows, return_index=True, return_inverse=True)
    held = np.unpackbits(sets[first], axis=1, count=len(cell_types)).astype(bool)
    names = np.array(cell_types, dtype=object)
    texts = [SET_SEPARATOR.join(names[one]) for one in held]
    return pd.Categorical.from_codes(codes.ravel(), categories=pd.Index(texts, dtype=object))


def set_lists(sets: np.ndarray, cell_types: Sequence[str]) -> list[list[str]]:
    """The types of each cell's set, in the model's order. `sets`: as `packed_sets` gives them; of many cells few
    differ.
    """
    known: dict[bytes, list[str]] = {}
    lists = []
    for row in sets:
        key = row.tobytes()
        if key not in known:
            held = np.unpackbits(row, count=len(cell_types)).tolist()
            known[key] = [name for name, is_held in zip(cell_types, held, strict=True) if is_held]
        lists.append(known[key])
    return lists
