"""Rows that come table by table: one file of all of them, or none."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cellmark.schemas.errors import OutputError
from cellmark.serving.outputs.write_rows import write_rows

ROWS = pa.table({"cell_id": ["a,b", 'c"d', "é"], "value": np.array([0.1, -2, 1e-7], dtype=np.float32)})


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_tables_follow_one_another(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert write_rows([ROWS, ROWS.slice(0, 0), ROWS.slice(1)], ROWS.schema, path) == 5
    found = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    expected = pa.concat_tables([ROWS, ROWS.slice(1)]).to_pandas()
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    np.testing.assert_array_equal(found["value"].to_numpy(np.float32), expected["value"].to_numpy())


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_no_rows_are_a_file_with_columns(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert write_rows([], ROWS.schema, path) == 0
    found = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    assert list(found) == ROWS.column_names
    assert found.empty


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.Table]:
        yield ROWS
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        write_rows(broken(), ROWS.schema, tmp_path / "rows.parquet")
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("mine")
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"):
        write_rows([ROWS], ROWS.schema, path)
    assert path.read_text() == "mine"
    assert write_rows([ROWS], ROWS.schema, path, force=True) == 3
