"""The shift of a whole sample: closed forms on made arrays, what must not raise a threshold, what is never lowered."""

from typing import Any

import numpy as np
import pytest

from cellmark.schemas.calls.sample_shift import (
    FEWEST_CELLS,
    FEWEST_OF_TYPE,
    FOREIGN,
    LEVELS,
    MOST_CELLS,
    OWN,
    TAIL,
    SampleShift,
    TypeShifts,
    judged_cells,
    lowered_thresholds,
    quantiles_of_types,
    raised_thresholds,
    sample_shift,
    type_shifts,
)
from cellmark.schemas.manifest.manifest_trust import NoveltyEntry, SampleShiftEntry

THRESHOLD = 2.0


def held_out(n_types: int = 5, n_cells: int = 101) -> tuple[np.ndarray, np.ndarray]:
    """Every type has the same novelty, evenly spaced: its quantile at a level q is -1 + 3q."""
    return np.repeat(np.arange(n_types), n_cells), np.tile(np.linspace(-1, 2, n_cells), n_types)


def reference(best: np.ndarray, novelty: np.ndarray, *, cap: float = 1.5, n_types: int = 5) -> SampleShiftEntry:
    quantiles = [tuple(row) for row in quantiles_of_types(best, novelty, n_types, *LEVELS).tolist()]
    tail = quantiles_of_types(best, novelty, n_types, TAIL)[:, 0].tolist()
    return SampleShiftEntry(quantiles=quantiles, tail=tail, cap=cap, cap_of="donors")


def judged(best: np.ndarray, novelty: np.ndarray, entry: SampleShiftEntry) -> SampleShift:
    rows = judged_cells(len(best))
    return sample_shift(best[rows], novelty[rows], n_cells=len(best), threshold=THRESHOLD, reference=entry)


def test_quantiles_are_values_that_are_there_and_of_enough_cells() -> None:
    best, novelty = held_out(2)
    np.testing.assert_allclose(quantiles_of_types(best, novelty, 3, 0.1, 0.5), [[-0.7, 0.5]] * 2 + [[np.nan] * 2])
    few = np.arange(len(best)) < FEWEST_OF_TYPE - 1
    assert np.isnan(quantiles_of_types(best[few], novelty[few], 3, 0.1)).all()
    strange = np.where(np.arange(len(best)) % 101 < 95, np.nan, novelty)  # NaN is above all numbers
    assert (quantiles_of_types(best, strange, 2, 0.1) == np.inf).all()


def test_the_shift_is_the_lower_median_over_types_that_both_know() -> None:
    nan = np.nan
    for shifts, expected in (([0.1, 0.9, 0.5, nan], 0.5), ([0.9, nan, 0.1], 0.1), ([0.1, nan], None)):
        every = np.ones(len(shifts), dtype=bool)
        assert TypeShifts(every, every, ~every, ~every, np.array(shifts)).in_common == expected


def test_a_shift_uses_up_the_room_of_a_type_first() -> None:
    tail = np.array([2.5, 2.0, 1.5, 0.5, np.nan])
    found = raised_thresholds(THRESHOLD, np.array([0.75, 0.75, 0.75, 0.75, 0.25]), tail)
    np.testing.assert_allclose(found, [2.75, 2.75, 2.25, 2.0, 2.25])
    np.testing.assert_allclose(raised_thresholds(THRESHOLD, np.full(5, -3.0), tail), THRESHOLD)


def test_a_shifted_sample_is_refused_as_the_held_out_cells_are() -> None:
    best, novelty = held_out()
    entry = reference(best, novelty)
    for shift in (0.0, 0.2, 1.0, 1.4):
        found = judged(best, novelty + shift, entry)
        assert found.shift == pytest.approx(shift)
        refused = novelty + shift > found.thresholds[best] + 1e-6  # which float32 rounds
        assert refused.mean() <= max(1 - TAIL, (novelty > THRESHOLD).mean())
        assert (found.state == "shifted") == (shift > THRESHOLD - (-1 + 3 * TAIL))


