from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cellmark.schemas.checks.split import Split
from cellmark.training.config import TrainingConfig
from cellmark.training.tracking.measures import (
    donors_of_test,
    found_settings,
    given_settings,
    held_out_words,
    run_name,
)

DONORS = np.array(["d2", "d1", "d3", "d1"])


def cells(donors: np.ndarray | None = DONORS) -> Any:
    return SimpleNamespace(donors=donors, library_size_source="summed", counts_from="X")


def split(*test: int) -> Split:
    rest = np.array([row for row in range(4) if row not in test])
    return Split("donor", 0, rest, rest[:1], np.array(test, dtype=int))


def config(**options: Any) -> TrainingConfig:
    return TrainingConfig(data=Path("x.h5ad"), **options)


def test_the_donor_that_was_drawn_is_logged() -> None:
    found = found_settings(config(donor="donor"), cells(), split(1, 3))
    assert (found["hold_out"], found["hold_out_chosen"]) == ("d1", "drawn")
    assert "test_share" not in found, "a share of cells that was not used"


def donors_of_test_that_were_given_are_said_to_be() -> None:
    found = found_settings(config(donor="donor", hold_out=("d1", "d2")), cells(), split(0, 1, 3))
    assert (found["hold_out"], found["hold_out_chosen"]) == ("d1,d2", "given")


def test_without_a_test_part_no_donor_is_out() -> None:
    found = found_settings(config(donor="donor", test_share=0), cells(), split())
    assert (found["hold_out"], found["hold_out_chosen"]) == ("none", "no test part")


def test_without_donors_the_share_is_what_counts() -> None:
    found = found_settings(config(library_size="n_counts"), cells(None), split(0))
    assert (found["test_share"], found["library_size"]) == ("0.2", "n_counts")
    assert "hold_out" not in found


def test_settings_that_were_not_set_are_left_out_and_none_is_logged_twice() -> None:
    given = given_settings(config(donor="donor"))
    assert not {"", "None"} & set(given.values())
    assert not set(given) & set(found_settings(config(donor="donor"), cells(), split(1, 3)))
    assert given["donor"] == "donor"


@pytest.mark.parametrize(
    ("donors", "share", "expected"),
    [(["human4"], 0.2, "human4 out"), (["a", "b", "c"], 0.2, "a, b, c out"), (list("abcd"), 0.2, "4 donors out"),
     ([], 0.2, "no test part"), (None, 0.25, "25% of cells out"), (None, 0, "no test part")],
)  # fmt: skip
def test_what_was_held_out_in_a_few_words(donors: list[str] | None, share: float, expected: str) -> None:
    assert held_out_words(donors, test_share=share) == expected


def test_a_run_is_named_by_what_is_known() -> None:
    assert run_name("pancreas", version=None, held_out=None) == "pancreas"
    assert run_name("pancreas", version="1", held_out="human4 out") == "pancreas v1, human4 out"
    assert donors_of_test(cells(), split(1, 3)) == ["d1"]
