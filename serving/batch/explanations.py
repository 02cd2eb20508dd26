"""The strongest genes of many cells: as list columns of a shard, and summed up by type for a whole sample."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.columns import (
    BEST_CELL_TYPE,
    CELL_TYPE,
    EXPLANATION_ATTRIBUTIONS,
    EXPLANATION_DELTA,
    EXPLANATION_GENES,
    UNASSIGNED,
)

from ..scoring.strongest_genes import StrongestGenes

EXPLANATION = "explanation.parquet"
"""In the folder of a finished sample: `tally_frame` of its cells."""
TALLIED = (CELL_TYPE, BEST_CELL_TYPE, EXPLANATION_GENES, EXPLANATION_ATTRIBUTIONS)
SUMMED = ("n_top", "n_for", "n_against", "attribution_sum")


def explanation_columns(found: StrongestGenes, symbols: pa.Array) -> dict[str, pa.Array]:
    """Names and attributions of each cell, rank 1 first, without genes that have none. `symbols`: of the panel.

    Names are written as a dictionary by Parquet: they take no more room than numbers, and every reader knows them.
    """
    kept = found.attributions != 0
    offsets = np.zeros(len(kept) + 1, dtype=np.int32)
    np.cumsum(kept.sum(axis=1), out=offsets[1:])
    return {
        EXPLANATION_GENES: pa.ListArray.from_arrays(offsets, symbols.take(pa.array(found.genes[kept]))),
        EXPLANATION_ATTRIBUTIONS: pa.ListArray.from_arrays(offsets, pa.array(found.attributions[kept])),
        EXPLANATION_DELTA: pa.array(found.convergence_delta),
    }


def with_explanations(table: pa.Table, found: StrongestGenes, symbols: pa.Array) -> pa.Table:
    """A table of calls, with `explanation_columns` behind them."""
    for name, column in explanation_columns(found, symbols).items():
        table = table.append_column(name, column)
    return table


@dataclass(frozen=True, eq=False)
class ExplanationTally:
    """What the strongest genes of some cells add up to. A group is a best type, and once more for its unassigned cells.

    `n_cells`: int64 [groups]; `n_for`, `n_against`: int64, groups x panel genes, cells in whose list the gene is, by
    its sign; `total`: float64, groups x panel genes, the sum of these attributions.
    """

    n_cells: np.ndarray
    n_for: np.ndarray
    n_against: np.ndarray
    total: np.ndarray

    @classmethod
    def of(
        cls,
        groups: np.ndarray,
        n_listed: np.ndarray,
        genes: np.ndarray,
        attributions: np.ndarray,
        *,
        shape: tuple[int, int],
    ) -> "ExplanationTally":
        """`groups`, `n_listed`: int [cells], the group of a cell and how many genes it lists; `genes` (int, numbers in
        the panel), `attributions`: [all lists, one after another]; `shape`: groups, panel genes.
        """
        place = np.repeat(groups, n_listed) * shape[1] + genes
        size = shape[0] * shape[1]
        is_for = attributions > 0
        return cls(
            np.bincount(groups, minlength=shape[0]),
            np.bincount(place[is_for], minlength=size).reshape(shape),
            np.bincount(place[~is_for], minlength=size).reshape(shape),
            np.bincount(place, weights=attributions, minlength=size).reshape(shape),
        )

    def __add__(self, other: "ExplanationTally") -> "ExplanationTally":
        return ExplanationTally(
            self.n_cells + other.n_cells,
            self.n_for + other.n_for,
            self.n_against + other.n_against,
            self.total + other.total,
        )


def tally_shards(paths: Iterable[Path], cell_types: Sequence[str], symbols: Sequence[str]) -> ExplanationTally:
    """The tally of shards with explanations, read row group by row group, in order."""
    types, panel = pd.Index(cell_types), pd.Index(symbols)
    shape = (2 * len(types), len(panel))
    tally = ExplanationTally.of(*(np.zeros(0, dtype=np.int64) for _ in range(4)), shape=shape)
    for path in paths:
        with pq.ParquetFile(path, read_dictionary=[f"{EXPLANATION_GENES}.list.element"]) as file:
            for group in range(file.num_row_groups):
                for batch in file.read_row_group(group, columns=list(TALLIED)).to_batches():
                    best, called = (_numbers(batch.column(name), types) for name in (BEST_CELL_TYPE, CELL_TYPE))
                    lists, values = batch.column(EXPLANATION_GENES), batch.column(EXPLANATION_ATTRIBUTIONS)
                    tally += ExplanationTally.of(
                        best + len(types) * (called < 0),  # `unassigned` is no type
                        np.diff(lists.offsets.to_numpy()),
                        _numbers(lists.flatten(), panel),
                        values.flatten().to_numpy(),
                        shape=shape,
                    )
    return tally


def _numbers(names: pa.Array, among: pd.Index) -> np.ndarray:
    """Places of names, int64 [names], -1 for one that is not there."""
    encoded = names if pa.types.is_dictionary(names.type) else names.dictionary_encode()
    places = among.get_indexer(pd.Index(encoded.dictionary.to_pylist(), dtype=object))
    numbers: np.ndarray = places.astype(np.int64)[encoded.indices.to_numpy()]
    return numbers


def tally_frame(tally: ExplanationTally, cell_types: Sequence[str], symbols: Sequence[str]) -> pd.DataFrame:
    """One row for each group and gene that some cell of it lists, groups in the model's order, then the gene of most
    cells first.

    Columns: `cell_type` (the call), `best_cell_type` (what is explained: another one where cells are unassigned),
    `gene`, `n_cells` (of the group), `n_top` (those that list the gene), `n_for`, `n_against`, `share` (`n_top` of
    `n_cells`), `mean_attribution` (over those that list it), `attribution_sum`.
    """
    n_top = tally.n_for + tally.n_against
    group, gene = np.nonzero(n_top)
    order = np.lexsort((gene, -n_top[group, gene], group))
    group, gene = group[order], gene[order]
    is_called = group < len(cell_types)
    best = np.array(cell_types, dtype=object)[group % len(cell_types)]
    frame = pd.DataFrame(
        {
            "cell_type": np.where(is_called, best, UNASSIGNED),
            "best_cell_type": best,
            "gene": np.array(symbols, dtype=object)[gene],
            "n_cells": tally.n_cells[group],
            "n_top": n_top[group, gene],
            "n_for": tally.n_for[group, gene],
            "n_against": tally.n_against[group, gene],
            "attribution_sum": tally.total[group, gene],
        }
    )
    return with_shares(frame)


def with_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with `share` and `mean_attribution`, which follow from the sums."""
    return frame.assign(
        share=frame["n_top"] / frame["n_cells"], mean_attribution=frame["attribution_sum"] / frame["n_top"]
    )


def write_sample_explanation(
    shards: Iterable[Path], path: Path, cell_types: Sequence[str], symbols: Sequence[str]
) -> None:
    """Write `tally_frame` of a sample's shards. Raises `OutputError`."""
    frame = tally_frame(tally_shards(shards, cell_types, symbols), cell_types, symbols)
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with whole_file(path, force=True) as draft:
        pq.write_table(table, draft, compression="zstd")
