"""Three disjoint parts: complete, whole donors, reproducible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.checks.split import Split, split_by_donor, split_cells, split_stratified
from cellmark.schemas.errors import LabelError


def assert_parts(split: Split, n_cells: int) -> None:
    together = np.concatenate([split.train, split.validation, split.test])
    assert sorted(together) == list(range(n_cells))
    for part in (split.train, split.validation, split.test):
        assert len(part) > 0
        assert (np.diff(part) > 0).all()


def same(one: Split, other: Split) -> bool:
    pairs = ((one.train, other.train), (one.validation, other.validation), (one.test, other.test))
    return all(np.array_equal(first, second) for first, second in pairs)


def draw(sizes: dict[str, list[int]], *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Codes and donors of cells in mixed order. `sizes`: per donor the cells of each type."""
    codes = np.concatenate([np.repeat(np.arange(len(row)), row) for row in sizes.values()])
    donors = np.repeat(list(sizes), [sum(row) for row in sizes.values()])
    order = np.random.default_rng(seed).permutation(len(codes))
    return codes[order], donors[order]


@given(st.lists(st.integers(3, 60), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_stratified_parts_are_disjoint_complete_and_hold_every_type(sizes: list[int], seed: int) -> None:
    codes = np.random.default_rng(1).permutation(np.repeat(np.arange(len(sizes)), sizes))
    split = split_stratified(codes, seed=seed)
    assert_parts(split, len(codes))
    for part in (split.train, split.validation, split.test):
        assert set(codes[part]) == set(range(len(sizes)))
    assert same(split, split_stratified(codes, seed=seed))


def test_stratified_shares_hold_in_every_type() -> None:
    codes = np.repeat([0, 1], [1000, 100])
    split = split_stratified(codes, seed=3)
    assert np.bincount(codes[split.test]).tolist() == [200, 20]
    assert np.bincount(codes[split.validation]).tolist() == [100, 10]
    assert split.strategy == "stratified"
    assert not same(split, split_stratified(codes, seed=4))


def test_a_type_of_two_cells_cannot_be_split() -> None:
    with pytest.raises(LabelError, match="SPLIT_IMPOSSIBLE"):
        split_stratified(np.array([0, 0, 0, 1, 1]), seed=0)


FOUR = {name: [30, 20, 10] for name in ("d1", "d2", "d3", "d4")}


@pytest.mark.parametrize("seed", range(5))
def test_whole_donors_are_held_out_and_validate(seed: int) -> None:
    codes, donors = draw(FOUR)
    split = split_by_donor(codes, donors, hold_out=["d2"], seed=seed)
    assert_parts(split, len(codes))
    assert set(donors[split.test]) == {"d2"}
    parts = [set(donors[part]) for part in (split.train, split.validation, split.test)]
    assert [len(part) for part in parts] == [2, 1, 1]
    assert not parts[0] & parts[1]
    assert same(split, split_by_donor(codes, donors, hold_out=["d2"], seed=seed))
    assert split.strategy == "donor"


def test_several_donors_can_be_held_out() -> None:
    codes, donors = draw(FOUR)
    split = split_by_donor(codes, donors, hold_out=["d4", "d1"], seed=0)
    assert_parts(split, len(codes))
    assert set(donors[split.test]) == {"d1", "d4"}


def test_a_drawn_test_donor_is_noted_and_every_donor_has_its_chance() -> None:
    codes, donors = draw(FOUR)
    drawn = set()
    for seed in range(40):
        split = split_by_donor(codes, donors, seed=seed)
        (donor,) = set(donors[split.test])
        assert donor in split.notes[0]
        assert str(seed) in split.notes[0]
        drawn.add(donor)
    assert drawn == set(FOUR)


def test_a_drawn_test_donor_leaves_training_cells_of_every_type() -> None:
    codes, donors = draw({"d1": [30, 20, 9], "d2": [30, 20, 0], "d3": [30, 20, 0]})
    for seed in range(20):
        split = split_by_donor(codes, donors, seed=seed)
        assert set(donors[split.test]) != {"d1"}
        assert set(codes[split.train]) == {0, 1, 2}


def test_the_drawn_test_donor_has_enough_cells_of_the_most_types() -> None:
    codes, donors = draw({"d1": [90, 60, 2], "d2": [30, 20, 12], "d3": [90, 60, 40], "d4": [500, 2, 2]})
    for seed in range(20):
        split = split_by_donor(codes, donors, seed=seed)
        # d3 has enough of all types too, but most cells of the last; without d2 every type keeps half.
        assert set(donors[split.test]) <= {"d2", "d3"}
        assert "10 cells or more of 3 of 3 types" in split.notes[0]


def test_two_donors_validate_on_a_stratified_tenth_and_say_so() -> None:
    codes, donors = draw({"d1": [100, 40], "d2": [100, 40]})
    split = split_by_donor(codes, donors, hold_out=["d2"], seed=0)
    assert_parts(split, len(codes))
    assert np.bincount(codes[split.validation]).tolist() == [10, 4]
    assert set(donors[split.validation]) == {"d1"}
    assert any("tenth" in note for note in split.notes)


def test_no_donor_validates_who_holds_most_of_a_type() -> None:
    codes, donors = draw({"d1": [30, 3], "d2": [30, 3], "d3": [30, 3], "d4": [30, 30]})
    for seed in range(20):
        split = split_by_donor(codes, donors, hold_out=["d1"], seed=seed)
        assert set(donors[split.validation]) <= {"d2", "d3"}


def test_validation_is_a_tenth_when_no_donor_can_be_spared() -> None:
    codes, donors = draw({"d1": [9, 9, 9], "d2": [30, 0, 0], "d3": [0, 30, 0], "d4": [0, 0, 30]})
    for seed in range(5):
        split = split_by_donor(codes, donors, hold_out=["d1"], seed=seed)
        assert np.bincount(codes[split.validation]).tolist() == [3, 3, 3]
        assert set(codes[split.train]) == {0, 1, 2}
        assert any("no whole donor" in note for note in split.notes)


def test_an_unknown_donor_is_refused_with_the_donors_there_are() -> None:
    codes, donors = draw(FOUR)
    with pytest.raises(LabelError, match="HOLD_OUT_UNKNOWN") as caught:
        split_by_donor(codes, donors, hold_out=["d2", "D3"], seed=0)
    assert "D3" in caught.value.findings[0].found
    assert "d1, d2, d3, d4" in caught.value.findings[0].expected


@pytest.mark.parametrize(("sizes", "hold_out"), [(FOUR, list(FOUR)), ({"d1": [9, 9]}, []), ({"d1": [9, 9]}, ["d1"])])
def test_nothing_to_train_on_is_refused(sizes: dict[str, list[int]], hold_out: list[str]) -> None:
    codes, donors = draw(sizes)
    with pytest.raises(LabelError, match="SPLIT_IMPOSSIBLE"):
        split_by_donor(codes, donors, hold_out=hold_out, seed=0)


def test_no_cell_to_validate_on_is_refused() -> None:
    codes, donors = draw({"d1": [1, 1], "d2": [9, 9]})
    with pytest.raises(LabelError, match="SPLIT_IMPOSSIBLE"):
        split_by_donor(codes, donors, hold_out=["d2"], seed=0)


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=2, max_size=2), min_size=2, max_size=5),
    st.integers(0, 100),
    st.booleans(),
)
def test_donor_parts_are_disjoint_complete_and_whole_or_refused(
    rows: list[list[int]], seed: int, name_one: bool
) -> None:
    codes, donors = draw({f"d{number}": row for number, row in enumerate(rows)})
    if len(codes) == 0:
        return
    hold_out = [str(donors[0])] if name_one else []
    try:
        split = split_by_donor(codes, donors, hold_out=hold_out, seed=seed)
    except LabelError as error:
        assert error.code == "SPLIT_IMPOSSIBLE"  # noqa: PT017  (refusing is allowed, anything else is not)
        return
    assert_parts(split, len(codes))
    assert not set(donors[split.test]) & set(donors[np.r_[split.train, split.validation]])


