"""The first marker table: mean contributions per type beside plain expression, in and out of it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.marker_table import marker_table

from .contributions import TypeMeans

RANKING = "mean_contribution"


def expression_in_and_out(x: sp.csr_matrix, codes: np.ndarray, n_types: int) -> dict[str, np.ndarray]:
    """Mean expression and fraction of cells expressing, in each type and in all other cells, [types, genes] each.

    `x`: CSR, training cells x genes, ln(1 + counts per 10,000); `codes`: int [cells].
    """
    sizes = np.bincount(codes, minlength=n_types).astype(np.float64)[:, None]
    membership = sp.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(n_types, len(codes)))
    expressed = sp.csr_matrix(((x.data > 0).astype(np.float64), x.indices, x.indptr), shape=x.shape)
    sums = (membership @ x.astype(np.float64)).toarray()
    detected = (membership @ expressed).toarray()
    others = np.maximum(sizes.sum() - sizes, 1)
    return {
        "mean_in": sums / np.maximum(sizes, 1),
        "mean_out": (sums.sum(axis=0) - sums) / others,
        "fraction_in": detected / np.maximum(sizes, 1),
        "fraction_out": (detected.sum(axis=0) - detected) / others,
    }


def first_markers(
    means: TypeMeans,
    expression: dict[str, np.ndarray],
    *,
    cell_types: Sequence[str],
    gene_symbols: Sequence[str],
    gene_ids: Sequence[str | None],
) -> pd.DataFrame:
    """All genes of the panel for each type, by mean contribution; `direction` goes by mean expression in and out.

    A type without a correctly called cell has neither scores nor ranks: its genes come in panel order.
    """
    n_genes = len(gene_symbols)
    tables = []
    for number, name in enumerate(cell_types):
        contribution = means.contributions[number]
        order = np.argsort(-contribution, kind="stable")
        called = means.n_cells[number] > 0
        scores = contribution[order] if called else np.full(n_genes, np.nan)
        attributions = means.attributions[number][order] if called else np.full(n_genes, np.nan)
        more_in = (expression["mean_in"] > expression["mean_out"])[number][order]
        tables.append(
            pd.DataFrame(
                {
                    "cell_type": name,
                    "rank": pd.array(np.arange(1, n_genes + 1) if called else [pd.NA] * n_genes, dtype="Int64"),
                    "gene_symbol": np.array(gene_symbols, dtype=object)[order],
                    "gene_id": np.array(gene_ids, dtype=object)[order],
                    "marker_score": scores,
                    "ranking": RANKING,
                    "direction": np.where(more_in, "positive", "negative"),
                    "mean_contribution": scores,
                    "mean_attribution": attributions,
                    **{key: values[number][order] for key, values in expression.items()},
                }
            )
        )
    table = pd.concat(tables, ignore_index=True)
    return marker_table(**{str(name): column for name, column in table.items()})
