"""The section `evaluation` of a trained model's manifest, and what a run keeps of it."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score

from cellmark.schemas.checks.split import Split
from cellmark.schemas.manifest.manifest_evaluation import Estimate, EvaluationEntry
from cellmark.training.config import TrainingConfig
from cellmark.training.evaluation.calibration_section import fit_temperature
from cellmark.training.evaluation.evaluation_section import _hardly_learned, evaluation_section
from cellmark.training.evaluation.out_of_fold import FoldPlan, OutOfFold, fit_out_of_fold, learnable
from cellmark.training.figures.evaluation_files import evaluation_metrics, evaluation_tables
from cellmark.training.listener import Listener
from cellmark.training.network.classifier import Classifier
from cellmark.training.network.fit import FitSettings
from cellmark.training.network.fit_settings import FitData
from cellmark.training.network.linear_member import fit_linear
from cellmark.training.run import TrainedModel, train
from fixtures.places import ARCHIVES

if TYPE_CHECKING:
    import anndata as ad


@pytest.fixture(scope="module")
def full(tiny_cells: "ad.AnnData", tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Seven donors, no test part, everything evaluated."""
    folder = tmp_path_factory.mktemp("full")
    cells = tiny_cells.copy()
    cells.obs["donor"] = [f"d{number % 7}" for number in range(cells.n_obs)]
    cells.write_h5ad(folder / "cells.h5ad")
    config = TrainingConfig(
        data=folder / "cells.h5ad", donor="donor", test_share=0.0, name="full", fit=FitSettings(max_epochs=8),
        n_members=2, linear_member=False, evaluate="full",  # networks alone make some errors here
    )  # fmt: skip
    return train(config, folder / "bundle", Listener())


def entry_of(model: TrainedModel) -> EvaluationEntry:
    entry = model.bundle.manifest.evaluation
    assert entry is not None
    return entry


def test_types_that_a_fold_could_hardly_learn_are_named() -> None:
    codes = np.array([0] * 40 + [1] * 30 + [2] * 11 + [0])
    fold_of = np.array([0, 1] * 20 + [0] * 30 + [0] + [1] * 10 + [-1])
    plan = FoldPlan("donors", ("a", "b"), fold_of)
    learned = np.array([learnable(codes, plan, number, 3, 10) for number in range(2)])
    held_out = OutOfFold(plan, np.zeros((1, len(codes), 3)), ((), ()), (np.zeros(0, int),) * 2, learned)
    # All of 1 lie in a; of 2 b has ten of eleven, so that a can learn from ten and b from one.
    assert _hardly_learned(codes, held_out, ("zero", "one", "two")) == {"a": ["one"], "b": ["two"]}


