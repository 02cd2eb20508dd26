import numpy as np
import pandas as pd

from cellmark.training.markers.marker_ranking import group_edges, top_markers, top_title, types_by_genes


def table() -> pd.DataFrame:
    """Two ranked types in an order of their own and one without ranks; rows are not in order."""
    ranks = {"z": ("C", "A", "B"), "a": ("A", "B", "C")}
    rows = [
        {"cell_type": name, "gene_symbol": gene, "rank": rank, "value": float(ord(gene) + rank)}
        for name, genes in ranks.items() for rank, gene in reversed(list(enumerate(genes, start=1)))
    ]  # fmt: skip
    rows += [{"cell_type": "m", "gene_symbol": gene, "rank": pd.NA, "value": np.nan} for gene in "ABC"]
    return pd.DataFrame(rows).astype({"rank": "Int64"})


def test_types_keep_their_order_and_genes_come_by_rank() -> None:
    best = top_markers(table(), top=2, most=90)
    assert list(zip(best["cell_type"], best["gene_symbol"], strict=True)) == [
        ("z", "C"), ("z", "A"), ("a", "A"), ("a", "B"),
    ]  # fmt: skip
    assert group_edges(best) == [("z", 0, 2), ("a", 2, 4)]
    assert top_title(best) == "Top 2 markers of each type"


def test_many_types_have_fewer_genes_each_but_at_least_one() -> None:
    assert len(top_markers(table(), top=3, most=6)) == 4
    one = top_markers(table(), top=3, most=1)
    assert one["rank"].tolist() == [1, 1]
    assert top_title(one) == "Best marker of each type"


def test_a_column_as_genes_by_types_repeats_genes_and_keeps_what_is_not_known() -> None:
    values = types_by_genes(table(), "value", ["A", "C", "A"], ["a", "m", "z"])
    np.testing.assert_array_equal(values, [[66, np.nan, 67], [70, np.nan, 68], [66, np.nan, 67]])
