"""Tools on an AnnData, as scanpy has them: `cm.tl`. Each writes into `adata` and returns None."""

import os
from typing import TYPE_CHECKING, Any

from cellmark.schemas.columns import UNS_KEY

from .load_model import load
from .said_in_python import speaks_python
from .written_calls import require_anndata

if TYPE_CHECKING:
    from anndata import AnnData

    from .model import Model

EXPLANATION_KEY = "cellmark_explanation"


@speaks_python
def annotate(
    adata: "AnnData", *, model: "Model | str | os.PathLike[str]", key_added: str = UNS_KEY, **options: Any
) -> None:
    """Name the type of every cell: columns `<key_added>_cell_type` and others of `obs`, facts in `uns[key_added]`.

    `model`: a `cm.Model`, a bundle folder or an MLflow URI. `options`, errors: of `cm.Model.annotate`.

    Examples
    --------
    >>> cm.tl.annotate(adata, model=model, key_added="query")
    >>> adata.obs["query_best_cell_type"].cat.categories.tolist()
    ['B cell', 'NK cell', 'T cell']
    """
    require_anndata(adata, "adata", "Pass an AnnData; of other cells: cm.load(uri).annotate(cells, inplace=False).")
    _model(model).annotate(adata, key_added=key_added, **options)


@speaks_python
def explain(
    adata: "AnnData",
    *,
    model: "Model | str | os.PathLike[str]",
    key_added: str = EXPLANATION_KEY,
    top: int = 20,
    **options: Any,
) -> None:
    """The genes behind each call, as a table in `uns[key_added]`: a row per cell and gene.

    `options`, columns and errors: of `cm.Model.explain`. Of many cells this is large: explain a part of them.

    Examples
    --------
    >>> cm.tl.explain(adata, model=model, top=3)
    >>> len(adata.uns["cellmark_explanation"]) == 3 * adata.n_obs
    True
    """
    require_anndata(adata, "adata", "Pass an AnnData; of other cells: cm.load(uri).explain(cells).")
    frame = _model(model).explain(adata, top=top, **options)
    frame.attrs = {}
    # AnnData's files take no column of nothing but None.
    adata.uns[key_added] = frame.dropna(axis="columns", how="all")


@speaks_python
def rank_genes_groups(
    adata: "AnnData",
    *,
    model: "Model | str | os.PathLike[str]",
    groupby: str = f"{UNS_KEY}_cell_type",
    key_added: str = "rank_genes_groups",
    n_genes: int | None = None,
) -> None:
    """The model's markers where scanpy keeps `sc.tl.rank_genes_groups`, so that `sc.pl.rank_genes_groups` works.

    Genes and cell types that `adata` lacks are left out; `n_genes` keeps so many of each type. Raises `LabelError`
    where `groupby` is no column of the model's cell types, and `GeneOverlapError` where no gene is shared.

    Examples
    --------
    >>> cm.tl.annotate(adata, model=model)
    >>> cm.tl.rank_genes_groups(adata, model=model)
    >>> str(adata.uns["rank_genes_groups"]["names"]["B cell"][0])
    'GENE8'
    """
    from cellmark.schemas.calls.scanpy_layout import rows_for, to_rank_genes_groups

    rows = rows_for(
        _model(model).bundle.markers, obs=adata.obs, var_names=list(map(str, adata.var_names)), groupby=groupby
    )
    adata.uns[key_added] = to_rank_genes_groups(rows, groupby=groupby, n_genes=n_genes)


def _model(model: "Model | str | os.PathLike[str]") -> "Model":
    return load(model) if isinstance(model, str | os.PathLike) else model
