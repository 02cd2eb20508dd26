"""How far rankings agree: genes that their first ranks share."""

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
