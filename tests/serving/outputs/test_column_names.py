"""Columns of calls under other names."""

import pytest

from cellmark.schemas.columns import CALL_COLUMNS, MAJORITY_COLUMNS, level_columns
from cellmark.schemas.errors import ParameterError
from cellmark.serving.outputs.column_names import aggregatable, check_prefix, column_name, filled_prefix
from cellmark.serving.outputs.pipeline_outputs import columns_text

PER_CELL = "annotation:cellmark:pbmc:per_cell"
ALL = (*CALL_COLUMNS, *MAJORITY_COLUMNS, *level_columns(1), "probability:B cell")


def test_a_plain_prefix_stands_for_cellmark() -> None:
    assert column_name("cellmark_cell_type", "query") == "query_cell_type"
    assert column_name("cellmark", "query") == "query"
    assert column_name("cellmark_cell_type_colors", "query") == "query_cell_type_colors"
    assert column_name("probability:B cell", "query") == "query_probability:B cell"


def test_a_prefix_with_a_colon_names_the_call_as_scdownstream_does() -> None:
    assert column_name("cellmark_cell_type", PER_CELL) == PER_CELL
    assert column_name("cellmark_confidence", PER_CELL) == f"{PER_CELL}:confidence"
    assert column_name("cellmark_level_1_confidence", PER_CELL) == f"{PER_CELL}:level_1_confidence"
    # scanpy looks for the colours of a column behind its name.
    assert column_name("cellmark_cell_type_colors", PER_CELL) == f"{PER_CELL}_colors"
    assert column_name("cellmark_best_cell_type_colors", PER_CELL) == f"{PER_CELL}:best_cell_type_colors"


@pytest.mark.parametrize("prefix", ["query", PER_CELL, "cellmark", None])
def test_no_two_columns_take_one_name(prefix: str | None) -> None:
    assert len({column_name(column, prefix) for column in ALL}) == len(ALL)
    if prefix in ("cellmark", None):
        assert [column_name(column, prefix) for column in CALL_COLUMNS] == list(CALL_COLUMNS)


def test_the_models_name_goes_into_the_prefix_without_what_would_divide_it() -> None:
    assert filled_prefix("annotation:cellmark:{model}:per_cell", "pbmc") == PER_CELL
    assert filled_prefix("a:{model}:b", "my pbmc: v/2") == "a:my_pbmc_v_2:b"


@pytest.mark.parametrize("prefix", ["", " a", "a/b", "a\n", "{version}", "a{"])
def test_prefixes_that_obs_cannot_have_are_refused(prefix: str) -> None:
    with pytest.raises(ParameterError, match="PARAMETER_INVALID"):
        check_prefix(prefix)


def test_calls_and_levels_alone_are_counted_over_clusters() -> None:
    assert [column for column in ALL if aggregatable(column)] == ["cellmark_cell_type", "cellmark_level_1"]


def test_the_list_is_a_csv_whatever_a_type_is_called() -> None:
    text = columns_text(["cellmark_cell_type", 'probability:B, "naive"'], PER_CELL)
    assert text == f'obs_column,aggregatable\n{PER_CELL},true\n"{PER_CELL}:probability:B, ""naive""",false\n'
