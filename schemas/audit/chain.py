"""The chain of hashes: how rows are linked, and how one finds out that somebody changed, removed or inserted one.

A row's hash is SHA-256 over its number, the hash of the row before and its body. The first row follows a hash made of
the log's own id, so that rows of one log do not continue another. Hashes need no secret: whoever may write to the
database can compute a whole new chain. That, and a tail that was cut off, shows only against a *head* (number and hash
of a row) that was kept somewhere else.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

from ..errors import Finding, ParameterError

FIRST = "cellmark-audit-1"
MOST_BREAKS = 50
"""Breaks that a report lists."""


class Head(NamedTuple):
    """A row that the log had, as `NUMBER:HASH` in text. `seq` 0 is the start, before any row."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `ParameterError` for other text than `NUMBER:HASH`."""
        found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text.strip())
        if found is None:
            raise ParameterError.of(
                "PARAMETER_INVALID",
                where="head",
                expected="NUMBER:HASH, a number and 64 hexadecimal digits",
                found=repr(text[:80]),
                remedy="Copy it from the header X-Cellmark-Audit of an answer, or from `cellmark audit head`.",
            )
        return cls(int(found[1]), found[2])


class ChainRow(NamedTuple):
    """A row as it is stored. `previous`: the hash of the row before. `body`: JSON of an `AuditEntry`."""

    seq: int
    previous: str
    body: str
    hash: str

    @property
    def head(self) -> Head:
        return Head(self.seq, self.hash)


def start_of(log_id: str) -> Head:
    """What the first row of a log follows."""
    return Head(0, hashlib.sha256(f"{FIRST}\n{log_id}".encode()).hexdigest())


def row_hash(seq: int, previous: str, body: str) -> str:
    """Hexadecimal SHA-256 that a row must have."""
    return hashlib.sha256(f"{seq}\n{previous}\n{body}".encode()).hexdigest()


def link(head: Head, bodies: Iterable[str]) -> list[ChainRow]:
    """The rows that follow `head`."""
    rows: list[ChainRow] = []
    for body in bodies:
        row = ChainRow(head.seq + 1, head.hash, body, row_hash(head.seq + 1, head.hash, body))
        rows.append(row)
        head = row.head
    return rows


class ChainReport(NamedTuple):
    """`head`: the last row that is there. `findings`: what is wrong, in the order of the rows."""

    n_rows: int
    head: Head
    findings: tuple[Finding, ...]


def check_chain(rows: Iterable[ChainRow], log_id: str, heads: Sequence[Head] = ()) -> ChainReport:
    """Go through all rows of a log, in the order of their numbers. `heads`: rows that the log is known to have had."""
    findings: list[Finding] = []
    head = start_of(log_id)
    n_rows = 0
    wanted: dict[int, list[str]] = {}
    for known in heads:
        wanted.setdefault(known.seq, []).append(known.hash)
    seen = {head.seq: head.hash} if 0 in wanted else {}
    for row in rows:
        if len(findings) < MOST_BREAKS:
            findings.extend(_breaks(row, head))
        head = row.head
        n_rows += 1
        if row.seq in wanted:
            seen[row.seq] = row.hash
    for seq, hashes in sorted(wanted.items()):
        if seq > head.seq:
            removed = f"{head.seq}: {seq - head.seq} or more rows at the end were removed"
            findings.append(_broken(f"row {seq}", "a row that is known to have been written", removed))
        elif any(hash_ != seen.get(seq) for hash_ in hashes):
            findings.append(_broken(f"row {seq}", "the hash that was kept elsewhere", "another: the log was rewritten"))
    return ChainReport(n_rows, head, tuple(findings))


def _breaks(row: ChainRow, before: Head) -> Iterator[Finding]:
    where = f"row {row.seq}"
    if row.seq != before.seq + 1:
        missing = row.seq - before.seq - 1
        found = f"{missing} rows removed before it" if missing > 0 else "a row inserted before the first"
        yield _broken(where, f"row {before.seq + 1} after row {before.seq}", found)
    elif row.previous != before.hash:
        yield _broken(where, "the hash of the row before", "another: this row or the one before was put in its place")
    if row.hash != row_hash(row.seq, row.previous, row.body):
        yield _broken(where, "a body of the row's hash", "another body: the row was changed")


def _broken(where: str, expected: str, found: str) -> Finding:
    return Finding(
        "AUDIT_CHAIN_BROKEN",
        where=where,
        expected=expected,
        found=found,
        remedy="Compare with a backup and with receipts; keep this database as it is for whoever investigates.",
    )
