"""What a run keeps of calibration, novelty and label sets: every number is the manifest's."""

import numpy as np

from cellmark.schemas.manifest.manifest_ontology import OntologyEntry
from cellmark.schemas.manifest.manifest_trust import DistilledEntry, LeftOutType
from cellmark.training.figures.evaluation_files import trust_metrics, trust_tables
from fixtures import full_report as made


def row(cell_type: str, fold: str, auroc: float) -> LeftOutType:
    return LeftOutType(cell_type=cell_type, fold=fold, n_unknown=5, n_known=9, auroc=auroc, auroc_of_confidence=0.5,
                       refused=0.25, known_refused=0.125, together=["c", "d"])  # fmt: skip


def test_metrics_are_the_manifests_numbers_and_means_over_types() -> None:
    manifest = made.full_facts(4).manifest
    rows = [row("a", "1", 0.9), row("a", "2", 0.7), row("b", "1", 0.5)]
    manifest = manifest.model_copy(update={
        "novelty": manifest.novelty.model_copy(update={"left_out": rows}),
        "distilled": DistilledEntry(temperature=2.5, calibration=manifest.calibration),
        "ontology": OntologyEntry(version="v1", probability=0.95, terms=[], accuracy=0.99),
    })  # fmt: skip
    found = trust_metrics(manifest)
    expected = {
        "calibration/temperature": 1.2,
        "calibration/calibrated_expected_calibration_error": 0.0123,
        "calibration/uncalibrated_expected_calibration_error": 0.0612,
        "novelty/threshold": 0.4,
        "novelty/test_refusal_rate": 0.03,
        "novelty/left_out_auroc": np.mean([0.8, 0.5]),
        "novelty/left_out_refused": 0.25,
        "label_sets/coverage_at_1": 0.9874,
        "label_sets/test_mean_size_at_1": 1.3,
        "ontology/coarse_accuracy": 0.99,
        "distilled/calibration/temperature": 2.5,
        "distilled/calibration/calibrated_brier_score": 0.1,
    }
    assert {name: found[name] for name in expected} == expected
    assert not [name for name in found if "test_calibrated" in name or "coarse_share" in name]  # not measured here


def test_tables_have_a_row_for_each_bin_left_out_type_and_fold() -> None:
    tables = trust_tables(made.full_facts(4).manifest)
    assert {name: len(table) for name, table in tables.items()} == {
        "evaluation/reliability.csv": 30, "evaluation/left_out.csv": 12, "evaluation/label_sets.csv": 3}  # fmt: skip
    assert set(tables["evaluation/reliability.csv"]["probabilities"]) == {"uncalibrated", "calibrated"}


def test_a_model_without_measures_has_its_temperature_alone() -> None:
    manifest = made.full_facts(4).manifest.model_copy(update={"calibration": None, "novelty": None, "label_sets": None})
    assert trust_metrics(manifest) == {"calibration/temperature": 1.2}
    assert trust_tables(manifest) == {}
