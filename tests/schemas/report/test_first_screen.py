"""The first screen says what was counted, on which cells, and makes no number that a handful of cells decides."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.report.evidence import evidence_of
from cellmark.schemas.report.facts import read_facts
from cellmark.schemas.report.first_screen import FEW_ERRORS, first_screen, frequent_errors, of_100
from fixtures import full_report as made
from fixtures.places import ARCHIVES

if TYPE_CHECKING:
    from cellmark.schemas.report.facts import ReportFacts
    from cellmark.schemas.report.first_screen import Sentence


def told(facts: "ReportFacts") -> "list[Sentence]":
    return first_screen(facts, evidence_of(facts))


def with_manifest(facts: "ReportFacts", **update: Any) -> "ReportFacts":
    return replace(facts, manifest=facts.manifest.model_copy(update=update))


def of_test_cells(confusion: list[list[int]]) -> "ReportFacts":
    """Facts of a model that was tried on test cells of one donor only, with this confusion matrix."""
    facts = made.full_facts(len(confusion))
    counts = np.array(confusion)
    sizes, right = counts.sum(axis=1), np.diag(counts)
    per_type = {
        name: {"precision": 0.9, "recall": float(hit / size), "f1": 0.9, "support": int(size)}
        for name, size, hit in zip(facts.manifest.cell_type_names, sizes, right, strict=True)
        if size
    }
    n_cells = int(counts.sum())
    test = {"n_cells": n_cells, "accuracy": float(right.sum() / max(n_cells, 1)), "macro_f1": 0.9,
            "per_type": per_type, "confusion": confusion}  # fmt: skip
    split = facts.manifest.split.model_copy(update={
        "test": facts.manifest.split.test.model_copy(update={"donors": ["human3"]})})  # fmt: skip
    return with_manifest(facts, evaluation=None, metrics={"test": test}, split=split)


def test_it_is_right_for_so_many_of_100_cells_of_a_donor() -> None:
    right, error, hardest, unjudged, *_ = told(of_test_cells([[200, 15, 0], [0, 56, 15], [0, 0, 3]]))
    names = made.full_facts(3).manifest.cell_type_names
    assert right.said == "Right for 90 of 100 cells of a donor it had never seen."  # 259 of 289
    assert right.detail == "289 cells of human3."
    assert right.source == "metrics.test"
    assert error.said == f"Most frequent error: {names[0]} called {names[1]}, 15 of 215."
    assert error.detail == f"30 of 289 calls were wrong. Then: {names[1]} called {names[2]}, 15 of 71."
    assert hardest.said == f"Found least often: {names[1]}, 56 of 71 cells."
    assert unjudged.said == f"Cannot be judged: {names[2]} (3 cells tested)."
    assert not unjudged.is_known


def test_of_donors_left_out_the_range_is_told_and_the_rival() -> None:
    right = told(made.full_facts(4))[0]
    assert right.said == "Right for 92 of 100 cells of donors it had never seen."
    for words in ("600 cells in 3 rounds", "95 % interval: 90 to 94 of 100, over donors", "By donor: 92 of 100",
                  "Logistic regression on the same cells and genes: 90 of 100"):  # fmt: skip
        assert words in right.detail, words


def test_few_cells_make_no_number() -> None:
    right, error, *others = told(of_test_cells([[20, 9], [0, 20]]))
    assert not right.is_known
    assert right.detail == "Only 49 cells were held out."
    assert not error.is_known
    assert not any(character.isdigit() for character in error.said + right.said)
    facts = made.full_facts(4)
    novelty = facts.manifest.novelty
    assert novelty is not None
    few = [novelty.left_out[0].model_copy(update={"n_unknown": 49})]
    unknown = told(with_manifest(facts, novelty=novelty.model_copy(update={"left_out": few})))[4]
    assert not unknown.is_known
    assert "49 cells only" in unknown.detail
    assert others


@pytest.mark.parametrize(("n_wrong", "is_frequent"), [(FEW_ERRORS - 1, False), (FEW_ERRORS, True)])
def test_an_error_is_frequent_from_five_cells(n_wrong: int, is_frequent: bool) -> None:
    error = told(of_test_cells([[200 - n_wrong, n_wrong], [0, 300]]))[1]
    assert error.said.startswith("Most frequent error") == is_frequent
    assert f"{n_wrong} of 500 calls were wrong" in error.detail


def test_no_wrong_call_is_said_so() -> None:
    _, error, *_ = told(of_test_cells([[200, 0], [0, 300]]))
    assert error.said == "No call was wrong."


def test_unknown_types_are_counted_in_cells() -> None:
    unknown = told(made.full_facts(4))[4]
    assert unknown.said == "Of 100 cells of types it had not learned, 50 stayed unassigned."
    assert "300 of 600 cells" in unknown.detail


@given(st.floats(0, 1))
def test_none_and_all_of_100_mean_none_and_all(share: float) -> None:
    words = of_100(share)
    assert (words == "100 of 100") == (share == 1)
    assert (words == "0 of 100") == (share == 0)


@given(st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4), min_size=4, max_size=4))
def test_errors_are_all_that_is_off_the_diagonal_the_most_frequent_first(confusion: list[list[int]]) -> None:
    pairs, sizes, n_wrong = frequent_errors(confusion)
    assert sum(n for n, *_ in pairs) == n_wrong == sum(map(sum, confusion)) - sum(confusion[k][k] for k in range(4))
    assert [n for n, *_ in pairs] == sorted((n for n, *_ in pairs), reverse=True)
    assert list(sizes) == [sum(row) for row in confusion]


def test_of_an_old_bundle_it_says_what_is_not_known() -> None:
    screen = told(read_facts(Bundle.open(ARCHIVES / "v1")))
    assert {one.is_known for one in screen[-3:]} == {False}
