"""Calls as Arrow tables whose types no value changes, so that shards of one job fit together, and back as frames."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cellmark.schemas.columns import (
    BEST_CELL_TYPE,
    CELL_ID,
    CELL_TYPE,
    COARSE_CELL_TYPE,
    COARSE_PROBABILITY,
    CONFIDENCE,
    CROSS_SPECIES,
    EXPLANATION_ATTRIBUTIONS,
    EXPLANATION_GENES,
    EXPLANATION_LISTS,
    LABEL_SET,
    MARGIN,
    NOVELTY,
    SECOND_CELL_TYPE,
    SET_SEPARATOR,
    UNASSIGNED,
    level_columns,
)

from ..scoring.call_rules import CallRules, set_column
from ..scoring.calls_frame import final_calls, final_levels
from ..scoring.score import Calls

ROW_GROUP = 16_384
"""Cells of one row group at least: what is held before it is written."""
NAMES = pa.dictionary(pa.int32(), pa.string())


def call_table(
    calls: Calls,
    cell_ids: np.ndarray,
    cell_types: Sequence[str],
    rules: CallRules,
    *,
    across: str | None = None,
    all_coarse: bool = False,
) -> pa.Table:
    """The columns of `calls_frame`, behind one of cell ids. `across`: of cells of another organism, what they are.
    `all_coarse`: give coarse calls and those of levels of unassigned cells too, which may be assigned later.
    """
    n_cells = len(cell_ids)
    called, coarse = final_calls(calls, rules, len(cell_types))
    coarse = calls.coarse if all_coarse else coarse
    novelty = np.full(n_cells, np.nan, dtype=np.float32) if calls.novelty is None else calls.novelty
    sets = set_column(calls.sets, n_cells, list(cell_types))
    columns: dict[str, pa.Array] = {
        CELL_ID: pa.array(cell_ids, pa.string()),
        CELL_TYPE: named_codes(called, [*cell_types, UNASSIGNED]),
        BEST_CELL_TYPE: named_codes(calls.best, cell_types),
        CONFIDENCE: pa.array(calls.confidence),
        SECOND_CELL_TYPE: named_codes(calls.second, cell_types),
        MARGIN: pa.array(calls.margin),
        NOVELTY: pa.array(novelty),
        LABEL_SET: named_codes(sets.codes, list(sets.categories)),
    }
    if coarse is not None and calls.coarse_probability is not None:
        columns[COARSE_CELL_TYPE] = named_codes(coarse, rules.coarse_names)
        columns[COARSE_PROBABILITY] = pa.array(np.where(coarse >= 0, calls.coarse_probability, np.float32("nan")))
    of_levels = zip(rules.levels, final_levels(calls, rules, all_cells=all_coarse), strict=True)
    for number, (level, (codes, confidence)) in enumerate(of_levels, start=1):
        column, of_confidence = level_columns(number)
        columns[column] = named_codes(codes, [*level.names, UNASSIGNED])
        columns[of_confidence] = pa.array(confidence)
    if calls.probabilities is not None:
        for number, name in enumerate(cell_types):
            columns[f"probability:{name}"] = pa.array(np.ascontiguousarray(calls.probabilities[:, number]))
    if across is not None:
        columns[CROSS_SPECIES] = named_codes(np.zeros(n_cells, dtype=np.int32), [across])
    return pa.table(columns)


def named_codes(codes: np.ndarray, names: Sequence[str]) -> pa.Array:
    """`codes`: numbers of `names`, negative for none."""
    numbers = pa.array(np.asarray(codes, dtype=np.int32), mask=np.asarray(codes) < 0)
    return pa.DictionaryArray.from_arrays(numbers, pa.array(names, pa.string()))


class ShardWriter:
    """Writes tables as they come, by row groups of a size that depends on them alone; use it in a `with` block."""

    def __init__(self, path: Path, metadata: Mapping[str, str]) -> None:
        self._path, self._metadata = path, dict(metadata)
        self._waiting: list[pa.Table] = []
        self._n_waiting = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._n_waiting += table.num_rows
        if self._n_waiting >= ROW_GROUP:
            self._flush()

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).unify_dictionaries().combine_chunks()
        if self._writer is None:
            schema = table.schema.with_metadata(self._metadata)
            self._writer = pq.ParquetWriter(self._path, schema, compression="zstd", **_encodings(schema))
        self._writer.write_table(table.replace_schema_metadata(self._metadata), row_group_size=table.num_rows)
        self._waiting, self._n_waiting = [], 0


def _encodings(schema: pa.Schema) -> dict[str, Any]:
    """Attributions, of which no two are the same, by bytes of one place: a quarter smaller."""
    if EXPLANATION_ATTRIBUTIONS not in schema.names:
        return {}
    lists = {name: f"{name}.list.element" for name in (EXPLANATION_GENES, EXPLANATION_ATTRIBUTIONS)}
    columns = [lists.get(name, name) for name in schema.names if name != EXPLANATION_ATTRIBUTIONS]
    return {"use_dictionary": columns, "column_encoding": {lists[EXPLANATION_ATTRIBUTIONS]: "BYTE_STREAM_SPLIT"}}


class CallFrames:
    """Frames of the calls in several files, one after another, as `calls_frame` makes them of all cells at once: with
    the categories that some cell of any file has, in the model's order, and without explanations.
    `names_of_columns`: see `CallRules`.
    """

    def __init__(
        self, paths: Sequence[Path], cell_types: Sequence[str], names_of_columns: Mapping[str, Sequence[str]]
    ) -> None:
        self._paths, self._cell_types, self._names_of_columns = paths, cell_types, names_of_columns
        found: dict[str, set[str]] = {}
        for path in paths:
            with pq.ParquetFile(path) as file:
                for field in file.schema_arrow:
                    if field.type == NAMES:
                        found.setdefault(field.name, set()).update(_present(file, field.name))
        self._categories = {name: self._in_order(name, present) for name, present in found.items()}

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for path in self._paths:
            with pq.ParquetFile(path) as file:
                names = [name for name in file.schema_arrow.names if name not in EXPLANATION_LISTS]
                for group in range(file.num_row_groups):
                    yield self._frame(file.read_row_group(group, columns=names))

    def joined(self) -> pd.DataFrame:
        """All of them, indexed by cell id."""
        frame = pd.concat(list(self), ignore_index=True)
        return frame.set_index(CELL_ID)

    def _frame(self, table: pa.Table) -> pd.DataFrame:
        frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
        for name, categories in self._categories.items():
            frame[name] = frame[name].cat.set_categories(categories)
        return frame

    def _in_order(self, column: str, present: set[str]) -> list[str]:
        if column == LABEL_SET:
            return sorted(present, key=lambda text: _packed(text, self._cell_types))
        names = self._names_of_columns.get(column, [*self._cell_types, UNASSIGNED])
        order = {name: place for place, name in enumerate(names)}
        return sorted(present, key=lambda name: (order.get(name, len(order)), name))


def _present(file: pq.ParquetFile, column: str) -> set[str]:
    found: set[str] = set()
    for group in range(file.num_row_groups):
        for chunk in file.read_row_group(group, columns=[column]).column(0).chunks:
            found.update(chunk.dictionary.take(chunk.indices.drop_null().unique()).to_pylist())
    return found


def _packed(text: str, cell_types: Sequence[str]) -> bytes:
    """The bits of a label set, by which `set_column` orders them."""
    held = set(text.split(SET_SEPARATOR))
    return np.packbits([name in held for name in cell_types]).tobytes()
