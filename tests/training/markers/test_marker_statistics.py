import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats
from sklearn.metrics import roc_auc_score

from cellmark.training.markers.marker_statistics import donor_agreement, group_means, marker_statistics, type_auc

KEYS = {
    "mean_in", "mean_out", "fraction_in", "fraction_out", "log2_fold_change", "auc", "cohens_d", "p_value",
    "p_value_adj", "donor_fraction", "n_donors_holding", "n_donors",
}  # fmt: skip


def draw_cells(n_cells: int = 100, n_genes: int = 7) -> tuple[sp.csr_matrix, np.ndarray]:
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 3, n_cells)
    counts = generator.poisson(generator.gamma(0.5, 3, (3, n_genes))[codes]).astype(np.float64)
    counts[:, 0] += 1
    return sp.csr_matrix(np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)), codes


def test_statistics_equal_plain_formulas() -> None:
    x, codes = draw_cells()
    found = marker_statistics(x, codes, n_types=3, n_permutations=50, seed=0)
    assert set(found) == KEYS
    dense = x.toarray().astype(np.float64)
    for code in range(3):
        own, others = dense[codes == code], dense[codes != code]
        n_own, n_others = len(own), len(others)
        pooled = ((n_own - 1) * own.var(axis=0, ddof=1) + (n_others - 1) * others.var(axis=0, ddof=1)) / (
            len(dense) - 2
        )
        expected = {
            "mean_in": own.mean(axis=0),
            "mean_out": others.mean(axis=0),
            "fraction_in": (own > 0).mean(axis=0),
            "fraction_out": (others > 0).mean(axis=0),
            "log2_fold_change": np.log2((np.expm1(own).mean(axis=0) + 1) / (np.expm1(others).mean(axis=0) + 1)),
            "auc": [roc_auc_score(codes == code, dense[:, gene]) for gene in range(7)],
            "cohens_d": (own.mean(axis=0) - others.mean(axis=0)) / np.sqrt(pooled),
        }
        for name, values in expected.items():
            np.testing.assert_allclose(found[name][code], values, rtol=1e-6, err_msg=name)
        # Student's t is d over the square root of 1/n1 + 1/n2.
        t_statistic = stats.ttest_ind(own, others).statistic
        np.testing.assert_allclose(found["cohens_d"][code] / np.sqrt(1 / n_own + 1 / n_others), t_statistic, rtol=1e-6)
    adjusted = stats.false_discovery_control(found["p_value"].ravel()).reshape(3, 7)
    np.testing.assert_allclose(found["p_value_adj"], adjusted)
    for name in ("donor_fraction", "n_donors_holding", "n_donors"):
        assert np.isnan(found[name]).all()


def test_the_input_stays_as_it_was() -> None:
    x, codes = draw_cells()
    before = x.copy()
    marker_statistics(x, codes, n_types=3, donors=np.arange(100) % 2, n_permutations=5, seed=0)
    np.testing.assert_array_equal(x.toarray(), before.toarray())
    assert x.dtype == np.float32


def test_a_type_without_cells_is_not_known_and_spoils_no_other() -> None:
    x, codes = draw_cells()
    expected = marker_statistics(x, codes, n_types=3, n_permutations=50, seed=0)
    found = marker_statistics(x, codes, n_types=4, n_permutations=50, seed=0)
    for name in KEYS - {"p_value", "p_value_adj"}:
        np.testing.assert_array_equal(found[name][:3], expected[name])
    for name in ("mean_in", "log2_fold_change", "auc", "cohens_d", "p_value", "p_value_adj"):
        assert np.isnan(found[name][3]).all(), name
    assert not np.isnan(found["p_value_adj"][:3]).any()


def test_cohens_d_where_nothing_varies() -> None:
    x = sp.csr_matrix(np.array([[0.1, 0.1, 0.0], [0.1, 0.1, 0.0], [0.1, 0.7, 0.0], [0.1, 0.7, 0.0]]))
    d = marker_statistics(x, np.array([0, 0, 1, 1]), n_types=2, n_permutations=5, seed=0)["cohens_d"]
    assert (d[:, [0, 2]] == 0).all()
    assert np.isnan(d[:, 1]).all()


