"""Calls as a frame of one row per cell, and as columns of an AnnData; and what every answer says of model and input."""

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cellmark.schemas.columns import (
    BEST_CELL_TYPE,
    CELL_ID,
    CELL_TYPE,
    COARSE_CELL_TYPE,
    COARSE_PROBABILITY,
    CONFIDENCE,
    CROSS_SPECIES,
    LABEL_SET,
    MARGIN,
    NOVELTY,
    SECOND_CELL_TYPE,
    TYPES_KEY,
    UNASSIGNED,
    level_columns,
)
from cellmark.schemas.errors import Finding, ParameterError
from cellmark.schemas.genes.orthologs import CrossSpecies

from .call_rules import CallRules, set_column
from .score import Calls

if TYPE_CHECKING:
    from anndata import AnnData

    from cellmark.schemas.checks.checked_cells import CheckedCells

    from ..models.model_source import ModelSource


@dataclass(frozen=True)
class AnswerFacts:
    """What every answer says of the model and the input; `notes` are warnings and remarks on the input.

    `attribution_share`: share of the model's attribution mass that the input's genes carry, None for a model that does
    not know it.
    """

    model: str
    model_version: str | None
    bundle_digest: str
    library_size_source: str
    counts_from: str
    n_cells: int
    genes_matched: int
    genes_missing: int
    missing_genes: tuple[str, ...]
    attribution_share: float | None
    notes: tuple[Finding, ...]
    distilled: bool = False
    cross_species: CrossSpecies | None = None

    @classmethod
    def of(cls, source: "ModelSource", checked: "CheckedCells", *, distilled: bool) -> "AnswerFacts":
        """Those of an input that has passed the model's checks."""
        match, evidence = checked.match, source.bundle.panel.evidence
        return cls(
            source.name,
            source.version,
            source.bundle.digest,
            checked.library_size_source,
            checked.source.counts_from,
            checked.source.n_obs,
            match.n_matched,
            len(match.missing),
            match.missing,
            evidence.mass(match.measured) if evidence is not None else None,
            checked.notes,
            distilled,
            checked.genes.across,
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values; `distilled` and `cross_species` only where it is so."""
        # `asdict` would copy every name of a missing gene.
        facts = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        facts |= {"missing_genes": list(self.missing_genes), "notes": [note.to_dict() for note in self.notes]}
        facts["cross_species"] = None if self.cross_species is None else asdict(self.cross_species)
        for name in ("distilled", "cross_species"):
            if not facts[name]:
                del facts[name]
        return facts


def calls_frame(calls: Calls, cell_ids: np.ndarray, cell_types: list[str], rules: CallRules) -> pd.DataFrame:
    """Calls as a frame indexed by cell id; type columns are categorical, with those of the model's types that some
    cell has, in the model's order: scanpy's plots and tests fail on categories without a cell.
    """
    names = pd.Index(cell_types)
    novelty = calls.novelty
    called, coarse = final_calls(calls, rules, len(names))
    categories = names
    if novelty is not None and rules.novelty_threshold is not None:
        categories = names.append(pd.Index([UNASSIGNED]))
    nothing = np.full(len(cell_ids), np.nan, dtype=np.float32)
    frame = pd.DataFrame(
        {
            CELL_TYPE: _present(called, categories),
            BEST_CELL_TYPE: _present(calls.best, names),
            CONFIDENCE: calls.confidence,
            SECOND_CELL_TYPE: _present(calls.second, names),
            MARGIN: calls.margin,
            NOVELTY: nothing if novelty is None else novelty,
            LABEL_SET: set_column(calls.sets, len(cell_ids), cell_types),
        },
        index=pd.Index(cell_ids, name=CELL_ID),
    )
    if coarse is not None and calls.coarse_probability is not None:
        frame[COARSE_CELL_TYPE] = _present(coarse, pd.Index(rules.coarse_names, dtype=object))
        frame[COARSE_PROBABILITY] = np.where(coarse >= 0, calls.coarse_probability, np.float32("nan"))
    for number, (level, (codes, confidence)) in enumerate(zip(rules.levels, final_levels(calls, rules), strict=True)):
        column, of_confidence = level_columns(number + 1)
        frame[column] = _present(codes, pd.Index([*level.names, UNASSIGNED], dtype=object))
        frame[of_confidence] = confidence
    if calls.probabilities is not None:
        columns = [f"probability:{name}" for name in cell_types]
        frame = frame.join(pd.DataFrame(calls.probabilities, index=frame.index, columns=columns))
    frame.attrs[TYPES_KEY] = cell_types
    return frame


def final_calls(calls: Calls, rules: CallRules, n_types: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Numbers of the types that cells are called, `n_types` for an unassigned one, and of their coarse calls, -1 for
    none, int [cells].
    """
    assigned = assigned_cells(calls, rules)
    if assigned is None:
        return calls.best, calls.coarse
    coarse = None if calls.coarse is None else np.where(assigned, calls.coarse, -1)
    return np.where(assigned, calls.best, n_types), coarse


def assigned_cells(calls: Calls, rules: CallRules) -> np.ndarray | None:
    """Which cells are not too novel, bool [cells]; None for a model that calls every cell."""
    if calls.novelty is None or rules.novelty_threshold is None:
        return None
    # Written so that NaN, which is like nothing, is unassigned too.
    limit = rules.novelty_threshold if rules.cell_thresholds is None else rules.cell_thresholds
    return np.asarray(calls.novelty <= limit)


def final_levels(calls: Calls, rules: CallRules, *, all_cells: bool = False) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each level the numbers of the groups that cells are called, as many as there are groups for an unassigned
    cell, int [cells], and their probabilities, NaN there. `all_cells`: as if all were assigned.
    """
    if calls.levels is None or calls.level_confidence is None:
        # Without cells there is nothing to say of any level.
        return [(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)) for _ in rules.levels]
    assigned = None if all_cells else assigned_cells(calls, rules)
    found = list(zip(calls.levels.T, calls.level_confidence.T, strict=True))
    if assigned is None:
        return found
    return [
        (np.where(assigned, codes, len(level.names)), np.where(assigned, confidence, np.float32("nan")))
        for level, (codes, confidence) in zip(rules.levels, found, strict=True)
    ]


def _present(codes: np.ndarray, names: pd.Index) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, categories=names).remove_unused_categories()


def mark_cross_species(frame: pd.DataFrame, across: CrossSpecies | None) -> None:
    """Add `cellmark_cross_species` to an answer on cells of another organism than the model's."""
    if across is not None:
        frame[CROSS_SPECIES] = pd.Categorical([across.text] * len(frame))


def check_same_cells(theirs: pd.Index, ours: pd.Index) -> None:
    """Raise `ParameterError` unless an AnnData to write to has the cells that are annotated, in any order."""
    if len(theirs) != len(ours) or not theirs.isin(ours).all():
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="copy_to",
            expected="an AnnData with the cells that are annotated",
            found=f"{len(ours)} cells, {int(theirs.isin(ours).sum())} of them among the {len(theirs)} annotated",
            remedy="Pass the AnnData that is annotated, or a copy of it.",
        )


def copy_calls(frame: pd.DataFrame, adata: "AnnData") -> None:
    """Write calls (`Annotator.annotate`'s frame) into `obs`, their facts and the colours of their types into `uns`."""
    from ..outputs.write_calls import put_calls, uns_entries

    put_calls(adata, frame.reindex(adata.obs_names), uns_entries(frame))
