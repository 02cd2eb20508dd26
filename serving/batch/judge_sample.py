"""A finished sample beside the training data: its quality and its drift, from what shards keep of each cell.

Memory does not grow with the sample: of more than `MOST_CELLS` cells, as many are drawn at even distances.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cellmark.schemas.cells.reading_options import NOT_KNOWN
from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, CONFIDENCE, NOVELTY
from cellmark.schemas.drift.drift_report import DriftReport
from cellmark.schemas.drift.drift_words import verdict
from cellmark.schemas.errors import ModelError
from cellmark.schemas.reference_profile import ReferenceProfile, read_profile

from ..annotator import Annotator
from ..files.batch import quality_in_words
from ..files.drift import DriftWatch, cells_of_calls, compare_with_profile, is_unassigned, quality_for_drift

MOST_CELLS = 50_000
"""Cells that are compared: enough to see a shift of half a percent, and seconds of work."""
DETECTED = "n_detected"


@dataclass(frozen=True)
class Judgement:
    """`quality`, `drift` in words, None for a model without a profile. `data_docs`: the folder of Great Expectations'
    pages. `report`: what `drift` is the verdict of.
    """

    quality: str
    data_docs: Path | None
    drift: str | None
    report: DriftReport | None


def quality_of_shard(watch: DriftWatch) -> pd.DataFrame:
    """The quality table of a shard's cells; in its attributes what is known of all of them, and how many cells count
    each gene of the panel.
    """
    cells = watch.cells()
    cells.attrs = {**watch.sample().to_dict("records")[0], DETECTED: watch.n_detected.tolist()}
    return cells


def judge_sample(
    annotator: Annotator,
    calls: Sequence[Path],
    quality: Sequence[Path],
    *,
    n_cells: int,
    facts: dict[str, Any],
    data_docs: Path | None = None,
) -> Judgement:
    """`calls`, `quality`: files of all shards, in order; `facts`: of all cells; `data_docs`: a new folder for pages."""
    seen = [_attributes(path) for path in quality]
    rows = drawn_rows(n_cells)
    cells = cells_of_rows(quality, rows)
    normalised = facts["library_size_source"] == NOT_KNOWN
    words = _quality(annotator, cells, seen, n_cells=n_cells, normalised=normalised, data_docs=data_docs)
    drift = _drift(annotator, calls, cells, rows, seen, facts=facts, normalised=normalised)
    drawn = "" if len(rows) == n_cells else f" (judged by {len(rows):,} of {n_cells:,} cells, drawn evenly)"
    return Judgement(words + drawn, data_docs, None if drift is None else verdict(drift) + drawn, drift)


def drawn_rows(n_cells: int, most: int = MOST_CELLS) -> np.ndarray:
    """Rows at even distances, int64, rising: all of at most `most` cells, `most` of more."""
    n_drawn = min(n_cells, most)
    rows: np.ndarray = np.arange(n_drawn) * n_cells // max(n_drawn, 1)
    return rows


def cells_of_rows(paths: Sequence[Path], rows: np.ndarray, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Some rows of several tables one below the other, read row group by row group. `rows`: rising."""
    start, pieces = 0, []
    for table in _groups(paths, columns):
        first, last = np.searchsorted(rows, [start, start + table.num_rows])
        pieces.append(table.take(pa.array(rows[first:last] - start)).to_pandas(ignore_metadata=True))
        start += table.num_rows
    found: pd.DataFrame = pd.concat(pieces, ignore_index=True)
    return found


def _groups(paths: Sequence[Path], columns: Sequence[str] | None) -> Iterator[pa.Table]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=None if columns is None else list(columns))


def _attributes(path: Path) -> dict[str, Any]:
    """Those of a data frame, without its rows."""
    with pq.ParquetFile(path) as file:
        found: dict[str, Any] = file.schema_arrow.empty_table().to_pandas().attrs
    return found


def _quality(
    annotator: Annotator,
    cells: pd.DataFrame,
    seen: Sequence[dict[str, Any]],
    *,
    n_cells: int,
    normalised: bool,
    data_docs: Path | None,
) -> str:
    from cellmark.schemas.quality.expectations import run_expectations
    from cellmark.schemas.quality.quality_table import sample_quality

    whole = sample_quality(
        n_cells=n_cells,
        n_genes=seen[0]["n_genes"],
        panel_overlap=seen[0]["panel_overlap"],
        whole_numbers=all(one["whole_numbers"] for one in seen),
        finite=all(one["finite"] for one in seen),
    )
    expected = annotator.bundle.expectations
    return quality_in_words(run_expectations(expected, cells, whole, data_docs=data_docs, normalised=normalised))


def _drift(
    annotator: Annotator,
    calls: Sequence[Path],
    quality: pd.DataFrame,
    rows: np.ndarray,
    seen: Sequence[dict[str, Any]],
    *,
    facts: dict[str, Any],
    normalised: bool,
) -> DriftReport | None:
    profile = _profile(annotator)
    if profile is None:
        return None
    called = cells_of_rows(calls, rows, [CELL_TYPE, BEST_CELL_TYPE, CONFIDENCE, NOVELTY])
    cells = pd.concat(
        [
            cells_of_calls(called, annotator.rules().novelty_threshold),
            quality_for_drift(quality, normalised=normalised),
        ],
        axis=1,
    )
    missing = pd.Index(annotator.bundle.panel.symbols).isin(facts["missing_genes"])
    counted = np.sum([one[DETECTED] for one in seen], axis=0) / sum(one["n_cells"] for one in seen)
    return compare_with_profile(
        annotator.bundle,
        profile,
        cells,
        np.where(missing, np.nan, counted),
        attribution_share=facts["attribution_share"],
        normalised=normalised,
        facts={"n_unassigned": int(is_unassigned(called).sum())},
    )


def _profile(annotator: Annotator) -> ReferenceProfile | None:
    try:
        return read_profile(annotator.bundle, distilled=annotator.session.distilled)
    except ModelError:
        return None
