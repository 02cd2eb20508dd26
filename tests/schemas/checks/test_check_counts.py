"""Checks of single chunks and of their sum over an input."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.checks.check_counts import (
    BLOCK,
    LARGEST_COUNT,
    N_EXAMPLES,
    CountsProblems,
    _largest_if_fine,
    check_counts,
)
from cellmark.schemas.normalization import row_sums


def check(dense: np.ndarray, ids: list[str] | None = None) -> CountsProblems:
    X = sp.csr_matrix(np.asarray(dense))
    names = np.array(ids or [f"c{number}" for number in range(X.shape[0])])
    return check_counts(X, names, row_sums(X))


def codes(problems: CountsProblems) -> list[str]:
    return [finding.code for finding in problems.findings("X")]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (np.nan, "COUNTS_NAN"),
        (np.inf, "COUNTS_INFINITE"),
        (-np.inf, "COUNTS_INFINITE"),
        (-1.0, "COUNTS_NEGATIVE"),
        (0.5, "COUNTS_NOT_WHOLE"),
        (LARGEST_COUNT + 2.0, "COUNTS_TOO_LARGE"),
        (1e300, "COUNTS_TOO_LARGE"),
    ],
)
def test_each_kind_of_wrong_value_has_its_code_and_names_its_cell(value: float, code: str) -> None:
    problems = check(np.array([[1.0, 2.0], [3.0, value]]), ["AAAC-1", "AAAG-1"])
    (finding,) = problems.findings("layers['counts']")
    assert (finding.code, finding.severity, finding.where) == (code, "error", "layers['counts']")
    assert finding.examples == ("AAAG-1",)
    assert finding.found.startswith("1 ")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.int64, np.uint32, np.uint64, np.bool_])
def test_whole_numbers_of_any_dtype_pass(dtype: type) -> None:
    problems = check(np.array([[0, 1], [1, 1]]).astype(dtype))
    assert not problems.any
    assert problems.largest == 1


def test_the_largest_count_itself_passes() -> None:
    assert not check(np.array([[float(LARGEST_COUNT)]])).any


def test_an_empty_cell_is_named_whether_or_not_it_stores_zeros() -> None:
    X = sp.csr_matrix((np.array([0.0, 0.0, 4.0]), np.array([0, 1, 1]), np.array([0, 2, 2, 3])), shape=(3, 2))
    problems = check_counts(X, np.array(["zeros", "nothing", "full"]), row_sums(X))
    (finding,) = problems.findings("X")
    assert (finding.code, finding.examples) == ("CELL_EMPTY", ("zeros", "nothing"))


def test_a_cell_whose_wrong_values_cancel_is_not_called_empty() -> None:
    assert codes(check(np.array([[1.0, -1.0]]))) == ["COUNTS_NEGATIVE"]


def test_all_kinds_come_at_once() -> None:
    dense = np.array([[np.nan, 1], [np.inf, 1], [-2, 1], [0.25, 1], [2.0**25, 1], [0, 0]])
    assert codes(check(dense)) == [
        "COUNTS_NAN", "COUNTS_INFINITE", "COUNTS_NEGATIVE", "COUNTS_NOT_WHOLE", "COUNTS_TOO_LARGE", "CELL_EMPTY",
    ]  # fmt: skip


def test_log_normalised_values_are_called_that() -> None:
    (finding,) = check(np.log1p(np.array([[0, 120.0], [7, 3000.0]]))).findings("X")
    assert "log-normalised" in finding.found
    assert "largest 8.007" in finding.found
    assert "layer" in finding.remedy
    (scaled,) = check(np.array([[0.5, 1200.25]])).findings("X")
    assert "log-normalised" not in scaled.found


def test_few_examples_are_kept_of_many_cells_in_order() -> None:
    (finding,) = check(np.full((50, 2), -1.0)).findings("X")
    assert finding.examples == tuple(f"c{number}" for number in range(N_EXAMPLES))
    assert finding.found.startswith("100 ")


def test_a_matrix_without_entries_is_only_empty_cells() -> None:
    assert codes(check(np.zeros((2, 3)))) == ["CELL_EMPTY"]
    assert codes(check(np.zeros((0, 3)))) == []


odd_values = st.sampled_from([0.0, 1.0, 3.0, 0.5, -1.0, -0.5, np.nan, np.inf, 2.0**26])


@given(st.lists(st.lists(odd_values, min_size=3, max_size=3), min_size=1, max_size=12), st.integers(1, 5))
def test_problems_of_chunks_add_up_to_those_of_the_whole(rows: list[list[float]], n_rows: int) -> None:
    dense = np.array(rows)
    ids = [f"c{number}" for number in range(len(rows))]
    merged = CountsProblems()
    for start in range(0, len(rows), n_rows):
        merged.merge(check(dense[start : start + n_rows], ids[start : start + n_rows]))
    assert merged.findings("X") == check(dense, ids).findings("X")


@given(st.lists(st.lists(odd_values, min_size=2, max_size=2), min_size=1, max_size=8))
def test_counts_of_problems_equal_plain_numpy(rows: list[list[float]]) -> None:
    dense = np.array(rows)
    problems = check(dense)
    finite = dense[np.isfinite(dense)]
    assert problems.n_nan == np.isnan(dense).sum()
    assert problems.n_infinite == np.isinf(dense).sum()
    assert problems.n_negative == (finite < 0).sum()
    assert problems.n_fractional == (finite % 1 != 0).sum()
    assert problems.n_large == (finite > LARGEST_COUNT).sum()
    assert problems.n_empty == (dense == 0).all(axis=1).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 2 * BLOCK + 7, 3 * BLOCK - 1])
@pytest.mark.parametrize("value", [0.5, 1 + 2**-20, -1.0, np.nan, np.inf, -np.inf, -0.5, LARGEST_COUNT + 2.0])
def test_a_wrong_value_is_found_in_any_block_of_many(value: float, place: int, dtype: type) -> None:
    data = np.random.default_rng(0).integers(0, LARGEST_COUNT + 1, 3 * BLOCK).astype(dtype)
    assert _largest_if_fine(data) == data.max()
    data[place] = value
    assert _largest_if_fine(data) is None


def test_a_negative_zero_is_no_problem() -> None:
    X = sp.csr_matrix((np.array([-0.0, 3.0], dtype=np.float32), np.array([0, 1]), np.array([0, 2])), shape=(1, 2))
    assert not check_counts(X, np.array(["a"]), row_sums(X)).any
