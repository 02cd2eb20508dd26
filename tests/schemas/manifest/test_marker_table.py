"""The marker table's fixed columns."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.manifest.marker_table import COLUMNS, marker_table


def test_all_columns_come_in_order_with_their_dtypes_and_are_null_when_not_given() -> None:
    table = marker_table(cell_type=["B", "B"], gene_symbol=["MS4A1", "CD79A"], rank=[1, 2], mean_in=[1.5, 1.0])
    assert tuple(table.columns) == tuple(COLUMNS)
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == {
        name: column.dtype for name, column in COLUMNS.items()
    }
    given = {"cell_type", "gene_symbol", "rank", "mean_in"}
    assert {name for name in COLUMNS if table[name].isna().all()} == set(COLUMNS) - given


def test_rows_are_sorted_by_rank_within_types_in_the_order_they_first_occur() -> None:
    table = marker_table(cell_type=["T", "B", "T", "B"], rank=[2, 2, 1, 1], gene_symbol=["a", "b", "c", "d"])
    assert table["cell_type"].tolist() == ["T", "T", "B", "B"]
    assert table["gene_symbol"].tolist() == ["c", "a", "d", "b"]


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(ValueError, match="lfc"):
        marker_table(cell_type=["B"], lfc=[1.0])


def test_a_table_survives_parquet(tmp_path: Path) -> None:
    table = marker_table(
        cell_type=["B", "B"], rank=[1, 2], gene_symbol=["a", "b"], gene_id=["ENSG1", None], auc=[0.9, np.nan]
    )
    table.to_parquet(tmp_path / "markers.parquet", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "markers.parquet"), table)


def test_a_rank_may_be_missing() -> None:
    table = marker_table(cell_type=["B", "B"], rank=[pd.NA, 1], gene_symbol=["a", "b"])
    assert table["gene_symbol"].tolist() == ["b", "a"]


def test_an_empty_table_has_all_columns() -> None:
    assert tuple(marker_table(cell_type=[]).columns) == tuple(COLUMNS)