def test_cells_that_are_strange_within_a_shifted_sample_stay_unassigned() -> None:
    best, novelty = held_out()
    entry = reference(best, novelty)
    strange = np.r_[np.zeros(80, dtype=int), best]
    found = judged(strange, np.r_[np.full(80, 4.0), novelty + 0.5], entry)
    assert found.shift == pytest.approx(0.5)
    assert (found.thresholds < 4.0).all()


@pytest.mark.parametrize("cap", [1.5, 1.1])
def test_a_type_is_raised_by_its_own_shift_within_what_all_have_in_common_and_the_cap(cap: float) -> None:
    best, novelty = held_out()
    own = np.array([0.2, 0.6, 0.8, 1.15, 1.4])
    found = judged(best, novelty + own[best], reference(best, novelty, cap=cap))
    assert found.shift == pytest.approx(0.8)
    room = THRESHOLD - (-1 + 3 * TAIL)
    np.testing.assert_allclose(found.thresholds - THRESHOLD, np.minimum(own, min(OWN * 0.8, cap)) - room, rtol=1e-5)


def test_other_last_digits_of_novelty_change_no_threshold() -> None:
    best, novelty = held_out()
    entry = reference(best, novelty)
    noise = np.random.default_rng(0).normal(0, 1e-7, len(best))
    one, other = judged(best, novelty + 0.7002, entry), judged(best, novelty + 0.7002 + noise, entry)
    assert one.thresholds.tolist() == other.thresholds.tolist()


def test_one_type_that_looks_novel_raises_no_threshold() -> None:
    best, novelty = held_out()
    entry = reference(best, novelty)
    found = judged(best, novelty + 1.2 * (best == 3), entry)
    assert (found.state, found.shift) == ("not_shifted", pytest.approx(0.0))
    alone = best == 3
    assert judged(best[alone], novelty[alone] + 1.2, entry).state == "few"


def test_a_type_most_of_whose_cells_are_refused_keeps_the_fixed_threshold() -> None:
    """Cells of an unknown type are mostly called one type: they must not be let in by the shift that they make."""
    best, novelty = held_out()
    entry = reference(best, novelty)
    most = np.tile(np.where(np.arange(101) % 10 < 7, 2.1, 0.0), 5)
    found = judged(best, np.where(best == 2, most, novelty + 0.9), entry)
    assert (found.state, found.shift) == ("shifted", pytest.approx(0.9))
    assert (found.thresholds == THRESHOLD).tolist() == [False, False, True, False, False]
    assert not found.foreign.any()
    everything = judged(best, most, entry)
    assert (everything.state, everything.foreign.all()) == ("beyond", True)  # of such a sample none is likely there
    alone = best[best == 2]
    assert judged(alone, most[best == 2], entry).state == "beyond"
    pair = best[best < 2]
    assert judged(pair, np.where(pair == 1, most[best < 2], novelty[best < 2]), entry).state == "few"


def test_where_next_to_all_cells_called_a_type_are_refused_only_typical_ones_keep_it() -> None:
    """A few cells of an unknown type lie below any threshold: nothing says that they are the type's own."""
    best, novelty = held_out()
    entry = reference(best, novelty)
    n_foreign, foreign = round(1.1 * FOREIGN * 101), np.arange(101)
    values = np.where(foreign < n_foreign, 2.1, np.where(foreign % 2, 1.9, 0.3))
    found = judged(best, np.where(best == 2, np.tile(values, 5), novelty + 0.9), entry)
    assert found.state == "shifted"
    assert found.foreign.tolist() == [False, False, True, False, False]
    assert found.thresholds[2] == pytest.approx(0.5)  # the median of held-out cells
    assert (found.thresholds[[0, 1, 3, 4]] > THRESHOLD).all()
    wrong = judged(best, np.tile(values, 5), entry)
    assert (wrong.state, wrong.foreign.all()) == ("beyond", True)
    np.testing.assert_allclose(wrong.thresholds, 0.5)
    few = np.arange(len(best)) % 101 < FEWEST_OF_TYPE - 1
    assert not judged(best[few | (best < 2)], np.full((few | (best < 2)).sum(), 2.1), entry).foreign[2:].any()


