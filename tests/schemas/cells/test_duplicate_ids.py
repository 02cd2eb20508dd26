"""Ids that come twice, against pandas; hashes that collide make none."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.cells import duplicate_ids
from cellmark.schemas.cells.duplicate_ids import find_duplicates


def found(ids: list[str], block: int = 10, n_examples: int = 5) -> tuple[int, list[str]]:
    def blocks() -> Iterable[np.ndarray]:
        return (np.array(ids[start : start + block], dtype=object) for start in range(0, len(ids), block))

    return find_duplicates(blocks, len(ids), n_examples=n_examples)


@pytest.mark.parametrize("n_different", [1, 50, 2000, 10**9])
def test_duplicates_are_those_of_pandas(n_different: int) -> None:
    numbers = np.random.default_rng(0).integers(0, n_different, 1000)
    ids = [f"cell-α{number}" for number in numbers]
    repeated = pd.Index(ids)[pd.Index(ids).duplicated()].unique()
    assert found(ids) == (len(repeated), list(repeated[:5]))


def test_ids_whose_hashes_collide_are_no_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicate_ids, "_hashes", lambda ids: np.array([len(text) for text in ids], dtype=np.uint64))
    assert found(["a", "b", "cc", "dd", "eee"]) == (0, [])
    assert found(["a", "b", "cc", "dd", "a", "eee"]) == (1, ["a"])


def test_of_very_many_duplicates_only_some_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicate_ids, "MOST_COMPARED", 3)
    number, examples = found([str(number % 20) for number in range(60)])
    assert number == 20
    assert len(examples) == 3


def test_ids_that_are_fewer_than_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="2 ids of 3 cells"):
        find_duplicates(lambda: [np.array(["a", "b"], dtype=object)], 3, n_examples=5)
