"""Marker genes beside the methods they must beat: `python benchmarks/markers.py [--only transfer,textbook,stability]`.

Transfer: each method ranks genes on the training side alone; the union over types of the first k genes of each (k = 1,
2, 5, 10) is all that two plain classifiers then see (ln(1 + counts per 10,000); logistic regression, standardised,
balanced, 300 iterations; 15 nearest neighbours, not standardised), trained on the training side and read on the test
side; macro-F1 over types with at least 15 training and 3 test cells. Ours are the markers of `cellmark train` as they
stand in the bundle, seeds 0, 1, 2; rivals are scanpy's and COSG's, which have no seed. Intervals: 200 resamples of
the test cells, the same for both methods of a difference.

Textbook: how many well-known markers of blood cells are in the first ten of their type. Stability: Jaccard index of the
sets of first ten over pairs of 20 bootstraps of the cells; for ours everything is trained anew on each.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.normalization import normalize
from cellmark.training.config import TrainingConfig
from cellmark.training.listener import Listener
from cellmark.training.markers.baseline_markers import baseline_markers
from cellmark.training.markers.marker_ranking import MarkerSettings
from cellmark.training.presets import preset
from cellmark.training.run import train

KS = (1, 2, 5, 10)
SEEDS = (0, 1, 2)
RIVALS = ("wilcoxon", "t-test", "logreg", "cosg")
TEXTBOOK = {
    "B cells": ("MS4A1", "CD79A"),
    "CD14+ Monocytes": ("CD14", "LYZ", "S100A8"),
    "FCGR3A+ Monocytes": ("FCGR3A", "MS4A7"),
    "NK cells": ("GNLY", "NKG7"),
    "CD8 T cells": ("CD8A", "CD8B"),
    "CD4 T cells": ("IL7R",),
    "Dendritic cells": ("FCER1A", "CST3"),
    "Megakaryocytes": ("PPBP", "PF4"),
}
N_RESAMPLES = 200
N_BOOTSTRAPS = 20

Tops = dict[str, list[str]]
"""The first genes of each type, best first."""


@dataclass(frozen=True)
class Fold:
    """Cells of shared types with `obs["label"]` and, on the training side, `obs["donor"]` or none."""

    name: str
    train: ad.AnnData
    test: ad.AnnData


def x_of(adata: ad.AnnData) -> sp.csr_matrix:
    counts = sp.csr_matrix(adata.X).astype(np.float32)
    return normalize(counts, np.asarray(counts.sum(axis=1)).ravel())


def fold_of(name: str, train_side: ad.AnnData, test_side: ad.AnnData, label: str, donor: str | None) -> Fold:
    sides = []
    for side in (train_side, test_side):
        side = side.copy()
        side.obs["label"] = side.obs[label].astype(str).to_numpy()
        if donor is not None:
            side.obs["donor"] = side.obs[donor].astype(str).to_numpy()
        sides.append(side)
    one, other = sides
    types = [
        name
        for name in np.unique(one.obs["label"])
        if (one.obs["label"] == name).sum() >= 15 and (other.obs["label"] == name).sum() >= 3
    ]
    genes = one.var_names.intersection(other.var_names)
    return Fold(name, *(side[side.obs["label"].isin(types), genes].copy() for side in (one, other)))


def folds(shared: Path) -> Iterator[Fold]:
    adata = ad.read_h5ad(shared / "pancreas_baron_human.h5ad")
    for donor in sorted(adata.obs["batch"].astype(str).unique()):
        out = (adata.obs["batch"] == donor).to_numpy()
        yield fold_of(f"pancreas, {donor} out", adata[~out], adata[out], "cell_type", "batch")
    pbmc = ad.read_h5ad(shared / "pbmc3k.h5ad")
    facs = ad.read_h5ad(shared / "pbmc_facs.h5ad")
    yield fold_of("pbmc3k to pbmc_facs", pbmc, facs, "cell_type_coarse", None)


def train_on(
    adata: ad.AnnData,
    folder: Path,
    *,
    seed: int,
    steps: list[tuple[str, float]] | None = None,
    preset_name: str = "default",
    **changes: Any,
) -> Bundle:
    """The bundle of a training on all of these cells (no test part: the test side is elsewhere)."""

    class Clock(Listener):
        def step(self, name: str) -> None:
            if steps is not None:
                steps.append((name, time.process_time()))

    data = folder / "cells.h5ad"
    adata.write_h5ad(data)
    donor = "donor" if "donor" in adata.obs else None
    given = {**preset(preset_name).settings(), **changes}
    config = TrainingConfig(
        data=data, label="label", donor=donor, test_share=0.0, seed=seed, preset=preset_name, **given
    )
    return train(config, folder / "bundle", Clock()).bundle


def ours(adata: ad.AnnData, *, seed: int, preset_name: str = "default", **changes: Any) -> Tops:
    with tempfile.TemporaryDirectory() as folder:
        return tops_of(train_on(adata, Path(folder), seed=seed, preset_name=preset_name, **changes).markers)


def rival(adata: ad.AnnData, method: str) -> Tops:
    cell_types, codes = np.unique(adata.obs["label"].astype(str), return_inverse=True)
    table = baseline_markers(
        x_of(adata), codes, cell_types=list(cell_types), gene_symbols=list(adata.var_names),
        gene_ids=[None] * adata.n_vars, method=method,
    )  # fmt: skip
    return tops_of(table)


def tops_of(markers: pd.DataFrame) -> Tops:
    best = markers[markers["rank"] <= max(KS)].sort_values("rank")
    return {str(name): list(rows["gene_symbol"]) for name, rows in best.groupby("cell_type", observed=True)}


def predictions(fold: Fold, tops: Tops) -> dict[tuple[int, str], np.ndarray]:
    """Calls of the test cells by k and classifier."""
    x_train, x_test = x_of(fold.train).tocsc(), x_of(fold.test).tocsc()
    labels = fold.train.obs["label"].to_numpy()
    found = {}
    for k in KS:
        genes = sorted({gene for name in np.unique(labels) for gene in tops.get(name, [])[:k]})
        columns = fold.train.var_names.get_indexer(genes)
        one, other = x_train[:, columns].toarray(), x_test[:, columns].toarray()
        scaler = StandardScaler().fit(one)
        regression = LogisticRegression(class_weight="balanced", max_iter=300).fit(scaler.transform(one), labels)
        found[k, "LR"] = regression.predict(scaler.transform(other))
        found[k, "kNN"] = KNeighborsClassifier(15).fit(one, labels).predict(other)
    return found


def macro_f1(labels: np.ndarray, calls: np.ndarray) -> float:
    return float(f1_score(labels, calls, labels=np.unique(labels), average="macro"))


def transfer(shared: Path) -> None:
    """The table of macro-F1, and differences with intervals."""
    published = MarkerSettings(ranking="published", baseline="random")
    methods: dict[str, Callable[[Fold], list[Tops]]] = {
        "cellmark": lambda fold: [ours(fold.train, seed=seed) for seed in SEEDS],
        **{method: lambda fold, method=method: [rival(fold.train, method)] for method in RIVALS},
    }
    # The same networks, so that the rankings are compared; the published search would take hours on these cells.
    methods["published"] = lambda fold: [ours(fold.train, seed=0, markers=published)]
    calls: dict[str, dict[str, list[dict[tuple[int, str], np.ndarray]]]] = {}
    labels: dict[str, np.ndarray] = {}
    for fold in folds(shared):
        labels[fold.name] = fold.test.obs["label"].to_numpy()
        for method, tops in methods.items():
            print(f"... {fold.name}: {method}", file=sys.stderr, flush=True)
            calls.setdefault(fold.name, {})[method] = [predictions(fold, top) for top in tops(fold)]
    keys = [(k, classifier) for classifier in ("LR", "kNN") for k in KS]
    print(f"{'':40s} mean  " + "  ".join(f"{classifier}{k:<3d}" for k, classifier in keys))
    scores = {
        name: {
            method: np.mean([[macro_f1(labels[name], run[key]) for key in keys] for run in runs], axis=0)
            for method, runs in of_fold.items()
        }
        for name, of_fold in calls.items()
    }
    pancreas = [name for name in scores if name.startswith("pancreas")]
    scores["pancreas, mean"] = {m: np.mean([scores[name][m] for name in pancreas], axis=0) for m in methods}
    for name, of_fold in scores.items():
        for method, row in of_fold.items():
            print(f"{name:22s} {method:17s} {row.mean():.4f} " + " ".join(f"{value:.3f}" for value in row))
    of_k = {
        m: np.array([scores["pancreas, mean"][m][[i, i + len(KS)]].mean() for i in range(len(KS))]) for m in methods
    }
    others = np.max([row for method, row in of_k.items() if method != "cellmark"], axis=0)
    print("pancreas, cellmark less the best other at k =", KS, ":", np.round(of_k["cellmark"] - others, 4))
    for group in (pancreas, ["pbmc3k to pbmc_facs"]):
        for method in methods:
            if method != "cellmark":
                show_difference({name: calls[name] for name in group}, labels, method)


def show_difference(calls: dict, labels: dict[str, np.ndarray], method: str) -> None:
    generator = np.random.default_rng(0)
    differences = []
    for _ in range(N_RESAMPLES):
        of_folds = []
        for name, of_fold in calls.items():
            drawn = generator.integers(0, len(labels[name]), len(labels[name]))
            means = [
                np.mean([macro_f1(labels[name][drawn], run[key][drawn]) for run in of_fold[m] for key in run])
                for m in ("cellmark", method)
            ]
            of_folds.append(means[0] - means[1])
        differences.append(np.mean(of_folds))
    low, high = np.percentile(differences, [2.5, 97.5])
    print(f"{' + '.join(calls) if len(calls) == 1 else 'pancreas, mean'}: cellmark less {method}: "
          f"{np.mean(differences):+.4f} [{low:+.4f}, {high:+.4f}]")  # fmt: skip


def blood(shared: Path) -> ad.AnnData:
    adata = ad.read_h5ad(shared / "pbmc3k.h5ad")
    adata.obs["label"] = adata.obs["cell_type"].astype(str).to_numpy()
    return adata


def textbook(shared: Path) -> None:
    adata = blood(shared)
    tops = {"cellmark": ours(adata, seed=0), **{method: rival(adata, method) for method in RIVALS}}
    for method, of_type in tops.items():
        found = [gene for name, genes in TEXTBOOK.items() for gene in genes if gene in of_type[name][:10]]
        missing = [gene for genes in TEXTBOOK.values() for gene in genes if gene not in found]
        print(f"textbook markers, {method:10s}: {len(found)} of {len(found) + len(missing)}; not: {', '.join(missing)}")
    for name, genes in tops["cellmark"].items():
        print(f"  {name:20s} {', '.join(genes)}")


def stability(shared: Path, n_bootstraps: int) -> None:
    adata = blood(shared)
    generator = np.random.default_rng(0)
    found: dict[str, list[Tops]] = {"cellmark": [], "wilcoxon": [], "logreg": []}
    for draw in range(n_bootstraps):
        print(f"... bootstrap {draw}", file=sys.stderr, flush=True)
        drawn = np.concatenate(
            [
                generator.choice(cells, len(cells))
                for cells in adata.obs.groupby("label", observed=True).indices.values()
            ]
        )
        resampled = adata[np.sort(drawn)].copy()
        resampled.obs_names = [f"c{number}" for number in range(resampled.n_obs)]
        for method, tops in found.items():
            tops.append(ours(resampled, seed=draw) if method == "cellmark" else rival(resampled, method))
    for method, tops in found.items():
        values = [
            len(set(a[name]) & set(b[name])) / len(set(a[name]) | set(b[name]))
            for a, b in combinations(tops, 2)
            for name in a
        ]
        print(
            f"stability, {method:10s}: mean Jaccard of first ten over {n_bootstraps} bootstraps {np.mean(values):.3f}"
        )


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--only", default="transfer,textbook,stability")
    parser.add_argument("--bootstraps", type=int, default=N_BOOTSTRAPS)
    given = parser.parse_args()
    for part in given.only.split(","):
        if part == "transfer":
            transfer(given.shared)
        elif part == "textbook":
            textbook(given.shared)
        else:
            stability(given.shared, given.bootstraps)


if __name__ == "__main__":
    main()
