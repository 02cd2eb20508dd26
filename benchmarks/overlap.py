"""Macro-F1 while genes are missing, by the attribution mass that they carry: `python benchmarks/overlap.py`.

`pancreas_baron_human`, each donor as the test part in turn, and `pbmc3k` with a stratified test part, seeds 0 and 1;
types with at least 10 cells outside of the test part. Split, panel, fit, folds and shares are those of `cellmark
train`. The curves from which treatment and floors are set are of networks on cells that they never saw, none of them
test cells: genes go missing at random, in proportion to the mass that they carry, the most important first, and the
least important first. Only then is the floor tried on the test part, by the networks that would be registered: what the
loss is just above it, and whether the types that are named lose more than the others.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from cellmark.schemas.checks.split import split_cells
from cellmark.schemas.normalization import normalize, row_sums
from cellmark.training.cells.choose_panel import choose_panel
from cellmark.training.evaluation.evaluate import macro_f1_of
from cellmark.training.evaluation.out_of_fold import fit_out_of_fold, plan_folds
from cellmark.training.evaluation.overlap import MASSES, LostGenes, draw_orders, lose_genes, overlap_section
from cellmark.training.network.contributions import attribution_shares, fill_of, mean_of_types, type_means
from cellmark.training.network.ensemble import fit_ensemble, variations
from cellmark.training.network.fit import FitSettings, predict_logits
from cellmark.training.network.fit_settings import FitData
from cellmark.training.network.folded_network import fold

SETTINGS: tuple[tuple[str, str | None, int], ...] = (
    ("pbmc3k", None, 0), ("pbmc3k", None, 1), ("pancreas_baron_human", "human1", 0),
    ("pancreas_baron_human", "human2", 0), ("pancreas_baron_human", "human3", 0), ("pancreas_baron_human", "human4", 0),
)  # fmt: skip
KINDS = ("at random", "in proportion", "most important first", "least important first")
MAX_GENES = 2000


def measure(shared: Path, name: str, donor: str | None, seed: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Points of the curves on cells out of fold, and what the floors do on the test part."""
    adata = ad.read_h5ad(shared / f"{name}.h5ad")
    labels = adata.obs["cell_type"].astype(str).to_numpy()
    donors = adata.obs["batch"].astype(str).to_numpy(dtype=str) if donor else None
    outside = donors != donor if donors is not None else np.ones(len(labels), dtype=bool)
    kept = np.isin(labels, [each for each in np.unique(labels) if (labels[outside] == each).sum() >= 10])
    counts = sp.csr_matrix(adata.X, dtype=np.float32)[kept]
    names, codes = np.unique(labels[kept], return_inverse=True)
    donors = donors[kept] if donors is not None else None
    library, n_types = row_sums(counts), len(names)
    split = split_cells(codes, donors, hold_out=(donor,) if donor else (), seed=seed)
    train = split.train
    columns = choose_panel(
        counts[train], library[train], normalize(counts[train], library[train]), codes[train], max_genes=MAX_GENES
    )
    panel = counts[:, columns]
    panel.sort_indices()
    x = normalize(panel, library)
    members = variations(FitSettings(), n_members=5, linear=True)
    data = FitData(x, codes, train, split.validation, n_types)
    fitted = fit_ensemble(data, members=members, seed=seed)
    networks = [fold(classifier) for classifier in fitted.classifiers]
    seen = np.sort(np.concatenate([train, split.validation]))
    calls = torch.stack([predict_logits(each, x) for each in fitted.classifiers]).mean(dim=0).argmax(dim=1).numpy()
    baselines = mean_of_types(x[train], codes[train], n_types)
    shares, per_type = attribution_shares(type_means(networks, x[seen], baselines, codes[seen], calls[seen]))
    held_out = fit_out_of_fold(data, plan_folds(codes, donors, seen, seed=seed), members=members, seed=seed)
    begun = time.process_time()
    section = overlap_section(
        x,
        codes,
        held_out,
        fill=fill_of(x[train], codes[train], n_types),
        shares=shares,
        shares_per_type=per_type,
        seed=seed,
    )
    assert section is not None
    seconds = time.process_time() - begun
    folds = [
        ([fold(each) for each in classifiers], np.flatnonzero(held_out.plan.fold_of == number))
        for number, classifiers in enumerate(held_out.classifiers)
    ]
    drawn = draw_orders(shares, np.random.default_rng(seed))
    orders = {
        KINDS[0]: drawn[: len(drawn) // 2],
        KINDS[1]: drawn[len(drawn) // 2 :],
        KINDS[2]: [np.argsort(-shares)],
        KINDS[3]: [np.argsort(shares)],
    }
    of_genes = {"fill": fill_of(x[train], codes[train], n_types), "shares": shares, "shares_per_type": per_type}
    setting = f"{name}, seed {seed}" if donor is None else f"{name}, {donor} out"
    points = []
    for kind, listed in orders.items():
        lost = lose_genes(folds, x, codes, **of_genes, orders=listed, masses=MASSES)
        points += [{"setting": setting, "data": name, "kind": kind, **point} for point in points_of(lost)]
    # The test part, just above the floor.
    test = [(networks, split.test)]
    lost = lose_genes(test, x, codes, **of_genes, orders=drawn, masses=[1 - section["min_mass"]])
    return points, {
        "setting": setting, "min_mass": section["min_mass"], "min_type_mass": section["min_type_mass"],
        "curve, processor s": seconds, "test macro-F1": macro_f1_of(lost.at_baseline[:, 0]).mean(),
        "lost at the floor": (macro_f1_of(lost.at_baseline[:, 0]) - macro_f1_of(lost.at_baseline[:, 1])).mean(),
        "at zero": (macro_f1_of(lost.at_zero[:, 0]) - macro_f1_of(lost.at_zero[:, 1])).mean(),
        **types_of(lose_genes(test, x, codes, **of_genes, orders=drawn, masses=MASSES), section),
    }  # fmt: skip


def points_of(lost: LostGenes) -> list[dict[str, Any]]:
    """Means over the draws, as losses against the whole panel."""
    rows = []
    for place, mass in enumerate((0.0, *MASSES)):
        row = {"mass missing": mass, "genes missing": lost.genes_missing[:, place].mean()}
        for treatment, counted in (("baseline", lost.at_baseline), ("zero", lost.at_zero)):
            f1 = macro_f1_of(counted)
            row[treatment] = (f1[:, 0] - f1[:, place]).mean()
        rows.append(row)
    return rows


def types_of(lost: LostGenes, section: dict[str, Any]) -> dict[str, Any]:
    """Mean loss of F1 of types above and below the floor of types, at all points that are not refused as a whole."""
    right = np.diagonal(lost.at_baseline, axis1=-2, axis2=-1)
    f1 = 2 * right / np.maximum(lost.at_baseline.sum(axis=-1) + lost.at_baseline.sum(axis=-2), 1)
    answered = (1 - lost.mass_missing >= section["min_mass"]) & (lost.mass_missing > 0)
    counts = answered[..., None] & (f1[:, :1] > 0)
    thin = 1 - lost.type_mass_missing < section["min_type_mass"]
    cost = f1[:, :1] - f1
    return {
        "types named": (counts & thin).sum() / counts.sum(),
        "F1 lost, named": cost[counts & thin].mean() if (counts & thin).any() else np.nan,
        "F1 lost, others": cost[counts & ~thin].mean(),
    }


def show(points: pd.DataFrame, floors: pd.DataFrame) -> None:
    for treatment in ("baseline", "zero"):
        print(f"\nmacro-F1 lost at the {treatment}, by mass missing; mean over settings")
        table = points.pivot_table(index=["data", "kind"], columns="mass missing", values=treatment)
        print(table.loc[:, 0.1:].round(3).to_string())
    print("\nshare of the panel's genes missing")
    print(
        points.pivot_table(index=["data", "kind"], columns="mass missing", values="genes missing").round(3).to_string()
    )
    print("\nfloors, and what they do on the test part")
    print(floors.set_index("setting").T.round(3).to_string())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    points: list[dict[str, Any]] = []
    floors = []
    for setting in SETTINGS:
        found, floor = measure(given.shared, *setting)
        points += found
        floors.append(floor)
        print(floor["setting"], flush=True)
    show(pd.DataFrame(points), pd.DataFrame(floors))


if __name__ == "__main__":
    main()
