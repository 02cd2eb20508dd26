"""Batch scoring of 100,000 and 1,000,000 cells x 20,000 genes: `python benchmarks/batch.py FOLDER`.

FOLDER keeps what is made once: the cells (`batch_data.py`, 5 GB), a model trained on the cells that they were made of,
and an environment with CellTypist. Every measurement is a process of its own, start and imports included; those that
are compared take turns on a file that has just been read, so that it is in the page cache.

- `stream`: `cellmark batch plan` and `run`, against h5py and backed anndata that read the same rows to CSR and sum
  them; also the largest sum of PSS (shared pages divided by their users) over the process tree, and the shards alone
- `celltypist`: 50,000 cells, from the file to calls on disk, and from an AnnData in memory to calls
- `explain`: `batch run` of 20,000 cells with and without the twenty genes behind each call
- `workers`: one process of one scoring thread, and two array tasks of one thread at once
"""

import argparse
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared" / "data" / "pancreas_baron_human.h5ad"
SAMPLE_EVERY = 0.2
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Measured:
    """`seconds` of the wall clock and `cpu` of a command, imports included; `peak`: bytes of the process tree;
    `told`: what it printed last, if that was JSON.
    """

    seconds: float
    cpu: float
    peak: int
    told: dict[str, float]


def measure(*commands: Sequence[str | Path]) -> Measured:
    """Run commands at once, until all have ended. Raises when one fails."""
    import psutil

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    me, peak, start, before = psutil.Process(), 0, time.perf_counter(), _cpu()
    running = [
        subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    while any(process.poll() is None for process in running):
        peak = max(peak, sum(_pss(child.pid) for child in me.children(recursive=True)))
        time.sleep(SAMPLE_EVERY)
    seconds, told = time.perf_counter() - start, {}
    for process, command in zip(running, commands, strict=True):
        output, errors = process.communicate()
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{output}\n{errors}")
        last = output.strip().splitlines()[-1:]
        told = json.loads(last[0]) if last and last[0].startswith("{") else told
    while _reap():
        pass
    return Measured(seconds, _cpu() - before, peak, told)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _reap() -> bool:
    """Wait for a process that its parent left behind; whether there was one."""
    try:
        return os.waitpid(-1, 0)[0] > 0
    except ChildProcessError:
        return False


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def cellmark(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "cellmark.serving.commands.cli", *arguments]


def rival(kind: str, *arguments: str | Path, python: str | Path = sys.executable) -> list[str | Path]:
    return [python, HERE / "batch_rivals.py", kind, *arguments]


# What is measured


def stream(folder: Path, rounds: int, sizes: Sequence[int] = (100_000, 1_000_000)) -> Iterator[str]:
    yield "| cells | file | h5py | anndata, backed | plan and run | x the faster | shards alone | CPU | peak memory |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for n_cells in sizes:
        path = cells_file(folder, n_cells)
        ways: dict[str, Callable[[], Measured]] = {
            "h5py": lambda path=path: measure(rival("h5py", path)),
            "anndata": lambda path=path: measure(rival("anndata", path)),
            "cellmark": lambda path=path: plan_and_run(folder, path),
        }
        found = in_turns(ways, rounds, path)
        h5py, anndata, ours = (typical(found[name]) for name in ways)
        fastest = min(h5py.seconds, anndata.seconds)
        yield (
            f"| {n_cells:,} | {path.stat().st_size / 1e9:.2f} GB | {h5py.seconds:.1f} s | {anndata.seconds:.1f} s | "
            f"{ours.seconds:.1f} s | {ours.seconds / fastest:.2f} x | {ours.told['shards'] / fastest:.2f} x | "
            f"{ours.cpu:.0f} s, h5py {h5py.cpu:.0f} s | "
            f"{ours.peak / 1e6:,.0f} MB |"
        )


def celltypist(folder: Path, rounds: int) -> Iterator[str]:
    path, python = cells_file(folder, 50_000), celltypist_python(folder)
    models = {"300 genes a type": "selected", "all genes (its default)": "all"}
    for kind in models.values():
        if not (folder / f"celltypist_{kind}.pkl").exists():
            measure(rival("celltypist-train", SHARED, folder / f"celltypist_{kind}.pkl", kind, python=python))
    annotators = {"cellmark": (), "cellmark, distilled": ("--distilled",)}
    ways: dict[str, Callable[[], Measured]] = {}
    for name, flags in annotators.items():
        asked = ("annotate", path, "-m", model_of(folder), *flags, "-o")
        ways[name] = lambda asked=asked: measure(cellmark(*asked, out(folder, "a.parquet")))
        ways[f"{name}, in memory"] = lambda flags=flags: measure(rival("memory", path, model_of(folder), *flags))
    for name, kind in models.items():
        ways[f"CellTypist, {name}"] = lambda kind=kind: measure(
            rival("celltypist", path, folder / f"celltypist_{kind}.pkl", python=python)
        )
    found = in_turns(ways, rounds, path)
    whole = {name: typical(found[name]) for name in annotators}
    memory = {name: typical(found[f"{name}, in memory"]).told["calls"] for name in annotators}
    rivals = {f"CellTypist, {name}": typical(found[f"CellTypist, {name}"]) for name in models}
    yield "| 50,000 cells | file to calls | a second | peak memory | in memory | a second | x cellmark | x distilled |"
    yield "|---|---|---|---|---|---|---|---|"
    for name in annotators:
        seconds, calls = whole[name].seconds, memory[name]
        yield (
            f"| {name} | {seconds:.1f} s | {50_000 / seconds:,.0f} | {whole[name].peak / 1e6:,.0f} MB | "
            f"{calls:.1f} s | {50_000 / calls:,.0f} | | |"
        )
    for name, theirs in rivals.items():
        seconds, calls = theirs.seconds, theirs.told["calls"]
        times = [f"{seconds / whole[own].seconds:.1f}, in memory {calls / memory[own]:.1f}" for own in annotators]
        yield (
            f"| {name} | {seconds:.1f} s | {50_000 / seconds:,.0f} | {theirs.peak / 1e6:,.0f} MB | {calls:.1f} s | "
            f"{50_000 / calls:,.0f} | {times[0]} | {times[1]} |"
        )


def explain(folder: Path, rounds: int) -> Iterator[str]:
    path = cells_file(folder, 20_000)
    ways: dict[str, Callable[[], Measured]] = {
        "calls": lambda: plan_and_run(folder, path),
        "explained": lambda: plan_and_run(folder, path, planning=("--explain", "20")),
    }
    found = in_turns(ways, rounds, path)
    plain, explained = (min(measured.told["score"] for measured in found[name]) for name in ways)
    yield f"calls of 20,000 cells {plain:.2f} s, with 20 genes each {explained:.2f} s: {explained / plain:.2f} x"


def workers(folder: Path, rounds: int) -> Iterator[str]:
    path = cells_file(folder, 100_000)
    one = ("--threads", "1")
    ways: dict[str, Callable[[], Measured]] = {
        "one": lambda: plan_and_run(folder, path, planning=("--shard-cells", "10000"), running=[one]),
        "two": lambda: plan_and_run(
            folder,
            path,
            planning=("--shard-cells", "10000"),
            running=[(*one, "--array-task", "0/2"), (*one, "--array-task", "1/2")],
        ),
    }
    found = in_turns(ways, rounds, path)
    alone, both = (min(measured.told["run"] for measured in found[name]) for name in ways)
    yield f"100,000 cells, one thread: one process {alone:.1f} s, two array tasks {both:.1f} s: {alone / both:.2f} x"


def plan_and_run(
    folder: Path, path: Path, *, planning: Sequence[str] = (), running: Sequence[Sequence[str]] = ((),)
) -> Measured:
    """A job from its start. `told`: seconds of `run`, and those of scoring within the shards (`score`)."""
    job = out(folder, "job")
    planned = measure(cellmark("batch", "plan", path, "-m", model_of(folder), "-o", job, *planning))
    ran = measure(*(cellmark("batch", "run", job, "--quiet", *options) for options in running))
    records = [json.loads(file.read_text()) for file in sorted(job.glob("inputs/*/[0-9]*.json"))]
    spent = {stage: sum(one["seconds"][stage] for one in records) for stage in ("open", "score", "write")}
    told = {"run": ran.seconds, "shards": sum(spent.values()), **spent}
    n_cells = sum(one["stop"] - one["start"] for one in records)
    if n_cells != int(path.stem.rpartition("_")[2]):
        raise SystemExit(f"calls of {n_cells} cells")
    return Measured(planned.seconds + ran.seconds, planned.cpu + ran.cpu, max(planned.peak, ran.peak), told)


def in_turns(ways: dict[str, Callable[[], Measured]], rounds: int, path: Path) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            read_once(path)
            found[name].append(way())
            print(f"    {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    return found


def typical(found: list[Measured]) -> Measured:
    """The fastest run, with the largest peak of all."""
    best = min(found, key=lambda measured: measured.seconds)
    return Measured(best.seconds, best.cpu, max(measured.peak for measured in found), best.told)


def read_once(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(2**24):
            pass


# What is made once


def cells_file(folder: Path, n_cells: int) -> Path:
    subprocess.run([sys.executable, HERE / "batch_data.py", folder, "--cells", str(n_cells)], check=True, stdout=2)
    return folder / f"cells_{n_cells}.h5ad"


def model_of(folder: Path) -> Path:
    model = folder / "model"
    if not model.exists():
        from cellmark.training.config import TrainingConfig
        from cellmark.training.listener import Listener
        from cellmark.training.run import train

        train(TrainingConfig(data=SHARED, distill=True), model, Listener())
    return model


def celltypist_python(folder: Path) -> Path:
    """The Python of an environment with CellTypist."""
    python = folder / "celltypist" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        install = ["uv", "pip", "install", "--quiet", "--python", python, "-c", HERE.parent / "constraints.txt"]
        subprocess.run([sys.executable, "-m", *install, "celltypist"], check=True)
    return python


def out(folder: Path, name: str) -> Path:
    """A place where nothing is."""
    place = folder / "out"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place / name


SECTIONS: dict[str, Callable[..., Iterator[str]]] = {
    "stream": stream,
    "celltypist": celltypist,
    "explain": explain,
    "workers": workers,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--cells", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for section in arguments.only:
        sizes = [arguments.cells] if section == "stream" else []
        for line in SECTIONS[section](folder, arguments.rounds, *sizes):
            print(line, flush=True)


if __name__ == "__main__":
    main()
