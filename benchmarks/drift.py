"""What `cellmark drift` says of right and of spoilt input: `python benchmarks/drift.py`.

1. `pancreas_baron_human`: each donor taken out of the file, models of the other three with each of them as the test
   part (12 models), and the donor beside them: as it is, in small samples, spoilt in known ways.
2. `mix5cl_celseq2`: each plate taken out, a model of the other two (3 models).
3. `pbmc3k`: models of a random half of the cells (3 models), the other half beside them, whole and spoilt; `pbmc_facs`,
   of another laboratory.
4. Types of cells that the model never saw: human3 beside models of the other donors without one type.

Every input is real cells that the model, its thresholds and its profile never saw. `--only` picks parts, `--keep
FOLDER` keeps the models for another run, `--words` prints what was said of each input. What was chosen on what:
docs/drift.md.
"""

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from trust import DONORS

from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.drift.drift_report import DriftReport
from cellmark.schemas.drift.drift_words import verdict
from cellmark.schemas.errors import InputError
from cellmark.schemas.normalization import row_sums
from cellmark.serving import Annotator
from cellmark.serving.files.drift import drift_of_file
from cellmark.training.config import TrainingConfig
from cellmark.training.listener import Listener
from cellmark.training.run import train
from cellmark.training.steps import evaluate_training

SEEDS = (0, 1, 2)
DRAWS = 10
LIBRARY_SIZE = "true_library_size"
STRANGER, STRANGERS_LABORATORY = "human3", "human2"
FEWEST_LEFT_OUT = 20


class Bench:
    """Trains models (once, with `keep`), compares cells with them, keeps what was said."""

    def __init__(self, folder: Path, *, words: bool) -> None:
        self.folder, self.words = folder, words
        self.rows: list[dict[str, Any]] = []

    def model(self, name: str, adata: ad.AnnData, **settings: Any) -> Annotator:
        bundle = self.folder / name
        if not bundle.exists():
            path = self.folder / f"{name}.h5ad"
            adata.write_h5ad(path)
            train(TrainingConfig(path, name=name, cell_map=False, **settings), bundle, Listener())
            path.unlink()
            print(f"trained {name}", flush=True)
        return Annotator.load(bundle)

    def compare(self, given: str, adata: ad.AnnData, annotator: Annotator) -> DriftReport | None:
        path = self.folder / f"given-{os.getpid()}.h5ad"
        adata.write_h5ad(path)
        size = LIBRARY_SIZE if LIBRARY_SIZE in adata.obs else None
        try:
            report = drift_of_file(annotator, path, ReadingOptions(library_size=size), trusted=True)
        except InputError as refused:
            codes = [finding.code for finding in refused.findings]
            self.rows.append({"input": given, "model": annotator.source.name, "severity": "refused",
                              "moved": codes, "outside": [], "effects": {}})  # fmt: skip
            return None
        moved = [measure for measure in report.measures if measure.is_fault and measure.severity in ("moved", "far")]
        outside = [one.cell_type for one in report.cell_types if one.outside]
        self.rows.append(
            {"input": given, "model": annotator.source.name, "severity": report.severity or "not judged",
             "moved": [measure.name for measure in moved], "outside": outside,
             "effects": {measure.name: measure.effect for measure in report.measures}}
        )  # fmt: skip
        if self.words:
            print(f"{given} | {Path(str(annotator.source.name)).name} | {verdict(report)}", flush=True)
        return report

    def show(self, title: str) -> None:
        """A row for each kind of input: how often it was called what, and by which measures."""
        table(title, ["input", "of", "as held-out", "moved", "far", "refused", "what moved"])
        for given in dict.fromkeys(row["input"] for row in self.rows):
            rows = [row for row in self.rows if row["input"] == given]
            words = Counter(row["severity"] for row in rows)
            by = Counter(name for row in rows for name in (*row["moved"], *(["a type"] if row["outside"] else [])))
            told = ", ".join(f"{name} {number}" for name, number in by.most_common())
            line(given, len(rows), *(words[word] for word in ("ok", "moved", "far", "refused")), told)
        self.rows.clear()


