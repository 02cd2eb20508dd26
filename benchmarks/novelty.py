"""Candidates for the novelty score, compared on types that a model has never seen: `python benchmarks/novelty.py`.

`pancreas_baron_human`: models of two donors, each with one type (of at least 50 cells) left out, asked about a third
donor (31 pairs; the fourth donor is not used). `pbmc3k`, `pbmc_facs`: each type left out, asked about a fifth of the
cells. `mix5cl_celseq2`: every two of the five lines left out, each plate held out. Candidates are logarithms brought to
mean 0 and standard deviation 1 on training cells, and sums of these. The table is of AUROC, mean over types. It shows
what the score was chosen by (docs/trust.md); `benchmarks/trust.py` measures the one that was chosen. Two hours on two
shared cores; `--only` picks data.
"""

import argparse
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from scipy.special import logsumexp, softmax
from sklearn.metrics import roc_auc_score

from cellmark.schemas.checks.split import split_stratified
from cellmark.schemas.normalization import normalize, row_sums
from cellmark.training.cells.choose_panel import choose_panel
from cellmark.training.evaluation.novelty import MemberOutputs, fit_novelty, member_outputs
from cellmark.training.evaluation.out_of_fold import with_validation
from cellmark.training.network.ensemble import fit_ensemble, variations
from cellmark.training.network.fit import FitSettings
from cellmark.training.network.fit_settings import FitData
from cellmark.training.network.folded_network import fit_embedding, fold

DATA = ("pancreas_baron_human", "pbmc3k", "pbmc_facs", "mix5cl_celseq2")
SUMS = {
    "doubt + embedding": "doubt embedding",
    "doubt + logits": "doubt logits",
    "energy + embedding": "energy embedding",
    "doubt + embedding + logits": "doubt embedding logits",
    "disagreement + embedding + logits": "disagreement embedding logits",
    "doubt + embedding + logits + off the plane": "doubt embedding logits plane",
}
MIN_CELLS, MIN_UNKNOWN = 50, 5


class Cells:
    """One data set."""

    def __init__(self, path: Path) -> None:
        adata = ad.read_h5ad(path)
        self.counts = sp.csr_matrix(adata.X, dtype=np.float32)
        self.library_size = row_sums(self.counts)
        self.labels = adata.obs["cell_type"].astype(str).to_numpy(dtype=str)
        self.donors = adata.obs["batch"].astype(str).to_numpy(dtype=str) if "batch" in adata.obs else None

    @property
    def large_types(self) -> list[str]:
        names, sizes = np.unique(self.labels, return_counts=True)
        return list(names[sizes >= MIN_CELLS])


def splits(name: str, cells: Cells) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """What is left out, cells to train on, unknown cells and known ones (those of types that training has)."""
    if name == "pancreas_baron_human":
        donors = np.unique(cells.donors)
        for place, donor in enumerate(donors):
            unused = donors[(place + 1) % len(donors)]
            for left_out in cells.large_types:
                train = (cells.donors != donor) & (cells.donors != unused) & (cells.labels != left_out)
                yield left_out, train, (cells.donors == donor) & (cells.labels == left_out), cells.donors == donor
    elif name == "mix5cl_celseq2":
        for plate in np.unique(cells.donors):
            for pair in combinations(np.unique(cells.labels), 2):
                out, here = np.isin(cells.labels, pair), cells.donors == plate
                yield " + ".join(pair), ~here & ~out, here & out, here
    else:
        codes = np.unique(cells.labels, return_inverse=True)[1]
        test = np.zeros(len(codes), dtype=bool)
        test[split_stratified(codes, seed=0).test] = True
        for left_out in cells.large_types:
            out = cells.labels == left_out
            yield left_out, ~test & ~out, test & out, test


def candidates(
    outputs: MemberOutputs, off_plane: np.ndarray, codes: np.ndarray, train: np.ndarray
) -> dict[str, np.ndarray]:
    """Every candidate, [cells]. `off_plane`: distance of the hidden layers from the embedding's plane."""
    logits = outputs.logits.mean(axis=0).astype(np.float64)
    each = softmax(outputs.logits.astype(np.float64), axis=2)
    doubt = _entropy(each.mean(axis=0))
    of_train = MemberOutputs(outputs.logits[:, train], outputs.embedding[train], outputs.networks)
    score = fit_novelty(of_train, codes[train])
    raw = {
        "1 - largest probability": np.log(np.maximum(1 - softmax(logits, axis=1).max(axis=1), 1e-5)),
        "energy": -logsumexp(logits, axis=1),
        "disagreement": np.log(np.maximum(doubt - _entropy(each).mean(axis=0), 1e-5)),
        "doubt": np.log(np.maximum(doubt, 1e-4)),
        "embedding": np.log(np.maximum(score.embedding.nearest(outputs.embedding), 1e-3)),
        "logits": np.log(np.maximum(score.logits.nearest(outputs.logits.mean(axis=0)), 1e-3)),
        "plane": np.log(np.maximum(off_plane, 1e-3)),
    }
    single = {name: (values - values[train].mean()) / values[train].std() for name, values in raw.items()}
    return single | {name: sum(single[part] for part in parts.split()) for name, parts in SUMS.items()}


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(-(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(axis=-1))


def compare(cells: Cells, training: np.ndarray, unknown: np.ndarray, asked: np.ndarray) -> dict[str, float] | None:
    """AUROC of every candidate."""
    names, sizes = np.unique(cells.labels[training], return_counts=True)
    names = names[sizes >= 10]
    codes = np.searchsorted(names, cells.labels).clip(max=len(names) - 1)
    learned = names[codes] == cells.labels
    known = asked & learned & ~unknown
    if unknown.sum() < MIN_UNKNOWN:
        return None
    train, validation = with_validation(np.flatnonzero(training & learned), codes, seed=0)
    of_train = cells.counts[train], cells.library_size[train]
    columns = choose_panel(*of_train, normalize(*of_train), codes[train], max_genes=2000)
    panel = cells.counts[:, columns]
    panel.sort_indices()
    x = normalize(panel, cells.library_size)
    fitted = fit_ensemble(
        FitData(x, codes, train, validation, len(names)), seed=0,
        members=variations(FitSettings(), n_members=5, linear=True),
    )  # fmt: skip
    members = [fold(classifier) for classifier in fitted.classifiers]
    mean, components = fit_embedding(members, x[train])
    rows = np.concatenate([train, np.flatnonzero(unknown), np.flatnonzero(known)])
    outputs = member_outputs(members, x[rows], mean, components)
    hidden = np.hstack([np.maximum(member.forward(x[rows].toarray())[0][-1], 0) for member in members]) - mean
    off_plane = np.linalg.norm(hidden - (hidden @ components.T) @ components, axis=1)
    found = candidates(outputs, off_plane, codes[rows], np.arange(len(train)))
    is_unknown = np.arange(len(rows) - len(train)) < unknown.sum()
    return {name: float(roc_auc_score(is_unknown, values[len(train) :])) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--only", choices=DATA, nargs="+", default=DATA)
    given = parser.parse_args()
    torch.set_num_threads(1)
    means = {}
    for name in given.only:
        cells, rows = Cells(given.shared / f"{name}.h5ad"), []
        for left_out, training, unknown, asked in splits(name, cells):
            if found := compare(cells, training, unknown, asked):
                rows.append({"left out": left_out, **found})
                print(f"{name}, {left_out}: {found['doubt + embedding + logits']:.3f}", flush=True)
        means[f"{name} ({len(rows)})"] = pd.DataFrame(rows).groupby("left out").mean().mean()
        print(pd.DataFrame(means).round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
