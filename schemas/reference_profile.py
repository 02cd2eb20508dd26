"""`reference_profile.json`: what held-out cells looked like to the model and in quality. Optional; no cell by itself.

`cellmark drift` compares new cells with it. NumPy and pandas only.
"""

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from .bundle import Bundle
from .errors import ModelError
from .manifest.bundle_files import DISTILLED_PROFILE, REFERENCE_PROFILE, content_error
from .manifest.manifest_section import Section, canonical_json

LEVELS = tuple(number / 20 for number in range(1, 20))
"""Levels of the quantiles: 5, 10, ... 95 %."""
LOW, MIDDLE, HIGH = 0, 9, 18
"""Places in `LEVELS` of 5, 50 and 95 %."""
FEWEST_CELLS = 20
"""Fewer cells have no quantiles: they would be the cells themselves. Nor is drift judged of fewer."""

BEST, UNASSIGNED_CELL = "best_cell_type", "unassigned"
"""Columns of a frame of cells: the most probable type, text; whether the cell stays unassigned, bool."""
MEASURES = ("confidence", "novelty", "library_size", "genes_detected", "mitochondrial_share")
"""Its other columns, numbers. One that is absent, or null in every cell, is not measured."""


ANSWERS = ("confidence", "novelty")
"""Measures that networks tell."""
RATIOS = ("library_size", "genes_detected")
"""Measures whose effect is a ratio of medians."""
Part = Literal["held_out", "test", "validation"]


class CellsProfile(Section):
    """`n_cells`; of each measure its quantiles at `levels`, None: not measured, or too few cells. `unassigned`,
    `confidence` and `novelty` are of the `n_asked` cells whose answers count, None: of all.
    """

    n_cells: int
    n_asked: int | None = None
    unassigned: float | None = None
    confidence: list[float] | None = None
    novelty: list[float] | None = None
    library_size: list[float] | None = None
    genes_detected: list[float] | None = None
    mitochondrial_share: list[float] | None = None

    @property
    def n_answers(self) -> int:
        """Cells that `unassigned`, `confidence` and `novelty` are of."""
        return self.n_cells if self.n_asked is None else self.n_asked

    def quantiles(self, measure: str) -> np.ndarray | None:
        """Quantiles of one of `MEASURES`, float64 [levels]."""
        values: list[float] | None = getattr(self, measure)
        return None if values is None else np.asarray(values, dtype=np.float64)

    def median(self, measure: str) -> float | None:
        values = self.quantiles(measure)
        return None if values is None else float(values[MIDDLE])


class DonorEffects(Section):
    """How a training donor's cells differ from those of the other donors, as `cellmark drift` would tell it.

    `effects`: of each measure that needs no network (ratios of medians, differences, shares). What networks say of a
    donor depends on which donors they learned from, and is not compared.
    """

    n_cells: int
    effects: dict[str, float]


class ReferenceProfile(Section):
    """Cells that networks were asked about without having seen them or their donor. `part`: which of them tell
    confidence, novelty and unassigned cells, `held_out` for all. `composition`: share of each called type among the
    cells that do not stay unassigned. `cell_types`: by most probable type, whether the cell stays unassigned or not.
    `donors`: empty where there are no two of them.
    """

    format_version: Literal[1] = 1
    part: Part
    levels: tuple[float, ...] = LEVELS
    composition: dict[str, float]
    overall: CellsProfile
    cell_types: dict[str, CellsProfile]
    donors: dict[str, DonorEffects] = {}

    @model_validator(mode="after")
    def _quantiles_fit(self) -> Self:
        if self.levels != LEVELS:
            raise ValueError("quantiles at other levels")
        for cells in (self.overall, *self.cell_types.values()):
            for measure in MEASURES:
                values = cells.quantiles(measure)
                if values is None:
                    continue
                if len(values) != len(LEVELS) or not np.isfinite(values).all() or (np.diff(values) < 0).any():
                    raise ValueError(f"{measure}: not {len(LEVELS)} finite numbers in ascending order")
        return self

    def to_bytes(self) -> bytes:
        """As it lies in the bundle."""
        return canonical_json(self.model_dump(mode="json"))


def describe_cells(
    cells: pd.DataFrame,
    cell_types: Sequence[str],
    *,
    part: Part,
    refuses: bool,
    asked: np.ndarray | None = None,
) -> ReferenceProfile:
    """The profile of held-out cells. `cells`: one row each, with `BEST`, `UNASSIGNED_CELL` and `MEASURES`; `refuses`:
    whether the model leaves cells unassigned at all. `asked`: bool [cells], whose confidence, novelty and refusal
    count, None for all.
    """
    answers = cells if asked is None else cells[asked]
    of_type, answers_of_type = cells[BEST], answers[BEST]
    return ReferenceProfile(
        part=part,
        composition=composition_of(cells, cell_types),
        overall=_profile(cells, answers, refuses=refuses),
        cell_types={
            name: _profile(cells[of_type == name], answers[answers_of_type == name], refuses=refuses)
            for name in cell_types
        },
    )


def composition_of(cells: pd.DataFrame, cell_types: Sequence[str]) -> dict[str, float]:
    """Share of each type among the cells that do not stay unassigned; zeros when all do."""
    called = cells.loc[~cells[UNASSIGNED_CELL].to_numpy(dtype=bool), BEST]
    sizes = called.value_counts().reindex(list(cell_types), fill_value=0)
    return {name: float(size) / max(len(called), 1) for name, size in sizes.items()}


def measured(cells: pd.DataFrame, measure: str) -> np.ndarray | None:
    """The values of one measure, float64, without nulls; None where there is none."""
    if measure not in cells.columns:
        return None
    values = cells[measure].to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    return values if len(values) else None


def _profile(cells: pd.DataFrame, answers: pd.DataFrame, *, refuses: bool) -> CellsProfile:
    found: dict[str, list[float]] = {}
    for measure in MEASURES:
        values = measured(answers if measure in ANSWERS else cells, measure)
        if values is not None and len(values) >= FEWEST_CELLS:
            found[measure] = [float(value) for value in np.quantile(values, LEVELS)]
    told = refuses and len(answers) >= FEWEST_CELLS
    return CellsProfile(
        n_cells=len(cells),
        n_asked=None if len(answers) == len(cells) else len(answers),
        unassigned=float(answers[UNASSIGNED_CELL].mean()) if told else None,
        **found,
    )


def read_profile(bundle: Bundle, *, distilled: bool = False) -> ReferenceProfile:
    """The profile of a bundle: what its annotator says of held-out cells, or its second annotator (`distilled`).

    Raises `ModelError` (`PROFILE_MISSING`) when it has none, `BundleError` on another file.
    """
    name = DISTILLED_PROFILE if distilled else REFERENCE_PROFILE
    if name not in bundle.manifest.files:
        found = "one without it: made by an earlier version, or without cells held out"
        remedy = "Train the model again: cellmark train writes what held-out cells look like."
        if bundle.manifest.imported is not None:
            found = f"a model imported from {bundle.manifest.imported.tool}, whose file holds no cells to compare with"
            remedy = "Train a model on the same cells with cellmark train: it writes what held-out cells look like."
        if distilled:
            found = "one without it: made without --distill, or by an earlier version"
        raise ModelError.of(
            "PROFILE_MISSING",
            where="model",
            expected=f"a bundle with {name}",
            found=found,
            remedy=remedy,
        )
    try:
        return ReferenceProfile.model_validate_json(bundle.path(name).read_bytes())
    except (OSError, ValueError) as error:
        raise content_error(name, "a profile of held-out cells", str(error).splitlines()[0]) from error