def test_without_a_test_part_confidence_is_calibrated_and_cells_of_types_not_learned_are_told_apart() -> None:
    generator = np.random.default_rng(0)
    codes = np.arange(240) % 3
    fold_of = np.where(codes == 2, 0, np.arange(240) // 2 % 2)  # all cells of the last type lie in the first fold
    x = sp.csr_matrix(generator.exponential(1, (240, 12)).astype(np.float32))
    x[np.arange(240), codes] = 6.0
    data = FitData(x.tocsr(), codes, np.arange(240), np.arange(0), 3)
    plan = FoldPlan("donors", ("a", "b"), fold_of)
    held_out = fit_out_of_fold(data, plan, members=(FitSettings(max_epochs=2),), seed=0)
    logits = generator.normal(0, 1, (1, 240, 3)) + 2.0 * np.eye(3)[codes]
    held_out = replace(held_out, member_logits=np.float32(4 * logits))  # four times too sure
    none = np.zeros(0, dtype=int)
    section = evaluation_section(
        x.tocsr(), codes, ("zero", "one", "two"), Split("donor", 0, np.arange(240), none, none), held_out,
        donors=fold_of.astype(str), probabilities=np.zeros((240, 3)), classifiers=(), learned=none, fill=np.zeros(12),
        level="fast", seed=0,
    )  # fmt: skip
    everyone = section["confidence"][0]
    called = 4 * logits[0].astype(np.float64)
    known = (codes != 2) | (fold_of != 0)  # the first fold's networks never saw the last type
    by_hand = np.empty((240, 3))
    for number in (0, 1):
        learned = (fold_of != number) & known
        here = called[fold_of == number] / fit_temperature(called[learned], codes[learned])
        by_hand[fold_of == number] = softmax(here, axis=1)
    assert everyone["confidence"] == pytest.approx(by_hand.max(axis=1).min(), rel=1e-3)
    assert everyone["confidence"] < 0.9 * softmax(called, axis=1).max(axis=1).min() + 0.1
    judged = section["judged"]
    assert judged["n_cells"] == known.sum() == 160
    assert judged["accuracy"] == pytest.approx((called.argmax(axis=1) == codes)[known].mean())
    assert set(judged["per_type"]) == {"zero", "one"}


def test_logistic_regression_learns_from_the_cells_that_networks_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three cells of the last type lie outside of the first fold: its networks are not given them, nor is the rival."""
    generator = np.random.default_rng(0)
    codes = np.r_[np.arange(160) % 2, [2] * 40, np.arange(30) % 3]
    fold_of = np.r_[np.arange(160) // 2 % 2, [0] * 37, [1] * 3, [-1] * 30]
    x = sp.csr_matrix(generator.exponential(1, (230, 12)).astype(np.float32) + 4 * np.eye(12)[codes].astype(np.float32))
    plan = FoldPlan("donors", ("a", "b"), fold_of)
    data = FitData(x, codes, np.arange(230), np.arange(0), 3)
    held_out = fit_out_of_fold(data, plan, members=(FitSettings(max_epochs=1),), seed=0)
    assert held_out.learned.tolist() == [[True, True, False], [True, True, True]]
    split = Split("donor", 0, np.arange(0, 200, 2), np.arange(1, 200, 2), np.arange(200, 230))
    learned_from = []

    def hear(x: sp.csr_matrix, codes: np.ndarray, cells: np.ndarray, n_types: int, *, seed: int) -> Classifier:
        learned_from.append(cells.tolist())
        return fit_linear(x, codes, cells, n_types, seed=seed)

    monkeypatch.setattr("cellmark.training.evaluation.evaluation_section.fit_linear", hear)
    section = evaluation_section(
        x, codes, ("zero", "one", "two"), split, held_out, donors=None, probabilities=np.eye(3)[codes],
        classifiers=held_out.classifiers[1], learned=split.train, fill=np.zeros(12), level="fast", seed=0,
    )  # fmt: skip
    assert learned_from == [*(cells.tolist() for cells in held_out.train), split.train.tolist()]
    assert 2 not in codes[learned_from[0]]
    assert any("learned from the same cells" in note for note in section["notes"])


def test_folds_are_of_cells_without_donors_and_the_curves_of_test_cells(trained: TrainedModel) -> None:
    entry = entry_of(trained)
    cells, split = trained.cells, trained.split
    assert (entry.level, entry.folds, entry.n_folds, entry.evaluated_on) == ("fast", "cells", 5, "test")
    assert entry.n_cells == len(split.train) + len(split.validation) == np.sum(entry.confusion)
    right = np.trace(entry.confusion)
    assert entry.accuracy.value == pytest.approx(right / entry.n_cells)
    assert entry.macro_f1.value == pytest.approx(np.mean([row["f1"] for row in entry.per_type.values()]))
    assert entry.accuracy.over == "cells"
    assert sum(row.n_cells * row.accuracy for row in entry.per_fold) == pytest.approx(right)
    called = trained.calls[split.test]
    assert entry.test_accuracy is not None
    assert entry.test_accuracy.value == pytest.approx(accuracy_score(cells.codes[split.test], called))
    assert entry.test_macro_f1 is not None
    assert entry.test_macro_f1.value == pytest.approx(f1_score(cells.codes[split.test], called, average="macro"))
    # With all counts and all genes the curves are the test's own accuracy.
    assert entry.depth[-1].accuracy == entry.partial_panel[0].accuracy == entry.test_accuracy.value
    assert entry.confidence[0].accuracy == entry.test_accuracy.value
    assert entry.test_baseline_accuracy is not None
    assert entry.test_baseline_accuracy.value > 0.8  # the three types are easy


def test_donors_are_held_out_in_groups_and_curves_are_of_folds_without_a_test_part(full: TrainedModel) -> None:
    entry = entry_of(full)
    assert (entry.level, entry.folds, entry.n_folds, entry.evaluated_on) == ("full", "donors", 5, "out_of_fold")
    assert entry.n_cells == full.cells.n_obs
    assert (entry.accuracy.over, entry.macro_f1.over) == ("donors", "donors")
    assert entry.test_accuracy is None
    assert entry.test_baseline_macro_f1 is None
    assert set(entry.depth_per_fold) == {row.fold for row in entry.per_fold}
    for place, point in enumerate(entry.depth):
        each = [curve[place].accuracy for curve in entry.depth_per_fold.values()]
        assert point.accuracy == pytest.approx(np.mean(each))
    assert entry.depth[-1].accuracy == pytest.approx(np.mean([row.accuracy for row in entry.per_fold]))
    assert any("means over the folds" in note for note in entry.notes)


def test_the_run_keeps_tables_and_flat_metrics(full: TrainedModel, trained: TrainedModel) -> None:
    entry = entry_of(trained)
    flat = evaluation_metrics(entry)
    assert flat["cv/macro_f1"] == entry.macro_f1.value
    assert flat["cv/accuracy_low"] <= flat["cv/accuracy"] <= flat["cv/accuracy_high"]
    wrong = entry.model_copy(update={"macro_f1": Estimate(value=0.9, low=0.8, high=0.95, over="cells")})
    of_wrong = evaluation_metrics(wrong)
    assert [of_wrong[f"cv/macro_f1{end}"] for end in ("", "_low", "_high")] == [0.9, 0.8, 0.95]
    assert entry.baseline_macro_f1 is not None
    assert flat["cv/baseline_macro_f1"] == entry.baseline_macro_f1.value
    assert flat["depth/accuracy_at_25"] == entry.depth[1].accuracy
    assert flat["panel/macro_f1_missing_30"] == entry.partial_panel[2].macro_f1
    assert "test/accuracy" in flat
    assert "test/accuracy" not in evaluation_metrics(entry_of(full))
    tables = evaluation_tables(entry)
    assert tables["evaluation/folds.csv"]["baseline_macro_f1"].notna().all()
    assert list(tables["evaluation/folds_per_type.csv"]["cell_type"]) == list(entry.per_type)
    assert EvaluationEntry.model_validate(tables["evaluation/evaluation.json"]) == entry


def test_a_bundle_without_an_evaluation_has_nothing_to_keep() -> None:
    from cellmark.schemas.bundle import Bundle

    old = Bundle.open(ARCHIVES / "v1").manifest.evaluation
    assert old is None
    assert evaluation_metrics(old) == evaluation_tables(old) == {}
