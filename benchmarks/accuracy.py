"""Accuracy on other donors, plates and data sets: `python benchmarks/accuracy.py [--shared ../shared/data]`.

Protocol: genes common to both sides; types with at least 15 training and 3 test cells, all others removed from both;
macro-F1 over those types; mean of seeds 0, 1, 2. The training side is what `cellmark train` gets with `--donor` and
`--hold-out` (or, across data sets, `--test`): its validation cells are taken from it, the test cells are read once.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np

from cellmark.training.config import TrainingConfig
from cellmark.training.listener import Listener
from cellmark.training.run import train

SEEDS = (0, 1, 2)


def shared_types(train_labels: np.ndarray, test_labels: np.ndarray) -> list[str]:
    return [
        name
        for name in np.unique(train_labels)
        if (train_labels == name).sum() >= 15 and (test_labels == name).sum() >= 3
    ]


def held_out_donors(path: Path, donors: list[str]) -> Iterator[tuple[str, ad.AnnData, str]]:
    adata = ad.read_h5ad(path)
    for donor in donors:
        out = (adata.obs["batch"] == donor).to_numpy()
        labels = adata.obs["cell_type"].astype(str).to_numpy()
        kept = np.isin(labels, shared_types(labels[~out], labels[out]))
        yield f"{path.stem}, {donor} out", adata[kept].copy(), donor


def run_donor(adata: ad.AnnData, donor: str, seed: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "cells.h5ad"
        adata.write_h5ad(data)
        config = TrainingConfig(data=data, donor="batch", hold_out=(donor,), seed=seed)
        return float(train(config, Path(folder) / "bundle", Listener()).manifest.metrics["test"]["macro_f1"])


def run_across(train_path: Path, test_path: Path, label: str, seed: int) -> float:
    one, other = ad.read_h5ad(train_path), ad.read_h5ad(test_path)
    genes = one.var_names.intersection(other.var_names)
    types = shared_types(one.obs[label].astype(str).to_numpy(), other.obs[label].astype(str).to_numpy())
    one = one[one.obs[label].astype(str).isin(types), genes].copy()
    other = other[other.obs[label].astype(str).isin(types), genes].copy()
    with tempfile.TemporaryDirectory() as folder:
        data, test = Path(folder) / "train.h5ad", Path(folder) / "test.h5ad"
        one.write_h5ad(data)
        other.write_h5ad(test)
        config = TrainingConfig(data=data, label=label, test_data=test, seed=seed)
        return float(train(config, Path(folder) / "bundle", Listener()).manifest.metrics["independent"]["macro_f1"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    shared = parser.parse_args().shared
    print(f"{'what':45s} {'mean':>7s}  seeds {SEEDS}")
    sets = [
        (shared / "mix5cl_celseq2.h5ad", None),
        (shared / "pancreas_baron_human.h5ad", ["human1", "human2", "human3", "human4"]),
    ]
    for path, donors in sets:
        donors = donors or sorted(ad.read_h5ad(path, backed="r").obs["batch"].astype(str).unique())
        for name, adata, donor in held_out_donors(path, donors):
            scores = [run_donor(adata, donor, seed) for seed in SEEDS]
            print(f"{name:45s} {np.mean(scores):7.4f}  {', '.join(f'{score:.4f}' for score in scores)}", flush=True)
    scores = [run_across(shared / "pbmc3k.h5ad", shared / "pbmc_facs.h5ad", "cell_type_coarse", s) for s in SEEDS]
    print(f"{'pbmc3k -> pbmc_facs, coarse':45s} {np.mean(scores):7.4f}  {', '.join(f'{s:.4f}' for s in scores)}")


if __name__ == "__main__":
    main()
