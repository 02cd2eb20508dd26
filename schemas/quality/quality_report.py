"""What Great Expectations found in one input, in words that a reader of a report understands."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..errors import Finding

TableName = Literal["cells", "sample"]

REMEDIES = {
    "cell_id": "Give every cell an id of its own.",
    "total_counts": "Check sequencing depth, chemistry and library sizes: other depths than training's cost accuracy.",
    "genes_detected": "Check for empty droplets, doublets and shallow sequencing, and that no genes were filtered out.",
    "panel_fraction": "Check what the library sizes count: other features than genes make it low, a part of the genes "
    "high. Otherwise tissue or chemistry are not those of the training data.",
    "mitochondrial_fraction": "Filter damaged cells out; for single nuclei, train on single nuclei.",
    "n_cells": "Check how the input was subset.",
    "n_genes": "Give all genes measured, or the library size over all of them.",
    "panel_overlap": "Give all genes measured, under the names that the model knows.",
    "whole_numbers": "Give raw counts.",
    "finite": "Give raw counts without missing or infinite values.",
}


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """One expectation and what came of it.

    `column`: None for an expectation of the whole table. `type`: Great Expectations' name of the expectation.
    `expected`, `observed`: in words. `unexpected_percent`: 0 to 100, of the values that are not missing; None where an
    expectation is not of single values, or where nothing could be looked at. `note`: why this is expected.
    """

    table: TableName
    column: str | None
    type: str
    success: bool
    expected: str
    observed: str
    unexpected_percent: float | None
    note: str

    @property
    def where(self) -> str:
        return self.table if self.column is None else f"{self.table}.{self.column}"


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """A column about which nothing was expected. `by`: who could not measure it, the training data or this input."""

    table: TableName
    column: str
    by: Literal["training", "input"]


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Verdict on one input. `name`: of the expectations. `checks`: in the order of the suites, cells first."""

    name: str
    checks: tuple[QualityCheck, ...]
    not_measured: tuple[NotMeasured, ...]

    @property
    def success(self) -> bool:
        return all(check.success for check in self.checks)

    @property
    def knows_training(self) -> bool:
        """Whether anything is expected of single cells' measures: not where another tool's model was imported."""
        return NotMeasured("cells", "genes_detected", "training") not in self.not_measured

    @property
    def failed(self) -> tuple[QualityCheck, ...]:
        return tuple(check for check in self.checks if not check.success)

    def to_findings(self) -> list[Finding]:
        """A warning for each expectation that was not met: unusual input is reported, not refused."""
        return [
            Finding(
                "QUALITY_UNEXPECTED",
                where=check.where,
                expected=check.expected,
                found=check.observed,
                remedy=REMEDIES.get(check.column or "n_cells", "Compare the input with the training data."),
                severity="warning",
            )
            for check in self.failed
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "name": self.name,
            "success": self.success,
            "checks": [asdict(check) for check in self.checks],
            "not_measured": [asdict(entry) for entry in self.not_measured],
        }


def expected_in_words(kind: str, kwargs: dict[str, Any]) -> str:
    """What an expectation asks for. `kind`: its type; one that is not worded here is given by its own name."""
    within = _range_in_words(kwargs)
    if kind == "expect_column_values_to_be_between":
        mostly = kwargs.get("mostly", 1)
        return within if mostly >= 1 else f"{within} in at least {100 * mostly:g} % of cells"
    wordings = {
        "expect_column_median_to_be_between": f"a median {within}",
        "expect_table_row_count_to_be_between": f"{within} {_rows(kwargs)}",
        "expect_table_row_count_to_equal": f"{kwargs.get('value')} {_rows(kwargs)}",
        "expect_column_values_to_not_be_null": "no missing values",
        "expect_column_values_to_be_unique": "no value twice",
        "expect_column_values_to_be_in_set": " or ".join(str(value) for value in kwargs.get("value_set") or ()),
    }
    return wordings.get(kind, kind)


def _rows(kwargs: dict[str, Any]) -> str:
    last = kwargs.get("max_value", kwargs.get("value", kwargs.get("min_value")))
    return "row" if last == 1 else "rows"


def _range_in_words(kwargs: dict[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if high is None:
        return f"at least {number_in_words(low)}"
    if low is None:
        return f"at most {number_in_words(high)}"
    return f"between {number_in_words(low)} and {number_in_words(high)}"


def observed_in_words(kind: str, column: str | None, details: dict[str, Any], table: pd.DataFrame) -> str:
    """What was found. `details`: the `result` of Great Expectations, empty where it could not look."""
    if column is not None and column not in table:
        return "no such column"
    if "observed_value" in details:
        observed = details["observed_value"]
        return "nothing to look at" if observed is None else number_in_words(observed)
    if "element_count" not in details:
        return "values that cannot be compared"
    n, unexpected = details["element_count"], details["unexpected_count"]
    if kind == "expect_column_values_to_not_be_null":
        return f"{unexpected:,} of {n:,} missing"
    if kind == "expect_column_values_to_be_unique":
        return f"{unexpected:,} of {n:,} occur more than once"
    if column is not None and len(table) == 1:
        return number_in_words(table[column].iloc[0])
    percent = details.get("unexpected_percent")
    return "nothing to look at" if percent is None else f"{percent:.1f} % of cells outside"


def number_in_words(value: Any) -> str:
    """Counts as whole numbers with thousands separators, fractions with up to four digits."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return str(value)
    value = float(value)
    return f"{value:,.0f}" if abs(value) >= 100 or value.is_integer() else f"{value:.4g}"
