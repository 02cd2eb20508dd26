"""JSON bodies are read as the standard has them, and answers are written so."""

import json

import pytest

from cellmark.schemas.api.strict_json import parse_json, write_json
from cellmark.schemas.errors import RequestError


@pytest.mark.parametrize("text", ['{"a": [1, 2.5, true, null, "ü"], "b": {}}', "[]", '"text"', "-0.0", "1e3"])
def test_ordinary_json_is_what_the_standard_library_reads(text: str) -> None:
    assert parse_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", "nothing"),
        (b"  \n", "nothing"),
        (b'{"a": 1,}', "line 1, column"),
        (b'{"a": 1} {"b": 2}', "Extra data"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": [-Infinity]}', "-Infinity"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a whole number of 5,000 digits"),
        (b'{"a": -' + b"9" * 500 + b"}", "a whole number of 500 digits"),
        (b"[" * 200_000, "levels"),
        (b'{"a": "\xff"}', "position 7"),
        ("[1]".encode("utf-16"), "position 0"),
        (b'{"a": "\x01"}', "control character"),
    ],
)
def test_other_text_is_refused_with_the_place_or_the_reason(body: bytes, found: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_json(body)
    assert refused.value.code == "REQUEST_INVALID"
    assert found in refused.value.findings[0].found
    assert "sys." not in str(refused.value)


def test_a_name_that_comes_twice_in_one_object_is_refused_by_name() -> None:
    with pytest.raises(RequestError) as refused:
        parse_json(b'{"cells": [{"counts": {"MS4A1": 3, "CD3D": 1, "MS4A1": 5}}, {"x": 1, "x": 2}]}')
    assert set(refused.value.findings[0].examples) == {"MS4A1", "x"}


def test_the_same_name_in_two_objects_is_fine() -> None:
    assert parse_json(b'[{"a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]


def test_written_json_comes_back_exactly_and_is_ascii() -> None:
    value = {"name": "T-Zelle ü\ud800", "numbers": [0.1, 1e-300, 3]}
    assert json.loads(write_json(value)) == value
    assert write_json(value).isascii()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_have_are_never_written(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json({"a": number})
