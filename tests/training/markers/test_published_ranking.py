from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.training.markers.permutation_p_values import PermutationTest
from cellmark.training.markers.published_ranking import published_ranking


def test_contributions_and_counts_give_the_published_table(reference_data: Path) -> None:
    contributions = pd.read_parquet(reference_data / "contributions.parquet")
    codes, cell_types = pd.factorize(contributions.pop("cell_type"), sort=True)
    counts = pd.read_parquet(reference_data / "counts.parquet").drop(columns="cell_id")
    count_codes, _ = pd.factorize(counts.pop("cell_type"), sort=True)
    expected = pd.read_csv(reference_data / "markers_top20.csv")
    found = published_ranking(
        contributions.to_numpy(),
        codes,
        counts=sp.csr_matrix(counts.to_numpy(np.float32)),
        count_codes=count_codes,
        columns=counts.columns.get_indexer(contributions.columns),
        n_types=7,
        seed=4,
    )
    assert len(found.test.fdr) == contributions.shape[1]
    for code, name in enumerate(cell_types):
        table = expected[expected["target_cell_type"] == name]
        genes = contributions.columns.get_indexer(table["marker"])
        assert found.genes[code][:20].tolist() == genes.tolist()
        assert found.rank[code, genes].tolist() == list(range(1, 21))
        np.testing.assert_allclose(found.marker_score[code, genes], table["marker_score"], rtol=1e-9)
        np.testing.assert_allclose(found.fold_level[code, genes], table["fold_level"], rtol=1e-9)
        ranked = np.sort(found.rank[code][found.rank[code] > 0])
        assert ranked.tolist() == list(range(1, len(found.genes[code]) + 1))
        assert np.isnan(found.marker_score[code, found.rank[code] < 0]).all()


def test_candidates_that_the_test_does_not_support_are_left_out() -> None:
    generator = np.random.default_rng(0)
    codes = np.repeat([0, 1], 30)
    counts = generator.poisson(np.where(codes[:, None] == 0, [9, 9, 0.5, 0.5], [0.5, 0.5, 9, 9]))
    contributions = counts * 0.1
    fdr = np.array([0.01, 0.05, 0.2, 0.049])
    found = published_ranking(
        contributions, codes, counts=sp.csr_matrix(counts), count_codes=codes, n_types=2, seed=0,
        test=PermutationTest(fdr, fdr, fdr),
    )  # fmt: skip
    assert set(np.concatenate(found.genes)) == {0, 3}
    assert (found.rank[:, [1, 2]] == -1).all()
