"""Markers with whole data sets left out: `python benchmarks/markers_transfer.py [--work FOLDER] [--seeds 0,1,2]`.

Tasks: `pbmc3k` to `pbmc_facs` and back, each donor of the pancreas out, each plate of `mix5cl_celseq2` out, and the
human pancreas to the mouse one (genes of the same name but for upper and lower case). Each method ranks genes on the
training side; what two classifiers make of them on the test side is measured as in `benchmarks/markers.py`.

Ours are several rankings (`markers_rankings.py`) of the same evidence: cells, and attributions of an ensemble fitted as
`cellmark train` does (`evidence` is the one that it gives). The choice among them is judged by leaving data sets out:
for each data set the ranking that is best on all tasks without it is read on the tasks with it. The mouse took no part
in any choice.

Agreement: Jaccard index of the first ten, over pairs of trainings on other donors or plates of the same data set, and
between `pbmc3k` and `pbmc_facs`; networks are fitted anew for each.

Rivals: scanpy's, COSG's and scran's (scranpy: mean AUC, and the smallest rank of Cohen's d over pairs of types), with
their defaults; NS-Forest 4 after its description (doi:10.1101/gr.275569.121 and its documentation): genes with a binary
score of at least the mean and two standard deviations, 200 trees, the 15 most important in order of their binary score.
scranpy is needed by this script alone: `pip install scranpy`. What is done is kept in FOLDER: a run can be resumed.
"""

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import anndata as ad
import numpy as np
import scipy.sparse as sp
from markers import KS, RIVALS, Fold, Tops, fold_of, folds, macro_f1, predictions, rival, x_of
from markers_rankings import OURS, Evidence
from sklearn.ensemble import RandomForestClassifier

from cellmark.schemas.checks.split import split_cells
from cellmark.training.cells.choose_panel import choose_panel
from cellmark.training.markers import marker_ranking as ranking
from cellmark.training.markers.expression_coefficients import expression_coefficients
from cellmark.training.network.contributions import mean_of_types, type_means
from cellmark.training.network.ensemble import fit_ensemble, variations
from cellmark.training.network.fit import FitSettings, predict_logits
from cellmark.training.network.fit_settings import FitData
from cellmark.training.network.folded_network import fold as folded

N_TREES = 200
N_MEMBERS = 5
MAX_GENES = 2000
FIRST = max(KS)
GROUPS = ("pbmc3k to pbmc_facs", "pbmc_facs to pbmc3k", "mix5cl", "pancreas", "pancreas, human to mouse")
DATA_SETS = ("pbmc3k", "pbmc_facs", "pancreas", "mix5cl")


def all_folds(shared: Path) -> Iterator[Fold]:
    yield from folds(shared)
    pbmc, facs = ad.read_h5ad(shared / "pbmc3k.h5ad"), ad.read_h5ad(shared / "pbmc_facs.h5ad")
    yield fold_of("pbmc_facs to pbmc3k", facs, pbmc, "cell_type_coarse", None)
    plates = ad.read_h5ad(shared / "mix5cl_celseq2.h5ad")
    for plate in sorted(plates.obs["batch"].astype(str).unique()):
        out = (plates.obs["batch"] == plate).to_numpy()
        yield fold_of(f"mix5cl, {plate} out", plates[~out], plates[out], "cell_type", "batch")
    human, mouse = (ad.read_h5ad(shared / f"pancreas_baron_{name}.h5ad") for name in ("human", "mouse2"))
    mouse.var_names = mouse.var_names.str.upper()
    mouse = mouse[:, ~mouse.var_names.duplicated()].copy()
    yield fold_of("pancreas, human to mouse", human, mouse, "cell_type", "batch")


def evidence_of(adata: ad.AnnData, seed: int) -> Evidence:
    """What `cellmark train` has when it ranks markers, of networks fitted on these cells without a test part."""
    counts = sp.csr_matrix(adata.X).astype(np.float32)
    library = np.asarray(counts.sum(axis=1)).ravel()
    names, codes = np.unique(adata.obs["label"].to_numpy(dtype=str), return_inverse=True)
    donors = adata.obs["donor"].to_numpy(dtype=str) if "donor" in adata.obs else None
    split = split_cells(codes, donors, test_share=0.0, seed=seed)
    x_all, train = x_of(adata), split.train
    columns = choose_panel(counts[train], library[train], x_all[train], codes[train], max_genes=MAX_GENES)
    x = sp.csr_matrix(x_all[:, columns])
    x.sort_indices()
    data = FitData(x, codes, train, split.validation, len(names))
    fitted = fit_ensemble(data, members=variations(FitSettings(), n_members=N_MEMBERS, linear=True), seed=seed)
    calls = np.mean([predict_logits(one, x).numpy() for one in fitted.classifiers], axis=0).argmax(axis=1)
    baselines = mean_of_types(x[train], codes[train], len(names))
    means = type_means([folded(one) for one in fitted.classifiers], x, baselines, codes, calls)
    profiles = ranking.type_profiles(x, codes, len(names))
    return {
        "attributions": means.attributions, "mean": profiles.mean, "variance": profiles.variance,
        "n_cells": profiles.n_cells, "coefficients": expression_coefficients(x, codes, len(names), seed=seed),
        "genes": np.array(adata.var_names[columns], dtype=str), "types": names,
    }  # fmt: skip


