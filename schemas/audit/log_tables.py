"""The tables of an audit log, and how those of an earlier version become those of this one."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE audit_log (log_id TEXT NOT NULL)",
        "CREATE TABLE audit_rows (seq BIGINT PRIMARY KEY, previous TEXT NOT NULL, body TEXT NOT NULL, "
        "hash TEXT NOT NULL)",
    ),
)
"""Statements by version, the first of which is 1: a new version adds an entry, and never changes one."""
VERSION_TABLE = "CREATE TABLE IF NOT EXISTS audit_schema (version INTEGER NOT NULL)"
VERSION = "SELECT max(version) FROM audit_schema"
LOG_ID = "SELECT log_id FROM audit_log"
LAST = "SELECT seq, hash FROM audit_rows ORDER BY seq DESC LIMIT 1"


def missing_steps(version: int | None) -> list[tuple[int, tuple[str, ...]]]:
    """What brings tables of `version` (None: no tables yet) up to date, by version. Raises `ValueError` for tables
    of a later cellmark.
    """
    known = len(MIGRATIONS)
    if version is not None and version > known:
        raise ValueError(f"tables of version {version}, where this cellmark knows {known}: install a later cellmark")
    return list(enumerate(MIGRATIONS, 1))[version or 0 :]
