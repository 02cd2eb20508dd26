"""What the method costs: `python benchmarks/training.py [--only reference,pbmc3k] [--shared ../shared]`.

reference: the presets on the 660 cells of the published results, each in a process of its own; processor seconds from
reading to the bundle, imports excluded, beside a yardstick measured in the same run: 200 products of 2,000 x 2,000
float32 in torch on two threads, which took 84 processor seconds where the published programs took 32 minutes.

statistics: permutation test (1,000 permutations), candidates and marker scores on the published contributions, which
took the published programs 24 s; one thread, median of five.

quality: macro-F1 of plain classifiers on the first k genes of either preset (see markers.py), the same 660 cells, three
times 70 % against 30 %.

pbmc3k: `cellmark train`, default preset, time and peak memory of the whole process.

members: 1 to 15 members on pancreas, each donor out in turn: macro-F1, calibration (expected calibration error, 15
bins), quality of markers, processor seconds to fit, cells per second of `annotate` and `explain` in Python.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from cellmark.training.listener import Listener
from cellmark.training.presets import preset

SHARED = Path(__file__).resolve().parents[2] / "shared"
PUBLISHED_SECONDS, PUBLISHED_YARDSTICK = 32 * 60, 84
MEMBERS = (1, 3, 5, 8, 15)


def yardstick() -> float:
    torch.set_num_threads(2)
    a, b = torch.rand(2000, 2000), torch.rand(2000, 2000)
    a @ b
    began = time.process_time()
    for _ in range(200):
        a @ b
    return time.process_time() - began


def reference_cells(shared: Path) -> ad.AnnData:
    table = pd.read_parquet(shared / "reference" / "pbmc68k" / "counts.parquet")
    counts = table.drop(columns=["cell_id", "cell_type"])
    obs = pd.DataFrame({"label": table["cell_type"].to_numpy()}, index=table["cell_id"].astype(str).to_numpy())
    obs["total"] = counts.to_numpy().sum(axis=1)
    return ad.AnnData(sp.csr_matrix(counts.to_numpy(np.float32)), obs=obs, var=pd.DataFrame(index=counts.columns))


def measured(data: Path, name: str, folder: Path, **settings: Any) -> dict[str, Any]:
    """A training in a process of its own: its seconds and peak memory."""
    job = {"data": str(data), "preset": name, "folder": str(folder), "settings": settings}
    ran = subprocess.run(
        [sys.executable, __file__, "--job", json.dumps(job)], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def run_job(job: dict[str, Any]) -> None:
    """In the child: train, then print what it took."""

    from cellmark.training.config import TrainingConfig
    from cellmark.training.run import train

    class Clock(Listener):
        def __init__(self) -> None:
            self.steps: list[tuple[str, float, float]] = []

        def step(self, name: str) -> None:
            self.steps.append((name, time.process_time(), time.perf_counter()))

    chosen = preset(job["preset"])
    clock = Clock()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    config = TrainingConfig(data=Path(job["data"]), preset=job["preset"], **{**chosen.settings(), **job["settings"]})
    cpu, wall = time.process_time(), time.perf_counter()
    train(config, Path(job["folder"]), clock)
    clock.step("end")
    steps = {
        name: round(after - before, 2)
        for (name, before, _), (_, after, _) in zip(clock.steps[:-1], clock.steps[1:], strict=True)
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    found = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "peak_gb": peak, "imports_gb": base,
             "cpu_with_imports": time.process_time(), "steps": steps}  # fmt: skip
    print(json.dumps(found))


def reference(shared: Path) -> None:
    adata = reference_cells(shared)
    ours = yardstick()
    budget = PUBLISHED_SECONDS * ours / PUBLISHED_YARDSTICK
    print(
        f"yardstick {ours:.1f} processor s here, {PUBLISHED_YARDSTICK} there: 32 minutes there are {budget:.0f} s here"
    )
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "reference.h5ad"
        adata.write_h5ad(data)
        for name in ("published", "default"):
            found = measured(
                data, name, Path(scratch) / name, label="label", library_size="total", test_share=0.0, min_cells=30
            )
            print(
                f"{name:10s} {found['cpu']:6.1f} processor s ({found['cpu_with_imports']:.1f} with imports), "
                f"{found['wall']:.1f} s, {found['peak_gb']:.2f} GB: published is {budget / found['cpu']:.1f} x that"
            )
            print(f"           {found['steps']}")
    print(f"yardstick again {yardstick():.1f}")


def statistics(shared: Path) -> None:
    from cellmark.training.markers.published_ranking import published_ranking

    folder = shared / "reference" / "pbmc68k"
    counts = pd.read_parquet(folder / "counts.parquet").set_index("cell_id")
    labels = counts.pop("cell_type")
    table = pd.read_parquet(folder / "contributions.parquet")
    keys = [name for name in ("cell_id", "cell_type") if name in table]
    cells = table.get("cell_id", table.index)
    contributions = table.drop(columns=keys)
    names, codes = np.unique(labels, return_inverse=True)
    of_cell = dict(zip(labels.index, codes, strict=True))
    matrix = sp.csr_matrix(counts.to_numpy(np.float32))
    columns = counts.columns.get_indexer(contributions.columns)
    torch.set_num_threads(1)
    times = []
    for seed in range(5):
        began = time.perf_counter()
        published_ranking(
            contributions.to_numpy(), np.array([of_cell[cell] for cell in cells]), counts=matrix, count_codes=codes,
            n_types=len(names), columns=columns, seed=seed,
        )  # fmt: skip
        times.append(time.perf_counter() - began)
    print(f"statistics to table: {np.median(times):.2f} s (from {min(times):.2f} to {max(times):.2f})")


def reference_quality(shared: Path) -> None:
    from markers import KS, Fold, macro_f1, ours, predictions

    adata = reference_cells(shared)
    generator = np.random.default_rng(0)
    scores: dict[str, list[float]] = {"published": [], "default": []}
    for _ in range(3):
        test = np.concatenate(
            [generator.choice(cells, int(0.3 * len(cells)), replace=False)
             for cells in adata.obs.groupby("label", observed=True).indices.values()]
        )  # fmt: skip
        is_test = np.isin(np.arange(adata.n_obs), test)
        fold = Fold("reference", adata[~is_test].copy(), adata[is_test].copy())
        labels = fold.test.obs["label"].to_numpy()
        for name, values in scores.items():
            calls = predictions(fold, ours(fold.train, seed=0, preset_name=name, library_size="total"))
            values.append(float(np.mean([macro_f1(labels, call) for call in calls.values()])))
    for name, values in scores.items():
        print(f"markers of {name:10s} macro-F1, mean over k = {KS}: {np.mean(values):.4f} {np.round(values, 3)}")


def pbmc3k(shared: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{scratch}/mlflow.db"}
        command = ["cellmark", "train", str(shared / "data" / "pbmc3k.h5ad"), "--name", "pbmc3k"]
        began = time.perf_counter()
        subprocess.run(command, cwd=scratch, env=environment, check=True, capture_output=True)
        seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"cellmark train pbmc3k.h5ad: {seconds:.0f} s, {used.ru_utime + used.ru_stime:.0f} processor s, "
          f"peak {used.ru_maxrss / 1e6:.2f} GB, with imports, MLflow and registration")  # fmt: skip


def calibration_error(probabilities: np.ndarray, right: np.ndarray) -> float:
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return float(np.sum(gaps) / len(right))


def members(shared: Path) -> None:
    from markers import folds, macro_f1, predictions, tops_of, train_on

    from cellmark.serving import Annotator

    print("members  macro-F1  calibration error  markers   fit s (processor)  annotate cells/s  explain cells/s")
    for n_members in MEMBERS:
        rows = []
        for fold in folds(shared / "data"):
            if not fold.name.startswith("pancreas"):
                continue
            with tempfile.TemporaryDirectory() as scratch:
                began = time.process_time()
                steps: list[tuple[str, float]] = []
                train_on(fold.train, Path(scratch), seed=0, n_members=n_members, steps=steps)
                seconds = next(b - a for (name, a), (_, b) in pairwise(steps) if "Fitting" in name)
                annotator = Annotator.load(Path(scratch) / "bundle")
                labels = fold.test.obs["label"].to_numpy()
                annotated = annotator.annotate(fold.test)
                calls = annotated["cellmark_cell_type"].astype(str).to_numpy()
                confidence = annotated["cellmark_confidence"].to_numpy()[:, None]
                many = ad.concat([fold.test] * (2000 // fold.test.n_obs + 1), index_unique="-")
                many.obs_names_make_unique()
                rates = []
                for work in (annotator.annotate, annotator.explain):
                    work(fold.test)
                    began = time.perf_counter()
                    work(many)
                    rates.append(many.n_obs / (time.perf_counter() - began))
                found = predictions(fold, tops_of(annotator.session.bundle.markers))
                quality = np.mean([macro_f1(labels, call) for call in found.values()])
                rows.append(
                    [macro_f1(labels, calls), calibration_error(confidence, calls == labels), quality, seconds, *rates]
                )
        mean = np.mean(rows, axis=0)
        print(f"{n_members:7d}  {mean[0]:.4f}    {mean[1]:.4f}             {mean[2]:.4f}    {mean[3]:6.1f}            "
              f"{mean[4]:8.0f}          {mean[5]:8.0f}", flush=True)  # fmt: skip


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--only", default="reference,statistics,quality,pbmc3k,members")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        run_job(json.loads(given.job))
        return
    parts = {
        "reference": reference,
        "statistics": statistics,
        "quality": reference_quality,
        "pbmc3k": pbmc3k,
        "members": members,
    }
    for name in given.only.split(","):
        parts[name](given.shared)


if __name__ == "__main__":
    main()
