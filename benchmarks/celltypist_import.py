"""Models of CellTypist, imported, against CellTypist itself.

`python benchmarks/celltypist_import.py --celltypist ENV/bin/python [--shared ../shared/data]`. ENV is an environment of
its own with `celltypist` and `scikit-learn<1.8` (CellTypist 1.7 asks later ones for an option that they do not have).
CellTypist trains on half of the cells of each file and annotates all of them (`majority_voting=False`); the imported
bundle annotates the same counts. Labels have to be equal, probabilities within 1e-5. `missing`: a third of the genes
is taken out of the cells, which are normalised before; `to NAME`: cells of another file.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

FILES = ("pbmc3k", "pancreas_baron_human", "mix5cl_celseq2", "pbmc_facs")
VARIANTS = {
    "": {},
    "SGD, 300 genes a type": {"use_SGD": True, "feature_selection": True, "max_iter": 30},
    "SGD in mini-batches": {"use_SGD": True, "mini_batch": True, "batch_size": 100},
    "mean not subtracted": {"with_mean": False},
    "two types": {},
    "multinomial": {},
}
FEW = "mix5cl_celseq2"
"""The file that variants beside the first two are tried on."""


def ask_celltypist(shared: Path, out: Path) -> None:
    """Train, annotate and write answers: what runs in CellTypist's own environment."""
    warnings.filterwarnings("ignore")
    import anndata as ad
    import celltypist
    import numpy as np
    import scanpy as sc
    from celltypist.models import Model

    def normalised(counts: ad.AnnData) -> ad.AnnData:
        adata = counts.copy()
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
        return adata

    cases = []

    def record(case: str, model: Model, model_file: Path, counts: ad.AnnData, cells: ad.AnnData) -> None:
        if not model.scaler.with_mean:
            cells.X = cells.X.toarray()  # CellTypist 1.7 cannot clip a sparse matrix
        answers = celltypist.annotate(cells, model=model, majority_voting=False)
        file = out / f"{len(cases)}.h5ad"
        counts.write_h5ad(file)
        np.savez(
            out / f"{len(cases)}.npz",
            labels=answers.predicted_labels["predicted_labels"].astype(str).to_numpy(dtype=str),
            probabilities=answers.probability_matrix.to_numpy(),
            types=answers.probability_matrix.columns.to_numpy(dtype=str),
        )
        cases.append({"case": case, "model": str(model_file), "cells": str(file)})

    generator = np.random.default_rng(0)
    read = {name: ad.read_h5ad(shared / f"{name}.h5ad") for name in FILES}
    for counts in read.values():
        counts.obs["total"] = np.asarray(counts.X.sum(axis=1)).ravel()
    for name, counts in read.items():
        for number, (variant, settings) in enumerate(VARIANTS.items()):
            if number > 1 and name != FEW:
                continue
            few = counts
            if variant == "two types":
                few = counts[counts.obs["cell_type"].isin(sorted(counts.obs["cell_type"].unique())[:2])].copy()
            half = normalised(few[np.sort(generator.permutation(few.n_obs)[: few.n_obs // 2])].copy())
            model = celltypist.train(half, labels="cell_type", n_jobs=1, **{"max_iter": 100, **settings})
            if variant == "multinomial":
                from sklearn.linear_model import LogisticRegression

                z = np.minimum((half[:, model.features].X.toarray() - model.scaler.mean_) / model.scaler.scale_, 10)
                fitted = LogisticRegression(max_iter=100).fit(z, half.obs["cell_type"].to_numpy(dtype=str))
                fitted.features = model.features
                model.classifier = fitted
            file = out / f"{name}-{number}.pkl"
            model.write(str(file))
            title = f"{name}{variant and ', ' + variant}"
            record(title, model, file, counts, normalised(counts))
            kept = np.sort(generator.permutation(counts.n_vars)[: 2 * counts.n_vars // 3])
            record(f"{title}, missing", model, file, counts[:, kept].copy(), normalised(counts)[:, kept].copy())
            if name == "pbmc3k":
                record(f"{title}, to pbmc_facs", model, file, read["pbmc_facs"], normalised(read["pbmc_facs"]))
    (out / "cases.json").write_text(json.dumps(cases))


def compare(shared: Path, celltypist: str) -> None:
    import anndata as ad
    import numpy as np

    from cellmark.serving.annotator import Annotator
    from cellmark.serving.files.import_celltypist import import_celltypist

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        ask = [celltypist, __file__, "--answers", str(out), "--shared", str(shared)]
        asked = subprocess.run(ask, capture_output=True, text=True, check=False)
        if asked.returncode:
            raise SystemExit(asked.stderr)
        annotators: dict[str, Annotator] = {}
        print("| model, cells | types | cells | genes | labels equal | largest difference of probabilities |")
        print("|---|---|---|---|---|---|")
        for number, case in enumerate(json.loads((out / "cases.json").read_text())):
            file = Path(case["model"])
            if case["model"] not in annotators:
                import_celltypist(file, file.with_suffix(""), trust_pickle=True)
                annotators[case["model"]] = Annotator.load(file.with_suffix(""), min_panel_share=0.01)
            annotator = annotators[case["model"]]
            counts = ad.read_h5ad(case["cells"])
            answers = np.load(out / f"{number}.npz")
            frame = annotator.annotate(counts, probabilities=True, library_size="total")
            matched = frame.attrs["cellmark"]["genes_matched"]
            probabilities = frame[[f"probability:{name}" for name in answers["types"]]].to_numpy()
            equal = (frame["cellmark_cell_type"].astype(str).to_numpy() == answers["labels"]).mean()
            off = np.abs(probabilities - answers["probabilities"]).max()
            n_genes = f"{matched:,} of {len(annotator.bundle.panel):,}"
            print(
                f"| {case['case']} | {len(answers['types'])} | {counts.n_obs:,} | {n_genes} | {equal:.2%} | {off:.1g} |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    parser.add_argument("--celltypist", default=sys.executable, help="Python of an environment with CellTypist")
    parser.add_argument("--answers", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answers is not None:
        ask_celltypist(given.shared, given.answers)
    else:
        compare(given.shared, given.celltypist)
