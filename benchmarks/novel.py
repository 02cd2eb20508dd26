"""New populations among the cells of types that were left out of training: `python benchmarks/novel.py`.

1. Models of real cells without two or three of their types, and CD34+ cells of `pbmc_facs` under a model of `pbmc3k`:
how
   many cells stay unassigned, into how many populations they fall, how these agree with the labels (adjusted Rand index
   over unassigned cells; those in no population are one group), and the first genes of each. Pancreatic cells are those
   of a donor that was held out; a second line takes the cells above a novelty of 2.
2. Groups of 25 simulated doublets (two cells' counts added up), and groups of 60 cells of one type without that type
among
   the known ones: what the nearest mixture of two types leaves, as a share of what the nearest type leaves.

`--only` picks parts, `--models FOLDER` keeps the models for the next time. How much tells two populations apart was
chosen on `pbmc_facs`, `pbmc3k` and the pair A549, H1975; pancreas and the other pairs of lines took no part.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score

from cellmark.schemas.normalization import row_sums
from cellmark.serving import Annotator
from cellmark.training.config import TrainingConfig
from cellmark.training.listener import Listener
from cellmark.training.populations.mixture import MAX_RATIO, nearest_mixture
from cellmark.training.populations.new_populations import PopulationSearch
from cellmark.training.run import train
from cellmark.training.steps import evaluate_training

PANCREAS_OUT = ("alpha", "activated_stellate", "quiescent_stellate")


def model_without(
    path: Path, left_out: Sequence[str], models: Path, *, donor: str | None = None, hold_out: tuple[str, ...] = ()
) -> Annotator:
    """A model of the cells of a file that are of no type left out; trained once in the folder `models`."""
    folder = models / "-".join([path.stem, *(name.replace(" ", "_") for name in left_out)])
    if not folder.exists():
        adata = ad.read_h5ad(path)
        cells = models / f"{folder.name}.h5ad"
        adata[~adata.obs["cell_type"].isin(left_out)].copy().write_h5ad(cells)
        train(TrainingConfig(cells, donor=donor, hold_out=hold_out, name="novel"), folder, Listener())
    return Annotator.load(folder)


def look(name: str, annotator: Annotator, adata: ad.AnnData, left_out: Sequence[str], above: float | None) -> None:
    began = time.monotonic()
    called = annotator.called_cells(adata, above=above)
    found = PopulationSearch().find(called)
    seconds = time.monotonic() - began
    labels = adata.obs["cell_type"].astype(str).reindex(found.cells.index)
    groups = found.cells.fillna("none")
    unknown = adata.obs["cell_type"].isin(left_out)
    refused = unknown & adata.obs_names.isin(found.cells.index)
    ari = adjusted_rand_score(labels, groups) if len(labels) else np.nan
    print(
        f"{name}: {len(labels)} unassigned, {int(refused.sum())} of {int(unknown.sum())} unknown cells among them; "
        f"{len(found.populations)} populations, ARI {ari:.2f}, {seconds:.0f} s"
    )
    for row in found.populations.to_dict("records"):
        counts = labels[groups == row["population"]].value_counts()
        made_of = ", ".join(f"{label} {size}" for label, size in counts.head(3).items())
        print(f"    {row['population']}: {made_of} | {row['n_markers']} own: {row['top_markers']} | {row['warnings']}",
              flush=True)  # fmt: skip


def populations(data: Path, models: Path) -> None:
    pbmc = data / "pbmc3k.h5ad"
    facs = ad.read_h5ad(data / "pbmc_facs.h5ad")
    look("pbmc_facs under pbmc3k", model_without(pbmc, (), models), facs, ("CD34+",), None)
    for left_out in (
        ("B cells", "NK cells"),
        ("CD14+ Monocytes", "FCGR3A+ Monocytes", "Dendritic cells"),
        ("Megakaryocytes", "B cells", "FCGR3A+ Monocytes"),
    ):
        annotator = model_without(pbmc, left_out, models)
        for above in (None, 1.0):
            name = f"pbmc3k without {', '.join(left_out)}" + ("" if above is None else f", above {above:g}")
            look(name, annotator, ad.read_h5ad(pbmc), left_out, above)
    pancreas = data / "pancreas_baron_human.h5ad"
    cells = ad.read_h5ad(pancreas)
    for donor in ("human1", "human3"):
        folder = models / donor
        folder.mkdir(exist_ok=True)
        annotator = model_without(pancreas, PANCREAS_OUT, folder, donor="batch", hold_out=(donor,))
        for above in (None, 2.0):
            name = f"pancreas, {donor}, without {', '.join(PANCREAS_OUT)}"
            held_out = cells[cells.obs["batch"] == donor].copy()
            look(name + ("" if above is None else f", above {above:g}"), annotator, held_out, PANCREAS_OUT, above)
    lines = data / "mix5cl_celseq2.h5ad"
    cells = ad.read_h5ad(lines)
    for pair in combinations(sorted(cells.obs["cell_type"].unique()), 2):
        annotator = model_without(lines, pair, models, donor="batch", hold_out=("plate1",))
        look(f"lines without {' and '.join(pair)}", annotator, cells, pair, None)


def mixtures(data: Path) -> None:
    generator = np.random.default_rng(0)
    rows = []
    for name in ("pbmc3k", "pancreas_baron_human", "mix5cl_celseq2"):
        adata = ad.read_h5ad(data / f"{name}.h5ad")
        counts = sp.csr_matrix(adata.X, dtype=np.float32)
        labels = adata.obs["cell_type"].astype(str).to_numpy()
        cells = {label: np.flatnonzero(labels == label) for label in np.unique(labels)}
        cells = {label: of for label, of in cells.items() if len(of) >= 30}
        means = {label: mean_profile(counts[of]) for label, of in cells.items()}
        for one, other in combinations(cells, 2):
            both = counts[generator.choice(cells[one], 25)] + counts[generator.choice(cells[other], 25)]
            rows.append((name, "doublets", *ratio(mean_profile(both), means)))
        for label, of in cells.items():
            others = {key: mean for key, mean in means.items() if key != label}
            drawn = generator.choice(of, min(60, len(of)), replace=False)
            rows.append((name, "a type left out", *ratio(mean_profile(counts[drawn]), others)))
            rows.append((name, "a known type", *ratio(mean_profile(counts[generator.choice(of, 25)]), means)))
    table = pd.DataFrame(rows, columns=["data", "group", "ratio", "close"])
    summary = table.groupby(["data", "group"]).agg(
        groups=("ratio", "size"), least=("ratio", "min"), median=("ratio", "median"), largest=("ratio", "max"),
        like_a_mixture=("close", "mean"),
    )  # fmt: skip
    print(f"like a mixture: at most {MAX_RATIO}")
    print(summary.round(2).to_string())


def mean_profile(counts: sp.csr_matrix) -> np.ndarray:
    """Mean counts per 10,000, [genes]."""
    return np.asarray((sp.diags(1e4 / row_sums(counts)) @ counts).mean(axis=0)).ravel()


def ratio(own: np.ndarray, means: dict[str, np.ndarray]) -> tuple[float, bool]:
    found = nearest_mixture(own, np.stack(list(means.values())))
    assert found is not None
    return found.distance / found.single, found.is_close


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--models", type=Path, help="a folder for the models; by default they are not kept")
    parser.add_argument("--only", nargs="+", choices=["populations", "mixtures"], default=["populations", "mixtures"])
    arguments = parser.parse_args()
    # Most of a training's time, and of no concern here: what becomes of types that are left out in turn.
    evaluate_training.leave_types_out = lambda *given, **settings: {"left_out": [], "left_out_level": None}
    if "mixtures" in arguments.only:
        mixtures(arguments.data)
    if "populations" in arguments.only:
        with tempfile.TemporaryDirectory() as scratch:
            models = arguments.models or Path(scratch)
            models.mkdir(parents=True, exist_ok=True)
            populations(arguments.data, models)


if __name__ == "__main__":
    main()
