import numpy as np
import pytest

from cellmark.training.markers.marker_changes import VERDICTS, ChangeRules, complete, specificity


def test_a_marker_has_its_log2_fold_change_against_the_average_other_type() -> None:
    means = np.array([[15.0, 1.0, 5.0]])[..., None]
    found = specificity(np.log2(means + 1), np.ones((1, 3), dtype=bool))
    np.testing.assert_allclose(found[0, :, 0], np.log2([16 / 4, 2 / 11, 6 / 9]))


def test_missing_values_of_an_additive_table_come_back_exactly() -> None:
    generator = np.random.default_rng(0)
    donors, types = generator.normal(size=(6, 1, 30)), generator.normal(size=(1, 5, 30)) + 5
    table = donors + types
    present = generator.random((6, 5)) > 0.3
    present[0] = present[:, 0] = True  # so that every donor and type can be compared with every other
    holes = np.where(present[..., None], table, 0)
    np.testing.assert_allclose(complete(holes, present), table, atol=1e-10)
    np.testing.assert_array_equal(complete(holes, present)[present], table[present])


def test_a_donor_that_lacks_a_type_is_compared_with_the_same_rest() -> None:
    """The type that the second donor lacks is the one that expresses the gene: its rest would be nearly silent."""
    log2_means = np.log2(np.array([[3.0, 1.0, 63.0]] * 2) + 1)[..., None]
    present = np.array([[True, True, True], [True, True, False]])
    found = specificity(log2_means * present[..., None], present)[..., 0]
    assert np.isnan(found[1, 2])
    np.testing.assert_allclose(found[1, :2], found[0, :2])


RULES = ChangeRules(min_log2_fold_change=1, min_fraction=0.1, min_change=1, alpha=0.05)


@pytest.mark.parametrize(
    ("before", "after", "change", "interval", "p_value_adj", "expected"),
    [
        (False, True, 2.0, (1.5, 2.5), 0.01, "gained"),
        (True, False, -2.0, (-2.5, -1.5), 0.01, "lost"),
        (True, True, 2.0, (1.5, 2.5), 0.01, "stronger"),
        (True, True, -2.0, (-2.5, -1.5), 0.01, "weaker"),
        (True, True, 0.2, (-0.5, 0.9), 0.6, "kept"),
        (True, True, 0.6, (0.4, 0.8), 0.001, "kept"),  # real, but smaller than what counts as a change
        (True, True, 0.2, (-0.5, 1.1), 0.6, "undecided"),
        (False, True, 2.0, (-0.1, 4.1), 0.06, "undecided"),
        (False, True, 0.9, (0.8, 1.0), 0.001, "undecided"),  # across the line for a marker, and hardly a change
        (True, False, -0.1, (-0.2, 0.0), 0.5, "undecided"),
        (True, True, 3.0, (np.nan, np.nan), np.nan, "undecided"),
        (False, False, 3.0, (2.5, 3.5), 0.001, "no marker"),
        (False, True, -2.0, (-2.5, -1.5), 0.01, "undecided"),  # a marker by the fraction alone: the words would lie
    ],
)
def test_verdicts_follow_the_rules(
    before: bool, after: bool, change: float, interval: tuple[float, float], p_value_adj: float, expected: str
) -> None:
    found = RULES.verdicts(
        np.array([before]),
        np.array([after]),
        change=np.array([change]),
        low=np.array([interval[0]]),
        high=np.array([interval[1]]),
        p_value_adj=np.array([p_value_adj]),
    )
    assert list(found) == [expected]
    assert expected in VERDICTS


def test_a_marker_needs_both_a_fold_change_and_cells_that_express_it() -> None:
    found = RULES.is_marker(np.array([1.0, 0.99, 5.0, np.nan]), np.array([0.1, 0.9, 0.09, np.nan]))
    assert list(found) == [True, False, False, False]


@pytest.mark.parametrize("n_donors", [(4, 4), (7, 1), (1, 7), (2, 5)])
def test_a_marker_of_either_side_alone_is_a_candidate(n_donors: tuple[int, int]) -> None:
    marker, nothing = (np.array([1.0]), np.array([0.1])), (np.array([0.0]), np.array([0.0]))
    for before, after in ((marker, nothing), (nothing, marker)):
        assert RULES.is_candidate((before[0], after[0]), (before[1], after[1]), n_donors=n_donors).all()


def test_candidates_are_chosen_by_what_says_nothing_of_the_change() -> None:
    """Among genes without a change, those chosen have changes as small as all others."""
    generator = np.random.default_rng(0)
    before, after = generator.normal(0.5, 1, (2, 3, 40_000)).mean(axis=1)[0], None
    after = generator.normal(0.5, 1, (6, 40_000)).mean(axis=0)
    chosen = RULES.is_candidate((before, after), (np.ones(40_000), np.ones(40_000)), n_donors=(3, 6))
    assert 0.1 < chosen.mean() < 0.9
    spread = np.std((after - before)[chosen])
    assert spread == pytest.approx(np.sqrt(1 / 3 + 1 / 6), rel=0.03)
    by_larger = np.maximum(before, after) > 1
    assert np.std((after - before)[by_larger]) > 1.1 * spread
