"""Cells to try things on: `cm.datasets`. They come with scanpy, so nothing is downloaded."""

from typing import TYPE_CHECKING

from .said_in_python import speaks_python

if TYPE_CHECKING:
    from anndata import AnnData


@speaks_python
def pbmc() -> "AnnData":
    """660 blood cells x 765 genes with raw counts, `obs["cell_type"]` and scanpy's UMAP.

    Only some genes were kept of each cell, so its total count cannot be summed up: pass `library_size="n_counts"`
    wherever cells are handed over. 10x Genomics PBMC 68k (Zheng et al. 2017); types with fewer than 30 cells are left
    out. Needs scanpy, of the extra `train`. Raises `SetupError`.

    Examples
    --------
    >>> cells = cm.datasets.pbmc()
    >>> cells.shape
    (660, 765)
    """
    import warnings

    import anndata

    from cellmark.serving.scoring.training_steps import missing_training, needs_training

    if missing_training():
        raise needs_training("cm.datasets.pbmc")
    from cellmark.training.commands.demo_cells import find_demo_file, load_demo_cells

    cells = load_demo_cells()
    with warnings.catch_warnings(action="ignore"):  # of the file's old layout
        shipped = anndata.read_h5ad(find_demo_file())
    cells.obsm["X_umap"] = shipped[cells.obs_names].obsm["X_umap"].copy()
    return cells
