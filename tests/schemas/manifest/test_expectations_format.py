"""`expectations.json` is checked before Great Expectations sees it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from cellmark.schemas.errors import BundleError
from cellmark.schemas.manifest.expectations_format import parse_expectations

VALID: dict[str, Any] = {
    "format_version": 1,
    "name": "pbmc",
    "suites": {
        "cells": {
            "name": "pbmc-cells",
            "expectations": [
                {"type": "expect_column_values_to_be_between", "kwargs": {"column": "total_counts", "min_value": 3}}
            ],
        },
        "sample": {
            "name": "pbmc-sample",
            "expectations": [{"type": "expect_table_row_count_to_equal", "kwargs": {"value": 1}}],
        },
    },
    "not_measured": {"cells": [], "sample": []},
}


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    raw = copy.deepcopy(VALID)
    change(raw)
    return raw


def first(raw: dict[str, Any]) -> dict[str, Any]:
    expectation: dict[str, Any] = raw["suites"]["cells"]["expectations"][0]
    return expectation


def test_only_arguments_that_were_given_are_passed_on() -> None:
    parsed = parse_expectations(VALID)
    assert parsed.suites.cells.expectations[0].arguments == {"column": "total_counts", "min_value": 3}


def test_a_field_added_at_the_top_by_a_later_writer_is_ignored() -> None:
    assert parse_expectations({**VALID, "added_later": 1}) == parse_expectations(VALID)


@pytest.mark.parametrize("version", [0, 2, None, "1", [1]])
def test_an_unknown_version_is_refused(version: object) -> None:
    with pytest.raises(BundleError) as caught:
        parse_expectations({**VALID, "format_version": version})
    assert caught.value.code == "BUNDLE_FORMAT_UNKNOWN"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        # Great Expectations hands this one to DataFrame.query, which evaluates Python.
        (lambda raw: first(raw)["kwargs"].update(row_condition="@pd.io.common.os.getcwd()"), "kwargs.row_condition"),
        (lambda raw: first(raw)["kwargs"].update(min_value={"$PARAMETER": "now()"}), "kwargs.min_value"),
        (lambda raw: first(raw).update(type="unexpected_rows_expectation"), "expectations.0.type"),
        (lambda raw: raw["suites"]["cells"].update(name="../../outside"), "suites.cells.name"),
        (lambda raw: raw["suites"]["cells"].update(expectations=[]), "suites.cells.expectations"),
        (lambda raw: raw["suites"].pop("sample"), "suites.sample"),
        (lambda raw: raw.pop("not_measured"), "not_measured"),
    ],
)
def test_content_that_is_not_documented_is_refused(change: Callable[[dict[str, Any]], object], where: str) -> None:
    with pytest.raises(BundleError) as caught:
        parse_expectations(changed(change))
    assert caught.value.code == "BUNDLE_CONTENT_INVALID"
    assert where in caught.value.findings[0].where


def test_all_problems_come_at_once() -> None:
    raw = changed(lambda raw: (raw.pop("not_measured"), raw["suites"].pop("sample")))
    with pytest.raises(BundleError) as caught:
        parse_expectations(raw)
    assert len(caught.value.findings) == 2
