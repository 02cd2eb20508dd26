"""What a training tells of trust in a terminal: every number is the manifest's."""

from cellmark.schemas.manifest.manifest_evaluation import DoubtfulLabels, LabelAuditEntry
from cellmark.training.commands.show import trust_lines
from fixtures import full_report as made


def test_folds_calibration_unknown_cells_and_sets_are_told() -> None:
    manifest = made.full_facts(2, n_cells=60).manifest
    folds, calibration, unknown, sets = trust_lines(manifest)
    assert folds == "Cross-validation over donors: accuracy 0.923, macro-F1 0.876; logistic regression 0.846"
    assert calibration == "Calibration error: 1.2% on 60 held-out cells"
    assert unknown.startswith(
        "Unassigned: 3.0% of known cells, 150 of 300 cells of types that a network was not shown ("
    )
    assert sets.startswith(
        "Label sets at 1%: 98.7% hold the label, 1.31 types on average "
        "(97.0% to 99.0% of a donor by thresholds of the others; of the next donor 93."
    )


def test_the_calibration_that_the_verdict_judges_stands_beside_that_of_the_test_part() -> None:
    manifest = made.full_facts(2, n_cells=60).manifest
    held_out = manifest.calibration.calibrated
    tested = held_out.model_copy(update={"expected_calibration_error": 0.068, "n_cells": 133})
    calibration = manifest.calibration.model_copy(update={"test_calibrated": tested})
    lines = trust_lines(manifest.model_copy(update={"calibration": calibration}))
    assert lines[1] == "Calibration error: 1.2% on 60 held-out cells, 6.8% on 133 test cells"


def test_a_share_of_cells_of_unknown_types_counts_cells_and_not_types() -> None:
    """2 of 2 cells of one type and 1 of 85 of another: half of the types' shares, but 3 of 87 cells."""
    manifest = made.full_facts(2, n_cells=60).manifest
    row = manifest.novelty.left_out[0]
    few, many = (
        row.model_copy(update={"cell_type": name, "n_unknown": n, "refused": refused / n})
        for name, n, refused in (("few", 2, 2), ("many", 85, 1))
    )
    novelty = manifest.novelty.model_copy(update={"left_out": [few, many]})
    lines = trust_lines(manifest.model_copy(update={"novelty": novelty}))
    assert "3 of 87 cells of types that a network was not shown (few, many)" in lines[2]


def test_types_that_folds_could_not_learn_are_said_to_lower_the_numbers() -> None:
    manifest = made.full_facts(2, n_cells=60).manifest
    evaluation = manifest.evaluation.model_copy(update={"hardly_learned": {"d1": ["a"]}})
    lines = trust_lines(manifest.model_copy(update={"evaluation": evaluation}))
    assert "hardly be learned" in lines[1]


def test_a_mean_over_types_that_rests_on_a_few_cells_says_so() -> None:
    manifest = made.full_facts(2, n_cells=60).manifest
    first, second = manifest.cell_type_names
    per_type = {**manifest.evaluation.per_type, second: {**manifest.evaluation.per_type[second], "support": 1}}
    evaluation = manifest.evaluation.model_copy(update={"per_type": per_type})
    lines = trust_lines(manifest.model_copy(update={"evaluation": evaluation}))
    assert lines[1] == f"This macro-F1 rests on fewer than 10 cells of {second} (1)."
    assert first not in lines[1]


def test_a_model_without_measures_says_nothing_of_them() -> None:
    missing = dict.fromkeys(("evaluation", "calibration", "novelty", "label_sets"))
    assert trust_lines(made.full_facts(2, n_cells=60).manifest.model_copy(update=missing)) == []


def test_refusals_that_no_other_donor_was_asked_about_say_so() -> None:
    manifest = made.full_facts(2, n_cells=60).manifest
    novelty = manifest.novelty.model_copy(update={"folds": "cells"})
    lines = trust_lines(manifest.model_copy(update={"novelty": novelty}))
    assert "Unassigned: 3.0% of known cells, in samples of the same laboratory, 150 of" in lines[2]


def test_doubtful_labels_are_counted_by_pairs() -> None:
    manifest = made.full_facts(2, n_cells=60).manifest
    pair = {"label": "a", "called": "b", "n_cells": 90, "n_doubtful": 7}
    audit = LabelAuditEntry(n_cells=300, n_doubtful=7, pairs=[DoubtfulLabels(**pair)])
    evaluation = manifest.evaluation.model_copy(update={"label_audit": audit})
    lines = trust_lines(manifest.model_copy(update={"evaluation": evaluation}))
    assert lines[1].startswith("Labels to look at: 7 of 300 cells, which calls and markers contradict (7 a called b)")


def test_refusals_are_said_for_each_donor_left_out() -> None:
    manifest = made.full_facts(2, n_cells=60).manifest
    novelty = manifest.novelty.model_copy(update={"refused_per_fold": {"d1": 0.004, "d2": 0.05}})
    lines = trust_lines(manifest.model_copy(update={"novelty": novelty}))
    assert "3.0% of known cells (0.4% to 5.0% of a donor by the threshold of the others), 150 of" in lines[2]


def test_three_donors_left_out_say_what_the_next_may_lose() -> None:
    manifest = made.full_facts(2, n_cells=60).manifest
    novelty = manifest.novelty.model_copy(update={"refused_per_fold": {"d1": 0.01, "d2": 0.02, "d3": 0.03}})
    lines = trust_lines(manifest.model_copy(update={"novelty": novelty}))
    assert "(1.0% to 3.0% of a donor by the threshold of the others; of the next donor 0.0% to " in lines[2]
