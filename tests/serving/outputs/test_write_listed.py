import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from cellmark.schemas.api.listed_cells import listed_cells
from cellmark.schemas.cells.read_arrow import read_arrow
from cellmark.schemas.errors import InputError, RequestError
from cellmark.serving.outputs.write_listed import write_listed
from cellmark.serving.scoring.as_source import as_source


def test_the_table_is_the_sparse_form_of_arrow(
    new_cells: ad.AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellmark.serving.outputs.write_listed.ROWS", 50)
    advanced: list[int] = []
    write_listed(as_source(new_cells), tmp_path / "cells.parquet", on_progress=advanced.append)
    file = pq.ParquetFile(tmp_path / "cells.parquet")
    assert file.num_row_groups == len(advanced) == -(-new_cells.n_obs // 50)
    assert sum(advanced) == new_cells.n_obs
    table = file.read()
    with pa.ipc.new_stream(tmp_path / "cells.arrow", table.schema) as stream:
        stream.write_table(table)
    cells = read_arrow(tmp_path / "cells.arrow")
    assert cells.cell_ids.tolist() == list(new_cells.obs_names)
    assert cells.var_names.tolist() == list(new_cells.var_names)
    assert (sp.csr_matrix(new_cells.X) != cells.X).nnz == 0
    np.testing.assert_array_equal(cells.obs["library_size"], np.asarray(new_cells.X.sum(axis=1)).ravel())


def test_the_remedy_for_missing_names_reads_them_from_the_file(new_cells: ad.AnnData, tmp_path: Path) -> None:
    path = tmp_path / "cells.parquet"
    write_listed(as_source(new_cells), path)
    with pytest.raises(RequestError) as refused:
        listed_cells(pd.read_parquet(path), None, library_size=None, name="input")
    code = refused.value.findings[0].remedy.partition('"genes": ')[2].partition("}")[0]
    genes = eval(code.replace("PATH", repr(str(path))), {"pyarrow": pa})
    assert json.loads(genes) == list(new_cells.var_names)


@pytest.mark.parametrize(
    ("given", "written"),
    [("uint8", "int32"), ("uint32", "int64"), ("int64", "int64"), ("float32", "float"), ("float64", "double")],
)
def test_numbers_have_types_that_every_engine_has(
    new_cells: ad.AnnData, tmp_path: Path, given: str, written: str
) -> None:
    cells = new_cells.copy()
    cells.X = sp.csr_matrix(cells.X).astype(given)
    write_listed(as_source(cells), tmp_path / "cells.parquet")
    assert str(pq.read_schema(tmp_path / "cells.parquet").field("counts").type.value_type) == written


def test_features_that_are_no_genes_are_left_out_as_annotate_does(new_cells: ad.AnnData, tmp_path: Path) -> None:
    cells = new_cells.copy()
    types = np.full(cells.n_vars, "Gene Expression", dtype=object)
    types[3] = "Antibody Capture"
    cells.var["feature_types"] = types
    written = write_listed(as_source(cells), tmp_path / "cells.parquet")
    assert written.n_vars == cells.n_vars - 1
    assert [note.code for note in written.notes] == ["FEATURES_DROPPED"]
    sums = np.asarray(cells.X.sum(axis=1)).ravel() - cells.X[:, [3]].toarray().ravel()
    np.testing.assert_array_equal(pd.read_parquet(tmp_path / "cells.parquet")["library_size"], sums)


def test_a_column_of_library_sizes_is_taken(new_cells: ad.AnnData, tmp_path: Path) -> None:
    cells = new_cells.copy()
    cells.obs["total"] = np.arange(cells.n_obs) + 100
    write_listed(as_source(cells), tmp_path / "cells.parquet", library_size="total")
    np.testing.assert_array_equal(pd.read_parquet(tmp_path / "cells.parquet")["library_size"], cells.obs["total"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda cells: cells[[0, 0]], "CELL_ID_DUPLICATE"),
        (lambda cells: cells[:0], "NO_CELLS"),
        (lambda cells: cells[:, :0], "NO_GENES"),
    ],
)
def test_what_no_batch_could_see_is_refused(new_cells: ad.AnnData, tmp_path: Path, change: Any, code: str) -> None:
    with pytest.raises(InputError, match=code):
        write_listed(as_source(change(new_cells)), tmp_path / "cells.parquet")
    assert not list(tmp_path.iterdir())


def test_a_library_size_that_is_missing_is_refused(new_cells: ad.AnnData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="LIBRARY_SIZE_COLUMN_UNKNOWN"):
        write_listed(as_source(new_cells), tmp_path / "cells.parquet", library_size="total")


def test_the_command(cellmark: Callable[..., Any], new_cells: ad.AnnData, new_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "cells.parquet"
    ran = cellmark("to-parquet", new_file, "-o", out, "--trusted")
    assert (ran.status, ran.out) == (
        0, f"{new_cells.n_obs} cells x {new_cells.n_vars} genes written to {out}\n",
    )  # fmt: skip
    assert "OUTPUT_EXISTS" in cellmark("to-parquet", new_file, "-o", out, "--trusted").err
    assert "OUTPUT_FORMAT_UNKNOWN" in cellmark("to-parquet", new_file, "-o", tmp_path / "cells.csv", "--trusted").err
