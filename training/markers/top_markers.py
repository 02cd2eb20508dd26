"""The first genes of each type in a marker table, as figures show them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def ranking_overlap(table: pd.DataFrame, *, top: int = 10) -> pd.DataFrame:
    """Number of genes that two rankings have in common among the first `top` of a type, mean over types.

    `table`: marker tables of several rankings, one below the other. Returns rankings x rankings, in the order in which
    they first occur; the diagonal is `top`, or less where types have fewer genes.
    """
    rankings = list(pd.unique(table["ranking"]))
    best = table[table["rank"] <= top]
    sets = {key: set(genes) for key, genes in best.groupby(["ranking", "cell_type"], observed=True)["gene_symbol"]}
    cell_types = list(pd.unique(table["cell_type"]))
    shared = [
        [np.mean([len(sets[one, name] & sets[other, name]) for name in cell_types]) for other in rankings]
        for one in rankings
    ]
    return pd.DataFrame(shared, index=rankings, columns=rankings)


def top_markers(markers: pd.DataFrame, *, top: int, most: int) -> pd.DataFrame:
    """Rows of rank 1 to `top` of each type, types in the table's order; a gene comes once for each type it is of.

    `most`: rows over all types; where there would be more, fewer ranks are shown, at least one. A type without ranks
    has no rows.
    """
    cell_types = pd.unique(markers["cell_type"])
    top = max(1, min(top, most // max(len(cell_types), 1)))
    best = markers[(markers["rank"] <= top).fillna(False).astype(bool)]
    number = pd.Series(range(len(cell_types)), index=cell_types)
    order = np.lexsort((best["rank"].to_numpy(dtype=int), best["cell_type"].map(number).to_numpy(dtype=int)))
    return best.iloc[order].reset_index(drop=True)


def types_by_genes(markers: pd.DataFrame, column: str, genes: Sequence[str], cell_types: Sequence[str]) -> np.ndarray:
    """A column of the marker table as [genes, types]; NaN where the table has no value. A gene may come again."""
    shown = markers[markers["gene_symbol"].isin(list(genes))]
    wide = shown.pivot_table(index="gene_symbol", columns="cell_type", values=column, observed=True)
    return wide.reindex(index=list(genes), columns=list(cell_types)).to_numpy(dtype=float)


def group_edges(best: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Type, first row and the row after the last of each type's rows. `best`: as `top_markers` gives."""
    names = best["cell_type"].to_numpy(dtype=object)
    starts = [row for row in range(len(names)) if row == 0 or names[row] != names[row - 1]]
    return [(str(names[start]), start, end) for start, end in zip(starts, [*starts[1:], len(names)], strict=True)]


def top_title(best: pd.DataFrame) -> str:
    """What `top_markers` shows, in words."""
    top = int(best["rank"].max()) if len(best) else 0
    return f"Top {top} markers of each type" if top > 1 else "Best marker of each type"
