"""A large JSON body is read by a process of its own, and gives what a small one gives."""

import json

import numpy as np
import pytest

from cellmark.schemas.api.requests import cells_from_body
from cellmark.schemas.errors import CellmarkError
from cellmark.serving.reader.open_apart import open_json_apart
from cellmark.serving.reader.reading_rules import ReadingRules

BY_CELL = {"cells": [{"cell_id": "a", "counts": {"x": 3}}, {"cell_id": "b", "counts": {"y": 1, "x": 2}}]}
CSR = {"genes": ["x", "y"], "cell_ids": ["a", "b"], "indptr": [0, 1, 3], "indices": [0, 0, 1], "data": [3, 2, 1]}
UNKNOWN = {"genes": ["x"], **BY_CELL}
SIZES = {**CSR, "library_sizes": [10, 20]}


@pytest.mark.parametrize("value", [BY_CELL, CSR, UNKNOWN, SIZES])
def test_it_gives_what_is_read_here(value: object) -> None:
    body = json.dumps(value).encode()
    here = cells_from_body(body)
    with open_json_apart(body, name="body", recover_counts=False, rules=ReadingRules()) as source:
        np.testing.assert_array_equal(source.load().toarray(), here.source.load().toarray())
        assert source.var_names.tolist() == here.source.var_names.tolist()
        assert source.cell_ids.tolist() == here.source.cell_ids.tolist()
        assert (source.genes_source, source.findings) == (here.genes_source, here.findings)
        np.testing.assert_array_equal(source.library_size, here.library_size)  # type: ignore[arg-type]


def test_it_refuses_what_is_refused_here() -> None:
    with pytest.raises(CellmarkError, match="REQUEST_INVALID"):
        open_json_apart(b'{"cells": 1}', name="body", recover_counts=False, rules=ReadingRules())
