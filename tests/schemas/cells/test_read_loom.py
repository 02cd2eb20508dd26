"""Loom files, written as loompy lays them out: genes x cells, attributes of rows and columns, layers."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.errors import ReadError

COUNTS = np.random.default_rng(0).poisson(0.8, (150, 90)).astype(np.float32)
"""Genes x cells."""


def write(path: Path, *, chunks: tuple[int, int] | None = (64, 64), text: str = "S") -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("matrix", data=COUNTS, chunks=chunks)
        file.create_dataset("layers/spliced", data=COUNTS * 2, chunks=chunks)
        kind = h5py.string_dtype() if text == "object" else text
        for place, values in (
            ("row_attrs/Gene", [f"G{number}" for number in range(150)]),
            ("row_attrs/Accession", [f"ENSG{number:011d}" for number in range(150)]),
            ("col_attrs/CellID", [f"run:c{number}x" for number in range(90)]),
            ("col_attrs/cell_type", ["T", "B"] * 45),
        ):
            file[place] = np.array(values, dtype=text).astype(kind)
        file["col_attrs/total"] = COUNTS.sum(axis=0)
        file["col_attrs/umap"] = np.zeros((90, 2))
    return path


@pytest.mark.parametrize("text", ["S", "object"])
@pytest.mark.parametrize("chunks", [None, (64, 64), (150, 7)])
def test_cells_are_rows_with_their_names_and_attributes(
    chunks: tuple[int, int] | None, text: str, tmp_path: Path
) -> None:
    with open_cells(write(tmp_path / "cells.loom", chunks=chunks, text=text)) as cells:
        rows = [chunk.X.toarray() for chunk in cells.chunks(13)]
        np.testing.assert_array_equal(np.vstack(rows), COUNTS.T)
        np.testing.assert_array_equal(cells.load().toarray(), COUNTS.T)
        np.testing.assert_array_equal(cells.take(np.array([3, 80])).toarray(), COUNTS.T[[3, 80]])
        np.testing.assert_array_equal(cells.others[0].take(np.array([5])).toarray(), COUNTS.T[[5]] * 2)
        assert list(cells.var_names[:2]) == ["G0", "G1"]
        assert cells.var["gene_ids"].iloc[1] == "ENSG00000000001"
        assert list(cells.cell_ids[:2]) == ["run:c0x", "run:c1x"]
        assert list(cells.obs["cell_type"][:3]) == ["T", "B", "T"]
        assert set(cells.obs.columns) == {"cell_type", "total"}
        assert cells.counts_from == "matrix"


def test_a_layer_is_read_and_an_unknown_one_refused_with_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "cells.loom")
    with open_cells(path, ReadingOptions(layer="spliced")) as cells:
        np.testing.assert_array_equal(cells.load().toarray(), COUNTS.T * 2)
        assert [other.where for other in cells.others] == ["matrix"]
    with pytest.raises(ReadError, match="there are: spliced") as raised:
        open_cells(path, ReadingOptions(layer="unspliced"))
    assert raised.value.code == "LAYER_UNKNOWN"


def test_other_files_of_that_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.loom"
    for write_other in (
        lambda: path.write_text("loom"),
        lambda: h5py.File(path, "w").close(),
        lambda: path.write_bytes(b""),
    ):
        write_other()
        with pytest.raises(ReadError) as raised:
            open_cells(path)
        assert raised.value.code == "FILE_UNREADABLE"
