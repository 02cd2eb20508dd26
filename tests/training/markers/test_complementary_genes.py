"""The first genes of a type: what each adds to those before it, drawn anew as well."""

import numpy as np
import pytest

from cellmark.training.markers.complementary_genes import N_POOL, complementary_genes, ranked_scores
from cellmark.training.markers.marker_ranking import TypeProfiles


def profiles(n_genes: int = 90, *shape: int) -> TypeProfiles:
    generator = np.random.default_rng(0)
    mean = generator.gamma(1, 1, (*shape, 4, n_genes))
    return TypeProfiles(mean, generator.uniform(0.2, 1, mean.shape), np.full(mean.shape[:-1], 50))


def plain(scores: np.ndarray, of: TypeProfiles, code: int, n_genes: int, penalty: float) -> list[int]:
    """The definition, gene by gene."""

    def above(gene: int) -> np.ndarray:
        spread = np.sqrt((of.variance[code, gene] + of.variance[:, gene]) / 2) + 0.5
        d = np.maximum(of.mean[code, gene] - of.mean[:, gene], 0) / spread
        return d / max(np.linalg.norm(d), 1e-300)

    pool = sorted(range(scores.shape[1]), key=lambda gene: -scores[code, gene])[:N_POOL]
    chosen: list[int] = []
    while len(chosen) < n_genes:

        def worth(gene: int) -> float:
            own = float(scores[code, gene])
            similar = np.mean([above(gene) @ above(other) for other in chosen]) if chosen else 0.0
            return own * (1 - penalty * similar) if own > 0 else own

        chosen.append(max((gene for gene in pool if gene not in chosen), key=worth))
    return chosen


@pytest.mark.parametrize("penalty", [0.0, 0.6])
def test_the_choice_is_what_the_definition_says(penalty: float) -> None:
    of = profiles()
    scores = np.random.default_rng(1).normal(size=(4, 90))
    chosen, values = complementary_genes(scores, of, n_genes=8, penalty=penalty)
    for code in range(4):
        assert chosen[code].tolist() == plain(scores, of, code, 8, penalty)
    assert (np.diff(values, axis=-1) <= 0).all()


def test_a_gene_that_separates_other_types_comes_before_a_repetition() -> None:
    # Type 0 against types 1 and 2: two genes that neither of them has, one that sets it above the first alone.
    mean = np.array([[3.0, 3.0, 3.0], [0.0, 0.0, 2.8], [2.8, 2.8, 0.0]])
    of = TypeProfiles(mean, np.full((3, 3), 0.2), np.full(3, 50))
    scores = np.array([[1.0, 0.9, 0.8], [0, 0, 0], [0, 0, 0]])
    assert complementary_genes(scores, of, n_genes=3)[0][0].tolist() == [0, 2, 1]
    assert complementary_genes(scores, of, n_genes=3, penalty=0)[0][0].tolist() == [0, 1, 2]


def test_draws_are_chosen_one_by_one() -> None:
    of = profiles(70, 3)
    scores = np.random.default_rng(2).normal(size=(3, 4, 70))
    chosen, values = complementary_genes(scores, of, n_genes=5)
    for draw in range(3):
        one = TypeProfiles(of.mean[draw], of.variance[draw], of.n_cells[draw])
        expected = complementary_genes(scores[draw], one, n_genes=5)
        np.testing.assert_array_equal(chosen[draw], expected[0])
        np.testing.assert_allclose(values[draw], expected[1])


def test_genes_that_may_not_be_ranked_come_last_and_none_twice() -> None:
    scores = np.where(np.arange(7) < 2, 1.0, -np.inf) * np.ones((4, 1))
    chosen, _ = complementary_genes(scores, profiles(7), n_genes=9)
    assert [sorted(row) for row in chosen.tolist()] == [list(range(7))] * 4
    assert {tuple(sorted(row[:2])) for row in chosen.tolist()} == {(0, 1)}


def test_the_first_genes_are_the_chosen_ones_and_the_rest_has_its_own_order() -> None:
    of = profiles()
    generator = np.random.default_rng(3)
    evidence, distinct = generator.normal(size=(2, 4, 90))
    found = ranked_scores(evidence, distinct, of, n_first=6)
    chosen, _ = complementary_genes(evidence, of, n_genes=6)
    for code in range(4):
        order = np.argsort(-found[code], kind="stable")
        rest = np.setdiff1d(np.arange(90), chosen[code])
        assert order[:6].tolist() == chosen[code].tolist()
        assert order[6:].tolist() == sorted(rest, key=lambda gene: -distinct[code, gene])
        assert (found[code, rest] == distinct[code, rest]).all()
    assert (found >= distinct).all()


def test_a_chosen_gene_keeps_a_score_that_is_above_those_after_it() -> None:
    # Genes 2, 0 and 1 are the first three: gene 2 has less than gene 3 has, the last two do not.
    of = TypeProfiles(np.array([[3.0, 3, 3, 3], [0.0, 0, 0, 0]]), np.full((2, 4), 0.2), np.full(2, 50))
    evidence = np.array([[4.0, 3.0, 5.0, 1.0], [-1, -1, -1, -1]])
    distinct = np.array([[7.0, 6.0, 1.0, 4.0], [-4, -3, -2, -1]])
    found = ranked_scores(evidence, distinct, of, n_first=3, penalty=0)
    assert found[0].tolist() == [7.0, 6.0, np.nextafter(7.0, 8), 4.0]
    assert found[1].tolist() == distinct[1].tolist()  # nothing speaks for them, so none is raised


def test_genes_that_may_not_be_ranked_are_not_raised() -> None:
    of = profiles(5)
    evidence = np.where(np.arange(5) == 3, 1.0, -np.inf) * np.ones((4, 1))
    distinct = np.where(np.arange(5) == 3, 2.0, -np.inf) * np.ones((4, 1))
    np.testing.assert_array_equal(ranked_scores(evidence, distinct, of), distinct)


def test_draws_are_ranked_one_by_one() -> None:
    of = profiles(40, 3)
    evidence, distinct = np.random.default_rng(4).normal(size=(2, 3, 4, 40))
    found = ranked_scores(evidence, distinct, of)
    for draw in range(3):
        one = TypeProfiles(of.mean[draw], of.variance[draw], of.n_cells[draw])
        np.testing.assert_array_equal(found[draw], ranked_scores(evidence[draw], distinct[draw], one))
