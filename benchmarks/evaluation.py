"""The network beside logistic regression, and both with poorer input: `python benchmarks/evaluation.py`.

`pancreas_baron_human`, each donor out in turn; types with at least 15 training and 3 test cells, all others removed
from both sides; seeds 0, 1, 2. Split, panel and fit are those of `cellmark train --donor batch --hold-out DONOR`;
logistic regression (balanced, C = 1) has the same panel, the same standardised input and the split's training cells. A
second one learns from the validation cells as well, as the networks do. The networks are
fitted with and without augmentation; curves are of binomially thinned counts, and of genes of the panel that were not
measured (three draws). `--figure FILE` draws them.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.checks.split import split_cells
from cellmark.schemas.normalization import normalize, row_sums
from cellmark.training.cells.choose_panel import choose_panel
from cellmark.training.evaluation.poorer_input import depth_curve, partial_panel_curve
from cellmark.training.network.classifier import Classifier
from cellmark.training.network.contributions import fill_of
from cellmark.training.network.ensemble import fit_ensemble, predict_probabilities, variations
from cellmark.training.network.fit import FitSettings
from cellmark.training.network.fit_settings import FitData
from cellmark.training.network.linear_member import fit_linear

SEEDS = (0, 1, 2)
DONORS = ("human1", "human2", "human3", "human4")
MAX_GENES = 2000


def points_of(donor: str, seed: int, path: Path) -> list[dict[str, Any]]:
    """Every point of both curves, for both networks and logistic regression."""
    adata = ad.read_h5ad(path)
    out = (adata.obs["batch"] == donor).to_numpy()
    labels = adata.obs["cell_type"].astype(str).to_numpy()
    kept = [
        name for name in np.unique(labels) if (labels[~out] == name).sum() >= 15 and (labels[out] == name).sum() >= 3
    ]
    adata = adata[np.isin(labels, kept)].copy()
    names, codes = np.unique(adata.obs["cell_type"].astype(str), return_inverse=True)
    counts = sp.csr_matrix(adata.X, dtype=np.float32)
    library = row_sums(counts)
    donors = adata.obs["batch"].astype(str).to_numpy(dtype=str)
    split = split_cells(codes, donors, hold_out=(donor,), seed=seed)
    train, n_types = split.train, len(names)
    columns = choose_panel(
        counts[train], library[train], normalize(counts[train], library[train]), codes[train], max_genes=MAX_GENES
    )
    panel = counts[:, columns]
    panel.sort_indices()
    x = normalize(panel, library)
    fill = fill_of(x[train], codes[train], n_types)
    more = np.concatenate([train, split.validation])
    methods: dict[str, Sequence[Classifier]] = {
        "logistic regression": [fit_linear(x, codes, train, n_types, seed=seed)],
        "logistic regression, validation cells too": [fit_linear(x, codes, more, n_types, seed=seed)],
    }
    for name, share in (("ensemble, not augmented", 0.0), ("ensemble", FitSettings().augmented)):
        members = variations(replace(FitSettings(), augmented=share), n_members=5, linear=True)
        data = FitData(x, codes, train, split.validation, n_types)
        methods[name] = fit_ensemble(data, members=members, seed=seed).classifiers
    methods["networks alone"] = [network for network in methods["ensemble"] if not network.is_linear]
    rows = []
    for name, classifiers in methods.items():
        calls_of = partial(calls, classifiers)
        of_test = x[split.test], codes[split.test], n_types
        depth = depth_curve(calls_of, *of_test, seed=seed)
        lacking = partial_panel_curve(calls_of, *of_test, fill=fill, seed=seed)
        rows += [{"method": name, "what": "counts", "share": point["share_of_counts"], **point} for point in depth]
        rows += [
            {"method": name, "what": "genes missing", "share": point["share_missing"], **point} for point in lacking
        ]
    return [{"donor": donor, "seed": seed, **row} for row in rows]


def calls(classifiers: Sequence[Classifier], cells: sp.csr_matrix) -> np.ndarray:
    return np.asarray(predict_probabilities(classifiers, cells).argmax(axis=1))


def show(points: pd.DataFrame) -> None:
    for measure in ("macro_f1", "accuracy"):
        full = points[(points["what"] == "counts") & (points["share"] == 1.0)]
        print(f"\n{measure} at full depth, mean of seeds {SEEDS}")
        table = full.pivot_table(index="method", columns="donor", values=measure)
        print(table.assign(mean=table.mean(axis=1)).round(4).to_string())
        print(f"\n{measure}, mean over donors and seeds")
        print(points.pivot_table(index="method", columns=["what", "share"], values=measure).round(4).to_string())


def draw(points: pd.DataFrame, path: Path) -> None:
    from cellmark.training.figures.figure_style import BLUE, GREY, ORANGE, new_figure, plain

    figure = new_figure(9, 3.8)
    depth, partial = figure.subplots(1, 2, sharey=True)
    styles = {"ensemble": (BLUE, "-", "o"), "ensemble, not augmented": (ORANGE, "--", "s"),
              "logistic regression, validation cells too": (GREY, ":", "^")}  # fmt: skip
    for axes, what in ((depth, "counts"), (partial, "genes missing")):
        means = points[points["what"] == what].groupby(["method", "share"])["macro_f1"].mean()
        for name, (colour, line, marker) in styles.items():
            curve = means[name]
            axes.plot(100 * curve.index, curve, line, color=colour, marker=marker, label=name.split(", validation")[0])
        plain(axes)
    depth.set(xlabel="share of the counts, %", ylabel="macro-F1, donors held out", title="Shallow sequencing")
    partial.set(xlabel="genes of the panel not measured, %", title="Partial panel")
    partial.legend(frameon=False, fontsize=8, loc="lower left")
    figure.savefig(path, dpi=130, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    path = given.shared / "pancreas_baron_human.h5ad"
    rows = []
    for donor in DONORS:
        for seed in SEEDS:
            rows += points_of(donor, seed, path)
            print(f"{donor}, seed {seed}", flush=True)
    points = pd.DataFrame(rows)
    show(points)
    if given.figure:
        draw(points, given.figure)


if __name__ == "__main__":
    main()
