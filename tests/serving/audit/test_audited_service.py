"""A real service of two workers under load, one of which is killed: what was acknowledged is in the log, in one chain.

Also a log that is full, and a log in PostgreSQL.
"""

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
from running_service import Server, serve

from cellmark.schemas.audit.audit_log import open_audit_log
from cellmark.schemas.audit.chain import Head, check_chain
from cellmark.schemas.bundle import Bundle
from fixtures.places import ARCHIVES
from fixtures.postgresql_server import postgresql_server

N_CLIENTS = 6
TINY = ARCHIVES / "tiny"


@pytest.fixture(scope="module")
def body() -> bytes:
    genes = list(Bundle.open(TINY).panel.symbols)
    generator = np.random.default_rng(7)
    counts = {gene: int(generator.poisson(5)) for gene in genes}
    return json.dumps({"genes": genes, "cells": [{"cell_id": "a", "counts": counts, "library_size": 9000}]}).encode()


@dataclass
class Heard:
    """What clients were told. `acknowledged`: the head of the log by receipt. `codes`: of refusals."""

    acknowledged: dict[str, Head] = field(default_factory=dict)
    codes: list[str] = field(default_factory=list)
    n_lost: int = 0


@contextmanager
def clients(server: Server, body: bytes) -> Iterator[Heard]:
    """Ask without a pause until the block ends."""
    heard, ended = Heard(), threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                with httpx.Client(base_url=server.url, timeout=30) as client:
                    while not ended.is_set():
                        answer = client.post("/annotate", content=body, headers={"content-type": "application/json"})
                        if answer.status_code == 200:
                            head = Head.parse(answer.headers["x-cellmark-audit"])
                            heard.acknowledged[answer.json()["receipt"]["id"]] = head
                        else:
                            heard.codes.append(answer.json()["code"])
                            ended.wait(0.05)
            except httpx.TransportError:
                heard.n_lost += 1
                ended.wait(0.05)

    threads = [threading.Thread(target=ask) for _ in range(N_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield heard
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def workers(server: Server) -> list[int]:
    """Processes that answer."""
    found = []
    for pid in server.pids():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"_bentoml_impl.worker.service" in command:
            found.append(pid)
    return found


def until(heard: Heard, n_more: int) -> None:
    """Wait until clients were told so much more."""
    wanted = len(heard.acknowledged) + n_more
    deadline = time.monotonic() + 90
    while len(heard.acknowledged) < wanted:
        assert time.monotonic() < deadline, (len(heard.acknowledged), heard.codes[-5:])
        time.sleep(0.02)


def check(log: str, heard: Heard) -> None:
    with open_audit_log(log) as opened:
        rows = list(opened.rows())
        report = check_chain(rows, opened.log_id, list(heard.acknowledged.values()))
    assert report.findings == ()
    recorded = {entry["receipt"]: entry for entry in map(json.loads, (row.body for row in rows)) if "receipt" in entry}
    assert heard.acknowledged.keys() <= recorded.keys()
    for receipt in heard.acknowledged:
        assert recorded[receipt]["verdict"] == "ok"
        assert recorded[receipt]["action"] == "POST /annotate"


def kill_a_worker_under_load(server: Server, body: bytes) -> Heard:
    with clients(server, body) as heard:
        until(heard, 100)
        killed = workers(server)
        assert len(killed) == 2
        os.kill(killed[0], signal.SIGKILL)
        until(heard, 100)
        while len(now := workers(server)) < 2 or killed[0] in now:
            time.sleep(0.1)
        until(heard, 200)
    return heard


def test_two_workers_write_one_chain_also_when_one_is_killed(body: bytes, tmp_path: Path) -> None:
    log = str(tmp_path / "audit.db")
    with serve(TINY, tmp_path, "--audit", log, "--workers", "2") as server:
        heard = kill_a_worker_under_load(server, body)
        check(log, heard)


@pytest.mark.postgres
def test_two_workers_write_one_chain_in_postgresql(
    body: bytes, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        postgresql_server(tmp_path_factory.mktemp("postgresql")) as log,
        serve(TINY, tmp_path, CELLMARK_AUDIT=log, CELLMARK_WORKERS="2") as server,
    ):
        heard = kill_a_worker_under_load(server, body)
        check(log, heard)


def test_a_full_log_stops_all_answers_until_there_is_room(body: bytes, tmp_path: Path) -> None:
    log = tmp_path / "audit.db"
    with serve(TINY, tmp_path, CELLMARK_AUDIT=str(log), CELLMARK_AUDIT_MAX_BYTES="131072") as server:
        with clients(server, body) as heard:
            deadline = time.monotonic() + 60
            while not heard.codes:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert set(heard.codes) == {"AUDIT_UNAVAILABLE"}
        assert httpx.get(server.url + "/model").status_code == 200  # what is not recorded is answered
        assert httpx.get(server.url + "/readyz").json()["code"] == "AUDIT_UNAVAILABLE"
        check(str(log), heard)
        # Room: rows that were carried elsewhere. (Nobody does so to a real log, whose chain this breaks.)
        with sqlite3.connect(log) as connection:
            connection.execute("DELETE FROM audit_rows WHERE seq < 100")
        connection.close()
        deadline = time.monotonic() + 20
        while True:
            answer = httpx.post(server.url + "/annotate", content=body, headers={"content-type": "application/json"})
            if answer.status_code == 200:
                break
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)
        # Another process of the service learns of the room by itself, a moment later.
        while httpx.get(server.url + "/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with open_audit_log(str(log)) as opened:
            resumed = [json.loads(row.body) for row in opened.rows() if "audit.resumed" in row.body]
        # More than one where the last bytes still had room for a short row.
        assert int(resumed[-1]["details"]["refused"]) >= 1
