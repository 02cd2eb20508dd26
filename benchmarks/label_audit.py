"""Wrong labels on purpose, and how many of them a training lists: `python benchmarks/label_audit.py CELLS.h5ad`.

A share of the labels (`--wrong`, drawn by `--seed`) is changed to another type, then a model is trained as `cellmark
train` does it. `found` counts the changed ones among the cells that its label audit lists.
"""

import argparse
import tempfile
from pathlib import Path

import anndata as ad
import numpy as np

from cellmark.training.config import TrainingConfig
from cellmark.training.listener import Listener
from cellmark.training.run import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--label", default="cell_type")
    parser.add_argument("--wrong", type=float, default=0.03)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    adata, generator = ad.read_h5ad(given.cells), np.random.default_rng(given.seed)
    labels = adata.obs[given.label].astype(str).to_numpy(dtype=object)
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    changed = generator.choice(adata.n_obs, int(given.wrong * adata.n_obs), replace=False)
    codes[changed] = (codes[changed] + generator.integers(1, len(names), len(changed))) % len(names)
    adata.obs[given.label] = names[codes]
    wrong = set(adata.obs_names[changed])
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "cells.h5ad"
        adata.write_h5ad(path)
        model = train(TrainingConfig(data=path, label=given.label), Path(scratch) / "bundle", Listener())
    assert model.label_doubts is not None
    assert model.manifest.evaluation is not None
    assert model.manifest.evaluation.label_audit is not None
    listed = model.label_doubts["cell_id"].tolist()
    audit = model.manifest.evaluation.label_audit
    print(f"{audit.n_cells} cells judged, {len(wrong)} labels changed; {len(listed)} listed, found", end=" ")
    print(sum(cell in wrong for cell in listed), "of them changed")


if __name__ == "__main__":
    main()
