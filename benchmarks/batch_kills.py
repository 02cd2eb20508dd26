"""Kills a job at random moments, and asks whether its end is the one of a job that nobody killed.

    python benchmarks/batch_kills.py --model BUNDLE --data CELLS.h5ad [--kills 50] [--shard-cells 100]

In turn the process that runs the job, one of two array tasks at work at once, and the process that reads for it get
SIGKILL. After each kill the shards that were recorded before must not be written again. At the end the job is run to
its end, and all files of calls are compared bit for bit with those of an undisturbed job.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

CELLMARK = [sys.executable, "-m", "cellmark.serving.commands.cli", "batch"]
KINDS = ("driver", "array task", "reader")


def recorded(job: Path) -> dict[str, str]:
    """Who scored each recorded shard and when, by its path: the second look at a whole sample keeps both."""
    found = {str(path.relative_to(job)): json.loads(path.read_text()) for path in job.glob("inputs/*/0*.json")}
    return {path: f"{record['process']} {record['started']}" for path, record in found.items()}


def contents(job: Path) -> dict[str, bytes]:
    """Calls of shards and samples."""
    paths = [*job.glob("inputs/*/*.parquet"), *job.glob("results/*")]
    return {str(path.relative_to(job)): path.read_bytes() for path in paths if path.name != "summary.csv"}


def plan(job: Path, arguments: argparse.Namespace) -> None:
    asked = ["plan", str(arguments.data), "-m", str(arguments.model), "-o", str(job), "--format", "csv"]
    subprocess.run([*CELLMARK, *asked, "--shard-cells", str(arguments.shard_cells)], check=True, capture_output=True)


def start(job: Path, *more: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*CELLMARK, "run", str(job), "--quiet", *more], stderr=subprocess.DEVNULL)


def kill_one(kind: str, job: Path, moments: random.Random, longest: float) -> bool:
    """Whether something was killed before it had ended by itself."""
    parts = [("--array-task", f"{number}/2") for number in range(2)] if kind == "array task" else [()]
    running = [start(job, *part) for part in parts]
    time.sleep(moments.uniform(0, longest))
    victim = psutil.Process(moments.choice(running).pid) if running[0].poll() is None else None
    if victim is not None and kind == "reader":
        readers = [child for child in victim.children(recursive=True) if "reader" in " ".join(child.cmdline())]
        victim = moments.choice(readers) if readers else victim
    if victim is not None:
        victim.kill()
    for one in running:
        if kind == "driver" or (kind == "array task" and victim is not None and one.pid == victim.pid):
            one.wait()
        else:
            one.wait(timeout=600)
    return victim is not None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--shard-cells", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    moments, killed, twice = random.Random(arguments.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory(prefix="cellmark-kills-") as scratch:
        whole, job, n_jobs, unlike = Path(scratch) / "whole", Path(scratch) / "job-0", 0, 0
        plan(whole, arguments)
        began = time.perf_counter()
        start(whole).wait()
        longest = (time.perf_counter() - began) * 0.9
        expected = contents(whole)
        if not any(path.startswith("results/") for path in expected):
            raise SystemExit("the undisturbed job has no calls: give cells that fit the model")
        plan(job, arguments)
        while sum(killed.values()) < arguments.kills:
            kind = KINDS[sum(killed.values()) % len(KINDS)]
            before = recorded(job)
            killed[kind] += kill_one(kind, job, moments, longest)
            after = recorded(job)
            twice += sum(after.get(path) != at for path, at in before.items())
            so_far = f"{sum(killed.values())} kills, {n_jobs + 1} jobs, {twice} shards again, {unlike} unlike"
            print(so_far, file=sys.stderr, flush=True)
            if (job / "manifest.json").exists():  # it came to its end between two kills: another one
                unlike += contents(job) != expected
                n_jobs, job = n_jobs + 1, Path(scratch) / f"job-{n_jobs + 1}"
                plan(job, arguments)
        start(job).wait()
        unlike += contents(job) != expected
        drafts = [path for path in Path(scratch).glob("job-*/**/.*-*") if path.is_file()]
    print(f"{sum(killed.values())} kills ({dict(killed)}) of {n_jobs + 1} jobs with {len(expected)} files each")
    print(f"jobs unlike an undisturbed one: {unlike}; shards written again: {twice}; drafts left: {len(drafts)}")
    return int(bool(unlike or twice or drafts))


if __name__ == "__main__":
    sys.exit(main())
