"""What each member of the ensemble is worth, and what takes the place of missing genes: `python benchmarks/members.py`.

Tasks: each donor of `pancreas_baron_human` out, each plate of `mix5cl_celseq2` out, `pbmc3k` to `pbmc_facs` and back
(coarse types); types with at least 15 training and 3 test cells, all others removed from both sides. With `--inner` the
tasks that settings were chosen on: two pancreatic donors, asked about a third one of the remaining (twelve ways), and
a third of `pbmc3k` and of `pbmc_facs`, asked about the rest. Split, panel and fit are those of `cellmark train`.

Measures: macro-F1 and log loss (at the temperature that is best for the cells asked about, so that shapes are compared
and not scales), with all counts, a quarter of them, and half of the genes missing (three draws) with several fills.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from cellmark.schemas.checks.split import split_cells
from cellmark.schemas.normalization import normalize, row_sums
from cellmark.training.cells.choose_panel import choose_panel
from cellmark.training.evaluation.evaluate import confusion, macro_f1_of
from cellmark.training.evaluation.poorer_input import with_fill
from cellmark.training.network.augmentation import Augmentation, thin
from cellmark.training.network.classifier import Classifier
from cellmark.training.network.contributions import fill_of, mean_of_types
from cellmark.training.network.ensemble import fit_ensemble, variations
from cellmark.training.network.fit import FitSettings, predict_logits
from cellmark.training.network.fit_settings import FitData
from cellmark.training.network.linear_member import WEIGHT, fit_linear

MAX_GENES = 2000
DONORS = ("human1", "human2", "human3", "human4")
Task = tuple[str, sp.csr_matrix, np.ndarray, np.ndarray]
"""Name, counts (cells x genes), labels, and `train` or `test` of each cell."""


def donors_out(path: Path, out: str, train: tuple[str, ...]) -> Task:
    cells = ad.read_h5ad(path)
    of_cell = cells.obs["batch"].astype(str).to_numpy()
    kept = np.isin(of_cell, [out, *train])
    side = np.where(of_cell == out, "test", "train")[kept]
    labels = cells.obs["cell_type"].astype(str).to_numpy()[kept]
    return f"{path.stem}: {out} from {', '.join(train)}", sp.csr_matrix(cells.X, dtype=np.float32)[kept], labels, side


def across(one: Path, other: Path) -> Task:
    first, second = ad.read_h5ad(one), ad.read_h5ad(other)
    genes = first.var_names.intersection(second.var_names)
    counts = sp.vstack([sp.csr_matrix(cells[:, genes].X, dtype=np.float32) for cells in (first, second)]).tocsr()
    labels = np.concatenate([cells.obs["cell_type_coarse"].astype(str) for cells in (first, second)])
    return f"{one.stem} to {other.stem}", counts, labels, np.repeat(["train", "test"], [first.n_obs, second.n_obs])


def third(path: Path, number: int) -> Task:
    """A third of the cells to learn from: few enough for errors that can be counted."""
    cells = ad.read_h5ad(path)
    labels = cells.obs["cell_type"].astype(str).to_numpy()
    generator, part = np.random.default_rng(99), np.zeros(len(labels), dtype=int)
    for name in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == name))
        part[rows] = np.arange(len(rows)) % 3
    side = np.where(part == number, "train", "test")
    return f"{path.stem}: third {number + 1}", sp.csr_matrix(cells.X, dtype=np.float32), labels, side


def tasks(shared: Path, *, inner: bool) -> Iterator[Task]:
    pancreas, blood = shared / "pancreas_baron_human.h5ad", (shared / "pbmc3k.h5ad", shared / "pbmc_facs.h5ad")
    if inner:
        for left in DONORS:
            for out in (donor for donor in DONORS if donor != left):
                yield donors_out(pancreas, out, tuple(donor for donor in DONORS if donor not in (left, out)))
        for path in blood:
            for number in range(3):
                yield third(path, number)
        return
    for out in DONORS:
        yield donors_out(pancreas, out, tuple(donor for donor in DONORS if donor != out))
    yield across(*blood)
    yield across(*reversed(blood))
    plates = ("plate1", "plate2", "plate3")
    for out in plates:
        yield donors_out(shared / "mix5cl_celseq2.h5ad", out, tuple(plate for plate in plates if plate != out))


Logits = Callable[[sp.csr_matrix], np.ndarray]
LOSS: Literal["validation_loss"] = "validation_loss"


def methods(
    x: sp.csr_matrix, codes: np.ndarray, train: np.ndarray, validation: np.ndarray, seed: int
) -> dict[str, Logits]:
    """What is compared, each as a function of normalised cells to logits, cells x types: members that learned all
    cells for a fixed number of epochs, as `cellmark train` makes them, and such that validation cells stopped.
    """
    n_types = int(codes.max()) + 1
    data = FitData(x, codes, train, validation, n_types)
    found: dict[str, Logits] = {}
    for name, settings in (("", FitSettings()), ("stopped by validation cells, ", FitSettings().until(LOSS))):
        learned, members = data.learned(settings), variations(settings, n_members=5)
        networks = _mean_of(fit_ensemble(data, members=members, seed=seed).classifiers)
        linear = _mean_of([fit_linear(x, codes, learned, n_types, augmentation=Augmentation.of(settings), seed=seed)])
        found |= {
            f"{name}networks": networks,
            f"{name}logistic regression": _mean_of([fit_linear(x, codes, learned, n_types, seed=seed)]),
            f"{name}linear member alone": linear,
            **{f"{name}linear member for {weight}": _with_linear(networks, linear, weight) for weight in (1, 2, 5)},
        }
    return found


def _mean_of(classifiers: Sequence[Classifier]) -> Logits:
    return lambda cells: np.asarray(np.mean([predict_logits(one, cells).numpy() for one in classifiers], axis=0))


def _with_linear(networks: Logits, linear: Logits, weight: float) -> Logits:
    """`fit_linear` multiplies its logits by WEIGHT: a weight of w stands for w networks."""
    return lambda cells: (5 * networks(cells) + weight / WEIGHT * linear(cells)) / 6


def fills_of(x: sp.csr_matrix, codes: np.ndarray) -> dict[str, np.ndarray]:
    """What may take the place of a gene that was not measured, [genes]. `x`, `codes`: of training cells."""
    of_types, of_cells = mean_of_types(x, codes, int(codes.max()) + 1), np.asarray(x.mean(axis=0), np.float32).ravel()
    return {"mean of types": of_types, "mean of cells": of_cells, "halfway": fill_of(x, codes, int(codes.max()) + 1)}


def points_of(task: Task, seed: int) -> list[dict[str, object]]:
    name, counts, labels, side = task
    kept = [
        one for one in np.unique(labels)
        if ((labels == one) & (side == "train")).sum() >= 15 and ((labels == one) & (side == "test")).sum() >= 3
    ]  # fmt: skip
    rows = np.isin(labels, kept)
    counts, codes, side = counts[rows], np.unique(labels[rows], return_inverse=True)[1], side[rows].astype(str)
    library = row_sums(counts)
    split = split_cells(codes, side, hold_out=("test",), seed=seed)
    train, n_types = split.train, len(kept)
    of_train = counts[train], library[train]
    columns = choose_panel(*of_train, normalize(*of_train), codes[train], max_genes=MAX_GENES)
    panel = counts[:, columns]
    panel.sort_indices()
    x = normalize(panel, library)
    asked, truth, generator = x[split.test], codes[split.test], np.random.default_rng(1000 + seed)
    inputs = {"all": [asked], "quarter": [thin(asked, np.full(asked.shape[0], 0.25), generator)]}
    lost = [generator.permutation(x.shape[1])[: x.shape[1] // 2] for _ in range(3)]
    for fill, values in fills_of(x[train], codes[train]).items():
        inputs[f"half, {fill}"] = [with_fill(asked, genes, values) for genes in lost]
    found = []
    for method, logits in methods(x, codes, train, split.validation, seed).items():
        for what, cells in inputs.items():
            scores = [logits(of_draw) for of_draw in cells]
            f1 = np.mean([macro_f1_of(confusion(truth, one.argmax(axis=1), n_types)) for one in scores])
            row = {"task": name, "seed": seed, "method": method, "input": what}
            found.append({**row, "macro_f1": float(f1), "log_loss": least_log_loss(scores, truth)})
    return found


def least_log_loss(scores: list[np.ndarray], codes: np.ndarray) -> float:
    def loss(log_temperature: float) -> float:
        cooled = [log_softmax(one / np.exp(log_temperature), axis=1) for one in scores]
        return float(-np.mean([one[np.arange(len(codes)), codes] for one in cooled]))

    return float(minimize_scalar(loss, bounds=(-3, 3), method="bounded").fun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--inner", action="store_true", help="the tasks that settings were chosen on")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    found: list[dict[str, object]] = []
    for task in tasks(given.shared, inner=given.inner):
        for seed in range(given.seeds):
            found += points_of(task, seed)
        print(task[0], flush=True)
    points = pd.DataFrame(found)
    for measure in ("macro_f1", "log_loss"):
        print(f"\n{measure}, mean over tasks and seeds")
        print(points.pivot_table(index="method", columns="input", values=measure, sort=False).round(4).to_string())
    print("\nmacro_f1 with all counts, mean over seeds")
    full = points[points["input"] == "all"].pivot_table(index="task", columns="method", values="macro_f1", sort=False)
    print(pd.concat([full, full.mean().rename("mean").to_frame().T]).round(4).to_string())


if __name__ == "__main__":
    main()