def test_a_foreign_type_of_which_nothing_is_known_takes_the_least_novel_types_threshold() -> None:
    found = lowered_thresholds(THRESHOLD, np.array([0.5, np.nan, -0.25, 2.5]))
    np.testing.assert_allclose(found, [0.5, -0.25, -0.25, THRESHOLD])


def test_strange_cells_among_a_types_own_hardly_raise_its_threshold() -> None:
    best, novelty = held_out()
    entry = reference(best, novelty)
    mixed = np.r_[best, np.zeros(90, dtype=int)], np.r_[novelty, np.full(90, 2.6)]
    clean, found = judged(best, novelty, entry), judged(*mixed, entry)
    types = type_shifts(*mixed, threshold=THRESHOLD, reference=entry.quantiles_of_types)
    assert types.known.all()
    assert not types.strange.any()
    assert 0 <= types.shifts[0] < 0.3  # where the half of higher ones moves by one
    np.testing.assert_array_equal(found.thresholds, clean.thresholds)


def test_a_sample_beyond_the_cap_keeps_the_fixed_threshold() -> None:
    best, novelty = held_out()
    found = judged(best, novelty + 1.3, reference(best, novelty, cap=1.2))
    assert (found.state, found.shift) == ("beyond", pytest.approx(1.3))
    assert not found.foreign.any()
    most = np.tile(np.where(np.arange(101) % 10 < 7, 2.1, 0.0), 5)
    one = judged(best, np.where(best == 2, most, novelty + 1.3), reference(best, novelty, cap=1.2))
    assert (one.state, one.foreign.tolist()) == ("beyond", [False, False, True, False, False])
    assert one.thresholds[2] == pytest.approx(0.5)
    assert (found.thresholds == THRESHOLD).all()
    assert judged(best, np.full(len(best), np.nan), reference(best, novelty)).state == "beyond"


def test_a_small_sample_keeps_the_fixed_threshold() -> None:
    best, novelty = held_out(2, n_cells=FEWEST_CELLS // 2 - 1)
    found = judged(best, novelty + 1.0, reference(*held_out(2), n_types=2))
    assert (found.state, found.shift) == ("few", None)
    assert (found.thresholds == THRESHOLD).all()


@pytest.mark.parametrize("seed", range(5))
def test_only_foreign_types_thresholds_are_lowered_and_order_does_not_matter(seed: int) -> None:
    generator = np.random.default_rng(seed)
    best, novelty = generator.integers(0, 5, 700), generator.normal(generator.normal(), 1, 700)
    novelty += np.array([0, 0, 0, 0, 3])[best]
    entry = reference(*held_out())
    found, order = judged(best, novelty, entry), generator.permutation(700)
    assert (found.thresholds[~found.foreign] >= np.float32(THRESHOLD)).all()
    assert (found.thresholds[found.foreign] < np.float32(THRESHOLD)).all()
    refused = np.array([(novelty[best == code] > THRESHOLD).mean() for code in range(5)])
    assert found.foreign.tolist() == (refused > FOREIGN).tolist()
    again = judged(best[order], novelty[order], entry)
    assert (again.shift, again.thresholds.tolist()) == (found.shift, found.thresholds.tolist())


def test_of_many_cells_as_many_at_even_distances_are_looked_at() -> None:
    np.testing.assert_array_equal(judged_cells(7), np.arange(7))
    rows = judged_cells(3 * MOST_CELLS + 1)
    assert len(rows) == MOST_CELLS
    assert set(np.diff(rows)) <= {3, 4}


def test_a_section_of_an_earlier_version_has_none() -> None:
    section: dict[str, Any] = {
        "score": "s", "threshold": 1.0, "false_refusal_rate": 0.02, "folds": "cells", "n_cells": 3,
    }  # fmt: skip
    assert NoveltyEntry.model_validate(section).sample_shift is None
