"""How often calls at coarser levels are right, and how well calibrated: `python benchmarks/levels.py [--only blood]`.

`pbmc_facs` (folds and test part of cells) and `pbmc3k`, with levels made of their types, and each donor of
`pancreas_baron_human` held out (folds of whole donors, the test part the donor). All as `cellmark train --levels` does
it; the numbers are those of the manifest (`evaluation.levels`), a minute or two for each training.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import pandas as pd

from cellmark.training.config import TrainingConfig
from cellmark.training.listener import Listener
from cellmark.training.run import train

PANCREAS = {
    "endocrine": ("alpha", "beta", "delta", "epsilon", "gamma"),
    "exocrine": ("acinar", "ductal"),
    "stroma": ("activated_stellate", "endothelial", "quiescent_stellate", "schwann"),
    "immune": ("macrophage", "mast", "t_cell"),
}
DONORS = ("human1", "human2", "human3", "human4")


def blood(shared: Path) -> Iterator[tuple[str, ad.AnnData, str | None]]:
    """Two levels: `cell_type_coarse`, and below it T cells as CD4 and CD8."""
    for name in ("pbmc_facs", "pbmc3k"):
        cells = ad.read_h5ad(shared / f"{name}.h5ad")
        types, coarse = (cells.obs[column].astype(str) for column in ("cell_type", "cell_type_coarse"))
        cells.obs["lineage"] = coarse
        cells.obs["group"] = coarse.where(coarse != "T", types.str[:3] + " T")
        yield name, cells, None


def pancreas(shared: Path) -> Iterator[tuple[str, ad.AnnData, str | None]]:
    cells = ad.read_h5ad(shared / "pancreas_baron_human.h5ad")
    of_type = {name: group for group, names in PANCREAS.items() for name in names}
    cells.obs["lineage"] = cells.obs["cell_type"].astype(str).map(of_type)
    for donor in DONORS:
        yield f"pancreas without {donor}", cells, donor


def measured(name: str, cells: ad.AnnData, donor: str | None) -> list[dict[str, object]]:
    levels = tuple(column for column in ("lineage", "group") if column in cells.obs)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "cells.h5ad"
        cells.write_h5ad(data)
        held_out = {} if donor is None else {"donor": "batch", "hold_out": (donor,)}
        config = TrainingConfig(data=data, levels=levels, **held_out)  # type: ignore[arg-type]
        manifest = train(config, Path(folder) / "bundle", Listener()).manifest
    assert manifest.evaluation is not None
    assert manifest.levels is not None
    return [
        {"data": name, "groups": len(level.groups), "temperature": level.temperature, **scores.model_dump()}
        for level, scores in zip(manifest.levels.levels, manifest.evaluation.levels, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--only", choices=("blood", "pancreas"))
    given = parser.parse_args()
    found: list[dict[str, object]] = []
    for what, sets in (("blood", blood), ("pancreas", pancreas)):
        if given.only in (None, what):
            for name, cells, donor in sets(given.shared):
                found += measured(name, cells, donor)
                print(name, flush=True)
    print(pd.DataFrame(found).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
