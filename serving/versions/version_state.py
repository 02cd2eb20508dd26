"""What all workers of a server share about versions: one SQLite file in the folder `CELLMARK_STATE`.

Records of models are written by the one worker that leads. Every worker writes which generation it has reached.
Requests to an administrator's route are left there for the leader, which leaves its answer beside them.
"""

import contextlib
import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .version_record import ModelRecord

FILE = "versions.sqlite"
BUSY_SECONDS = 10
KEPT_SECONDS = 3600
"""How long asks and ids of webhooks are kept."""
TABLES = """
CREATE TABLE IF NOT EXISTS models (key TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS asks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT, at REAL NOT NULL, answer TEXT
);
CREATE TABLE IF NOT EXISTS workers (
    pid INTEGER, key TEXT, generation INTEGER NOT NULL, error TEXT NOT NULL, PRIMARY KEY (pid, key)
);
CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS starts (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS fetched (name TEXT, version TEXT, folder TEXT, digest TEXT, PRIMARY KEY (name, version));
CREATE TABLE IF NOT EXISTS shadow (pair TEXT, name TEXT, total REAL NOT NULL, PRIMARY KEY (pair, name));
"""


class VersionState:
    """The file, safe to use from many threads and processes. `folder`: made when missing."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._lock = threading.Lock()
        self._alive: FileLock | None = None
        self._connection = sqlite3.connect(
            folder / FILE, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        with self._lock:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(TABLES)

    def close(self) -> None:
        with self._lock:
            self._connection.close()
            if self._alive is not None:
                self._alive.close()

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def _write(self, query: str, *values: Any) -> sqlite3.Cursor:
        with self._lock:
            return self._connection.execute(query, values)

    def records(self) -> dict[str, ModelRecord]:
        """All models by key."""
        return {key: ModelRecord.from_json(text) for key, text in self._rows("SELECT key, record FROM models")}

    def record(self, key: str) -> ModelRecord | None:
        rows = self._rows("SELECT record FROM models WHERE key = ?", key)
        return ModelRecord.from_json(rows[0][0]) if rows else None

    def put(self, record: ModelRecord) -> None:
        """Write a record. Only the leader does."""
        self._write("INSERT OR REPLACE INTO models VALUES (?, ?)", record.key, record.to_json())

    def ask(self, kind: str, name: str | None, *, now: float) -> int:
        """Leave a request for the leader; returns its number."""
        self._write("DELETE FROM asks WHERE at < ?", now - KEPT_SECONDS)
        return int(self._write("INSERT INTO asks (kind, name, at) VALUES (?, ?, ?)", kind, name, now).lastrowid or 0)

    def open_asks(self) -> list[tuple[int, str, str | None]]:
        """Number, kind and model of each request that has no answer yet, oldest first."""
        rows = self._rows("SELECT id, kind, name FROM asks WHERE answer IS NULL ORDER BY id")
        return [(int(number), str(kind), name) for number, kind, name in rows]

    def put_answer(self, number: int, answer: Any) -> None:
        self._write("UPDATE asks SET answer = ? WHERE id = ?", json.dumps(answer), number)

    def answer(self, number: int) -> Any:
        """The leader's answer, None while there is none."""
        rows = self._rows("SELECT answer FROM asks WHERE id = ?", number)
        return json.loads(rows[0][0]) if rows and rows[0][0] is not None else None

    def reached(self, key: str, generation: int, error: list[dict[str, Any]]) -> None:
        """Note what this worker serves. `error`: findings, when it could not load the wanted one."""
        if self._alive is None:
            self._alive = self._life(os.getpid())
            self._alive.taken()
        self._write(
            "INSERT OR REPLACE INTO workers VALUES (?, ?, ?, ?)", os.getpid(), key, generation, json.dumps(error)
        )

    def workers(self, key: str) -> list[tuple[int, int, list[dict[str, Any]]]]:
        """Pid, generation and error of every worker that is alive."""
        rows = self._rows("SELECT pid, generation, error FROM workers WHERE key = ? ORDER BY pid", key)
        return [(pid, generation, json.loads(error)) for pid, generation, error in rows if self._lives(pid)]

    def _life(self, pid: int) -> "FileLock":
        """A lock that a worker holds for as long as it lives."""
        return FileLock(self.folder / f"worker-{pid}.lock")

    def _lives(self, pid: int) -> bool:
        if pid == os.getpid():
            return True
        with self._life(pid) as lock:
            return not lock.taken()

    def is_new_delivery(self, delivery: str, *, now: float) -> bool:
        """Note the id of a webhook's message; False when it was there."""
        self._write("DELETE FROM deliveries WHERE at < ?", now - KEPT_SECONDS)
        return self._write("INSERT OR IGNORE INTO deliveries VALUES (?, ?)", delivery, now).rowcount > 0

    def is_new_start(self, start: str) -> bool:
        """Note that a server was started; False when a worker of the same start has noted it."""
        return self._write("INSERT OR IGNORE INTO starts VALUES (?)", start).rowcount > 0

    def fetched(self, name: str, version: str) -> tuple[str, str] | None:
        """Folder and digest of a version that some worker has fetched."""
        rows = self._rows("SELECT folder, digest FROM fetched WHERE name = ? AND version = ?", name, version)
        return (rows[0][0], rows[0][1]) if rows else None

    def put_fetched(self, name: str, version: str, folder: str, digest: str) -> None:
        self._write("INSERT OR REPLACE INTO fetched VALUES (?, ?, ?, ?)", name, version, folder, digest)

    def add_shadow(self, pair: str, totals: dict[str, float]) -> None:
        """Add to the totals of a pair of champion and challenger."""
        query = (
            "INSERT INTO shadow VALUES (?, ?, ?) ON CONFLICT (pair, name) DO UPDATE SET total = total + excluded.total"
        )
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(query, [(pair, name, total) for name, total in totals.items()])
            self._connection.execute("COMMIT")

    def shadow(self) -> dict[str, dict[str, float]]:
        """Totals by name, for each pair."""
        found: dict[str, dict[str, float]] = {}
        for pair, name, total in self._rows("SELECT pair, name, total FROM shadow"):
            found.setdefault(pair, {})[name] = total
        return found

    @contextlib.contextmanager
    def only_one(self, what: str) -> Iterator[None]:
        """Hold a lock of this server's, waiting for it: no two of its processes do the same work at a time."""
        with FileLock(self.folder / f"{what}.lock") as lock:
            lock.wait()
            yield

    def leadership(self) -> "FileLock":
        return FileLock(self.folder / "lead.lock")


class FileLock:
    """A lock of the operating system's: it is free again when its process ends, however that happens."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> "FileLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def taken(self) -> bool:
        """Take the lock if it is free; True when it is ours."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def wait(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def close(self) -> None:
        os.close(self._descriptor)
