"""What a reader says of the rows of a file: packed and unpacked alike, and refused where it cannot be true."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.cells.stored_rows import StoredRows, stored_rows
from cellmark.schemas.errors import ReadError
from cellmark.serving.reader.open_apart import stored_rows_apart
from cellmark.serving.reader.reader_messages import BrokenMessageError, Message
from cellmark.serving.reader.rows_message import pack_rows, unpack_rows
from fixtures.stored_cells import write_h5ad

ROWS = StoredRows(10, 77, (0, 4, 10), 1, ("twice",))


@pytest.mark.parametrize("rows", [ROWS, replace(ROWS, n_values=None), StoredRows(0, 0, (0,), 0, ())])
def test_rows_are_unpacked_as_they_were_packed(rows: StoredRows) -> None:
    assert unpack_rows(pack_rows(rows)) == rows


@pytest.mark.parametrize(
    "lie",
    [
        {"n_cells": 11},
        {"n_cells": -1},
        {"n_cells": True},
        {"n_cells": None},
        {"n_cells": "10"},
        {"n_values": -1},
        {"n_values": 1.5},
        {"n_duplicate_ids": 6},
        {"n_duplicate_ids": None},
        {"n_duplicate_ids": 0},
        {"duplicate_ids": ["a"] * 2},
        {"duplicate_ids": [1]},
        {"duplicate_ids": ["x" * 10_000]},
        {"duplicate_ids": None},
    ],
)
def test_numbers_that_cannot_be_true_are_refused(lie: dict[str, Any]) -> None:
    packed = pack_rows(ROWS)
    with pytest.raises(BrokenMessageError):
        unpack_rows(Message({**packed.facts, **lie}, packed.arrays))


@pytest.mark.parametrize("cuts", [[], [0], [0, 4], [4, 10], [0, 4, 4, 10], [0, 6, 4, 10], [0, 12, 10], [-1, 0, 10]])
def test_pieces_that_do_not_cover_the_rows_once_are_refused(cuts: list[int]) -> None:
    with pytest.raises(BrokenMessageError):
        unpack_rows(Message(pack_rows(ROWS).facts, (np.array(cuts, dtype=np.int64),)))


def test_pieces_of_another_type_or_number_are_refused() -> None:
    facts, (cuts,) = pack_rows(ROWS).facts, pack_rows(ROWS).arrays
    for arrays in ((), (cuts, cuts), (cuts.astype(float),), (cuts.astype(np.int32),)):
        with pytest.raises(BrokenMessageError):
            unpack_rows(Message(facts, arrays))


def test_a_reader_is_asked_where_a_file_can_be_cut(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path)
    sizes = {"n_values": 100, "most_rows": 9}
    for reading in (ReadingOptions(), ReadingOptions(layer="raw")):
        assert stored_rows_apart(path, reading, **sizes) == stored_rows(path, reading, **sizes)
    with pytest.raises(ReadError, match="LAYER_UNKNOWN"):
        stored_rows_apart(path, ReadingOptions(layer="missing"), **sizes)
