"""Forty inputs as people have them, at the gate: `python benchmarks/field.py pbmc3k.h5ad [--folder FOLDER]`.

Takes 100 of the file's cells, trains on the others (once, into FOLDER), writes the inputs of `field_inputs.py`, and
annotates each as `cellmark annotate` does. Shows what came and whether it is right: the calls of the plain cells
(largest difference of a probability at most 1e-5), or a refusal.
"""

import argparse
import shutil
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from field_inputs import ANSWERED, REFUSED, SAME, WRITERS

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.errors import CellmarkError
from cellmark.serving import Annotator

N_CELLS = 100


def divide(path: Path) -> tuple[ad.AnnData, ad.AnnData]:
    """Cells for inputs, and the others to train on."""
    adata = ad.read_h5ad(path)
    adata.X = sp.csr_matrix(adata.X, dtype=np.float32)
    order = np.random.default_rng(0).permutation(adata.n_obs)
    return adata[np.sort(order[:N_CELLS])].copy(), adata[np.sort(order[N_CELLS:])].copy()


def train_once(cells: ad.AnnData, label: str, folder: Path) -> Path:
    from cellmark.training.config import TrainingConfig
    from cellmark.training.listener import Listener
    from cellmark.training.run import train

    bundle = folder / "bundle"
    if not bundle.is_dir():
        cells.write_h5ad(folder / "train.h5ad")
        train(TrainingConfig(data=folder / "train.h5ad", name="field", label=label), bundle, Listener())
    return bundle


def outcome(annotator: Annotator, path: Path, plain: pd.DataFrame) -> tuple[str, str]:
    """What came, in a word, and what was said."""
    try:
        with open_cells(path) as source:
            calls = annotator.annotate(source)
    except CellmarkError as error:
        return error.code, str(error)
    said = "; ".join(f"{note['code']}: {note['found']}" for note in calls.attrs["cellmark"]["notes"])
    calls = calls.set_index("cell_id") if "cell_id" in calls else calls
    if len(calls) != len(plain):
        return f"{len(calls)} cells in place of {len(plain)}", said
    order = plain.index if set(calls.index) == set(plain.index) else calls.index
    ours, theirs = calls.loc[order], plain
    changed = int((ours["cellmark_cell_type"].to_numpy() != theirs["cellmark_cell_type"].to_numpy()).sum())
    gap = np.abs(ours["cellmark_confidence"].to_numpy() - theirs["cellmark_confidence"].to_numpy()).max()
    return (SAME if not changed and gap <= 1e-5 else f"{changed} calls differ, confidence by {gap:.1e}"), said


def is_right(came: str, right: str) -> bool:
    refused = came.isupper()
    return came == right or (right == REFUSED and refused) or (right == ANSWERED and not refused)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path, help="labelled cells with raw counts (.h5ad)")
    parser.add_argument("--label", default="cell_type")
    parser.add_argument("--folder", type=Path, default=Path("field-inputs"))
    parser.add_argument("--only", default="", help="a part of the name of inputs")
    options = parser.parse_args()
    cells, others = divide(options.cells)
    options.folder.mkdir(parents=True, exist_ok=True)
    annotator = Annotator.load(train_once(others, options.label, options.folder))
    plain = annotator.annotate(cells)
    plain = plain.set_index("cell_id") if "cell_id" in plain else plain
    wrong = 0
    chosen = [writer for writer in WRITERS if options.only in writer.__name__]
    for writer in chosen:
        place = options.folder / "inputs" / writer.__name__
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        path, right = writer(cells.copy(), place)
        came, said = outcome(annotator, path, plain)
        good = is_right(came, right)
        wrong += not good
        print(f"{'ok   ' if good else 'WRONG'} {writer.__name__:24s} right: {right}; came: {came}", flush=True)
        print(f"      {said[:400]}", flush=True)
    print(f"{wrong} of {len(chosen)} wrong")


if __name__ == "__main__":
    main()
