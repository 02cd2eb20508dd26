"""Findings in three lines: the problem, what was found, what to do; commands to paste are never cut."""

from typing import Any

import pytest

from cellmark.schemas.error_codes import CODES
from cellmark.schemas.errors import Finding
from cellmark.schemas.short_message import VERBOSE, WIDTH, long_message, message_lines, short_message
from cellmark.schemas.spoken import in_python


def finding(code: str = "LAYER_UNKNOWN", **given: Any) -> Finding:
    fields = {"where": "layer", "expected": "a layer", "found": "'x'", "remedy": "Name one: --layer (layer=)."}
    return Finding(code, **{**fields, **given})


def test_a_message_is_the_problem_what_was_found_and_what_to_do() -> None:
    assert short_message(finding()) == [
        "error: layer: the layer asked for is not in the file [LAYER_UNKNOWN]",
        "  expected a layer; found 'x'",
        "  Name one: --layer.",
    ]
    assert short_message(finding(), in_python)[-1] == "  Name one: layer=."


def test_what_is_left_out_is_said_with_verbose() -> None:
    examples = tuple(f"cell{number}" for number in range(5))
    one = finding(examples=examples, remedy="First do this. " + "Then do that, which takes a while. " * 4)
    assert short_message(one)[1:] == [
        "  expected a layer; found 'x' (more: --verbose)",
        "  First do this. Then do that, which takes a while. Then do that, which takes a while.",
    ]
    said = "\n".join(long_message(one))
    assert said.count("Then do that") == 4
    assert all(name in said for name in examples)
    assert "--verbose" not in said
    assert message_lines(one) == short_message(one)
    token = VERBOSE.set(True)
    assert message_lines(one) == long_message(one)
    VERBOSE.reset(token)


def test_a_list_is_cut_between_its_names() -> None:
    rows = short_message(finding(found="'x', where obs has " + ", ".join(f"column_{n}" for n in range(40))))
    assert len(rows[1]) <= WIDTH
    assert rows[1].startswith("  found 'x', where obs has column_0, column_1")
    assert rows[1].endswith(" …")
    assert rows[1].removesuffix(" …")[-1].isdigit()


def test_a_long_command_is_whole_and_takes_the_row_of_what_was_found() -> None:
    command = "Rscript -e '" + "f(x); " * 20 + "'"
    rows = short_message(finding("FILE_NOT_FOUND", where="x.rds", remedy=f"Write it in R: {command}"))
    assert rows[0] == "error: x.rds: the input does not exist: expected a layer; found 'x' [FILE_NOT_FOUND]"
    assert rows[1:] == [f"  Write it in R: {command}"]
    assert len(rows[0]) <= WIDTH
    assert len(rows[1]) <= 2 * WIDTH


def test_a_clause_stands_for_a_sentence_that_is_too_long_but_nothing_in_quotes_is_cut() -> None:
    assert short_message(finding(remedy=f"Do this; else {'do that ' * 15}."))[-1] == "  Do this."
    quoted = f"Run 'a; {'b ' * 50}'"
    assert short_message(finding(remedy=quoted))[-1] == f"  {quoted}"


def test_a_long_path_loses_its_first_folders() -> None:
    head = short_message(finding("OUTPUT_EXISTS", where="/a/" * 60 + "calls.csv"))[0]
    assert len(head) <= WIDTH
    assert head.startswith("error: …")
    assert "calls.csv: the output already exists [OUTPUT_EXISTS]" in head


def test_line_breaks_in_names_make_no_lines() -> None:
    rows = short_message(finding(where="a\nerror: b", found="c\r\nd"))
    assert len(rows) == 3
    assert not any("\n" in row or "\r" in row for row in rows)


def test_a_parameter_says_what_was_expected_of_it() -> None:
    rows = short_message(finding("PARAMETER_INVALID", where="top", expected="at least 1", found="0"))
    assert rows[:2] == ["error: top: expected at least 1 [PARAMETER_INVALID]", "  found 0"]


@pytest.mark.parametrize("code", CODES)
def test_every_problem_has_room_and_leaves_its_severity_to_the_first_word(code: str) -> None:
    head = short_message(finding(code, severity="warning"))[0]
    assert len(head) <= WIDTH
    assert "…" not in head
    assert "(a note)" not in head
    assert "(a warning)" not in head
    assert ": an error" not in head
