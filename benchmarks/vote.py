"""What a vote over computed clusters does to accuracy on cells never seen: `python benchmarks/vote.py`.

1. `pancreas_baron_human`, each donor held out in turn: macro-F1 and accuracy of the cells' best types, of their calls
   (an unassigned cell is wrong), and of the majority of their cluster.
2. B, T, NK cells and monocytes of `pbmc_facs` (sorted) under a model of `pbmc3k`, types brought to these four; and how
   many of its CD34+ cells, which are of no type of the model, stay unassigned.

Resolutions: the default (CellTypist's, 5 for so few cells), 1 and 0.3. `--models FOLDER` keeps the models.
"""

import argparse
import tempfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score
from trust import DONORS

from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, CLUSTER, MAJORITY_CELL_TYPE, UNASSIGNED
from cellmark.serving import Annotator, ComputedClusters
from cellmark.training.config import TrainingConfig
from cellmark.training.listener import Listener
from cellmark.training.run import train
from cellmark.training.steps import evaluate_training

RESOLUTIONS = (None, 1.0, 0.3)
COARSE = {"CD4 T cells": "T", "CD8 T cells": "T", "B cells": "B", "NK cells": "NK", "CD14+ Monocytes": "Mono",
          "FCGR3A+ Monocytes": "Mono"}  # fmt: skip


def model_of(path: Path, folder: Path, **settings: object) -> Annotator:
    if not folder.exists():
        train(TrainingConfig(path, name="vote", **settings), folder, Listener())  # type: ignore[arg-type]
    return Annotator.load(folder)


def compare(name: str, annotator: Annotator, adata: ad.AnnData, labels: pd.Series, to: dict[str, str]) -> None:
    judged = labels.notna().to_numpy()

    def scores(calls: pd.Series) -> tuple[float, float]:
        told = calls.astype(str).map(lambda call: to.get(call, call))[judged]
        known = labels[judged].astype(str)
        return (
            f1_score(known, told, labels=sorted(known.unique()), average="macro", zero_division=0),
            accuracy_score(known, told),
        )

    def refused(calls: pd.Series) -> str:
        """Share of the cells whose label no type of the model has."""
        return "" if judged.all() else f", unknown cells unassigned {(calls == UNASSIGNED)[~judged].mean():.3f}"

    calls = annotator.annotate(adata)
    shown = [f"best guesses {scores(calls[BEST_CELL_TYPE])[0]:.3f} {scores(calls[BEST_CELL_TYPE])[1]:.3f}",
             f"calls {scores(calls[CELL_TYPE])[0]:.3f} {scores(calls[CELL_TYPE])[1]:.3f}"
             + refused(calls[CELL_TYPE])]  # fmt: skip
    for resolution in RESOLUTIONS:
        voted = annotator.annotate(adata, over=ComputedClusters(resolution=resolution))
        f1, accuracy = scores(voted[MAJORITY_CELL_TYPE])
        changed = np.mean(voted[MAJORITY_CELL_TYPE].astype(str) != voted[CELL_TYPE].astype(str))
        shown.append(f"{resolution or 'default'}: {voted[CLUSTER].nunique()} clusters {f1:.3f} {accuracy:.3f}, "
                     f"{changed:.1%} changed" + refused(voted[MAJORITY_CELL_TYPE]))  # fmt: skip
    print(f"{name} ({int(judged.sum())} cells), macro-F1 and accuracy: {'; '.join(shown)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--models", type=Path, help="a folder for the models; by default they are not kept")
    arguments = parser.parse_args()
    # Most of a training's time, and of no concern here: what becomes of types that are left out in turn.
    evaluate_training.leave_types_out = lambda *given, **settings: {"left_out": [], "left_out_level": None}
    with tempfile.TemporaryDirectory() as scratch:
        models = arguments.models or Path(scratch)
        models.mkdir(parents=True, exist_ok=True)
        annotator = model_of(arguments.data / "pbmc3k.h5ad", models / "pbmc3k")
        sorted_cells = ad.read_h5ad(arguments.data / "pbmc_facs.h5ad")
        coarse = sorted_cells.obs["cell_type_coarse"].astype(object)
        coarse = coarse.where(coarse.isin(set(COARSE.values())))
        compare("pbmc_facs under pbmc3k", annotator, sorted_cells, coarse, COARSE)
        path = arguments.data / "pancreas_baron_human.h5ad"
        cells = ad.read_h5ad(path)
        for donor in DONORS:
            annotator = model_of(path, models / f"pancreas-{donor}", donor="batch", hold_out=(donor,))
            held_out = cells[cells.obs["batch"] == donor].copy()
            labels = held_out.obs["cell_type"].astype(str)
            compare(donor, annotator, held_out, labels.where(labels.isin(annotator.cell_types)), {})


if __name__ == "__main__":
    main()
