"""What is normal for a cell, as ranges learned from training cells, and two expectation suites made of these ranges.

Two ranges per column, because two things go wrong. A *shifted sample* (another chemistry, shallow sequencing, dying
cells) moves the middle of the distribution; *many odd cells* (empty droplets, doublets) show in its tails.

- `cell_range`: from the 1 % to the 99 % quantile of training cells, widened (see below); nine cells in ten must lie
  in it. Single odd cells are normal, and a new sample may have a few more of them than training, where one cell in
  fifty lies outside the quantiles.
- `median_range`: from the 5 % to the 95 % quantile, hardly widened: the median of a sample, even of one sorted to a
  single common cell type, lies where training cells are found, not in their tails.

Counts differ by factors between runs of one protocol, so their ranges widen by a factor; fractions do not, so theirs
widen by a quarter of the distance between the two quantiles. Quantiles are training values themselves (no
interpolation), so training cells always meet their own ranges. Bounds are rounded outward to few digits: no cell's
exact value is published, and the last bits of a sum do not change a file's digest.

The suites are the JSON that Great Expectations itself reads, written here rather than by it: its own output carries
random ids, its version and the defaults of that version, and the same training must give the same bytes. Tests load it
with the real classes.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import Finding, ParameterError
from ..manifest.expectations_format import FORMAT_VERSION
from .quality_table import CELL_COLUMNS, SAMPLE_COLUMNS

CELL_QUANTILES = (0.01, 0.99)
MEDIAN_QUANTILES = (0.05, 0.95)
MOSTLY = 0.9
"""Share of cells that must lie in `cell_range`."""

COUNT_FACTOR = 1.5
COUNT_FACTOR_OF_MEDIAN = 1.1
FRACTION_SHARE = 0.25
LEAST_FRACTION_STEP = 0.01
"""Fractions widen by at least this much, so that a column without spread in training still allows some."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Both ends belong to the range."""

    low: float
    high: float


def cell_range(values: np.ndarray, *, is_fraction: bool, open_below: bool = False) -> Bounds:
    """Where single cells lie. `values`: one per training cell, finite. `open_below`: small values are never a fault."""
    low, high = _quantiles(values, CELL_QUANTILES)
    if is_fraction:
        step = max(LEAST_FRACTION_STEP, FRACTION_SHARE * (high - low))
        return _fraction_bounds(0.0 if open_below else low - step, high + step)
    return _count_bounds(low / COUNT_FACTOR, high * COUNT_FACTOR)


def median_range(values: np.ndarray, *, is_fraction: bool) -> Bounds:
    """Where the median of a sample lies. `values`: one per training cell, finite."""
    low, high = _quantiles(values, MEDIAN_QUANTILES)
    if is_fraction:
        return _fraction_bounds(low - LEAST_FRACTION_STEP / 2, high + LEAST_FRACTION_STEP / 2)
    return _count_bounds(low / COUNT_FACTOR_OF_MEDIAN, high * COUNT_FACTOR_OF_MEDIAN)


def _quantiles(values: np.ndarray, quantiles: tuple[float, float]) -> tuple[float, float]:
    below, above = quantiles
    return float(np.quantile(values, below, method="lower")), float(np.quantile(values, above, method="higher"))


def _fraction_bounds(low: float, high: float) -> Bounds:
    """Within 0 and 1, rounded outward to three decimals."""
    return Bounds(max(0.0, math.floor(low * 1000) / 1000), min(1.0, math.ceil(high * 1000) / 1000))


def _count_bounds(low: float, high: float) -> Bounds:
    """Not below zero, rounded outward to three digits and whole numbers."""
    return Bounds(max(0.0, _rounded(low, math.floor)), _rounded(high, math.ceil))


def _rounded(value: float, outward: Callable[[float], int]) -> float:
    """Three digits, but no digits after the point: counts are whole."""
    if value < 1:
        return float(outward(value))
    step = 10 ** max(0, math.floor(math.log10(value)) - 2)
    return float(outward(value / step) * step)


MIN_PANEL_OVERLAP = 0.8
"""Below this share of the panel a sample is unusual; it is refused at a lower one, in `schemas/genes/gene_panel.py`."""
MIN_GENES_SHARE = 0.5
"""Share of the genes measured in training below which library sizes and genes detected do not compare."""
OPTIONAL_COLUMNS = frozenset({"mitochondrial_fraction"})
"""Columns of the cell table that an input may be unable to measure."""
NOT_TRAINED = OPTIONAL_COLUMNS | {"total_counts"}
"""Those that training may be unable to measure: nobody knows the depth of normalised cells."""

WHY_CELLS = "The 1 % to 99 % quantile of {n:,} training cells, widened; single odd cells are normal."
WHY_MEDIAN = "The 5 % to 95 % quantile of {n:,} training cells: a shifted median means another kind of sample."
WHY_NULLS = "Ranges say nothing about missing values."


