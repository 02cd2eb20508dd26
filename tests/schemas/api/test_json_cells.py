"""Bodies read in one pass are read as by the tree that is checked afterwards, and refused with the same codes."""

import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmark.schemas.api import json_cells, requests
from cellmark.schemas.api.requests import cells_from_body, cells_from_json
from cellmark.schemas.api.strict_json import parse_json
from cellmark.schemas.errors import CellmarkError

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
NUMBERS = st.one_of(st.integers(-5, 10**6), st.floats(-10, 1e6), st.integers(2**62, 2**64))
CELLS = st.lists(
    st.fixed_dictionaries(
        {"cell_id": NAMES, "counts": st.dictionaries(NAMES, NUMBERS, max_size=4)},
        optional={"library_size": st.one_of(st.none(), NUMBERS)},
    ),
    max_size=4,
)
BY_CELL = st.fixed_dictionaries({"cells": CELLS}, optional={"genes": st.one_of(st.none(), st.lists(NAMES, max_size=4))})


@st.composite
def csr_bodies(draw: Any) -> dict[str, Any]:
    genes = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    rows = draw(st.lists(st.sets(st.integers(0, len(genes) - 1)), max_size=4))
    indices = [column for row in rows for column in sorted(row)]
    body = {
        "genes": genes,
        "cell_ids": [f"c:{number}" for number in range(len(rows))],
        "indptr": np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(int).tolist(),
        "indices": indices,
        "data": draw(st.lists(NUMBERS, min_size=len(indices), max_size=len(indices))),
    }
    if draw(st.booleans()):
        body["library_sizes"] = draw(st.lists(NUMBERS, min_size=len(rows), max_size=len(rows)))
    return body


def outcome(read: Any, body: bytes) -> Any:
    """The cells as plain values, or the codes of the refusal."""
    try:
        cells = read(body)
    except CellmarkError as error:
        return error.code
    source = cells.source
    size = cells.library_size
    return (
        source.X.toarray().tolist(),
        source.var_names.tolist(),
        source.cell_ids.tolist(),
        None if size is None else np.asarray(size).tolist(),
        cells.genes_source,
        [finding.code for finding in cells.findings],
    )


def slowly(body: bytes) -> Any:
    return cells_from_json(parse_json(body))


@settings(max_examples=150, deadline=None)
@given(st.one_of(BY_CELL, csr_bodies()), st.booleans(), st.booleans())
def test_every_sound_body_is_read_as_by_the_tree(value: dict[str, Any], ascii: bool, spaced: bool) -> None:  # noqa: A002
    body = json.dumps(value, ensure_ascii=ascii, indent=1 if spaced else None).encode()
    assert outcome(cells_from_body, body) == outcome(slowly, body)


@settings(max_examples=150, deadline=None)
@given(st.one_of(BY_CELL, csr_bodies()), st.integers(0, 2**32))
def test_every_spoilt_body_is_refused_as_by_the_tree(value: dict[str, Any], seed: int) -> None:
    body = bytearray(json.dumps(value).encode())
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(body))
        body[at : at + chance.randint(0, 2)] = chance.choice(
            [b"", b"1", b'"', b":", b",", b"[", b"}", b"e", b"-", b"0"]
        )
    assert outcome(cells_from_body, bytes(body)) == outcome(slowly, bytes(body))


DOUBLED = (
    '{"cells": [], "cells": []}',
    '{"cells": [{"cell_id": "a", "counts": {"x": 1, "x": 2}}]}',
    '{"cells": [{"cell_id": "a:b", "counts": {"x:y": 1, "x:y": 2}}]}',
    '{"cells": [{"cell_id": "a", "cell_id": "b", "counts": {"x": 1}}]}',
    # An escaped colon is none, and must not make up for the name that vanished.
    '{"cells": [{"cell_id": "\\u003a", "counts": {"x": 1, "x": 2}}]}',
    '{"genes": ["a"], "cell_ids": ["c"], "indptr": [0, 1], "indices": [0], "data": [1], "data": [2]}',
)


@pytest.mark.parametrize("body", DOUBLED)
@pytest.mark.parametrize("large", [False, True])
def test_a_name_given_twice_is_refused(body: str, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:
        monkeypatch.setattr(requests, "LARGE_BODY", 1)
    with pytest.raises(CellmarkError, match="REQUEST_INVALID"):
        cells_from_body(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"cells": ' + b"[[]," * 100_000,
        b'{"genes": [' + b"[]," * 100_000 + b"[]]}",
        b"[" * 500_000,
        b'{"genes": ["a"], "cell_ids": ["c"], "indptr": [0, 1], "indices": [0], "data": [' + b"1" * 200_000 + b"]}",
        b'{"cells": [{"cell_id": "a", "counts": {"x": true}}]}',
        b'{"cells": [{"cell_id": "a", "counts": {"x": 1}, "other": 1}]}',
        b'{"indptr": [0.5], "genes": ["a"], "cell_ids": ["c"], "indices": [0], "data": [1]}',
    ],
)
def test_a_large_body_is_refused_at_its_first_mistake(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "LARGE_BODY", 1)
    monkeypatch.setattr(requests, "parse_json", lambda body: pytest.fail("a tree was made of it"))
    with pytest.raises(CellmarkError, match="REQUEST_INVALID"):
        cells_from_body(body)


def test_more_names_or_values_than_memory_is_meant_for_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_cells, "MOST_STRINGS", 10)
    with pytest.raises(CellmarkError, match="REQUEST_TOO_LARGE"):
        cells_from_body(b'{"genes": [' + b'"a", ' * 20 + b'"a"]}')
    monkeypatch.setattr(json_cells, "MOST_VALUES", 10)
    with pytest.raises(CellmarkError, match="REQUEST_TOO_LARGE"):
        cells_from_body(b'{"data": [' + b"1," * 20 + b"1]}")
