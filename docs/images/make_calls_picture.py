"""The README's picture of calls: `python docs/images/make_calls_picture.py pbmc3k.h5ad pbmc_facs.h5ad`.

A model of pbmc3k (10x Genomics; labels from clustering) names sorted blood cells of other donors (Zheng et al.
2017), among them CD34+ cells, a type that it never saw. Both files hold raw counts, `obs["cell_type"]`, and
`obs["cell_type_coarse"]` in words that they share (T, B, NK, Mono): called as sorted is what agrees in those.
Takes a minute.
"""

import sys
from pathlib import Path

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

import cellmark as cm

PICTURE = Path(__file__).resolve().with_name("calls.png")
COARSE = {
    "B cells": "B",
    "CD4 T cells": "T",
    "CD8 T cells": "T",
    "NK cells": "NK",
    "CD14+ Monocytes": "Mono",
    "FCGR3A+ Monocytes": "Mono",
}
UNKNOWN = "CD34+"
COLOURS = {
    "B": "#3b75af", "T": "#6aa84f", "NK": "#8e6bbf", "Mono": "#e08a2e",
    "B cells": "#3b75af", "CD4 T cells": "#6aa84f", "CD8 T cells": "#a8d08d", "NK cells": "#8e6bbf",
    "CD14+ Monocytes": "#e08a2e", "Dendritic cells": "#c2528b", "unassigned": "#9a9a9a", UNKNOWN: "#333333",
}  # fmt: skip


def main() -> None:
    reference, query = (ad.read_h5ad(path) for path in sys.argv[1:3])
    gate = query.obs["cell_type_coarse"].astype(str).where(query.obs["cell_type"] != UNKNOWN, UNKNOWN)
    cm.tl.annotate(query, model=cm.train(reference, label="cell_type"))
    calls = query.obs["cellmark_cell_type"].astype(str)

    known = (gate != UNKNOWN).to_numpy()
    right = calls.map(COARSE).to_numpy()[known] == gate.to_numpy()[known]
    unassigned = (calls == "unassigned").to_numpy()
    places = place(query)
    figure, (left, right_side) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    draw(left, places, gate, f"Sorted as\n({UNKNOWN}: a type that the model never saw)")
    draw(
        right_side,
        places,
        calls,
        f"Called by cellmark: {right.sum():,} of {known.sum():,} as sorted,\n"
        f"{unassigned[~known].sum()} of {(~known).sum()} {UNKNOWN} unassigned",
    )
    figure.savefig(PICTURE, dpi=110)


def place(query: ad.AnnData) -> np.ndarray:
    """The query's own UMAP, by scanpy's usual steps."""
    cells = query.copy()
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    sc.pp.highly_variable_genes(cells, n_top_genes=2000, subset=True)
    sc.pp.pca(cells, n_comps=30)
    sc.pp.neighbors(cells)
    sc.tl.umap(cells, random_state=0)
    return np.asarray(cells.obsm["X_umap"])


def draw(axes: Axes, places: np.ndarray, names: pd.Series, title: str) -> None:
    axes.scatter(*places.T, s=4, c=names.map(COLOURS), linewidths=0)
    for name, members in names.groupby(names).groups.items():
        # A handful of cells has no place of its own.
        if len(members) >= 20:
            x, y = np.median(places[names.index.get_indexer(members)], axis=0)
            text = axes.text(x, y, str(name), ha="center", va="center", fontsize=11, weight="bold")
            text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    axes.set_title(title, fontsize=12, loc="left")
    axes.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
