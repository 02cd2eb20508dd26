"""Jobs of a real service: two workers that know the same jobs, and kills of a worker and of the whole service."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
from running_service import Server, serve

from fixtures.places import ARCHIVES
from fixtures.synthetic_cells import draw_cells

TINY = ARCHIVES / "tiny"
N_JOBS = 3


def give(server: Server, cells: Path, number: int) -> httpx.Response:
    with cells.open("rb") as file:
        return httpx.post(
            f"{server.url}/jobs", files={"file": file}, headers={"Idempotency-Key": f"job-{number}"}, timeout=60
        )


def workers(server: Server) -> list[int]:
    found = []
    for pid in server.pids():
        try:
            if b"_bentoml_impl.worker.service" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def all_done(server: Server, ids: list[str]) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 120
    while True:
        try:
            jobs = [httpx.get(f"{server.url}/jobs/{one}", timeout=30).json() for one in ids]
            if all(job.get("state") == "done" for job in jobs):
                return jobs
        except httpx.TransportError:  # the worker that was killed had the connection
            jobs = []
        assert time.monotonic() < deadline, (jobs, server.log.read_text()[-3000:])
        time.sleep(0.3)


def test_jobs_end_once_through_kills_of_a_worker_and_of_the_service(tmp_path: Path) -> None:
    cells = tmp_path / "cells.h5ad"
    draw_cells(seed=3).write_h5ad(cells)
    options = ["--jobs", str(tmp_path / "jobs"), "--workers", "2"]
    settings = {"CELLMARK_JOBS_SHARD_CELLS": "30"}
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with serve(TINY, tmp_path / "first", *options, **settings) as server:
        ids = [give(server, cells, number).json()["id"] for number in range(N_JOBS)]
        os.kill(workers(server)[0], signal.SIGKILL)
        first = all_done(server, ids)
        more = [give(server, cells, N_JOBS + number).json()["id"] for number in range(N_JOBS)]
        for pid in [server.process.pid, *workers(server)]:
            os.kill(pid, signal.SIGKILL)
        server.process.wait()
    with serve(TINY, tmp_path / "second", *options, **settings) as server:
        assert [give(server, cells, number).json()["id"] for number in range(N_JOBS)] == ids
        second = all_done(server, more)
        listed = httpx.get(f"{server.url}/jobs", timeout=30).json()["jobs"]
    assert len(listed) == 2 * N_JOBS
    # The receipts differ in the job's id and time alone, and these are no part of the calls.
    assert len({job["receipt"]["calls_digest"] for job in [*first, *second]}) == 1
    assert {job["n_cells"] for job in [*first, *second]} == {120}
