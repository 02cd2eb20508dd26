"""Answers of the service as the frames that `Annotator` returns: the same columns, categories and facts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from cellmark.schemas.columns import (
    BEST_CELL_TYPE,
    CELL_ID,
    CELL_TYPE,
    COARSE_CELL_TYPE,
    COARSE_PROBABILITY,
    CONFIDENCE,
    EXPLANATION_COLUMNS,
    LABEL_SET,
    MARGIN,
    NOVELTY,
    SECOND_CELL_TYPE,
    TYPES_KEY,
    UNASSIGNED,
    level_columns,
)
from cellmark.schemas.errors import CellmarkError, CountsError, Finding
from cellmark.schemas.genes.orthologs import CrossSpecies
from cellmark.schemas.manifest.marker_table import COLUMNS

from ..scoring.call_rules import set_column
from .refusals import finding_of

FACTS = (
    "model",
    "model_version",
    "bundle_digest",
    "library_size_source",
    "counts_from",
    "n_cells",
    "genes_matched",
    "genes_missing",
    "missing_genes",
    "attribution_share",
    "notes",
)
TRUST = ("novelty_threshold", "label_set_error")
ALIKE = ("library_size_source", "genes_matched", "genes_missing")
"""What pieces of one input must agree on: they are judged one by one, and the input as a whole would be too."""
BODY_VALUES = ("data", "X", "body", "input")
"""What the service calls the values and the input of a piece."""


def calls_of(
    answers: Sequence[Mapping[str, Any]],
    cell_types: list[str],
    coarse_types: Sequence[str],
    levels: Sequence[Sequence[str]] = (),
) -> pd.DataFrame:
    """Calls of all cells, indexed by cell id, as `calls_frame` makes them. `coarse_types`: all names that a coarse call
    may have, in the model's order; `levels`: those of each level's groups. Empty for a model without them.
    """
    cells = [cell for answer in answers for cell in answer["cells"]]

    def texts(name: str) -> list[Any]:
        return [cell[name] for cell in cells]

    def numbers(name: str) -> np.ndarray:
        return np.array([np.nan if cell[name] is None else cell[name] for cell in cells], dtype=np.float32)

    frame = pd.DataFrame(
        {
            CELL_TYPE: _categorical(texts(CELL_TYPE), [*cell_types, UNASSIGNED]),
            BEST_CELL_TYPE: _categorical(texts(BEST_CELL_TYPE), cell_types),
            CONFIDENCE: numbers(CONFIDENCE),
            SECOND_CELL_TYPE: _categorical(texts(SECOND_CELL_TYPE), cell_types),
            MARGIN: numbers(MARGIN),
            NOVELTY: numbers(NOVELTY),
            LABEL_SET: set_column(_packed(texts(LABEL_SET), cell_types), len(cells), cell_types),
        },
        index=pd.Index(np.array(texts("cell_id"), dtype=str), name=CELL_ID),
    )
    if len(coarse_types):
        frame[COARSE_CELL_TYPE] = _categorical(texts(COARSE_CELL_TYPE), coarse_types)
        frame[COARSE_PROBABILITY] = numbers(COARSE_PROBABILITY)
    for number, names in enumerate(levels, start=1):
        column, of_confidence = level_columns(number)
        frame[column] = _categorical(texts(column), [*names, UNASSIGNED])
        frame[of_confidence] = numbers(of_confidence)
    if cells and cells[0].get("probabilities") is not None:
        values = np.array([[cell["probabilities"][name] for name in cell_types] for cell in cells], dtype=np.float32)
        columns = [f"probability:{name}" for name in cell_types]
        frame = frame.join(pd.DataFrame(values, index=frame.index, columns=columns))
    frame.attrs[TYPES_KEY] = list(cell_types)
    return frame


def _categorical(values: Sequence[str | None], names: Iterable[str]) -> pd.Categorical:
    index = pd.Index(list(names), dtype=object)
    codes = index.get_indexer(pd.Index(list(values), dtype=object))
    return pd.Categorical.from_codes(codes, categories=index).remove_unused_categories()


def _packed(sets: Sequence[Sequence[str] | None], cell_types: list[str]) -> np.ndarray | None:
    """Label sets as `packed_sets` gives them."""
    if not sets or sets[0] is None:
        return None
    place = {name: number for number, name in enumerate(cell_types)}
    held = np.zeros((len(sets), len(cell_types)), dtype=bool)
    for row, names in enumerate(sets):
        held[row, [place[name] for name in names or ()]] = True
    return np.packbits(held, axis=1)


def explanations_of(answers: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Explanations as rows, one for each cell and gene, as `explanation_frame` makes them."""
    by_cell = ("cell_id", "cell_type", "target", "against", "convergence_delta")
    of_gene = tuple(name for name in EXPLANATION_COLUMNS if name not in by_cell)
    cells = [cell for answer in answers for cell in answer["cells"]]
    n_genes = [len(cell["genes"]) for cell in cells]
    columns: dict[str, Any] = {
        name: np.repeat(np.array([cell[name] for cell in cells], dtype=object), n_genes) for name in by_cell
    }
    columns |= {name: [gene.get(name, gene["gene"]) for cell in cells for gene in cell["genes"]] for name in of_gene}
    frame = pd.DataFrame(columns, columns=list(EXPLANATION_COLUMNS))
    floats = ("attribution", "counts", "log1p_norm", "baseline", "convergence_delta")
    return frame.astype({"rank": np.int64, **dict.fromkeys(floats, np.float32)})


