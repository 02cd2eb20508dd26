import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmark.training.figures.embedding_figure import place_labels


def overlaps(centres: np.ndarray, sizes: np.ndarray) -> bool:
    apart = np.abs(centres[:, None] - centres[None])
    together = (apart < (sizes[:, None] + sizes[None]) / 2).all(axis=2)
    return bool((together & ~np.eye(len(sizes), dtype=bool)).any())


def test_labels_with_room_stay_where_they_are() -> None:
    anchors = np.array([[50.0, 50.0], [150.0, 50.0], [50.0, 90.0]])
    centres, fits = place_labels(anchors, np.full((3, 2), 20.0), width=300, height=200)
    assert fits
    np.testing.assert_array_equal(centres, anchors)


@given(st.integers(1, 30), st.integers(0, 20))
def test_what_is_said_to_fit_does_not_overlap_and_is_in_the_frame(n: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    sizes = np.column_stack([generator.uniform(8, 60, n), np.full(n, 12.0)])
    anchors = generator.uniform(0, 400, (n, 2))
    centres, fits = place_labels(anchors, sizes, width=400, height=400)
    assert (centres - sizes / 2 >= 0).all()
    assert (centres + sizes / 2 <= 400).all()
    assert not (fits and overlaps(centres, sizes))


@pytest.mark.parametrize("n", [2, 12])
def test_labels_on_one_spot_part(n: int) -> None:
    sizes = np.full((n, 2), [40.0, 12.0])
    centres, fits = place_labels(np.full((n, 2), 300.0), sizes, width=600, height=600)
    assert fits
    assert not overlaps(centres, sizes)
    assert np.abs(centres - 300).max() < 15 * n


def test_too_many_labels_are_told() -> None:
    assert not place_labels(np.full((9, 2), 10.0), np.full((9, 2), 30.0), width=50, height=50)[1]


def test_no_labels_fit() -> None:
    assert place_labels(np.empty((0, 2)), np.empty((0, 2)), width=50, height=50)[1]
