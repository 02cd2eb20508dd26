"""Two suites from training tables: the same bytes every time, and nothing learned from incomplete tables."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellmark.schemas.errors import ParameterError
from cellmark.schemas.manifest.expectations_format import parse_expectations
from cellmark.schemas.manifest.manifest_section import canonical_json
from cellmark.schemas.quality.quality_suites import MOSTLY, cell_range, make_expectations, median_range
from cellmark.schemas.quality.quality_table import sample_quality

SAMPLE = sample_quality(n_cells=500, n_genes=2_001, panel_overlap=1.0, whole_numbers=True, finite=True)


def training_cells(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "cell_id": [f"cell-{number}" for number in range(500)],
            "total_counts": rng.lognormal(8, 0.5, 500).round(),
            "genes_detected": rng.integers(300, 3000, 500),
            "panel_fraction": rng.beta(50, 20, 500),
            "mitochondrial_fraction": rng.beta(2, 50, 500),
        }
    )


def columns_expected(expectations: dict[str, dict[str, dict[str, list[dict[str, dict[str, str]]]]]]) -> set[str]:
    return {entry["kwargs"].get("column", "") for entry in expectations["suites"]["cells"]["expectations"]}


def test_the_same_tables_give_the_same_bytes() -> None:
    first, second = (canonical_json(make_expectations(training_cells(), SAMPLE, name="pbmc")) for _ in range(2))
    assert first == second
    assert canonical_json(make_expectations(training_cells(seed=1), SAMPLE, name="pbmc")) != first


def test_expectations_survive_a_round_trip_through_json() -> None:
    expectations = make_expectations(training_cells(), SAMPLE, name="pbmc")
    assert json.loads(canonical_json(expectations)) == expectations


def test_the_tables_are_left_as_they_were() -> None:
    cells, sample = training_cells(), SAMPLE.copy()
    make_expectations(cells, sample, name="pbmc")
    pd.testing.assert_frame_equal(cells, training_cells())
    pd.testing.assert_frame_equal(sample, SAMPLE)


def test_every_number_expected_between_is_also_expected_not_to_be_missing() -> None:
    suites = make_expectations(training_cells(), SAMPLE, name="pbmc")["suites"]
    for suite in suites.values():
        kinds = {(entry["type"], entry["kwargs"].get("column")) for entry in suite["expectations"]}
        for _, column in kinds:
            assert column is None or ("expect_column_values_to_not_be_null", column) in kinds


def test_what_training_did_not_measure_is_marked_and_not_expected() -> None:
    expectations = make_expectations(training_cells().drop(columns="mitochondrial_fraction"), SAMPLE, name="pbmc")
    assert expectations["not_measured"] == {"cells": ["mitochondrial_fraction"], "sample": []}
    assert "mitochondrial_fraction" not in columns_expected(expectations)
    assert "mitochondrial_fraction" in columns_expected(make_expectations(training_cells(), SAMPLE, name="pbmc"))


@pytest.mark.parametrize("name", ["../../outside", "a b.c/ü", "models:/pbmc@champion"])
def test_any_name_gives_suites_that_can_be_read_back(name: str) -> None:
    parsed = parse_expectations(make_expectations(training_cells(), SAMPLE, name=name))
    assert parsed.name == name
    assert parsed.suites.cells.name.endswith("-cells")


def test_half_the_genes_of_training_are_expected() -> None:
    sample = make_expectations(training_cells(), SAMPLE, name="pbmc")["suites"]["sample"]["expectations"]
    assert {"column": "n_genes", "min_value": 1_001} in [entry["kwargs"] for entry in sample]


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (training_cells().iloc[:0], "none"),
        (training_cells().drop(columns="panel_fraction"), "no panel_fraction"),
        (training_cells().assign(total_counts=np.nan), "some in total_counts"),
        (training_cells().assign(panel_fraction=np.inf), "some in panel_fraction"),
        (training_cells().assign(cell_id=None), "some in cell_id"),
    ],
)
def test_nothing_is_learned_from_an_incomplete_table(cells: pd.DataFrame, found: str) -> None:
    with pytest.raises(ParameterError) as caught:
        make_expectations(cells, SAMPLE, name="pbmc")
    assert [finding.found for finding in caught.value.findings] == [found]
    assert caught.value.findings[0].where == "cell_table"


COUNTS = arrays(np.float64, st.integers(1, 300), elements=st.integers(0, 10**7).map(float))
FRACTIONS = arrays(np.float64, st.integers(1, 300), elements=st.floats(0, 1))


@given(COUNTS)
def test_training_counts_meet_their_own_ranges(values: np.ndarray) -> None:
    cell, median = cell_range(values, is_fraction=False), median_range(values, is_fraction=False)
    assert np.mean((values >= cell.low) & (values <= cell.high)) >= MOSTLY
    assert median.low <= np.median(values) <= median.high


@given(FRACTIONS, st.booleans())
def test_training_fractions_meet_their_own_ranges(values: np.ndarray, open_below: bool) -> None:
    cell = cell_range(values, is_fraction=True, open_below=open_below)
    median = median_range(values, is_fraction=True)
    assert np.mean((values >= cell.low) & (values <= cell.high)) >= MOSTLY
    assert median.low <= np.median(values) <= median.high
    assert 0 <= cell.low <= cell.high <= 1
    assert 0 <= median.low <= median.high <= 1


def test_bounds_of_a_known_distribution_are_its_quantiles_widened_and_rounded_outward() -> None:
    values = np.arange(1.0, 10_002.0)  # the q quantile is 1 + 10,000 q
    cell, median = cell_range(values, is_fraction=False), median_range(values, is_fraction=False)
    assert (cell.low, cell.high) == (67, 14_900)  # 101 / 1.5 and 9,901 * 1.5
    assert (median.low, median.high) == (455, 10_500)  # 501 / 1.1 and 9,501 * 1.1
    fractions = (values - 1) / 10_000
    assert cell_range(fractions * 0.4, is_fraction=True).high == 0.494  # 0.396 + 0.25 * 0.392
    assert cell_range(fractions, is_fraction=True).high == 1.0


def test_small_values_are_no_fault_where_the_range_is_open_below() -> None:
    values = np.linspace(0.2, 0.3, 100)
    assert cell_range(values, is_fraction=True).low > 0.1
    assert cell_range(values, is_fraction=True, open_below=True).low == 0.0


@pytest.mark.parametrize("value", [0.0, 3.0, 1_000.0])
def test_a_column_without_spread_allows_some(value: float) -> None:
    cell = cell_range(np.full(20, value), is_fraction=False)
    assert cell.low <= value / 1.5
    assert cell.high >= value * 1.5
    fraction = cell_range(np.full(20, 0.5), is_fraction=True)
    assert (fraction.low, fraction.high) == (0.49, 0.51)


def test_one_wild_training_cell_does_not_move_the_ranges() -> None:
    values = np.random.default_rng(0).lognormal(8, 0.3, 1_000)
    wild = np.append(values, 1e9)
    assert cell_range(wild, is_fraction=False).high < 2 * cell_range(values, is_fraction=False).high
