import numpy as np
import pytest

from cellmark.schemas.errors import ParameterError
from cellmark.training.markers.contrasts import ALL_OTHERS, NO_DONORS, plan_contrasts, take_samples


def plan(pairs: str, reference: str | None = None) -> list[tuple[object, ...]]:
    """Condition, reference, design and, of each side, donors with conditions. `pairs`: such as `a1 a2 b3`."""
    conditions = np.array([pair[0] for pair in pairs.split()])
    donors = np.array([pair[1:] for pair in pairs.split()])
    samples = take_samples(conditions, donors)

    def names(side: tuple[tuple[int, ...], ...]) -> str:
        assert samples.donors is not None
        return " ".join("".join(samples.conditions[n] for n in of) + samples.donors[of[0]] for of in side)

    return [
        (found.condition, found.reference, found.design, names(found.before), names(found.after))
        for found in plan_contrasts(samples, reference=reference)
    ]


def test_samples_are_donors_within_conditions() -> None:
    samples = take_samples(np.array(["b", "a", "a", "b"]), np.array(["1", "1", "2", "1"]))
    assert samples.conditions == ("a", "a", "b")
    assert samples.donors == ("1", "2", "1")
    np.testing.assert_array_equal(samples.numbers, [2, 0, 1, 2])


def test_of_two_conditions_the_first_by_name_is_the_reference() -> None:
    assert plan("b3 a1 a2 b4") == [("b", "a", "independent", "a1 a2", "b3 b4")]
    assert plan("b3 a1 a2 b4", "b") == [("a", "b", "independent", "b3 b4", "a1 a2")]


def test_of_three_conditions_each_is_compared_with_all_others() -> None:
    assert plan("a1 b2 c3 c4") == [
        ("a", ALL_OTHERS, "independent", "b2 c3 c4", "a1"),
        ("b", ALL_OTHERS, "independent", "a1 c3 c4", "b2"),
        ("c", ALL_OTHERS, "independent", "a1 b2", "c3 c4"),
    ]
    assert [found[:2] for found in plan("a1 b2 c3 c4", "b")] == [("a", "b"), ("c", "b")]


def test_donors_of_both_sides_are_compared_with_themselves() -> None:
    assert plan("a1 a2 a3 b1 b2 b4") == [("b", "a", "independent", "a1 a2 a3", "b1 b2 b4")]
    assert plan("a1 a2 a3 b3 b1 b2") == [("b", "a", "paired", "a1 a2 a3", "b1 b2 b3")]
    assert plan("a1 a2 a3 a4 b1 b2 b4") == [("b", "a", "paired", "a1 a2 a4", "b1 b2 b4")]


def test_a_donor_in_several_of_the_other_conditions_counts_once() -> None:
    assert plan("a1 a2 b1 b2 c1 c2")[0] == ("a", ALL_OTHERS, "paired", "bc1 bc2", "a1 a2")


def test_where_conditions_are_donors_one_is_compared_with_the_others() -> None:
    names = np.array(["x", "y", "z"])
    found = plan_contrasts(take_samples(names, names), reference=None)
    assert [(contrast.design, len(contrast.before), len(contrast.after)) for contrast in found] == [
        ("single", 2, 1)
    ] * 3


def test_without_donors_there_is_no_design() -> None:
    found = plan_contrasts(take_samples(np.array(["a", "b", "c"]), None), reference=None)
    assert {contrast.design for contrast in found} == {None}
    assert {contrast.reason for contrast in found} == {NO_DONORS}
    assert [contrast.samples(contrast.before) for contrast in found] == [[1, 2], [0, 2], [0, 1]]


def test_one_condition_and_an_unknown_reference_are_refused() -> None:
    with pytest.raises(ParameterError, match="at least two conditions; found only a"):
        plan("a1 a2")
    with pytest.raises(ParameterError, match=r"reference: expected one of a, b; found 'c'"):
        plan("a1 b2", "c")