def table(title: str, columns: list[str]) -> None:
    print(f"\n{title}\n")
    line(*columns)
    line(*["---"] * len(columns))


def line(*values: object) -> None:
    print("| " + " | ".join(map(str, values)) + " |", flush=True)


# Spoiling


def dense(adata: ad.AnnData) -> np.ndarray:
    return np.asarray(adata.X.toarray()).astype(np.int64)


def with_counts(adata: ad.AnnData, counts: np.ndarray) -> ad.AnnData:
    kept = counts.sum(axis=1) > 0
    return ad.AnnData(sp.csr_matrix(counts[kept].astype(np.float32)), obs=adata.obs[kept].copy(), var=adata.var.copy())


def thinned(adata: ad.AnnData, share: float, generator: np.random.Generator) -> ad.AnnData:
    """Each count kept with probability `share`."""
    return with_counts(adata, generator.binomial(dense(adata), share))


def without_genes(adata: ad.AnnData, share: float, generator: np.random.Generator) -> ad.AnnData:
    """Random genes not measured; library sizes stay what they were, as a sequencing report would tell them."""
    obs = adata.obs.assign(**{LIBRARY_SIZE: row_sums(sp.csr_matrix(adata.X))})
    kept = generator.random(adata.n_vars) >= share
    return ad.AnnData(adata.X[:, kept], obs=obs, var=adata.var[kept].copy())


def ambient(adata: ad.AnnData, share: float, generator: np.random.Generator) -> ad.AnnData:
    """That share of each cell's counts replaced by counts drawn from the mean profile of all cells."""
    counts = dense(adata)
    soup = counts.sum(axis=0) / counts.sum()
    kept = generator.binomial(counts, 1 - share)
    lost = counts.sum(axis=1) - kept.sum(axis=1)
    return with_counts(adata, kept + np.array([generator.multinomial(n, soup) for n in lost]))


def doublets(adata: ad.AnnData, share: float, generator: np.random.Generator) -> ad.AnnData:
    """That share of the cells made the sum of itself and a cell of another type."""
    counts, labels = dense(adata), adata.obs["cell_type"].astype(str).to_numpy()
    mixed = counts.copy()
    for cell in generator.choice(len(counts), round(share * len(counts)), replace=False):
        mixed[cell] += counts[generator.choice(np.flatnonzero(labels != labels[cell]))]
    return with_counts(adata, mixed)


def spoilt(adata: ad.AnnData) -> Iterator[tuple[str, ad.AnnData]]:
    """Every way of spoiling, with its name."""
    generator = np.random.default_rng(0)
    for share in (0.5, 0.25, 0.1):
        yield f"{share:.0%} of the counts", thinned(adata, share, generator)
    for share in (0.1, 0.3, 0.45):
        yield f"{share:.0%} of the genes not measured", without_genes(adata, share, generator)
    for share in (0.05, 0.1, 0.2, 0.4):
        yield f"{share:.0%} of each cell's counts ambient", ambient(adata, share, generator)
    for share in (0.1, 0.2, 0.4):
        yield f"{share:.0%} doublets of two types", doublets(adata, share, generator)


def small(adata: ad.AnnData) -> Iterator[tuple[str, ad.AnnData]]:
    generator = np.random.default_rng(1)
    for n_cells in (50, 200):
        for _ in range(DRAWS):
            yield f"{n_cells} cells", adata[generator.choice(adata.n_obs, n_cells, replace=False)].copy()


# Parts


def donors_out(bench: Bench, shared: Path, given: list[str]) -> None:
    adata, blood = (ad.read_h5ad(shared / f"{name}.h5ad") for name in ("pancreas_baron_human", "pbmc3k"))
    for donor in given:
        new = adata[adata.obs["batch"] == donor].copy()
        others = adata[adata.obs["batch"] != donor].copy()
        inputs = [("a donor never seen", new), *small(new), *spoilt(new), ("blood", blood)]
        for test in (other for other in DONORS if other != donor):
            annotator = bench.model(f"{donor}-unseen-{test}-test", others, donor="batch", hold_out=(test,))
            for name, cells in inputs:
                bench.compare(name, cells, annotator)
    bench.show("Pancreas: each donor beside models of the others")


