"""Types with a handful of training cells, and what they do to the others: `python benchmarks/few_cells.py`.

`pancreas_baron_human`, each two donors to train on (types with at least ten cells in the file), the other two to judge
by. Of some types two to six cells are left in training. Three ways: their cells weighted like any whole type; a type
of fewer than ten cells counting that much less (`objective.FULL_CELLS`); and such types left out (`enough_cells`).
Macro-F1, calibration error (15 bins of equal mass) and log loss are of cells of the other types, before any
temperature. Seed 0.
"""

import argparse
from itertools import combinations
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from scipy.special import softmax
from sklearn.metrics import f1_score

from cellmark.schemas.checks.check_split import enough_cells
from cellmark.schemas.normalization import normalize, row_sums
from cellmark.training.cells.choose_panel import choose_panel
from cellmark.training.evaluation.calibration_section import calibration_score
from cellmark.training.evaluation.out_of_fold import with_validation
from cellmark.training.network import objective
from cellmark.training.network.ensemble import fit_ensemble, variations
from cellmark.training.network.fit import FitSettings, predict_logits
from cellmark.training.network.fit_settings import FitData

DONORS = ("human1", "human2", "human3", "human4")
MIN_CELLS = 10
WAYS = (("like any type", 1, False), ("by their number", 10, False), ("left out", 10, True))


def rows_of(pair: tuple[str, str], adata: ad.AnnData) -> list[dict[str, object]]:
    """One row for each way."""
    counts = sp.csr_matrix(adata.X, dtype=np.float32)
    library = row_sums(counts)
    names, codes = np.unique(adata.obs["cell_type"].astype(str), return_inverse=True)
    seen = np.isin(adata.obs["batch"].astype(str), pair)
    there, left = np.bincount(codes), np.bincount(codes[seen], minlength=len(names))
    few = (left > 0) & ~enough_cells(left, there, min_cells=MIN_CELLS)
    judged = np.flatnonzero(~seen & np.isin(codes, np.flatnonzero((left > 0) & ~few)))
    rows = []
    for way, full_cells, left_out in WAYS:
        objective.FULL_CELLS = full_cells
        training = np.flatnonzero(seen & ~(few[codes] & left_out))
        train, validation = with_validation(training, codes, seed=0)
        of_train = counts[train], library[train]
        columns = choose_panel(*of_train, normalize(*of_train), codes[train], max_genes=2000)
        panel = counts[:, columns]
        panel.sort_indices()
        x = normalize(panel, library)
        fitted = fit_ensemble(
            FitData(x, codes, train, validation, len(names)), seed=0,
            members=variations(FitSettings(), n_members=5, linear=True),
        )  # fmt: skip
        logits = torch.stack([predict_logits(classifier, x) for classifier in fitted.classifiers]).mean(dim=0).numpy()
        calls, probabilities = logits.argmax(axis=1), softmax(logits.astype(np.float64), axis=1)
        of_few = {
            f"{names[code]} ({left[code]})": round(
                float(f1_score(codes[~seen] == code, calls[~seen] == code, zero_division=0)), 3
            )
            for code in np.flatnonzero(few & (there > left))
        }
        present, found = np.unique(codes[judged]), calibration_score(probabilities[judged], codes[judged])
        rows.append({
            "training donors": " + ".join(pair), "few cells": way,
            "macro-F1": f1_score(codes[judged], calls[judged], labels=present, average="macro"),
            "calibration error": found["expected_calibration_error"],
            "log loss": found["log_loss"],
            "F1 of types with few": of_few,
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    given = parser.parse_args()
    adata = ad.read_h5ad(given.shared / "pancreas_baron_human.h5ad")
    sizes = adata.obs["cell_type"].value_counts()
    adata = adata[adata.obs["cell_type"].isin(sizes.index[sizes >= MIN_CELLS])].copy()
    rows = []
    for pair in combinations(DONORS, 2):
        rows += rows_of(pair, adata)
        print(pd.DataFrame(rows[-3:]).round(4).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