def test_donors_decide_the_strategy() -> None:
    codes, donors = draw(FOUR)
    assert split_cells(codes, None, seed=0).strategy == "stratified"
    assert same(split_cells(codes, None, seed=0), split_stratified(codes, seed=0))
    split = split_cells(codes, donors, hold_out=["d3"], seed=0)
    assert same(split, split_by_donor(codes, donors, hold_out=["d3"], seed=0))


def test_without_a_test_share_all_cells_are_for_training_and_validation() -> None:
    codes = np.repeat([0, 1], [30, 12])
    by_cells = split_cells(codes, None, test_share=0.0, seed=0)
    assert len(by_cells.test) == 0
    assert len(by_cells.train) + len(by_cells.validation) == 42
    donors = np.array(["a", "b", "c"])[np.arange(42) % 3]
    by_donor = split_cells(codes, donors, test_share=0.0, seed=0)
    assert len(by_donor.test) == 0
    assert by_donor.strategy == "donor"
    assert len(set(donors[by_donor.validation])) == 1
    one = split_cells(codes, np.full(42, "a"), test_share=0.0, seed=0)
    assert len(one.test) == 0
    assert 0 < len(one.validation) < 10


def test_networks_are_judged_on_the_test_part_or_else_on_validation_cells() -> None:
    codes = np.repeat([0, 1], 50)
    with_test, without = (split_cells(codes, None, test_share=share, seed=0) for share in (0.2, 0.0))
    part, rows = with_test.unseen
    assert (part, rows.tolist()) == ("test", with_test.test.tolist())
    part, rows = without.unseen
    assert (part, rows.tolist()) == ("validation", without.validation.tolist())