def plates_out(bench: Bench, shared: Path) -> None:
    adata = ad.read_h5ad(shared / "mix5cl_celseq2.h5ad")
    for plate in sorted(set(adata.obs["batch"])):
        new = adata[adata.obs["batch"] == plate].copy()
        others = adata[adata.obs["batch"] != plate].copy()
        annotator = bench.model(f"plate-{plate}-unseen", others, donor="batch", test_share=0.0)
        for name, cells in [("a plate never seen", new), *spoilt(new)]:
            bench.compare(name, cells, annotator)
    bench.show("Five cell lines: each plate beside a model of the other two")


def halves(bench: Bench, shared: Path) -> None:
    adata, sorted_cells, pancreas = (
        ad.read_h5ad(shared / f"{name}.h5ad") for name in ("pbmc3k", "pbmc_facs", "pancreas_baron_human")
    )
    known = (sorted_cells.obs["cell_type_coarse"].astype(str) != "HSPC").to_numpy()
    for seed in SEEDS:
        first = np.random.default_rng(seed).permutation(adata.n_obs) < adata.n_obs // 2
        new = adata[~first].copy()
        annotator = bench.model(f"half-{seed}", adata[first].copy(), seed=seed)
        inputs = [("the other half", new), *small(new), *spoilt(new), ("pbmc_facs, all", sorted_cells),
                  ("pbmc_facs without CD34+ cells", sorted_cells[known].copy()),
                  ("the other half without B cells", new[new.obs["cell_type"] != "B cells"].copy()),
                  ("pancreas", pancreas)]  # fmt: skip
        for name, cells in inputs:
            bench.compare(name, cells, annotator)
    bench.show("Blood: one half of pbmc3k beside models of the other")


def types_out(bench: Bench, shared: Path) -> None:
    adata = ad.read_h5ad(shared / "pancreas_baron_human.h5ad")
    new = adata[adata.obs["batch"] == STRANGER].copy()
    others = adata[adata.obs["batch"] != STRANGER].copy()
    sizes = new.obs["cell_type"].value_counts()
    table("A type left out", ["type", "share of the cells", "verdict", "outside", "its share of these"])
    for name in sorted(sizes.index[sizes >= FEWEST_LEFT_OUT]):
        kept = others[others.obs["cell_type"] != name].copy()
        annotator = bench.model(f"{STRANGER}-unseen-without-{name}", kept, donor="batch",
                                hold_out=(STRANGERS_LABORATORY,))  # fmt: skip
        report = bench.compare(name, new, annotator)
        assert report is not None
        calls = annotator.annotate(new)
        outside = [one.cell_type for one in report.cell_types if one.outside]
        among = new.obs["cell_type"].astype(str)[calls["cellmark_best_cell_type"].isin(outside).to_numpy()]
        share = f"{(among == name).mean():.0%}" if len(among) else ""
        line(name, f"{sizes[name] / new.n_obs:.0%}", report.severity, ", ".join(outside), share)
    bench.rows.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--only", choices=["donors", "plates", "halves", "types"], nargs="+")
    parser.add_argument("--donors", choices=DONORS, nargs="+", default=list(DONORS))
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--words", action="store_true")
    parser.add_argument("--effects", type=Path, help="keep every effect in this .json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    # Most of a training's time, and of no concern for drift: what becomes of types that are left out.
    evaluate_training.leave_types_out = lambda *given, **settings: {"left_out": [], "left_out_level": None}
    parts = given.only or ["donors", "plates", "halves", "types"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder, words=given.words)
        kept: list[dict[str, Any]] = []
        shown = bench.show

        def show(title: str) -> None:
            kept.extend(bench.rows)
            shown(title)

        bench.show = show  # type: ignore[method-assign]
        if "donors" in parts:
            donors_out(bench, given.shared, given.donors)
        if "plates" in parts:
            plates_out(bench, given.shared)
        if "halves" in parts:
            halves(bench, given.shared)
        if "types" in parts:
            types_out(bench, given.shared)
        if given.effects:
            pd.DataFrame(kept).to_json(given.effects, orient="records", indent=1)


if __name__ == "__main__":
    main()
