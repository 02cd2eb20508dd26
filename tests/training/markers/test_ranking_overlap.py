import pandas as pd

from cellmark.training.markers.marker_ranking import ranking_overlap


def rows(ranking: str, **genes: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"ranking": ranking, "cell_type": cell_type, "gene_symbol": gene, "rank": rank}
            for cell_type, listed in genes.items()
            for rank, gene in enumerate(listed, 1)
        ]
    )


def test_genes_in_common_are_counted_and_averaged_over_types() -> None:
    table = pd.concat(
        [rows("t-test", a="xyz", b="uvw"), rows("cosg", a="zyq", b="qrs"), rows("logreg", a="yxp", b="vur")]
    )
    overlap = ranking_overlap(table, top=2)
    assert list(overlap.index) == list(overlap.columns) == ["t-test", "cosg", "logreg"]
    assert overlap.to_numpy().tolist() == [[2, 0.5, 2], [0.5, 2, 0.5], [2, 0.5, 2]]
