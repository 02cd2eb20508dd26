"""CellTypist on the cells of `benchmarks/rivals.py`: `python benchmarks/rivals_celltypist.py FOLDER`.

Runs in an environment of its own, which has CellTypist and no cellmark. FOLDER holds `train.h5ad` and `query-*.h5ad`
with raw counts, which are normalised here as CellTypist asks (ln(1 + counts per 10,000) over all genes), and
`input-*.h5ad`, which are handed over as they are. Written beside them: `celltypist-<name>.csv`, a column for each way
of calling, and `celltypist.json` with times, warnings and refusals.
"""

import json
import logging
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

warnings.filterwarnings("ignore")

import anndata as ad  # noqa: E402
import celltypist  # noqa: E402
import scanpy as sc  # noqa: E402
from celltypist.classifier import Classifier  # noqa: E402


class Heard(logging.Handler):
    """What CellTypist says while it works."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.warnings.append(record.getMessage())


def normalised(path: Path) -> ad.AnnData:
    adata = ad.read_h5ad(path)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    return adata


def main(folder: Path) -> None:
    heard = Heard()
    celltypist.logger.logger.addHandler(heard)
    names = ("celltypist", "scanpy", "scikit-learn", "numpy")
    found: dict[str, object] = {"versions": {name: version(name) for name in names}}

    adata = normalised(folder / "train.h5ad")
    start = time.perf_counter()
    model = celltypist.train(adata, labels="cell_type", n_jobs=1)
    found["train_seconds"] = time.perf_counter() - start
    celltypist.annotate(adata[:20].copy(), model=model)  # what is compiled and loaded the first time

    for path in sorted(folder.glob("query-*.h5ad")):
        raw = ad.read_h5ad(path)
        start = time.perf_counter()
        sc.pp.normalize_total(raw, target_sum=1e4)
        sc.pp.log1p(raw)
        best = celltypist.annotate(raw, model=model)
        found[f"{path.stem}_seconds"] = time.perf_counter() - start
        labels = best.predicted_labels[["predicted_labels"]].rename(columns={"predicted_labels": "best match"})
        clusters = Classifier(raw, model).over_cluster()
        prob = celltypist.annotate(raw, model=model, mode="prob match")
        # Written into an array of fixed width, CellTypist's "Unassigned" is cut to the longest name that it gave.
        none = (prob.probability_matrix <= 0.5).all(axis=1)
        named = prob.predicted_labels["predicted_labels"].astype(str).mask(none, "Unassigned").astype("category")
        prob.predicted_labels["predicted_labels"] = labels["prob match"] = named
        for way, result in (("best match", best), ("prob match", prob)):
            voted = celltypist.classifier.Classifier.majority_vote(result, clusters)
            labels[f"{way}, vote"] = voted.predicted_labels["majority_voting"]
        labels["cluster"] = list(clusters)
        labels.to_csv(folder / f"celltypist-{path.stem}.csv")

    for path in sorted(folder.glob("input-*.h5ad")):
        heard.warnings.clear()
        try:
            result = celltypist.annotate(ad.read_h5ad(path), model=model)
        except Exception as refusal:
            found[path.stem] = {"refused": str(refusal)}
            continue
        found[path.stem] = {"warnings": list(heard.warnings)}
        labels = result.predicted_labels[["predicted_labels"]].rename(columns={"predicted_labels": "best match"})
        labels.to_csv(folder / f"celltypist-{path.stem}.csv")

    (folder / "celltypist.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
