"""Documents are JSON for every parser, and alone on standard output."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from cellmark.schemas.json_document import documents_alone, json_text, print_document


def test_values_of_numpy_and_what_is_no_number_become_json() -> None:
    value = {1: np.float32(0.5), "b": [np.nan, float("inf"), np.int64(3)], "c": np.array([1.0, np.nan]), "d": Path("x")}
    assert json.loads(json_text(value)) == {"1": 0.5, "b": [None, None, 3], "c": [1.0, None], "d": "x"}
    assert json_text("é") == '"é"'


def test_within_the_block_only_documents_reach_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with documents_alone():
        sys.stdout.write("a table\n")
        print_document([1])
        sys.stdout.write("more\n")
    sys.stdout.write("after\n")
    shown = capsys.readouterr()
    assert shown.out == "[\n  1\n]\nafter\n"
    assert shown.err == "a table\nmore\n"
