"""Levels: sums over groups of types, their calls, and sections that are refused."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.manifest.manifest_levels import LevelEntry, LevelsEntry, level_calls, level_sums
from fixtures.places import ARCHIVES

TYPES = ("CD4 T", "CD8 T", "NK", "mono", "DC")
LINEAGE = {"T/NK": ["CD4 T", "CD8 T", "NK"], "myeloid": ["mono", "DC"]}
BROAD = {"T": ["CD4 T", "CD8 T"], "NK": ["NK"], "myeloid": ["mono", "DC"]}


def level(name: str, groups: dict[str, list[str]], **more: Any) -> dict[str, Any]:
    return {"name": name, "groups": [{"name": key, "cell_types": held} for key, held in groups.items()], **more}


def section(*levels: dict[str, Any]) -> LevelsEntry:
    return LevelsEntry.model_validate({"source": "columns", "levels": levels})


@pytest.fixture(scope="module")
def levels() -> tuple[LevelEntry, ...]:
    return tuple(section(level("lineage", LINEAGE), level("broad", BROAD)).levels)


def test_two_subtypes_of_one_half_are_surely_their_group(levels: tuple[LevelEntry, ...]) -> None:
    members = levels[1].members(TYPES)
    called, confidence = level_calls(np.array([[0.5, 0.49, 0.01, 0, 0]], dtype=np.float32), members)
    assert (levels[1].names[called[0]], confidence[0]) == ("T", pytest.approx(0.99))


def test_the_most_probable_group_may_be_another_than_that_of_the_most_probable_type(
    levels: tuple[LevelEntry, ...],
) -> None:
    called, confidence = level_calls(np.array([[0.3, 0.3, 0.4, 0, 0]], dtype=np.float32), levels[1].members(TYPES))
    assert (called[0], confidence[0]) == (0, pytest.approx(0.6))  # T, where the most probable type is NK


def test_a_temperature_is_of_the_sums_and_changes_no_call(levels: tuple[LevelEntry, ...]) -> None:
    members = levels[0].members(TYPES)
    probabilities = np.array([[0.5, 0.2, 0.1, 0.1, 0.1]])
    # Square roots of 0.8 and 0.2 are as 2 to 1.
    np.testing.assert_allclose(level_sums(probabilities, members, 2.0), [[2 / 3, 1 / 3]])
    drawn = np.random.default_rng(0).dirichlet(np.full(5, 0.3), 500)
    called = [level_calls(drawn, members, temperature)[0] for temperature in (0.5, 1.0, 3.0)]
    assert np.array_equal(called[0], called[1])
    assert np.array_equal(called[1], called[2])


def test_sums_are_probabilities_and_a_majority_decides_all_coarser_levels(levels: tuple[LevelEntry, ...]) -> None:
    drawn = np.random.default_rng(1).dirichlet(np.full(5, 0.4), 4000).astype(np.float32)
    best, calls = drawn.argmax(axis=1), []
    for one in levels:
        members = one.members(TYPES)
        sums = level_sums(drawn, members, 1.4)
        np.testing.assert_allclose(sums.sum(axis=1), 1, rtol=1e-5)
        called, confidence = level_calls(drawn, members, 1.4)
        assert (confidence >= 1 / len(one.groups) - 1e-6).all()
        sure = drawn.max(axis=1) > 0.5
        assert sure.any()
        assert (one.group_of(TYPES)[best] == called)[sure].all()
        calls.append((called, (drawn @ members).max(axis=1)))
    (coarse, _), (fine, sums) = calls
    above = {1: 0, 0: 0, 2: 1}  # NK and T lie within T/NK
    within = np.array([above[code] for code in fine]) == coarse
    assert within[sums > 0.5].all()
    assert not within.all()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ([level("a", {"T": ["CD4 T", "CD8 T"], "myeloid": ["mono", "DC"]}), level("b", BROAD)], "every type once"),
        ([level("a", {**LINEAGE, "other": ["NK"]})], "every type once"),
        ([level("a", BROAD), level("b", LINEAGE)], "within the one before"),
        ([level("a", {"all": list(TYPES)})], "at least 2"),
        ([level("a", BROAD, temperature=0)], "greater than 0"),
        ([], "at least 1"),
    ],
)
def test_levels_that_do_not_nest_or_hold_all_types_are_refused(wrong: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        section(*wrong)


@pytest.mark.parametrize("name", ["v1", "tiny"])
def test_a_bundle_of_an_earlier_version_has_none(name: str) -> None:
    assert Bundle.open(ARCHIVES / name).manifest.levels is None
