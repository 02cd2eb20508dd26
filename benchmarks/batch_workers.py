"""One and two workers of one scoring thread, each with its reader on a core of its own.

    python benchmarks/batch_workers.py CELLS.h5ad BUNDLE [--only array dask]

Cells a second from the first shard's start to the last one's end, by the records of the job: starts are left out. CELLS
should be uncompressed, so that reading is not the limit. Linux, two cores; `dask` needs the extra.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

CELLMARK = [sys.executable, "-m", "cellmark.serving.commands.cli", "batch"]
ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}


def started(*command: str, core: int | None = None) -> "subprocess.Popen[bytes]":
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    return subprocess.Popen([*pinned, *command], env=ALONE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def array(job: Path, n_workers: int) -> None:
    tasks = [
        started(*CELLMARK, "run", str(job), "--quiet", "--threads", "1", "--array-task", f"{one}/{n_workers}", core=one)
        for one in range(n_workers)
    ]
    if any(task.wait() for task in tasks):
        raise SystemExit("a task failed")


def dask(job: Path, n_workers: int) -> None:
    scheduler = job.parent / "scheduler.json"
    cluster = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        "--scheduler-file",
        str(scheduler),
        "--nthreads",
        "1",
    ]
    with ExitStack() as stack:
        stack.enter_context(ended(started(*cluster, "--no-dashboard", "--scheduler-file", str(scheduler))))
        while not scheduler.exists():
            time.sleep(0.1)
        for core in range(n_workers):
            stack.enter_context(ended(started(*worker, "--no-nanny", "--no-dashboard", core=core)))
        time.sleep(8)  # until all workers are there
        subprocess.run([*CELLMARK, "run", str(job), "--dask", str(scheduler), "--quiet"], check=True, env=ALONE)


def cells_a_second(job: Path) -> float:
    records = [json.loads(path.read_text()) for path in job.glob("inputs/*/0*.json")]
    begin = min(datetime.fromisoformat(one["started"]) for one in records)
    end = max(datetime.fromisoformat(one["finished"]) for one in records)
    return sum(one["stop"] - one["start"] for one in records) / (end - begin).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--only", choices=["array", "dask"], nargs="+", default=["array", "dask"])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    ways = {"array": array, "dask": dask}
    for name in given.only:
        best = {1: 0.0, 2: 0.0}
        for _ in range(given.rounds):
            for n_workers in best:
                with tempfile.TemporaryDirectory(prefix="cellmark-workers-") as scratch:
                    job = Path(scratch) / "job"
                    plan = ["plan", str(given.cells), "-m", str(given.bundle), "-o", str(job), "--shard-cells", "1000"]
                    subprocess.run([*CELLMARK, *plan], check=True, capture_output=True, env=ALONE)
                    ways[name](job, n_workers)
                    best[n_workers] = max(best[n_workers], cells_a_second(job))
        print(f"{name}: {best[1]:,.0f} and {best[2]:,.0f} cells a second, {best[2] / best[1]:.2f} times", flush=True)


if __name__ == "__main__":
    main()
