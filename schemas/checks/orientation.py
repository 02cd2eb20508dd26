"""Does a matrix lie on its side? Told from what stands in `obs_names` and `var_names`."""

import re

import numpy as np

from ..cells.cell_source import CellSource
from ..cells.table_orientation import names_swapped
from ..errors import Finding
from ..genes.gene_panel import GenePanel

FEWEST_GENES = 3
"""Genes of the model among the cell ids from which on they are no chance."""
MOST_NAMES = 20_000
"""Names of each kind that are looked at, spread over all."""


def transposed_findings(source: CellSource, panel: GenePanel | None = None) -> tuple[Finding, ...]:
    """The error of a matrix of genes x cells. `panel`: the model's genes, where there is a model."""
    ids, names = source.cell_ids, source.var_names
    if len(ids) == 0 or len(names) == 0:
        return ()
    genes = ids[:0]
    if panel is not None:
        genes = ids[panel.columns_of(ids) >= 0]
        n_named = int((panel.columns_of(names) >= 0).sum())
        is_turned = len(genes) >= FEWEST_GENES and len(genes) > n_named
    else:
        is_turned = False
    if not is_turned:
        is_turned = names_swapped(gene_names=_some(names), cell_ids=_some(ids))
    if not is_turned:
        return ()
    examples = genes if len(genes) else ids
    return (
        Finding(
            "MATRIX_TRANSPOSED",
            where="obs_names",
            expected="cells as rows and genes as columns",
            found=f"genes as rows: {len(ids)} x {len(names)}"
            + (f", {len(genes)} of the model's genes among the cell ids" if len(genes) else ""),
            remedy=_turned(source.name),
            examples=tuple(map(str, examples[:5])),
        ),
    )


def _turned(name: str) -> str:
    """How to transpose the input of this name."""
    if not re.fullmatch(r"[\w./ -]+\.h5ad", name):
        return "Transpose it: adata = adata.T, or frame = frame.T for a data frame."
    turned = name.removesuffix(".h5ad") + ".T.h5ad"
    return f"Transpose it: python -c \"import anndata; anndata.read_h5ad('{name}').T.write_h5ad('{turned}')\""


def _some(names: np.ndarray) -> list[str]:
    step = -(-len(names) // MOST_NAMES)
    return [str(name) for name in names[::step]]
