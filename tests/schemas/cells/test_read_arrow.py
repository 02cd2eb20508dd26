"""Arrow IPC that is read as cells, and that is not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.read_limits import ReadLimits
from cellmark.schemas.errors import ReadError

X = np.array([[3, 0, 1], [0, 0, 0], [0, 2, 0]])
SPARSE = {"cell_id": ["a", "b", "c"], "indices": [[0, 2], [], [1]], "counts": [[3, 1], [], [2]]}
GENES = {"genes": json.dumps(["x", "y", "z"])}


def written(path: Path, columns: dict[str, Any], metadata: dict[str, str] | None = None, *, rows: int = 2) -> Path:
    table = pa.table(columns).replace_schema_metadata(metadata)
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


@pytest.mark.parametrize("rows", [1, 2, 10])
def test_lists_are_a_sparse_matrix(tmp_path: Path, rows: int) -> None:
    source = open_cells(written(tmp_path / "a.arrow", SPARSE, GENES, rows=rows))
    np.testing.assert_array_equal(source.load().toarray(), X)
    assert (source.var_names.tolist(), source.cell_ids.tolist()) == (["x", "y", "z"], ["a", "b", "c"])


def test_columns_are_genes_and_sizes_come_along(tmp_path: Path) -> None:
    columns = {"cell_id": ["a", "b", "c"], "library_size": [9, 8, 7], "x": X[:, 0], "y": X[:, 1], "z": X[:, 2] * 1.0}
    source = open_cells(written(tmp_path / "a.feather", columns))
    np.testing.assert_array_equal(source.load().toarray(), X)
    assert source.obs["library_size"].tolist() == [9, 8, 7]


def test_unsorted_indices_are_sorted(tmp_path: Path) -> None:
    columns = {"cell_id": ["a"], "indices": [[2, 0]], "counts": [[1, 3]]}
    source = open_cells(written(tmp_path / "a.arrow", columns, GENES))
    assert sp.csr_matrix(source.load()).has_sorted_indices
    np.testing.assert_array_equal(source.load().toarray(), X[:1])


@pytest.mark.parametrize(
    ("columns", "metadata"),
    [
        ({**SPARSE, "indices": [[0, 3], [], [1]]}, GENES),
        ({**SPARSE, "indices": [[0, -1], [], [1]]}, GENES),
        ({**SPARSE, "indices": [[0, 0], [], [1]]}, GENES),
        ({**SPARSE, "indices": [[0], [], [1]]}, GENES),
        ({**SPARSE, "indices": [[0, 2], None, [1]]}, GENES),
        ({**SPARSE, "counts": [[3, None], [], [2]]}, GENES),
        ({**SPARSE, "counts": [["3", "1"], [], ["2"]]}, GENES),
        ({**SPARSE, "indices": [[0.0, 2.0], [], [1.0]]}, GENES),
        ({**SPARSE, "cell_id": ["a", None, "c"]}, GENES),
        (SPARSE, None),
        (SPARSE, {"genes": "[1, 2, 3]"}),
        ({"x": [1, 2]}, None),
        ({"cell_id": ["a"], "x": ["text"]}, None),
    ],
)
def test_what_does_not_fit_together_is_refused(
    tmp_path: Path, columns: dict[str, Any], metadata: dict[str, str] | None
) -> None:
    with pytest.raises(ReadError, match="MATRIX_INVALID"):
        open_cells(written(tmp_path / "a.arrow", columns, metadata))


def test_limits_hold(tmp_path: Path) -> None:
    path = written(tmp_path / "a.arrow", SPARSE, GENES)
    for limits in (ReadLimits(max_cells=2), ReadLimits(max_genes=2), ReadLimits(max_nonzeros=2)):
        with pytest.raises(ReadError, match="INPUT_TOO_LARGE"):
            open_cells(path, limits=limits)


def test_damaged_bytes_are_refused(tmp_path: Path) -> None:
    content = written(tmp_path / "a.arrow", SPARSE, GENES).read_bytes()
    for length in (0, 3, 20, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.arrow").write_bytes(content[:length])
        with pytest.raises(ReadError, match="FILE_UNREADABLE"):
            open_cells(tmp_path / "cut.arrow")
