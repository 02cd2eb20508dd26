"""Explanations: targets and contrasts, the strongest genes as rows, and their words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.checks.checked_cells import AlignedCells
from cellmark.schemas.columns import EXPLANATION_COLUMNS
from cellmark.schemas.errors import ModelError, ParameterError
from cellmark.schemas.golden_cells import read_golden
from cellmark.serving.scoring.attribute import Explained, Question, attribute_cells, directions, explanation_frame
from cellmark.serving.scoring.score import best_two
from cellmark.serving.scoring.session import ModelSession

NAMES = ["B cell", "NK cell", "T cell"]


@pytest.fixture(scope="module")
def session(tiny_bundle: Bundle) -> ModelSession:
    return ModelSession(tiny_bundle)


@pytest.fixture(scope="module")
def cells(tiny_bundle: Bundle) -> AlignedCells:
    """The golden cells: two of each type."""
    golden = read_golden(tiny_bundle)
    return AlignedCells(0, golden.counts, golden.library_size, np.ones(len(tiny_bundle.panel), dtype=bool))


def single(session: ModelSession, cells: AlignedCells, target: np.ndarray) -> np.ndarray:
    """Attributions of one type per cell, straight from the graph."""
    one_hot = np.eye(len(NAMES), dtype=np.float32)[target]
    attributions, _ = session.explain(cells.counts.toarray(), cells.library_size, one_hot)
    return np.asarray(attributions)


def ranks(session: ModelSession, cells: AlignedCells) -> np.ndarray:
    """Types of each cell from best to worst."""
    order: np.ndarray = np.argsort(
        -session.annotate(cells.counts.toarray(), cells.library_size)["probabilities"], axis=1, kind="stable"
    )
    return order


def test_the_called_type_is_explained_by_default(session: ModelSession, cells: AlignedCells) -> None:
    explained = attribute_cells(session, cells, Question())
    best = ranks(session, cells)[:, 0]
    assert explained.called.tolist() == explained.target.tolist() == best.tolist()
    assert set(explained.against.tolist()) == {-1}
    np.testing.assert_array_equal(explained.attributions, single(session, cells, best))
    assert np.abs(explained.convergence_delta).max() < 1e-4


def test_a_named_target_is_explained_in_every_cell(session: ModelSession, cells: AlignedCells) -> None:
    explained = attribute_cells(session, cells, Question(target="NK cell"))
    assert set(explained.target.tolist()) == {1}
    np.testing.assert_array_equal(explained.attributions, single(session, cells, np.ones(6, dtype=int)))


def contrast(session: ModelSession, cells: AlignedCells, target: np.ndarray, against: np.ndarray) -> np.ndarray:
    return single(session, cells, target) - single(session, cells, against)


def test_against_second_is_the_called_type_against_the_runner_up(session: ModelSession, cells: AlignedCells) -> None:
    explained = attribute_cells(session, cells, Question(against="second"))
    order = ranks(session, cells)
    assert explained.target.tolist() == order[:, 0].tolist()
    assert explained.against.tolist() == order[:, 1].tolist()
    np.testing.assert_allclose(
        explained.attributions, contrast(session, cells, order[:, 0], order[:, 1]), atol=1e-4
    )  # fmt: skip


def test_a_target_against_second_is_against_the_best_where_it_is_second_itself(
    session: ModelSession, cells: AlignedCells
) -> None:
    n_second = 0
    for number, name in enumerate(NAMES):
        explained = attribute_cells(session, cells, Question(target=name, against="second"))
        for order, target, against in zip(ranks(session, cells), explained.target, explained.against, strict=True):
            assert target == number
            assert against == (order[0] if order[1] == number else order[1])
            n_second += order[1] == number
    assert n_second == len(cells.library_size)


def test_a_type_named_against_leaves_its_own_cells_to_their_runner_up(
    session: ModelSession, cells: AlignedCells
) -> None:
    explained = attribute_cells(session, cells, Question(against="T cell"))
    assert set(explained.against.tolist()) == {2}
    for order, target in zip(ranks(session, cells), explained.target, strict=True):
        assert target == (order[1] if order[0] == 2 else order[0])
    np.testing.assert_allclose(
        explained.attributions, contrast(session, cells, explained.target, explained.against), atol=1e-4
    )


@pytest.mark.parametrize(
    ("question", "error", "where"),
    [
        (Question(target="NK"), ModelError, "target"),
        (Question(against="first"), ModelError, "against"),
        (Question(target="NK cell", against="NK cell"), ParameterError, "against"),
        (Question(top=0), ParameterError, "top"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    session: ModelSession, question: Question, error: type[Exception], where: str
) -> None:
    with pytest.raises(error) as caught:
        question.check(session)
    assert caught.value.findings[0].where == where  # type: ignore[attr-defined]


def test_questions_that_can_be_answered_pass(session: ModelSession) -> None:
    for question in (Question(), Question("NK cell", "second", 1), Question(None, "B cell"), Question("B cell")):
        question.check(session)


def explain_by_hand(attributions: list[list[float]], counts: list[list[float]], session: ModelSession) -> Explained:
    n_genes = len(session.bundle.panel)
    wide = np.zeros((len(attributions), n_genes), dtype=np.float32)
    wide[:, : len(attributions[0])] = attributions
    many = np.full_like(wide, np.nan)
    many[:, : len(counts[0])] = counts
    n_cells = len(attributions)
    return Explained(
        wide, np.full(n_cells, 1e-6, np.float32), np.zeros(n_cells, int), np.ones(n_cells, int), np.full(n_cells, -1),
        many, np.log1p(many),
    )  # fmt: skip


def test_rows_are_the_strongest_genes_signed_in_order_of_strength(session: ModelSession) -> None:
    explained = explain_by_hand([[0.1, -3.0, 2.0, 0.0], [0.0, 0.0, 0.5, 0.0]], [[1, 0, 5, 2], [0, 1, 9, 0]], session)
    baselines = np.full(len(session.bundle.panel), 1.0, dtype=np.float32)
    frame = explanation_frame(session, explained, np.array(["one", "two"]), baselines, top=3)
    assert tuple(frame.columns) == EXPLANATION_COLUMNS
    symbols = session.bundle.panel.symbols
    assert frame["cell_id"].tolist() == ["one"] * 3 + ["two"]
    assert frame["rank"].tolist() == [1, 2, 3, 1]
    assert frame["gene"].tolist() == [symbols[1], symbols[2], symbols[0], symbols[2]]
    np.testing.assert_allclose(frame["attribution"], [-3.0, 2.0, 0.1, 0.5], rtol=1e-6)
    assert frame["counts"].tolist() == [0, 5, 1, 9]
    np.testing.assert_allclose(frame["log1p_norm"], np.log1p([0, 5, 1, 9]), rtol=1e-6)
    assert frame["direction"].tolist() == ["absent, against", "high, for", "low, for", "high, for"]
    assert set(frame["cell_type"]) == {"B cell"}
    assert set(frame["target"]) == {"NK cell"}
    assert frame["against"].isna().all()
    assert (frame["convergence_delta"] == np.float32(1e-6)).all()


def test_more_genes_than_there_are_give_all_that_count(session: ModelSession) -> None:
    explained = explain_by_hand([[0.1, -3.0, 2.0]], [[1, 0, 5]], session)
    baselines = np.zeros(len(session.bundle.panel), dtype=np.float32)
    assert len(explanation_frame(session, explained, np.array(["one"]), baselines, top=10**6)) == 3


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 5]), st.floats(0, 3), st.sampled_from([-2.0, 0.5])), min_size=1),
)
def test_directions_in_words(rows: list[tuple[int, float, float]]) -> None:
    counts, baselines, attributions = (np.array(column) for column in zip(*rows, strict=True))
    expression = np.log1p(counts)
    for row, words in enumerate(directions(counts, expression, baselines, attributions)):
        state, side = words.split(", ")
        assert side == ("for" if attributions[row] > 0 else "against")
        if counts[row] == 0:
            assert state == "absent"
        else:
            assert state == ("high" if expression[row] >= baselines[row] else "low")


def test_expression_and_counts_of_an_explanation_are_those_of_the_cell(
    session: ModelSession, cells: AlignedCells
) -> None:
    explained = attribute_cells(session, cells, Question())
    dense = cells.counts.toarray()
    np.testing.assert_array_equal(explained.counts, dense)
    expected = np.log(1 + dense.astype(np.float64) / cells.library_size[:, None] * 1e4)
    np.testing.assert_allclose(explained.log1p_norm, expected, rtol=1e-5)
    best, *_ = best_two(session.annotate(dense, cells.library_size)["probabilities"])
    assert explained.called.tolist() == best.tolist()
