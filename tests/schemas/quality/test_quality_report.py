"""Verdicts in words, as findings and as JSON."""

import json

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.quality.quality_report import (
    NotMeasured,
    QualityCheck,
    QualityReport,
    expected_in_words,
    number_in_words,
    observed_in_words,
)

MET = QualityCheck("sample", "finite", "expect_column_values_to_be_in_set", True, "True", "True", 0.0, "")
FAILED = QualityCheck("cells", "total_counts", "expect_column_median_to_be_between", False,
                      "a median between 1,000 and 4,000", "120", None, "because")  # fmt: skip
REPORT = QualityReport("pbmc", (FAILED, MET), (NotMeasured("cells", "mitochondrial_fraction", "input"),))


def test_one_failed_check_fails_the_report() -> None:
    assert not REPORT.success
    assert QualityReport("pbmc", (MET,), ()).success
    assert REPORT.failed == (FAILED,)


def test_findings_are_warnings_of_what_failed() -> None:
    (finding,) = REPORT.to_findings()
    assert (finding.code, finding.severity, finding.where) == ("QUALITY_UNEXPECTED", "warning", "cells.total_counts")
    assert "expected a median between 1,000 and 4,000; found 120. Check sequencing depth" in str(finding)


def test_a_report_is_plain_json() -> None:
    raw = json.loads(json.dumps(REPORT.to_dict(), allow_nan=False))
    assert raw["success"] is False
    assert raw["checks"][0]["column"] == "total_counts"
    assert raw["not_measured"] == [{"table": "cells", "column": "mitochondrial_fraction", "by": "input"}]


@pytest.mark.parametrize(
    ("kind", "kwargs", "words"),
    [
        ("expect_column_values_to_be_between", {"min_value": 624.0, "max_value": 13700.0, "mostly": 0.9},
         "between 624 and 13,700 in at least 90 % of cells"),
        ("expect_column_values_to_be_between", {"min_value": 0.8, "max_value": 1.0}, "between 0.8 and 1"),
        ("expect_column_values_to_be_between", {"max_value": 5}, "at most 5"),
        ("expect_column_median_to_be_between", {"min_value": 0.004, "max_value": 0.043},
         "a median between 0.004 and 0.043"),
        ("expect_table_row_count_to_be_between", {"min_value": 1}, "at least 1 row"),
        ("expect_table_row_count_to_equal", {"value": 1}, "1 row"),
        ("expect_column_values_to_be_in_set", {"value_set": [True]}, "True"),
        ("expect_column_stdev_to_be_between", {"min_value": 1}, "expect_column_stdev_to_be_between"),
    ],
)  # fmt: skip
def test_an_expectation_is_told_in_words(kind: str, kwargs: dict[str, object], words: str) -> None:
    assert expected_in_words(kind, kwargs) == words


@pytest.mark.parametrize(
    ("details", "column", "words"),
    [
        ({"observed_value": np.float64(296.8)}, "a", "297"),
        ({"observed_value": None}, "a", "nothing to look at"),
        ({}, "a", "values that cannot be compared"),
        ({}, "absent", "no such column"),
        ({"element_count": 2, "unexpected_count": 1, "unexpected_percent": 50.0}, "a", "50.0 % of cells outside"),
        ({"element_count": 2, "unexpected_count": 0, "unexpected_percent": None}, "a", "nothing to look at"),
    ],
)
def test_what_was_found_is_told_in_words(details: dict[str, object], column: str, words: str) -> None:
    table = pd.DataFrame({"a": [1.0, 2.0]})
    assert observed_in_words("expect_column_values_to_be_between", column, details, table) == words


def test_the_value_of_a_single_row_is_told_itself() -> None:
    details = {"element_count": 1, "unexpected_count": 1, "unexpected_percent": 100.0}
    table = pd.DataFrame({"whole_numbers": [False], "panel_overlap": [0.31234567]})
    kind = "expect_column_values_to_be_in_set"
    assert observed_in_words(kind, "whole_numbers", details, table) == "False"
    assert observed_in_words(kind, "panel_overlap", details, table) == "0.3123"


@pytest.mark.parametrize(
    ("value", "words"), [(1234567.0, "1,234,567"), (0.123456, "0.1235"), (1.0, "1"), (np.int64(7), "7"), (True, "True")]
)
def test_numbers_are_short(value: object, words: str) -> None:
    assert number_in_words(value) == words
