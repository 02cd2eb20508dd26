"""The rows of an answer as JSON, straight from arrays: no frame is made of what is only to be written."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, cast

import msgspec
import numpy as np
from msgspec import UNSET, Struct, UnsetType

from cellmark.schemas.api.strict_json import write_json
from cellmark.schemas.columns import UNASSIGNED, level_columns

from ..scoring.attribute import Explained, explanation_columns
from ..scoring.call_rules import CallRules, set_lists
from ..scoring.calls_frame import final_calls, final_levels
from ..scoring.score import Calls
from ..scoring.session import ModelSession

BLOCK_ROWS = 5000


class CallRow(Struct):
    """As `schemas.api.responses.Call`."""

    cell_id: str
    cellmark_cell_type: str
    cellmark_best_cell_type: str
    cellmark_confidence: float
    cellmark_second_cell_type: str
    cellmark_margin: float
    cellmark_novelty: float | None
    cellmark_label_set: list[str] | None
    cellmark_coarse_cell_type: str | None
    cellmark_coarse_probability: float | None
    probabilities: dict[str, float] | UnsetType = UNSET


@cache
def row_type(n_levels: int) -> type[CallRow]:
    """A row with the columns of so many levels behind the others."""
    kinds = (str | None, float | None)
    fields = [
        (name, kind, None)
        for number in range(n_levels)
        for name, kind in zip(level_columns(number + 1), kinds, strict=True)
    ]
    return cast("type[CallRow]", msgspec.defstruct("LevelRow", fields, bases=(CallRow,))) if fields else CallRow


class GeneRow(Struct):
    """As `schemas.api.responses.GeneAttribution`."""

    rank: int
    gene_symbol: str
    attribution: float
    counts: float | None
    log1p_norm: float
    baseline: float
    direction: str
    gene: str


class ExplanationRow(Struct):
    """As `schemas.api.responses.Explanation`."""

    cell_id: str
    cell_type: str
    target: str
    against: str | None
    convergence_delta: float
    genes: list[GeneRow]


_encoder = msgspec.json.Encoder()


def encoded(rows: Any) -> bytes:
    """JSON of rows. NaN, which JSON does not have, is null; text that UTF-8 cannot hold is escaped."""
    try:
        return _encoder.encode(rows)
    except UnicodeEncodeError:
        return write_json(msgspec.to_builtins(rows))


def call_rows(calls: Calls, cell_ids: np.ndarray, cell_types: list[str], rules: CallRules) -> Iterator[bytes]:
    """Calls as JSON lists of at most `BLOCK_ROWS` cells."""
    called, coarse = final_calls(calls, rules, len(cell_types))
    names = [*cell_types, UNASSIGNED]
    levels = list(zip([(*level.names, UNASSIGNED) for level in rules.levels], final_levels(calls, rules), strict=True))
    row_of = row_type(len(levels))
    for start in range(0, len(cell_ids), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        n_cells = len(cell_ids[part])
        nothing = [None] * n_cells
        coarse_names: list[str | None] = [*rules.coarse_names, None]  # -1 names the last
        columns: list[list[Any]] = [
            cell_ids[part].tolist(),
            [names[code] for code in called[part].tolist()],
            [names[code] for code in calls.best[part].tolist()],
            calls.confidence[part].tolist(),
            [names[code] for code in calls.second[part].tolist()],
            calls.margin[part].tolist(),
            nothing if calls.novelty is None else calls.novelty[part].tolist(),
            nothing if calls.sets is None else set_lists(calls.sets[part], cell_types),
            nothing if coarse is None else [coarse_names[code] for code in coarse[part].tolist()],
            nothing
            if coarse is None or calls.coarse_probability is None
            else np.where(coarse[part] >= 0, calls.coarse_probability[part], np.float32("nan")).tolist(),
            [UNSET] * n_cells,
        ]
        for of_level, (codes, confidence) in levels:
            columns += [[of_level[code] for code in codes[part].tolist()], confidence[part].tolist()]
        rows = [row_of(*row) for row in zip(*columns, strict=True)]
        if calls.probabilities is not None:
            for row, values in zip(rows, calls.probabilities[part].tolist(), strict=True):
                row.probabilities = dict(zip(cell_types, values, strict=True))
        yield encoded(rows)


def explanation_rows(
    session: ModelSession,
    explained: Explained,
    cell_ids: np.ndarray,
    baselines: np.ndarray,
    *,
    top: int,
    normalised: bool,
) -> list[ExplanationRow]:
    """One row for each cell, with its genes; a cell in which no gene has any attribution is kept, with none."""
    columns = explanation_columns(session, explained, baselines, top=top, normalised=normalised)
    genes = [GeneRow(*row) for row in zip(*(columns[name].tolist() for name in GeneRow.__struct_fields__), strict=True)]
    ends = np.searchsorted(columns["row"], np.arange(len(cell_ids) + 1)).tolist()
    names: list[Any] = [*session.bundle.manifest.cell_type_names, None]  # -1 names the last: with nothing
    facts = zip(
        cell_ids.tolist(),
        explained.called.tolist(),
        explained.target.tolist(),
        explained.against.tolist(),
        explained.convergence_delta.tolist(),
        strict=True,
    )
    rows = []
    for number, (cell_id, called, target, against, delta) in enumerate(facts):
        of_cell = genes[ends[number] : ends[number + 1]]
        rows.append(ExplanationRow(cell_id, names[called], names[target], names[against], delta, of_cell))
    return rows


def with_rows(
    facts: dict[str, Any], key: str, blocks: Iterable[bytes], members: dict[str, bytes] | None = None
) -> bytes:
    """The JSON of `facts` with a last member `key`, a list whose rows come in encoded blocks (lists themselves).
    `members`: further ones, encoded.
    """
    further = b"".join(b'"%s":%s,' % (name.encode(), value) for name, value in (members or {}).items())
    rows = b",".join(inner for block in blocks if (inner := block[1:-1]))
    return write_json(facts)[:-1] + b"," + further + b'"%s":[' % key.encode() + rows + b"]}"
