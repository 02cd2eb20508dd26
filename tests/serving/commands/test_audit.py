"""`cellmark audit`: what it finds, what it shows."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellmark.schemas.audit.audit_log import open_audit_log
from cellmark.schemas.audit.entry import AuditEntry

Cellmark = Callable[..., Any]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.db"
    with open_audit_log(str(path), create=True) as opened:
        for number in range(30):
            verdict = "ok" if number % 3 else "NO_CELLS"
            entry = AuditEntry(
                time="t", who=f"key{number % 2}", action="POST /annotate", verdict=verdict, n_cells=number
            )
            opened.append([entry.body()])
    return path


def change(log: Path, statement: str) -> None:
    connection = sqlite3.connect(log)
    with connection:
        connection.execute(statement)
    connection.close()


def test_a_log_that_is_whole_shows_its_head(log: Path, cellmark: Cellmark) -> None:
    ran = cellmark("audit", "verify", log)
    head = cellmark("audit", "head", log).out.strip()
    assert ran.status == 0
    assert f"head {head}" in ran.out
    assert "--head" in ran.err
    assert cellmark("audit", "verify", log, "--head", head).err == ""


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE audit_rows SET body = replace(body, '\"n_cells\":7', '\"n_cells\":8') WHERE seq = 8", "row 8"),
        ("DELETE FROM audit_rows WHERE seq BETWEEN 4 AND 6", "3 rows removed"),
        ("INSERT INTO audit_rows SELECT 0, previous, body, hash FROM audit_rows WHERE seq = 1", "row 0"),
    ],
)
def test_what_was_done_to_it_is_found(statement: str, found: str, log: Path, cellmark: Cellmark) -> None:
    change(log, statement)
    ran = cellmark("audit", "verify", log)
    assert ran.status == 1
    assert found in ran.err
    assert "AUDIT_CHAIN_BROKEN" in ran.err


def test_a_cut_tail_is_found_by_a_head_that_was_kept(log: Path, cellmark: Cellmark) -> None:
    head = cellmark("audit", "head", log).out.strip()
    change(log, "DELETE FROM audit_rows WHERE seq > 20")
    assert cellmark("audit", "verify", log).status == 0
    ran = cellmark("audit", "verify", log, "--head", head)
    assert ran.status == 1
    assert "10 or more rows at the end were removed" in ran.err


def test_rows_are_shown_as_asked_for(log: Path, cellmark: Cellmark) -> None:
    def shown(*options: object) -> list[int]:
        return [json.loads(line)["seq"] for line in cellmark("audit", "show", log, *options).out.splitlines()]

    assert shown() == list(range(11, 31))
    assert shown("--last", 0) == list(range(1, 31))
    assert shown("--last", 2, "--verdict", "NO_CELLS") == [25, 28]
    assert shown("--who", "key1", "--verdict", "NO_CELLS", "--last", 0) == [4, 10, 16, 22, 28]
    assert shown("--receipt", "none") == []


def test_a_log_that_is_not_there_is_not_made(tmp_path: Path, cellmark: Cellmark) -> None:
    ran = cellmark("audit", "verify", tmp_path / "none.db")
    assert "AUDIT_UNAVAILABLE" in ran.err
    assert not (tmp_path / "none.db").exists()


def test_a_head_has_a_form(log: Path, cellmark: Cellmark) -> None:
    assert "NUMBER:HASH" in cellmark("audit", "verify", log, "--head", "12").err
