import numpy as np

from cellmark.training.markers.marker_changes import complete, specificity


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