def tops_by(evidence: Evidence, rank: Callable[[Evidence], np.ndarray]) -> Tops:
    order = rank(evidence)[:, :FIRST]
    return {str(name): evidence["genes"][row].tolist() for name, row in zip(evidence["types"], order, strict=True)}


def nsforest(adata: ad.AnnData) -> Tops:
    """Genes in the order of NS-Forest; where fewer than ten have a median above 0, the forest's next ones follow."""
    x = x_of(adata).toarray()
    names, codes = np.unique(adata.obs["label"].to_numpy(dtype=str), return_inverse=True)
    medians = np.stack([np.median(x[codes == code], axis=0) for code in range(len(names))])
    scores = np.zeros_like(medians)
    for code, own in enumerate(medians):
        others = np.delete(medians, code, axis=0)[:, own > 0]
        scores[code, own > 0] = np.maximum(1 - others / own[own > 0], 0).mean(axis=0)
    enough = scores.mean() + 2 * scores.std()
    tops = {}
    for code, name in enumerate(names):
        genes = np.flatnonzero(scores[code] >= enough)
        if len(genes) < FIRST:
            genes = np.argsort(-scores[code], kind="stable")[: 5 * FIRST]
        forest = RandomForestClassifier(N_TREES, random_state=0).fit(x[:, genes], codes == code)
        genes = genes[np.argsort(-forest.feature_importances_, kind="stable")]
        best = genes[:15][medians[code, genes[:15]] > 0]
        best = best[np.argsort(-scores[code, best], kind="stable")][:FIRST]
        rest = [gene for gene in genes if gene not in set(best)]
        tops[str(name)] = adata.var_names[[*best, *rest][:FIRST]].tolist()
    return tops


def scran(adata: ad.AnnData, effect: str, summary: str) -> Tops:
    import scranpy

    x = sp.csc_matrix(x_of(adata).T).astype(np.float64)  # genes x cells, in the integer types that mattress takes
    x.indices, x.indptr = x.indices.astype(np.int32), x.indptr.astype(np.uint64)
    names, codes = np.unique(adata.obs["label"].to_numpy(dtype=str), return_inverse=True)
    found = scranpy.score_markers(x, groups=codes.astype(int), num_threads=1)[effect]
    tops = {}
    for number, name in enumerate(names):
        mean = np.asarray(found[number].column("mean"))
        first = np.asarray(found[number].column("min_rank")) if summary == "min_rank" else -mean
        tops[str(name)] = adata.var_names[np.lexsort((-mean, first))[:FIRST]].tolist()
    return tops


OTHERS: dict[str, Callable[[ad.AnnData], Tops]] = {
    **{method: lambda adata, method=method: rival(adata, method) for method in RIVALS},
    "scran, mean AUC": lambda adata: scran(adata, "auc", "mean"),
    "scran, least rank of d": lambda adata: scran(adata, "cohens_d", "min_rank"),
    "NS-Forest": nsforest,
}


