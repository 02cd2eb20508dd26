"""Refusal that knows the sample, on cells of other laboratories: `python benchmarks/shift.py`.

For each pair of training and asked cells: share of known cells, and of cells that must be refused, that stay unassigned
by the fixed threshold and judged as one sample.

1. `known`: `pbmc3k` and `pbmc_facs` both ways (types by `cell_type_harmonized`), each plate of `mix5cl_celseq2` and
   each donor of `pancreas_baron_human` under models of the others; `--members` networks.
2. `wrong`: another tissue or organism under a model of `pbmc3k`, `pbmc_facs` and pancreas; the same networks.
3. `types`: each type with at least 50 cells left out of training on the pairs of 1 (of pancreas: human1 and human3);
   one network, threshold and quantiles from three folds.
4. `cost`: seconds of `annotate` of 50,000 cells (`pbmc_facs` tiled), as a sample and with the fixed threshold.

The rule was found on `pbmc3k` -> `pbmc_facs` and then changed on left out types of blood both ways, so that only
plates, donors and wrong tissues are free of the choice. `--only` picks parts, `--keep FOLDER` keeps what networks said.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.calls.sample_shift import judged_cells, sample_shift
from cellmark.schemas.manifest.manifest_trust import SampleShiftEntry
from cellmark.schemas.normalization import normalize, row_sums
from cellmark.training.cells.choose_panel import choose_panel
from cellmark.training.evaluation.novelty import (
    fold_scores,
    member_outputs,
    novelty_of_folds,
    novelty_threshold,
    score_of,
    threshold_cells,
)
from cellmark.training.evaluation.out_of_fold import fit_out_of_fold, plan_folds, with_validation
from cellmark.training.evaluation.sample_shift_section import sample_shift_section
from cellmark.training.network.contributions import fill_of
from cellmark.training.network.ensemble import fit_ensemble, variations
from cellmark.training.network.fit_settings import FitData, FitSettings
from cellmark.training.network.folded_network import fold

FEWEST_CELLS, LEFT_OUT_CELLS = 10, 50
BLOOD, PANCREAS, LINES = ("pbmc3k", "pbmc_facs"), "pancreas_baron_human", "mix5cl_celseq2"
SHARES = ["known, fixed", "known", "unknown, fixed", "unknown"]


@dataclass(frozen=True)
class Cells:
    """`counts`: CSR, cells x genes; `labels`, `batches`, `genes`: str."""

    counts: sp.csr_matrix
    labels: np.ndarray
    harmonized: np.ndarray
    batches: np.ndarray
    genes: np.ndarray

    def of(self, rows: np.ndarray) -> "Cells":
        return Cells(self.counts[rows], self.labels[rows], self.harmonized[rows], self.batches[rows], self.genes)


@dataclass(frozen=True)
class Asked:
    """What a model says of asked cells. `known`: whether their type was learned, bool [cells]; `held_out`: novelty of
    the cells that settled the threshold.
    """

    threshold: float
    entry: SampleShiftEntry
    best: np.ndarray
    novelty: np.ndarray
    known: np.ndarray
    harmonized: np.ndarray
    held_out: np.ndarray

    def row(self, must_be_refused: np.ndarray) -> dict[str, Any]:
        rows = judged_cells(len(self.best))
        found = sample_shift(
            self.best[rows], self.novelty[rows], n_cells=len(rows), threshold=self.threshold, reference=self.entry
        )
        fixed, judged = self.novelty > self.threshold, self.novelty > found.thresholds[self.best]
        return {
            "state": found.state,
            "shift": found.shift,
            "cap": found.cap,
            "known cells": int(self.known.sum()),
            "known, fixed": _share(fixed, self.known),
            "known": _share(judged, self.known),
            "unknown cells": int(must_be_refused.sum()),
            "unknown, fixed": _share(fixed, must_be_refused),
            "unknown": _share(judged, must_be_refused),
        }


def _share(refused: np.ndarray, cells: np.ndarray) -> float | None:
    return float(refused[cells].mean()) if cells.any() else None


def read(folder: Path, name: str) -> Cells:
    adata = ad.read_h5ad(folder / f"{name}.h5ad")
    labels = adata.obs["cell_type"].astype(str).to_numpy(dtype=str)
    column = "cell_type_harmonized" if name in BLOOD else "cell_type"
    return Cells(
        sp.csr_matrix(adata.X, dtype=np.float32),
        labels,
        adata.obs[column].astype(str).str.replace("CD14 Mono|CD16 Mono", "Mono", regex=True).to_numpy(dtype=str),
        adata.obs["batch"].astype(str).to_numpy(dtype=str),
        adata.var_names.to_numpy(dtype=str),
    )


def ask(
    train: Cells, asked: dict[str, Cells], *, donors: bool, n_members: int, folds: int = 5, seed: int = 0
) -> dict[str, Asked]:
    """Fit a model as `cellmark train` does, and ask it about cells, genes that they lack at their fill."""
    names, codes = np.unique(train.labels, return_inverse=True)
    learned = np.bincount(codes) >= FEWEST_CELLS
    train = train.of(np.flatnonzero(learned[codes]))
    names, codes = np.unique(train.labels, return_inverse=True)
    sizes = row_sums(train.counts)
    fitted_on, validation = with_validation(np.arange(len(codes)), codes, seed=seed)
    of_train = train.counts[fitted_on], sizes[fitted_on]
    columns = choose_panel(*of_train, normalize(*of_train), codes[fitted_on], max_genes=2000)
    x = normalize(sp.csr_matrix(train.counts[:, columns]), sizes)
    x.sort_indices()
    data, members = (
        FitData(x, codes, fitted_on, validation, len(names)),
        variations(FitSettings(), n_members=n_members, linear=True),
    )
    classifiers = fit_ensemble(data, members=members, seed=seed).classifiers
    score, embedding = score_of(classifiers, x, codes, data.learned(members[0]))
    plan = plan_folds(codes, train.batches if donors else None, data.seen, seed=seed, most=folds)
    held_out = fit_out_of_fold(data, plan, members=members, seed=seed)
    scores = fold_scores(held_out, x, codes)
    novelty = novelty_of_folds(scores, x)
    of_threshold = novelty[threshold_cells(held_out, codes)]
    threshold = novelty_threshold(of_threshold)
    section = sample_shift_section(held_out, scores, x, codes, novelty, threshold=threshold, seed=seed)
    entry = SampleShiftEntry.model_validate(section)
    fill = fill_of(x[fitted_on], codes[fitted_on], len(names))
    known = np.unique(train.harmonized)
    found = {}
    for name, cells in asked.items():
        places = {gene: place for place, gene in enumerate(cells.genes)}
        sources = np.array([places.get(gene, -1) for gene in train.genes[columns]])
        expression = normalize(cells.counts, row_sums(cells.counts)).tocsc()
        values = np.tile(fill, (cells.counts.shape[0], 1))
        values[:, sources >= 0] = expression[:, sources[sources >= 0]].toarray()
        outputs = member_outputs([fold(one) for one in classifiers], sp.csr_matrix(values), *embedding)
        of_cells = score.of(outputs)
        found[name] = Asked(
            threshold, entry, outputs.best, of_cells, np.isin(cells.harmonized, known), cells.harmonized, of_threshold
        )
    return found


def pairs(folder: Path) -> Iterator[tuple[str, str, Cells, Cells, bool]]:
    """Model, asked cells, and whether training has batches."""
    blood = {name: read(folder, name) for name in BLOOD}
    for one, other in (BLOOD, BLOOD[::-1]):
        yield one, other, blood[one], blood[other], False
    for name in (LINES, PANCREAS):
        cells = read(folder, name)
        for batch in np.unique(cells.batches):
            inside = cells.batches == batch
            yield (
                f"{name} without {batch}",
                batch,
                cells.of(np.flatnonzero(~inside)),
                cells.of(np.flatnonzero(inside)),
                True,
            )


def known_and_wrong(folder: Path, keep: Path, **settings: Any) -> Iterator[dict[str, Any]]:
    wrong = {name: read(folder, name) for name in (LINES, PANCREAS, *BLOOD)}
    for model, name, train, cells, donors in pairs(folder):
        others = [LINES, PANCREAS] if model in BLOOD else []
        asked = {name: cells} | {other: wrong[other] for other in others}
        for other, found in kept(keep / f"{model}.npz", train, asked, donors=donors, **settings).items():
            part = "wrong" if other in others else "known"
            must = np.ones(len(found.best), dtype=bool) if part == "wrong" else ~found.known
            yield {"part": part, "model": model, "cells": other, **found.row(must)}
    asked = {name: wrong[name] for name in (*BLOOD, LINES)}
    for other, found in kept(keep / "pancreas.npz", wrong[PANCREAS], asked, donors=True, **settings).items():
        yield {"part": "wrong", "model": PANCREAS, "cells": other, **found.row(np.ones(len(found.best), dtype=bool))}


def types_left_out(folder: Path, keep: Path, **settings: Any) -> Iterator[dict[str, Any]]:
    for model, name, train, cells, donors in pairs(folder):
        if name in ("human2", "human4"):
            continue
        for left_out in np.unique(train.harmonized):
            unknown = cells.harmonized == left_out
            if (
                unknown.sum() < LEFT_OUT_CELLS / (10 if donors else 1)
                or (train.harmonized == left_out).sum() < LEFT_OUT_CELLS
            ):
                continue
            rest = train.of(np.flatnonzero(train.harmonized != left_out))
            path = keep / f"{model} without {left_out.replace('/', '-')}.npz"
            found = kept(path, rest, {name: cells}, donors=donors, n_members=1, folds=3, **settings)[name]
            yield {"part": "types", "model": model, "cells": f"{name}, {left_out}", **found.row(unknown)}


def kept(path: Path, train: Cells, asked: dict[str, Cells], **settings: Any) -> dict[str, Asked]:
    """As `ask`, from the files of an earlier run where there are any."""
    paths = {name: path.with_name(f"{path.stem}, {name}.npz") for name in asked}
    if not all(one.exists() for one in paths.values()):
        for name, found in ask(train, asked, **settings).items():
            values = {entry.name: getattr(found, entry.name) for entry in fields(Asked)}
            np.savez(paths[name], **(values | {"entry": np.array(found.entry.model_dump_json())}))
        print(f"{path.stem} done", flush=True)
    loaded = {}
    for name, one in paths.items():
        values = dict(np.load(one))
        entry = SampleShiftEntry.model_validate_json(str(values.pop("entry")))
        loaded[name] = Asked(float(values.pop("threshold")), entry, **values)
    return loaded


def cost(folder: Path, bundle: Path) -> None:
    """Seconds of calls of a file, the best of five, in turn. `bundle`: a model of blood."""
    from cellmark.serving import Annotator
    from cellmark.serving.scoring.call_options import CallOptions

    annotator, adata = Annotator.load(bundle), ad.read_h5ad(folder / "pbmc_facs.h5ad")
    tiled = ad.concat([adata] * 14, merge="same")
    tiled.obs_names = [f"cell{number}" for number in range(tiled.n_obs)]
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(5):
        for as_sample, taken in seconds.items():
            start = time.perf_counter()
            annotator.call(annotator.check(tiled), CallOptions(as_sample=as_sample))
            taken.append(time.perf_counter() - start)
    print(f"{tiled.n_obs} cells: {min(seconds[True]):.2f} s as a sample, {min(seconds[False]):.2f} s by themselves")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--only", choices=["known", "types", "cost"], nargs="+", help="known: with wrong tissues")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="The mean over them follows.")
    parser.add_argument("--bundle", type=Path, help="A model of blood that this version trained, for the cost.")
    given = parser.parse_args()
    parts = given.only or ["known", "types"] + (["cost"] if given.bundle else [])
    with tempfile.TemporaryDirectory() as scratch:
        rows: list[dict[str, Any]] = []
        for seed in given.seeds:
            keep = (given.keep or Path(scratch)) / f"seed {seed}"
            keep.mkdir(parents=True, exist_ok=True)
            found: list[dict[str, Any]] = []
            if "known" in parts:
                found += known_and_wrong(given.shared, keep, n_members=given.members, seed=seed)
            if "types" in parts:
                found += types_left_out(given.shared, keep, seed=seed)
            rows += [{"seed": seed, **row} for row in found]
    if rows:
        table = pd.DataFrame(rows)
        print(table.round(3).to_string(index=False))
        if len(given.seeds) > 1:
            of_pair = table.groupby(["part", "model", "cells"], sort=False)[SHARES]
            print(of_pair.agg(["mean", "min", "max"]).round(3).to_string())
        print(table.groupby("part")[SHARES].mean().round(3).to_string())
    if "cost" in parts:
        cost(given.shared, given.bundle)


if __name__ == "__main__":
    main()
