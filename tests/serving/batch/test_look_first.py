"""What a report says to look at first: every kind of trouble, and nothing that rests on a few cells."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from cellmark.schemas.columns import UNASSIGNED
from cellmark.serving.batch.job_facts import OPEN, JobFacts, SampleFacts
from cellmark.serving.batch.look_first import Point, look_first, shortened, wilson_low
from fixtures.drawn_job import drawn_job, drawn_sample


def points(facts: JobFacts) -> dict[str, Point]:
    return {point.flag: point for point in look_first(facts)}


def of(*samples: SampleFacts) -> JobFacts:
    """A job of these samples, whose names and digests are made to differ."""
    named = [
        replace(one, name=f"s{place}", input_digest=f"{place:064x}" if one.is_ok else None)
        for place, one in enumerate(samples)
    ]
    return replace(drawn_job(), samples=tuple(named))


def test_each_kind_of_trouble_is_named_with_its_sample_and_its_cells() -> None:
    facts = drawn_job()
    found = points(facts)
    places = {flag: [item.sample for item in point.items] for flag, point in found.items()}
    assert places == {
        "refused": [5],
        "failed": [6],
        "unassigned": [1],
        "low confidence": [2],
        "drift": [11],  # the last of two points of one flag: moved, after far
        "thin genes": [4, 11],
        "same input": [8],
        "quality": [3],
        "slow": [10],
        "few cells": [7],
    }
    assert [item.sample for point in look_first(facts) if "far" in point.title for item in point.items] == [3]
    one = facts.samples[1]
    assert f"{one.n_unassigned:,} of {one.cells:,} cells (30\u00a0%); median of the other samples 2.0\u00a0%" in (
        found["unassigned"].items[0].text
    )
    assert found["same input"].items[0].text == f"the same {facts.samples[9].cells:,} cells as sample 09"
    assert found["refused"].command == "cellmark batch run '/scratch/jobs/screen of spring' --retry-failed"
    grades = [point.grade for point in look_first(facts)]
    assert grades == sorted(grades, key=["bad", "warn", "note"].index)


def test_every_item_on_good_samples_states_a_number_of_cells() -> None:
    facts = drawn_job()
    for point in look_first(facts):
        for item in point.items:
            assert "cell" in item.text, item


def test_samples_alike_have_nothing_to_look_at() -> None:
    assert look_first(of(*(drawn_sample(number) for number in range(20)))) == []
    assert look_first(of()) == []


@pytest.mark.parametrize("n_samples", [1, 2, 8])
@pytest.mark.parametrize("seed", range(10))
def test_no_statement_rests_on_fewer_than_ten_cells(n_samples: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    good = [drawn_sample(number) for number in range(8)]
    few = [
        replace(
            drawn_sample(number),
            n_cells=9,
            types={UNASSIGNED: 9},
            histogram=(9, *(0,) * 19),
            attribution_share=generator.uniform(0, 1),
            drift="Far from the training data.",
            quality="unlike training: total_counts",
        )
        for number in range(n_samples)
    ]
    found = points(of(*good, *few))
    assert set(found) == {"few cells"}
    # Nine unassigned cells of many are no statement either.
    one = replace(good[0], types={"B": 1, UNASSIGNED: 9}, n_cells=10, histogram=(0,) * 19 + (10,))
    assert points(of(one, *good)) == {}


def test_a_few_samples_are_not_compared_but_much_is_much() -> None:
    some, much = drawn_sample(1, unassigned=0.15), drawn_sample(2, unassigned=0.5)
    usual = drawn_sample(3)
    found = points(of(some, much, usual))["unassigned"]
    assert [item.sample for item in found.items] == [1]
    assert "median" not in found.items[0].text
    assert [item.sample for item in points(of(some, usual, usual, usual))["unassigned"].items] == [0]


def test_the_interval_is_wilsons() -> None:
    for k, n in ((0, 10), (3, 10), (10, 10), (250, 10_000)):
        expected = binomtest(k, n).proportion_ci(method="wilson").low
        assert wilson_low(k, n) == pytest.approx(expected, abs=1e-4)


def test_a_small_shard_is_not_slow_because_opening_takes_as_long_for_all() -> None:
    many = [drawn_sample(number, n_cells=50_000) for number in range(6)]
    small = drawn_sample(7, n_cells=500)
    assert "slow" not in points(of(*many, small))


def test_what_is_not_finished_says_how_far_it_is() -> None:
    one = drawn_sample(1)
    found = points(of(one, replace(one, status=OPEN, n_shards=4)))
    assert found[OPEN].items[0].text == "1 of 4 shards recorded"
    assert found[OPEN].command.startswith("cellmark batch run ")


def test_a_long_verdict_is_shortened_to_its_gravest_parts() -> None:
    verdict = (
        "Far from the training data: a (median 5,165 against 2,203), b, c, d, e outside. Other composition, no fault."
    )
    assert shortened(verdict) == "a (median 5,165 against 2,203), b, c and 2 more"
    assert shortened("Moved: a.") == "a"
    assert shortened("Far from the training data.") == "Far from the training data."
