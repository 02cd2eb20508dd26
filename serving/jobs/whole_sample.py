"""Jobs whose cells are judged as one sample: shards call every cell, and the last step says which stay unassigned."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cellmark.schemas.calls.sample_shift import SampleShift, judged_cells
from cellmark.schemas.columns import (
    BEST_CELL_TYPE,
    CELL_TYPE,
    COARSE_CELL_TYPE,
    COARSE_PROBABILITY,
    NOVELTY,
    UNASSIGNED,
    levels_among,
)

from ..scoring.call_options import CallOptions
from ..scoring.call_rules import CallRules
from ..scoring.judge_as_sample import judge_as_sample


def rules_of_shard(rules: CallRules, options: CallOptions, n_cells: int) -> CallRules:
    """Rules by which no cell of a shard stays unassigned, where the whole sample decides that later."""
    if not options.as_sample or rules.sample_shift is None or rules.novelty_threshold is None:
        return rules
    return replace(rules, cell_thresholds=np.full(n_cells, np.inf, dtype=np.float32))


def settled(
    table: pa.Table, rules: CallRules, options: CallOptions, cell_types: Sequence[str]
) -> tuple[pa.Table, SampleShift | None]:
    """The calls of all shards by the threshold of the whole sample, and its shift, None where each cell was judged by
    itself.
    """
    if not options.as_sample:
        return table, None
    best = pd.Index(cell_types).get_indexer(pd.Index(table.column(BEST_CELL_TYPE).to_pylist()))
    novelty, rows = table.column(NOVELTY).to_numpy(), judged_cells(table.num_rows)
    shift = judge_as_sample(rules, best[rows], novelty[rows], n_cells=table.num_rows)
    if shift is None:
        return table, None
    unassigned = pa.array(~(novelty <= shift.thresholds[best]))
    levels = levels_among(table.column_names)
    empty = {CELL_TYPE: UNASSIGNED, COARSE_CELL_TYPE: None, COARSE_PROBABILITY: float("nan")}
    empty |= dict.fromkeys(levels[::2], UNASSIGNED) | dict.fromkeys(levels[1::2], float("nan"))
    for name, value in empty.items():
        if name in table.column_names:
            column = table.column(name).combine_chunks()
            called = pc.if_else(unassigned, pa.scalar(value, column.type), column)
            table = table.set_column(table.column_names.index(name), name, called)
    return table, shift
