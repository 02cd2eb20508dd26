import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.api.listed_cells import is_listed, listed_cells
from cellmark.schemas.errors import ReadError, RequestError

GENES = json.dumps(["CD3D", "NKG7", "LYZ"])


def frame(**changes: Any) -> pd.DataFrame:
    columns = {"cell_id": ["a", "b", "c"], "indices": [[0, 2], [], [1]], "counts": [[1, 2], [], [4.0]]}
    return pd.DataFrame({**columns, "total": [3.0, 1.0, 5.0], **changes})


def test_lists_become_rows_of_a_sparse_matrix() -> None:
    cells = listed_cells(frame(), GENES, library_size="total", name="input")
    assert cells.source.load().toarray().tolist() == [[1, 0, 2], [0, 0, 0], [0, 4, 0]]
    assert cells.source.cell_ids.tolist() == ["a", "b", "c"]
    assert cells.source.var_names.tolist() == ["CD3D", "NKG7", "LYZ"]
    assert cells.library_size.tolist() == [3, 1, 5]


def test_without_a_column_of_ids_the_index_names_the_cells_and_sizes_are_summed() -> None:
    cells = listed_cells(frame().set_index("cell_id"), GENES, library_size=None, name="input")
    assert cells.source.cell_ids.tolist() == ["a", "b", "c"]
    assert cells.library_size is None


def test_cells_without_any_count_are_cells() -> None:
    empty = frame(indices=[[], [], []], counts=[np.zeros(0, np.float32)] * 3)
    assert listed_cells(empty, GENES, library_size=None, name="input").source.load().shape == (3, 3)


def test_two_genes_of_these_names_are_no_lists() -> None:
    assert is_listed(frame())
    assert not is_listed(pd.DataFrame({"indices": [1, 2], "counts": [3, 4]}))
    assert not is_listed(frame().drop(columns="counts"))


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": [[1], [], [4]]},
        {"counts": [[1, None], [], [4]]},
        {"counts": [["1", "2"], [], ["4"]]},
        {"counts": [[1, 2], None, [4]]},
        {"indices": [[0, 2], [], [3]]},
        {"indices": [[0, -1], [], [1]]},
        {"indices": [[0, 0], [], [1]]},
        {"indices": [[0.0, 2.0], [], [1.0]]},
        {"indices": [[0, 2], float("nan"), [1]]},
        {"cell_id": ["a", None, "c"]},
    ],
)
def test_lists_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ReadError, match="MATRIX_INVALID"):
        listed_cells(frame(**changes), GENES, library_size=None, name="input")


@pytest.mark.parametrize("genes", [None, "CD3D", '{"CD3D": 1}', "[1, 2, 3]", '["\\ud800"]'])
def test_names_are_needed_as_a_list_in_json(genes: str | None) -> None:
    with pytest.raises(RequestError, match="REQUEST_INVALID"):
        listed_cells(frame(), genes, library_size=None, name="input")
