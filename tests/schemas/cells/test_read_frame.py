from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.cells.read_frame import cells_from_frame
from cellmark.schemas.errors import ParameterError, ReadError

COUNTS = pd.DataFrame({"CD3D": [1, 0], "MS4A1": [0, 7]}, index=["a", "b"])


def test_rows_are_cells_and_columns_of_numbers_are_genes() -> None:
    frame = COUNTS.assign(half=np.array([1, 2], dtype=np.float16), kind=["x", "y"], dead=[True, False])
    frame["exact"] = [Decimal(3), Decimal(4)]
    cells = cells_from_frame(frame)
    assert list(cells.var_names) == ["CD3D", "MS4A1", "half", "exact"]
    np.testing.assert_array_equal(cells.X.toarray(), [[1, 0, 1, 3], [0, 7, 2, 4]])
    assert list(cells.cell_ids) == ["a", "b"]
    assert list(cells.obs.columns) == ["kind", "dead"]
    assert [(note.code, note.examples) for note in cells.notes] == [("FEATURES_DROPPED", ("kind", "dead"))]


@pytest.mark.parametrize("header", ["cell_id", "Unnamed: 0", "", "barcode"])
def test_a_first_column_of_ids_is_the_index_of_a_frame_whose_own_only_counts(header: str) -> None:
    for ids in (["a", "b"], [17, 18]):
        frame = COUNTS.reset_index(drop=True)
        frame.insert(0, header, ids)
        cells = cells_from_frame(frame)
        assert list(cells.cell_ids) == [str(name) for name in ids]
        assert list(cells.var_names) == ["CD3D", "MS4A1"]
        assert not cells.notes


def test_an_index_of_its_own_is_kept() -> None:
    frame = COUNTS.copy()
    frame.insert(0, "barcode", ["x", "y"])
    assert list(cells_from_frame(frame).cell_ids) == ["a", "b"]


def test_missing_values_and_repeated_genes_stay_for_the_checks() -> None:
    frame = pd.concat([COUNTS, COUNTS[["CD3D"]].astype("Int64").replace({0: pd.NA})], axis=1)
    cells = cells_from_frame(frame)
    assert list(cells.var_names) == ["CD3D", "MS4A1", "CD3D"]
    assert np.isnan(cells.X.toarray()[1, 2])


def test_many_rows_are_the_same_as_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).poisson(0.5, (50, 7)), columns=list("ABCDEFG"))
    whole = cells_from_frame(frame).X
    monkeypatch.setattr("cellmark.schemas.cells.read_frame.VALUES_AT_ONCE", 30)
    assert (whole != cells_from_frame(frame).X).nnz == 0


def test_what_no_frame_has_is_refused() -> None:
    with pytest.raises(ParameterError, match="layer"):
        cells_from_frame(COUNTS, layer="counts")
    with pytest.raises(ReadError, match="complex"):
        cells_from_frame(COUNTS.astype(complex))
