"""cellmark beside CellTypist on the same cells: `python benchmarks/rivals.py [--shared ../shared/data]`.

Both train on the same cells and call the same others. CellTypist runs in an environment of its own, which is made in a
cache folder the first time (`--cache`), gets values normalised as it asks, and calls in four ways: its best match and
its "prob match" (which leaves cells unassigned), each by cell and with its majority vote. cellmark votes over the same
clusters. No setting of either is chosen by the cells that are called.

- blood: trained on `pbmc3k` (coarse types), asked about the sorted cells of `pbmc_facs`: T, B and NK cells, monocytes,
  and CD34+ cells, which no training has
- pancreas: trained on three donors of `pancreas_baron_human`, asked about the fourth, four times; each time a type that
  the fourth has many cells of is left out of the training
- cell lines: trained on two plates of `mix5cl_celseq2`, asked about the third, three times; each time one line is left
  out of the training

Types with fewer than 15 training cells are removed from both sides. Each model is also asked about cells of another
tissue, and about the first of its test cells in units that people hand in by mistake. Prints the tables of
docs/rivals.md; `--keep FOLDER` keeps what both answered.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.metrics import f1_score

import cellmark as cm

HERE = Path(__file__).resolve().parent
CELLTYPIST = ("celltypist==1.7.1", "scikit-learn==1.7.2")
"""CellTypist 1.7.1 calls scikit-learn with an option that its release 1.8 has no more."""
LEAST_CELLS = 15
"""Training cells of a type."""
OTHER_TISSUE = 1000
"""Cells of another tissue that each model is asked about."""
UNASSIGNED = ("unassigned", "Unassigned")


@dataclass(frozen=True)
class Task:
    """One model to train and what it is asked. All hold raw counts, and `cell_type` and `batch` in `obs`."""

    data_set: str
    name: str
    training: ad.AnnData
    test: ad.AnnData
    other_tissue: ad.AnnData


def read(path: Path, label: str = "cell_type") -> ad.AnnData:
    adata = ad.read_h5ad(path)
    obs = pd.DataFrame({"cell_type": adata.obs[label].astype(str), "batch": adata.obs["batch"].astype(str)})
    return ad.AnnData(sp.csr_matrix(adata.X, dtype=np.float32), obs=obs, var=pd.DataFrame(index=adata.var_names))


def some(adata: ad.AnnData, n_cells: int = OTHER_TISSUE) -> ad.AnnData:
    return adata[np.sort(np.random.default_rng(0).permutation(adata.n_obs)[:n_cells])].copy()


def enough(adata: ad.AnnData, without: str | None = None) -> ad.AnnData:
    """The cells of types with enough cells."""
    sizes = adata.obs["cell_type"].value_counts()
    return adata[adata.obs["cell_type"].isin(sizes.index[sizes >= LEAST_CELLS].difference([without]))].copy()


def tasks(shared: Path) -> Iterator[Task]:
    blood, sorted_blood = (read(shared / f"{name}.h5ad", "cell_type_coarse") for name in ("pbmc3k", "pbmc_facs"))
    pancreas, lines = (read(shared / f"{name}.h5ad") for name in ("pancreas_baron_human", "mix5cl_celseq2"))
    yield Task("blood", "pbmc3k to pbmc_facs", enough(blood), sorted_blood, some(pancreas))
    for whole, data_set, other in ((pancreas, "pancreas", sorted_blood), (lines, "cell lines", blood)):
        for batch, unseen in left_out(whole, keep=2 if whole is pancreas else 0):
            out = (whole.obs["batch"] == batch).to_numpy()
            training = enough(whole[~out], without=unseen)
            asked = np.isin(whole.obs["cell_type"], [*training.obs["cell_type"].unique(), unseen]) & out
            yield Task(data_set, f"{batch} out, no {unseen}", training, whole[asked].copy(), some(other))


def left_out(whole: ad.AnnData, *, keep: int) -> Iterator[tuple[str, str]]:
    """For each donor or plate, the type of which it has most cells, but for the `keep` most frequent types of all and
    for those left out before.
    """
    gone = whole.obs["cell_type"].value_counts().index[:keep].tolist()
    for batch in sorted(whole.obs["batch"].unique()):
        sizes = whole.obs.loc[whole.obs["batch"] == batch, "cell_type"].value_counts()
        gone.append(sizes.index[~sizes.index.isin(gone)][0])
        yield batch, gone[-1]


def in_other_units(adata: ad.AnnData) -> dict[str, ad.AnnData]:
    """The same cells as people hand them in, by a name of each kind."""
    counts = sp.csr_matrix(adata.X, dtype=np.float32)
    totals = np.asarray(counts.sum(axis=1)).ravel()

    def per(total: float) -> sp.csr_matrix:
        return sp.csr_matrix(sp.diags(total / totals) @ counts, dtype=np.float32)

    def of(matrix: Any, genes: Any = slice(None)) -> ad.AnnData:
        return ad.AnnData(matrix[:, genes], obs=adata.obs[[]], var=adata.var.iloc[genes])

    log = per(1e4).log1p()
    dense = log.toarray()
    spread = dense.std(axis=0)
    scaled = np.clip((dense - dense.mean(axis=0)) / np.where(spread > 0, spread, 1), None, 10)
    variable = np.sort(np.argsort(-spread, kind="stable")[:2000])
    return {
        "raw counts": of(counts),
        "ln(1 + counts per 10,000)": of(log),
        "the same, logarithm taken twice": of(log.log1p()),
        "ln(1 + counts), not per 10,000": of(counts.log1p()),
        "log2(1 + counts per 10,000)": of(log / np.float32(np.log(2))),
        "ln(1 + counts per million)": of(per(1e6).log1p()),
        "ln(1 + counts per 10,000), 2,000 most variable genes": of(log, variable),
        "scaled to mean 0 and variance 1": of(scaled.astype(np.float32)),
    }


def ask_celltypist(python: Path, folder: Path) -> dict[str, Any]:
    command = [python, HERE / "rivals_celltypist.py", folder]
    with (folder / "celltypist.log").open("w") as log:
        if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode:
            sys.exit(f"CellTypist failed: {(folder / 'celltypist.log').read_text()[-2000:]}")
    return json.loads((folder / "celltypist.json").read_text())


def measure(task: Task, folder: Path, python: Path, *, units: bool) -> dict[str, list[dict[str, Any]]]:
    """Rows of the tables. `units`: ask in other units as well."""
    known = task.test.obs["cell_type"].isin(task.training.obs["cell_type"]).to_numpy()
    truth = task.test.obs["cell_type"].astype(str).to_numpy()
    queries = {"query-test": task.test, "query-other": task.other_tissue}
    inputs = in_other_units(task.test[known].copy()) if units else {}
    task.training.write_h5ad(folder / "train.h5ad")
    for name, adata in queries.items():
        adata.write_h5ad(folder / f"{name}.h5ad")
    for number, adata in enumerate(inputs.values()):
        adata.write_h5ad(folder / f"input-{number}.h5ad")
    theirs = ask_celltypist(python, folder)

    start = time.perf_counter()
    donors = "batch" if len(set(task.training.obs["batch"])) > 1 else None
    model = cm.train(task.training, donor=donors, test_share=0, verbose=False)
    seconds = time.perf_counter() - start
    model.annotate(task.test[:2].copy(), inplace=False)  # loads the graphs
    ways: dict[str, dict[str, np.ndarray]] = {}
    times = {"cellmark": {"train": seconds}, "CellTypist": {"train": theirs["train_seconds"]}}
    for name, adata in queries.items():
        table = pd.read_csv(folder / f"celltypist-{name}.csv", index_col=0, dtype=str)
        start = time.perf_counter()
        ours = model.annotate(adata, inplace=False)
        times["cellmark"][name] = time.perf_counter() - start
        times["CellTypist"][name] = theirs[f"{name}_seconds"]
        voted = model.annotate(adata, inplace=False, over=table["cluster"].to_numpy())
        assert ours is not None
        assert voted is not None
        ours.to_csv(folder / f"cellmark-{name}.csv")
        found = {
            "cellmark": ours["cellmark_cell_type"],
            "cellmark, vote": voted["cellmark_majority_cell_type"],
            "cellmark, best type whatever its novelty": ours["cellmark_best_cell_type"],
        }
        found |= {f"CellTypist, {way}": table[way] for way in table if way != "cluster"}
        for way, calls in found.items():
            ways.setdefault(way, {})[name] = calls.astype(str).to_numpy()
    types = [name for name, n in zip(*np.unique(truth[known], return_counts=True), strict=True) if n >= 3]
    shared = {"data set": task.data_set, "task": task.name}
    rows = [
        {
            **shared,
            "way": way,
            "unseen cells": int((~known).sum()),
            "right": float((calls["query-test"] == truth)[known].mean()),
            "macro-F1": f1_score(
                truth[known], calls["query-test"][known], labels=types, average="macro", zero_division=0
            ),
            "known cells unassigned": share_unassigned(calls["query-test"][known]),
            "unseen type unassigned": share_unassigned(calls["query-test"][~known]),
            "other tissue unassigned": share_unassigned(calls["query-other"]),
        }
        for way, calls in ways.items()
    ]
    sizes = {"training cells": task.training.n_obs, "cells called": task.test.n_obs}
    timed = [
        {**shared, "tool": tool, **sizes, "train s": took["train"], "annotate s": took["query-test"]}
        for tool, took in times.items()
    ]
    in_units = [
        {
            **shared,
            "input": what,
            "cellmark": said_by_cellmark(model, adata, truth[known]),
            "CellTypist": said_by_celltypist(folder, f"input-{number}", theirs, truth[known]),
        }
        for number, (what, adata) in enumerate(inputs.items())
    ]
    return {"calls": rows, "times": timed, "inputs": in_units, "versions": [theirs["versions"]]}


def share_unassigned(calls: np.ndarray) -> float:
    return float(np.isin(calls, UNASSIGNED).mean()) if len(calls) else float("nan")


def said_by_cellmark(model: cm.Model, adata: ad.AnnData, truth: np.ndarray) -> str:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            calls = model.annotate(adata, inplace=False)
        except cm.CellmarkError as refusal:
            return f"refused ({', '.join(sorted({finding.code for finding in refusal.findings}))})"
    assert calls is not None
    right = (calls["cellmark_cell_type"].astype(str).to_numpy() == truth).mean()
    warned = any(issubclass(one.category, cm.CellmarkWarning) for one in heard)
    return f"{right:.3f}{', warns' if warned else ''}"


def said_by_celltypist(folder: Path, name: str, theirs: dict[str, Any], truth: np.ndarray) -> str:
    if "refused" in theirs[name]:
        return "refused"
    calls = pd.read_csv(folder / f"celltypist-{name}.csv", index_col=0, dtype=str)["best match"].to_numpy()
    return f"{(calls == truth).mean():.3f}{', warns' if theirs[name]['warnings'] else ''}"


def celltypist_python(cache: Path) -> Path:
    """The Python of an environment with CellTypist, which is made where there is none."""
    folder = cache / "-".join(CELLTYPIST).replace("==", "-")
    python, done = folder / "bin" / "python", folder / "complete"
    if not done.exists():
        print(f"Installing {' '.join(CELLTYPIST)} into {folder}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pins = (HERE.parent / "constraints.txt").read_text().splitlines(keepends=True)
        (folder / "pins.txt").write_text("".join(pin for pin in pins if not pin.startswith("scikit-learn==")))
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--constraint", folder / "pins.txt", *CELLTYPIST], check=True)
        done.touch()
    return python


def over_tasks(calls: pd.DataFrame) -> pd.DataFrame:
    """The mean over the tasks of a data set; unseen cells count one by one, since some tasks have few."""
    calls = calls.drop(columns="task")
    unseen, share = calls["unseen cells"], "unseen type unassigned"
    grouped = calls.assign(**{share: calls[share] * unseen}).groupby(["data set", "way"], sort=False)
    found = grouped.mean()
    found["unseen cells"] = grouped["unseen cells"].sum()
    found[share] = grouped[share].sum() / found["unseen cells"]
    return found.reset_index()


def markdown(table: pd.DataFrame) -> str:
    shown = table.map(lambda value: f"{value:.3f}" if isinstance(value, float) else str(value))
    lines = [" | ".join(map(str, shown.columns)), "|".join(["---"] * shown.shape[1])]
    return "\n".join(f"| {line} |" for line in [*lines, *(" | ".join(row) for row in shown.to_numpy())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=HERE.parents[1] / "shared" / "data")
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("--cache", type=Path, default=caches / "cellmark-benchmarks")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", choices=["blood", "pancreas", "cell lines"], nargs="+")
    given = parser.parse_args()
    python = celltypist_python(given.cache)
    warnings.simplefilter("ignore", cm.CellmarkWarning)
    found: dict[str, list[dict[str, Any]]] = {"calls": [], "times": [], "inputs": [], "versions": []}
    asked_in_units: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch:
        for task in tasks(given.shared):
            if given.only and task.data_set not in given.only:
                continue
            folder = (given.keep or Path(scratch)) / task.name.replace(" ", "_").replace(",", "")
            folder.mkdir(parents=True)
            rows = measure(task, folder, python, units=task.data_set not in asked_in_units)
            asked_in_units.add(task.data_set)
            for part, values in rows.items():
                found[part] += values
            print(f"{task.data_set}: {task.name} done", file=sys.stderr, flush=True)
    calls = pd.DataFrame(found["calls"])
    print(f"Versions of the other environment: {found['versions'][0]}\n")
    for table in (
        over_tasks(calls),
        calls,
        pd.DataFrame(found["times"]),
        pd.DataFrame(found["inputs"]).drop(columns="task"),
    ):
        print(markdown(table), end="\n\n")


if __name__ == "__main__":
    main()