def test_group_means_of_what_no_other_cell_has_are_exactly_zero() -> None:
    generator = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], 30)
    x = sp.csr_matrix(generator.gamma(1, 1, (90, 5)) * (codes == 1)[:, None])
    _, mean_out = group_means(x, codes, n_types=3)
    assert (mean_out[1] == 0).all()


def test_donors_that_agree_with_the_direction_of_all_cells_are_counted() -> None:
    # Per donor: cells of the type, other cells, and what each of them has of two genes.
    layout = {
        "agrees": (4, 4, (2.0, 0.0), (1.0, 3.0)),
        "agrees too": (3, 3, (5.0, 1.0), (0.0, 2.0)),
        "turns round": (5, 5, (0.0, 2.0), (0.5, 1.0)),
        "equal": (3, 4, (1.0, 1.0), (1.0, 1.0)),
        "too few": (2, 9, (0.0, 9.0), (3.0, 0.0)),
        "too few others": (9, 2, (9.0, 0.0), (0.0, 9.0)),
    }
    rows, codes, donors = [], [], []
    for donor, (n_own, n_others, own, others) in layout.items():
        rows += [own] * n_own + [others] * n_others
        codes += [0] * n_own + [1] * n_others
        donors += [donor] * (n_own + n_others)
    x = sp.csr_matrix(np.array(rows))
    difference = np.array([[1.0, -1.0], [-1.0, 1.0]])
    holding, counted = donor_agreement(x, np.array(codes), np.array(donors), difference)
    assert (holding == 2).all()
    assert (counted == 4).all()
    turned, _ = donor_agreement(x, np.array(codes), np.array(donors), np.array([[-1.0, 0.0], [1.0, 0.0]]))
    assert (turned[:, 0] == 1).all()
    assert np.isnan(turned[:, 1]).all()


def test_with_donors_labels_are_permuted_within_them() -> None:
    generator = np.random.default_rng(0)
    donors = np.repeat(["d1", "d2"], 150)
    codes = (generator.random(300) < np.where(donors == "d1", 0.8, 0.2)).astype(int)
    x = sp.csr_matrix(generator.gamma(1, 1, (300, 15)) + 2 * (donors == "d2")[:, None])
    found = marker_statistics(x, codes, n_types=2, donors=donors, n_permutations=100, seed=0)
    assert np.median(found["p_value"]) > 0.2
    assert ((found["donor_fraction"] >= 0) & (found["donor_fraction"] <= 1)).all()


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_gives_the_same_statistics(seed: int) -> None:
    x, codes = draw_cells()
    one, other = (marker_statistics(x, codes, n_types=3, n_permutations=50, seed=seed) for _ in range(2))
    for name in KEYS:
        np.testing.assert_array_equal(one[name], other[name])


def test_equals_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    x = np.where(generator.random((150, 6)) < 0.6, 0, np.round(generator.gamma(2, 1, (150, 6)), 1))
    x[:, 3], x[:, 4], x[:, 5] = 0, 1.5, generator.random(150) + 1
    codes = generator.integers(0, 4, 150)
    expected = [[roc_auc_score(codes == code, x[:, gene]) for gene in range(6)] for code in range(4)]
    for form in (sp.csr_matrix(x), sp.csc_matrix(x.astype(np.float32))):
        np.testing.assert_allclose(type_auc(form, codes, n_types=4), expected, rtol=1e-12)


def test_zeros_that_are_stored_are_zeros() -> None:
    x = sp.csr_matrix(np.array([[1.0], [2.0], [3.0], [4.0]]))
    x.data[:] = [0, 0, 3, 0]
    assert type_auc(x, np.array([0, 0, 1, 1]), n_types=2)[:, 0].tolist() == [0.25, 0.75]


def test_types_without_a_rest_have_none() -> None:
    x = sp.csr_matrix(np.arange(4.0)[:, None])
    assert np.isnan(type_auc(x, np.zeros(4, dtype=int), n_types=2)).all()
