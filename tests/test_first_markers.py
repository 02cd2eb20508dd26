"""The first marker table against plain NumPy and scanpy's idea of in and out."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.marker_table import COLUMNS
from cellmark.training.contributions import TypeMeans
from cellmark.training.first_markers import expression_in_and_out, first_markers

GENES = ["MS4A1", "GNLY", "LYZ"]


def draw_expression() -> tuple[sp.csr_matrix, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.exponential(1, (30, 3)) * (generator.random((30, 3)) < 0.6)
    return sp.csr_matrix(x.astype(np.float32)), generator.integers(0, 3, 30)


def test_expression_in_and_out_equals_plain_means() -> None:
    x, codes = draw_expression()
    found = expression_in_and_out(x, codes, 3)
    dense = x.toarray().astype(np.float64)
    for code in range(3):
        inside, outside = dense[codes == code], dense[codes != code]
        np.testing.assert_allclose(found["mean_in"][code], inside.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(found["mean_out"][code], outside.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(found["fraction_in"][code], (inside > 0).mean(axis=0))
        np.testing.assert_allclose(found["fraction_out"][code], (outside > 0).mean(axis=0))


def test_a_stored_zero_is_not_expressed() -> None:
    x = sp.csr_matrix((np.array([0.0, 1.0]), np.array([0, 0]), np.array([0, 1, 2])), shape=(2, 1))
    assert expression_in_and_out(x, np.array([0, 1]), 2)["fraction_in"].ravel().tolist() == [0, 1]


@pytest.fixture
def table() -> pd.DataFrame:
    contributions = np.array([[0.5, -0.1, 2.0], [0.0, 3.0, 1.0], [0.0, 0.0, 0.0]])
    means = TypeMeans(contributions, contributions - 1, np.abs(contributions), np.array([4, 7, 0]))
    mean_in = np.array([[2.0, 0.1, 0.2], [0.0, 3.0, 1.0], [0.5, 0.5, 4.0]])
    expression = {"mean_in": mean_in, "mean_out": np.ones((3, 3)), "fraction_in": mean_in / 4,
                  "fraction_out": np.ones((3, 3)) / 4}  # fmt: skip
    return first_markers(
        means, expression, cell_types=["B", "NK", "empty"], gene_symbols=GENES, gene_ids=["ENSG1", None, "ENSG3"]
    )


def test_genes_are_ranked_by_mean_contribution_within_types(table: pd.DataFrame) -> None:
    assert tuple(table.columns) == tuple(COLUMNS)
    ranked = table[table["cell_type"] != "empty"]
    assert ranked["cell_type"].tolist() == ["B"] * 3 + ["NK"] * 3
    assert ranked["rank"].tolist() == [1, 2, 3, 1, 2, 3]
    assert ranked["gene_symbol"].tolist() == ["LYZ", "MS4A1", "GNLY", "GNLY", "LYZ", "MS4A1"]
    assert ranked["mean_contribution"].tolist() == [2.0, 0.5, -0.1, 3.0, 1.0, 0.0]
    assert ranked["marker_score"].tolist() == ranked["mean_contribution"].tolist()
    assert ranked["mean_attribution"].tolist() == [1.0, -0.5, -1.1, 2.0, 0.0, -1.0]
    assert ranked["mean_in"].tolist() == [0.2, 2.0, 0.1, 3.0, 1.0, 0.0]
    assert ranked["gene_id"].iloc[:2].tolist() == ["ENSG3", "ENSG1"]
    assert ranked["gene_id"].isna().tolist() == [False, False, True, True, False, False]


def test_direction_says_whether_a_gene_is_present_in_the_type_or_absent_from_it(table: pd.DataFrame) -> None:
    by_gene = table.set_index(["cell_type", "gene_symbol"])["direction"]
    assert by_gene["B", "MS4A1"] == "positive"
    assert by_gene["B", "LYZ"] == "negative"
    assert by_gene["empty", "LYZ"] == "positive"


def test_a_type_without_a_correct_call_has_no_scores_and_no_ranks(table: pd.DataFrame) -> None:
    empty = table[table["cell_type"] == "empty"]
    assert empty["gene_symbol"].tolist() == GENES
    assert empty[["rank", "marker_score", "mean_contribution", "mean_attribution"]].isna().all(axis=None)
    assert empty["mean_in"].tolist() == [0.5, 0.5, 4.0]