def make_expectations(
    cell_table: pd.DataFrame, sample_table: pd.DataFrame, *, name: str, min_panel_overlap: float = MIN_PANEL_OVERLAP
) -> dict[str, Any]:
    """The content of `expectations.json`, from the training cells' tables (see `quality_table.py`).

    Keys: `format_version`, `name`, `suites` (`cells` and `sample`, each what
    `great_expectations.ExpectationSuite(**suite)` takes) and `not_measured` (per suite, the columns that training
    could not measure and about which nothing is therefore expected). The same tables give the same dict; it holds
    plain numbers, strings, lists and dicts only.

    Raises `ParameterError` for tables without rows, with missing columns or with missing or infinite values.
    """
    _require_complete(cell_table, "cell_table", required=set(CELL_COLUMNS) - NOT_TRAINED)
    _require_complete(sample_table, "sample_table", required=set(SAMPLE_COLUMNS))
    measured = [column for column in CELL_COLUMNS[1:] if column in cell_table]
    cells = _identity_expectations()
    for column in measured:
        cells += _column_expectations(column, cell_table[column].to_numpy(dtype=np.float64))
    sample = _sample_expectations(int(sample_table["n_genes"].iloc[0]), min_panel_overlap)
    not_measured = [column for column in CELL_COLUMNS if column not in cell_table]
    return _suites(name, cells, sample, not_measured)


def expectations_without_cells(n_genes: int, *, name: str) -> dict[str, Any]:
    """As `make_expectations`, of a model whose training cells nobody has: nothing is expected of single cells, nor of
    medians. `n_genes`: that training measured.
    """
    sample = _sample_expectations(n_genes, MIN_PANEL_OVERLAP)
    return _suites(name, _identity_expectations(), sample, list(CELL_COLUMNS[1:]))


def _identity_expectations() -> list[dict[str, Any]]:
    return [
        _expectation("expect_table_row_count_to_be_between", "An empty table meets almost anything.", min_value=1),
        _expectation("expect_column_values_to_not_be_null", WHY_NULLS, column="cell_id"),
        _expectation("expect_column_values_to_be_unique", "A result is looked up by its cell id.", column="cell_id"),
    ]


def _suites(
    name: str, cells: list[dict[str, Any]], sample: list[dict[str, Any]], not_measured: list[str]
) -> dict[str, Any]:
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:100]  # becomes a file's name in the HTML pages
    return {
        "format_version": FORMAT_VERSION,
        "name": name,
        "suites": {
            "cells": {"name": f"{slug}-cells", "expectations": cells, "meta": {}},
            "sample": {"name": f"{slug}-sample", "expectations": sample, "meta": {}},
        },
        "not_measured": {"cells": not_measured, "sample": []},
    }


def _column_expectations(column: str, values: np.ndarray) -> list[dict[str, Any]]:
    is_fraction = column.endswith("_fraction")
    # A cell without mitochondrial counts is no fault of a cell; a whole sample without them shows in its median.
    cell = cell_range(values, is_fraction=is_fraction, open_below=column == "mitochondrial_fraction")
    median = median_range(values, is_fraction=is_fraction)
    n = len(values)
    return [
        _expectation("expect_column_values_to_not_be_null", WHY_NULLS, column=column),
        _between("expect_column_values_to_be_between", WHY_CELLS.format(n=n), column, cell, mostly=MOSTLY),
        _between("expect_column_median_to_be_between", WHY_MEDIAN.format(n=n), column, median),
    ]


def _sample_expectations(n_genes_trained: int, min_panel_overlap: float) -> list[dict[str, Any]]:
    between = "expect_column_values_to_be_between"
    enough_genes = int(np.ceil(MIN_GENES_SHARE * n_genes_trained))
    one_row = _expectation("expect_table_row_count_to_equal", "The table describes one input.", value=1)
    not_null = [
        _expectation("expect_column_values_to_not_be_null", WHY_NULLS, column=column) for column in SAMPLE_COLUMNS
    ]
    return [
        one_row,
        *not_null,
        _expectation(between, "An input without cells meets almost anything.", column="n_cells", min_value=1),
        _expectation(
            between,
            f"Half of the {n_genes_trained:,} genes measured in training.",
            column="n_genes",
            min_value=enough_genes,
        ),
        _expectation(
            between,
            "Calls rest on the panel's genes.",
            column="panel_overlap",
            min_value=min_panel_overlap,
            max_value=1.0,
        ),
        _expectation(
            "expect_column_values_to_be_in_set", "The model takes raw counts.", column="whole_numbers", value_set=[True]
        ),
        _expectation("expect_column_values_to_be_in_set", "Counts are finite.", column="finite", value_set=[True]),
    ]


def _between(kind: str, why: str, column: str, bounds: Bounds, **more: float) -> dict[str, Any]:
    return _expectation(kind, why, column=column, min_value=bounds.low, max_value=bounds.high, **more)


def _expectation(kind: str, why: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs, "meta": {}, "notes": why, "severity": "warning"}


def _require_complete(table: pd.DataFrame, where: str, *, required: set[str]) -> None:
    """Nothing can be learned from an empty or incomplete table."""
    findings = []
    if table.empty:
        findings.append(_problem(where, "at least one row", "none"))
    missing = sorted(required - set(table.columns))
    if missing:
        findings.append(_problem(where, "all columns", f"no {', '.join(missing)}"))
    numbers = table.select_dtypes("number").astype(np.float64)
    gaps = [str(column) for column in numbers if not np.isfinite(numbers[column]).all()]
    gaps += [str(column) for column in table.columns.difference(numbers.columns) if table[column].isna().any()]
    if gaps:
        findings.append(_problem(where, "no missing or infinite values", f"some in {', '.join(sorted(gaps))}"))
    if findings:
        raise ParameterError(*findings)


def _problem(where: str, expected: str, found: str) -> Finding:
    remedy = "Make the tables with schemas/quality/quality_table.py from checked training cells."
    return Finding("PARAMETER_INVALID", where=where, expected=expected, found=found, remedy=remedy)
