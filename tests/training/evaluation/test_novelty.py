"""The novelty score: distances against SciPy, strange cells above known ones, the threshold, types left out."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from onnx import TensorProto, helper
from scipy.spatial.distance import mahalanobis

from cellmark.schemas.manifest.manifest_trust import LeftOutType
from cellmark.training.evaluation.left_out_types import TypesOut, left_out_types, some_left_out, without_types
from cellmark.training.evaluation.novelty import (
    SHRINKAGE,
    MemberOutputs,
    _whiten,
    fit_novelty,
    novelty_rows,
    novelty_section,
    novelty_threshold,
    threshold_cells,
)
from cellmark.training.evaluation.out_of_fold import FoldPlan, OutOfFold, learnable
from cellmark.training.export.check_parity import open_session
from cellmark.training.export.export_onnx import GraphWriter, _nearest
from cellmark.training.network.classifier import NetworkShape
from cellmark.training.network.ensemble import variations
from cellmark.training.network.fit_settings import FitSettings

SHORT = FitSettings(shape=NetworkShape((16,)), max_epochs=15, batch_size=32, learning_rate=5e-3)


def outputs_of(n_cells: int, codes: np.ndarray, *, seed: int = 0) -> MemberOutputs:
    """Two members and three types, well apart."""
    generator = np.random.default_rng(seed)
    centres = 6 * np.eye(3)
    logits = generator.normal(0, 1, (2, n_cells, 3)) + centres[codes]
    embedding = (
        generator.normal(0, 1, (n_cells, 5)) @ np.diag([1, 2, 1, 0.5, 3]) + np.pad(centres, ((0, 0), (0, 2)))[codes]
    )
    return MemberOutputs(logits.astype(np.float32), embedding.astype(np.float32), np.ones(2, dtype=bool))


def test_the_distance_is_mahalanobis_from_the_nearest_type() -> None:
    codes = np.arange(600) % 3
    outputs = outputs_of(600, codes)
    score = fit_novelty(outputs, codes)
    values = outputs.embedding.astype(np.float64)
    means = np.array([values[codes == code].mean(axis=0) for code in range(3)])
    covariance = sum(np.cov(values[codes == code].T) * ((codes == code).sum() - 1) for code in range(3)) / 597
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / 5 * np.eye(5)
    inverse = np.linalg.inv(shrunk)
    found = score.embedding.nearest(values[:40])
    expected = [min(mahalanobis(value, mean, inverse) ** 2 for mean in means) for value in values[:40]]
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_training_cells_have_mean_0_and_strange_ones_are_above() -> None:
    codes = np.arange(900) % 3
    outputs = outputs_of(900, codes)
    score = fit_novelty(outputs, codes)
    known = score.of(outputs)
    assert known.mean() == pytest.approx(0, abs=1e-6)
    far = score.of(replace(outputs, embedding=outputs.embedding + 20))  # sure networks, an embedding that no type has
    torn = np.tile(np.array([[[6, 0, 0]], [[0, 6, 0]]], dtype=np.float32), (1, 900, 1))  # each sure, of different types
    disagreeing = score.of(replace(outputs, logits=torn))
    for strange in (far, disagreeing):
        assert np.quantile(strange, 0.1) > np.quantile(known, 0.9)


def test_a_member_without_hidden_layers_has_a_part_in_calls_and_none_in_the_score() -> None:
    codes = np.arange(300) % 3
    networks = outputs_of(300, codes)
    linear = 50 * np.eye(3, dtype=np.float32)[(codes + 1) % 3]  # sure, and of another opinion
    outputs = replace(
        networks, logits=np.concatenate([networks.logits, linear[None]]), networks=np.array([True, True, False])
    )
    expected = fit_novelty(networks, codes).of(networks)
    np.testing.assert_array_equal(fit_novelty(outputs, codes).of(outputs), expected)
    assert outputs.best.tolist() == ((codes + 1) % 3).tolist()


def test_types_without_training_cells_have_no_mean() -> None:
    codes = np.arange(300) % 2
    outputs = outputs_of(300, codes)
    score = fit_novelty(outputs, codes)
    assert score.embedding.means.shape == (2, 5)
    assert np.isfinite(score.of(outputs)).all()


def test_no_more_than_the_rate_lies_above_the_threshold() -> None:
    novelty = np.random.default_rng(0).normal(size=1234)
    threshold = novelty_threshold(novelty, 0.02)
    assert 0.018 < (novelty > threshold).mean() <= 0.02
    assert threshold in novelty


def test_many_training_cells_are_stood_for_by_evenly_spaced_ones() -> None:
    assert len(novelty_rows(np.arange(25_000))) == 10_000
    assert novelty_rows(np.arange(25_000))[-1] == 24_999
    np.testing.assert_array_equal(novelty_rows(np.array([3, 5])), [3, 5])


def test_a_fold_does_not_learn_a_type_of_which_it_holds_nearly_all() -> None:
    codes = np.repeat([0, 1, 2, 3], [40, 30, 12, 200])
    fold_of = np.r_[np.arange(40) % 2, np.zeros(30), np.arange(12) % 2, np.r_[np.zeros(195), np.ones(5)]].astype(int)
    plan = FoldPlan("donors", ("a", "b"), fold_of)
    # Outside a: 20 of 40, none of 30, 6 of 12 (half of a small type), 5 of 200.
    assert learnable(codes, plan, 0, 4, 10).tolist() == [True, False, True, False]
    assert learnable(codes, plan, 1, 4, 10).all()


def test_folds_that_could_not_learn_types_of_many_cells_do_not_settle_the_threshold() -> None:
    codes = np.r_[np.repeat([0, 1], 100), np.repeat(2, 30), np.repeat(3, 4)]
    fold_of = np.arange(len(codes)) % 3
    fold_of[200:230] = np.arange(30) < 3  # the third type: 27 cells in a, three in b
    fold_of[230:] = 2  # all of the fourth in c
    plan = FoldPlan("donors", ("a", "b", "c"), fold_of)
    learned = np.array([[True, True, False, True], [True] * 4, [True, True, True, False]])
    held_out = OutOfFold(plan, np.zeros((1, len(codes), 4), dtype=np.float32), (), (), learned)
    # Without a 13 % of the cells are of a type not learned, without c 2 %.
    assert held_out.like_the_registered(codes).tolist() == [False, True, True]
    cells = threshold_cells(held_out, codes)
    assert set(fold_of[cells]) == {1, 2}
    assert set(cells) == {cell for cell in held_out.judged(codes) if fold_of[cell] != 0}
    section = novelty_section(held_out, np.linspace(0, 1, len(codes)), codes, test_novelty=np.zeros(0))
    assert section is not None
    assert (section["n_cells"], section["unused_folds"]) == (len(cells), ["a"])
    # Where no fold is like the registered model, all of them must do.
    none = OutOfFold(plan, held_out.member_logits, (), (), np.tile([True, False, True, True], (3, 1)))
    assert none.like_the_registered(codes).all()


def test_each_donor_is_judged_by_the_threshold_of_the_others() -> None:
    fold_of = np.repeat([0, 1], 100)
    held_out = OutOfFold(
        FoldPlan("donors", ("a", "b"), fold_of), np.zeros((1, 200, 2), dtype=np.float32), (), (), np.ones((2, 2), bool)
    )
    novelty = np.r_[np.arange(100), np.arange(100) + 10].astype(float)  # b is shifted by ten
    section = novelty_section(held_out, novelty, np.arange(200) % 2, test_novelty=np.zeros(0))
    assert section is not None
    # The 98 % quantile of a is 98, and 11 cells of b are larger; that of b is 108, and no cell of a is.
    assert section["refused_per_fold"] == {"a": 0.0, "b": 0.11}


def test_one_fold_alone_has_no_others() -> None:
    plan = FoldPlan("donors", ("a",), np.zeros(100, dtype=int))
    held_out = OutOfFold(plan, np.zeros((1, 100, 2), dtype=np.float32), (), (), np.ones((1, 2), bool))
    section = novelty_section(held_out, np.arange(100.0), np.arange(100) % 2, test_novelty=np.zeros(0))
    assert section is not None
    assert section["refused_per_fold"] == {}


def types_out(cells: tuple[np.ndarray, ...], names: str = "klmn", *, n_members: int = 1, seed: int = 0) -> TypesOut:
    return TypesOut(*cells, tuple(names), variations(SHORT, n_members=n_members), max_genes=None, seed=seed)


def cells_of_four_types(*, n_per_type: int = 90) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    codes = np.repeat(np.arange(4), n_per_type)
    rates = np.tile(generator.gamma(1.0, 1.0, 80), (4, 1))
    for code in range(4):
        rates[code, 12 * code : 12 * code + 12] += 8
    counts = sp.csr_matrix(generator.poisson(rates[codes]).astype(np.float32))
    donors = np.array(["a", "b", "c"])[np.arange(4 * n_per_type) % 3]
    return counts, np.asarray(counts.sum(axis=1)).ravel(), codes, donors


def test_a_type_that_was_left_out_is_told_from_those_that_were_learned() -> None:
    counts, library_size, codes, donors = cells_of_four_types()
    plan = FoldPlan("donors", ("a", "b", "c"), np.unique(donors, return_inverse=True)[1])
    steps: list[str] = []
    rows = left_out_types(types_out((counts, library_size, codes, donors), n_members=2), plan, on_step=steps.append)
    entries = [LeftOutType.model_validate(row) for row in rows]
    assert [(entry.cell_type, entry.fold) for entry in entries] == [(t, f) for f in "abc" for t in "klmn"]
    assert len(steps) == 12
    assert all((entry.n_unknown, entry.n_known) == (30, 90) for entry in entries)
    assert np.mean([entry.auroc for entry in entries]) > 0.95
    assert np.mean([entry.refused for entry in entries]) > 0.5
    assert np.mean([entry.known_refused for entry in entries]) < 0.15


def test_a_few_types_are_left_out_together_of_the_fold_that_leaves_most_cells() -> None:
    counts, library_size, codes, donors = cells_of_four_types()
    donors = np.where((donors == "c") & (np.arange(len(donors)) % 2 == 0), "a", donors)  # c is the smallest
    plan = FoldPlan("donors", ("a", "b", "c"), np.unique(donors, return_inverse=True)[1])
    given = types_out((counts, library_size, codes, donors), n_members=5)
    (row,) = some_left_out(given, plan)
    entry = LeftOutType.model_validate(row)
    assert (entry.fold, entry.together) == ("c", [])  # a third of four types
    assert entry.n_unknown == ((donors == "c") & (codes == "klmn".index(entry.cell_type))).sum()
    assert entry.n_known + entry.n_unknown == (donors == "c").sum()
    assert entry.auroc > 0.9
    drawn = {some_left_out(replace(given, seed=seed), plan)[0]["cell_type"] for seed in range(3)}
    assert len(drawn) > 1
    assert some_left_out(given, plan) == [row]


def test_of_two_types_none_can_be_left_out() -> None:
    counts, library_size, codes, donors = cells_of_four_types()
    two = np.flatnonzero(codes < 2)
    plan = FoldPlan("donors", ("a", "b", "c"), np.unique(donors[two], return_inverse=True)[1])
    given = types_out((counts[two], library_size[two], codes[two], donors[two]), "kl")
    assert some_left_out(given, plan) == []


def test_types_left_out_together_are_each_compared_with_the_known_ones() -> None:
    counts, library_size, codes, donors = cells_of_four_types()
    inside = np.flatnonzero(donors == "a")
    others = np.flatnonzero((donors != "a") & (codes < 2))
    given = types_out((counts, library_size, codes, donors))
    rows = without_types(given, others, inside, [2, 3], most_folds=2)
    assert set(rows) == {2, 3}
    assert all((row["n_unknown"], row["n_known"]) == (30, 60) for row in rows.values())
    assert rows[2]["known_refused"] == rows[3]["known_refused"]


def test_small_types_are_not_left_out_and_nothing_to_compare_gives_no_row() -> None:
    counts, library_size, codes, donors = cells_of_four_types(n_per_type=12)
    plan = FoldPlan("donors", ("a", "b", "c"), np.unique(donors, return_inverse=True)[1])
    given = types_out((counts, library_size, codes, donors))
    assert left_out_types(given, plan) == []
    inside, others = np.flatnonzero(donors == "a"), np.flatnonzero((donors != "a") & (codes == 1))
    assert without_types(given, others, inside, [0]) == {}


def test_the_graph_keeps_small_distances_of_types_that_lie_far_apart() -> None:
    generator = np.random.default_rng(0)
    codes = np.arange(400) % 4
    values = np.float32(300 * np.eye(4)[codes] + generator.normal(0, 0.05, (400, 4)) + 1000)
    space = _whiten(values, codes)
    graph = GraphWriter()
    nearest = _nearest(graph, "values", space, "far")
    model = graph.model(
        "nearest", [helper.make_tensor_value_info("values", TensorProto.FLOAT, ["cells", 4])],
        [helper.make_tensor_value_info(nearest, TensorProto.FLOAT, ["cells"])],
    )  # fmt: skip
    (found,) = open_session(model).run([nearest], {"values": values})
    expected = space.nearest(values)
    assert expected.max() < 40  # far from the squared distance between types
    np.testing.assert_allclose(found, expected, rtol=2e-2)