def across_of(answers: Sequence[Mapping[str, Any]]) -> CrossSpecies | None:
    """What the answers on pieces of one input say of its organism: the names of its genes are those of every piece."""
    told = answers[0].get("cross_species")
    return None if told is None else CrossSpecies(**told)


def markers_of(answer: Mapping[str, Any]) -> pd.DataFrame:
    """The marker table, columns as in `manifest/marker_table.py`; of a later version's others, as they come."""
    table = pd.DataFrame(answer["markers"])
    return table.astype({name: COLUMNS[name].dtype for name in table if name in COLUMNS})


def facts_of(
    answers: Sequence[Mapping[str, Any]], *, counts_from: str, notes: Iterable[Finding] = (), name: str = "input"
) -> dict[str, Any]:
    """What the answers on pieces of one input say together, as `AnswerFacts.to_dict`.

    `counts_from`, `notes`, `name`: of the input where it was read. A note on several pieces stands once, and says on
    how many. Raises `CountsError` for pieces that were taken for different kinds of values.
    """
    first = answers[0]
    for answer in answers[1:]:
        for fact in ALIKE:
            if answer[fact] != first[fact]:
                raise _mixed(counts_from, fact, str(first[fact]), str(answer[fact]))
    told: dict[tuple[str, str], list[Finding]] = {}
    for answer in answers:
        for note in answer["notes"]:
            found = in_words_of(finding_of(note, 200), counts_from=counts_from, name=name)
            told.setdefault((found.code, found.where), []).append(found)
    merged = [_on_several(found, len(answers)) for found in told.values()]
    kept = dict.fromkeys([*notes, *merged])
    suffix = first["counts_from"].partition(",")[1:]
    facts = {name: first[name] for name in FACTS}
    facts["counts_from"] = counts_from + "".join(suffix)
    facts["n_cells"] = sum(answer["n_cells"] for answer in answers)
    facts["notes"] = [note.to_dict() for note in kept]
    known = {name: first[name] for name in TRUST if name in first}
    if first.get("cross_species") is not None:
        known["cross_species"] = first["cross_species"]
    shift = first.get("sample_shift")
    if shift is not None:
        known["sample_shift"] = {name: value for name, value in shift.items() if value is not None or name == "shift"}
    return {**facts, **known}


def _on_several(found: list[Finding], n_pieces: int) -> Finding:
    if n_pieces == 1 or (all(note == found[0] for note in found[1:]) and len(found) == n_pieces):
        return found[0]
    return replace(found[0], found=f"{found[0].found} (so in {len(found)} of {n_pieces} requests)")


def _mixed(counts_from: str, fact: str, one: str, other: str) -> CountsError:
    return CountsError.of(
        "COUNTS_NOT_NORMALISED",
        where=counts_from,
        expected="the same kind of values in all cells",
        found=f"{fact} {one!r} in some cells and {other!r} in others",
        remedy="Send counts of all cells, or say what the values are: input='counts' or input='log1p'.",
    )


def in_words_of(finding: Finding, *, counts_from: str, name: str) -> Finding:
    """A finding on a piece, with the input's own names for its values and itself."""
    where, _, rest = finding.where.partition(":")
    if where not in BODY_VALUES:
        return finding
    where = counts_from if where in ("data", "X") else name
    return replace(finding, where=f"{where}:{rest}" if rest else where)


def renamed(error: CellmarkError, *, counts_from: str, name: str) -> CellmarkError:
    """A refusal of a piece, with the input's own names."""
    return type(error)(*(in_words_of(one, counts_from=counts_from, name=name) for one in error.findings))