class Work:
    """Lists and measures, kept in files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def evidence(self, fold: Fold, seed: int) -> Evidence:
        path = self.folder / f"{fold.name}, seed {seed}.npz"
        if not path.exists():
            np.savez(path, **evidence_of(fold.train, seed))  # type: ignore[arg-type]
        return dict(np.load(path))

    def tops(self, fold: Fold, method: str) -> Tops:
        path = self.folder / f"{fold.name}, {method}.json"
        if not path.exists():
            path.write_text(json.dumps(OTHERS[method](fold.train)))
        return json.loads(path.read_text())  # type: ignore[no-any-return]

    def score(self, fold: Fold, tops: Tops) -> np.ndarray:
        """Macro-F1, [classifiers, k]."""
        path = self.folder / f"{fold.name}, scores.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        key = json.dumps(tops, sort_keys=True)
        if key not in known:
            labels = fold.test.obs["label"].to_numpy()
            calls = predictions(fold, tops)
            known[key] = [[macro_f1(labels, calls[k, name]) for k in KS] for name in ("LR", "kNN")]
            path.write_text(json.dumps(known))
        return np.array(known[key])


def data_sets_of(task: str) -> set[str]:
    return {name for name in DATA_SETS if name in task.replace(",", " ").split()}


def group_of(task: str) -> str:
    """Donors and plates weigh as one task together."""
    return task if "mouse" in task else task.split(",")[0]


def mean_over_groups(scores: dict[str, np.ndarray]) -> np.ndarray:
    groups: dict[str, list[np.ndarray]] = {}
    for task, values in scores.items():
        groups.setdefault(group_of(task), []).append(values)
    return np.mean([np.mean(values, axis=0) for values in groups.values()], axis=0)


def show(scores: dict[str, dict[str, np.ndarray]]) -> None:
    """`scores`: method -> task -> macro-F1 [classifiers, k]."""
    tasks = [task for task in next(iter(scores.values())) if "mouse" not in task]
    print(f"{'':24s} mean   LR     kNN    " + " ".join(f"k={k:<4d}" for k in KS) + "  pbmc  back  mix   panc  mouse")
    for method, of_task in scores.items():
        mean = mean_over_groups({task: of_task[task] for task in tasks})
        groups = [np.mean([of_task[task].mean() for task in of_task if group_of(task) == group]) for group in GROUPS]
        print(f"{method:24s} {mean.mean():.4f} {mean[0].mean():.4f} {mean[1].mean():.4f} "
              + " ".join(f"{value:.4f}" for value in mean.mean(axis=0)) + "  "
              + " ".join(f"{value:.3f}" for value in groups))  # fmt: skip
    print("\nchosen without the data set, and read on its tasks")
    for name in DATA_SETS:
        seen = [task for task in tasks if name not in data_sets_of(task)]
        left_out = [task for task in tasks if name in data_sets_of(task)]
        means = {m: mean_over_groups({task: of_task[task] for task in seen}).mean() for m, of_task in scores.items()}
        chosen = max(OURS, key=lambda method: means[method])
        of_rest = {m: mean_over_groups({t: of_task[t] for t in left_out}) for m, of_task in scores.items()}
        best = max(OTHERS, key=lambda method: of_rest[method].mean())
        print(f"{name:10s} chosen: {chosen:18s} {of_rest[chosen].mean():.4f} (LR {of_rest[chosen][0].mean():.4f}, kNN "
              f"{of_rest[chosen][1].mean():.4f}); best rival there: {best} {of_rest[best].mean():.4f}")  # fmt: skip


def agreement(lists: dict[str, list[Tops]]) -> str:
    """`lists`: task -> one or more lists of first genes."""
    groups: dict[str, list[tuple[str, Tops]]] = {}
    for task, found in lists.items():
        name = "pbmc" if task.startswith("pbmc") else group_of(task)
        if "mouse" not in task:
            groups.setdefault(name, []).extend((task, tops) for tops in found)
    shown = []
    for name, members in groups.items():
        values = [
            len(set(a[t]) & set(b[t])) / len(set(a[t]) | set(b[t]))
            for (one, a), (other, b) in combinations(members, 2) if one != other for t in a if t in b
        ]  # fmt: skip
        shown.append(f"{name} {np.mean(values):.3f}")
    return ", ".join(shown)


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path("markers_transfer"))
    parser.add_argument("--seeds", default="0,1,2")
    given = parser.parse_args()
    seeds, work = [int(seed) for seed in given.seeds.split(",")], Work(given.work)
    scores: dict[str, dict[str, np.ndarray]] = {method: {} for method in (*OURS, *OTHERS)}
    lists: dict[str, dict[str, list[Tops]]] = {method: {} for method in scores}
    for fold in all_folds(given.shared):
        for method in scores:
            if method in OURS:
                found = [tops_by(work.evidence(fold, seed), OURS[method]) for seed in seeds]
            else:
                found = [work.tops(fold, method)]
            lists[method][fold.name] = found
            scores[method][fold.name] = np.mean([work.score(fold, tops) for tops in found], axis=0)
        print(
            "... " + fold.name,
            {method: round(float(s[fold.name].mean()), 3) for method, s in scores.items()},
            flush=True,
        )
    show(scores)
    print("\nagreement of the first ten")
    for method, of_task in lists.items():
        print(f"{method:24s} {agreement(of_task)}")


if __name__ == "__main__":
    main()
