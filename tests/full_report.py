"""Drawn facts of a model that lacks no measure: what a report can hold at most."""

import numpy as np
import pandas as pd

from cellmark.schemas.manifest.manifest import Manifest, seal
from cellmark.schemas.manifest.marker_table import COLUMNS, marker_table
from cellmark.schemas.manifest.training_summary import summarize_training
from cellmark.schemas.reference_profile import (
    BEST,
    UNASSIGNED_CELL,
    DonorEffects,
    ReferenceProfile,
    describe_cells,
)
from cellmark.schemas.report.facts import Identity, ReportFacts

HOSTILE = "<script>alert('x')</script> \"T\" & co | `a` *b*"
LONG = "CD8-positive, alpha-beta memory T cell, CD45RO-positive, of the intestinal lamina propria"
FOLDS = ("d1", "d2", "d3")


def full_facts(n_types: int = 30, *, n_cells: int = 600, n_genes: int = 200) -> ReportFacts:
    """Facts of `n_types` types, the first two with a hostile and a long name. The numbers mean nothing."""
    generator = np.random.default_rng(0)
    names = [HOSTILE, LONG, *(f"type {number} of cells" for number in range(3, n_types + 1))][:n_types]
    codes = np.sort(generator.integers(0, n_types, n_cells))
    calls = np.where(generator.random(n_cells) < 0.1, generator.integers(0, n_types, n_cells), codes)
    confusion = np.zeros((n_types, n_types), dtype=int)
    np.add.at(confusion, (codes, calls), 1)
    per_type = {name: {"precision": 0.9, "recall": 0.75 + 0.2 * (k % 2), "f1": 0.85, "support": int(confusion[k].sum())}
                for k, name in enumerate(names)}  # fmt: skip
    per_part = dict.fromkeys(names, n_cells // n_types)
    part = {"n_cells": n_cells, "cells_per_type": per_part, "donors": ["d1"], "cell_ids_sha256": "0" * 64}
    scores = {"n_cells": n_cells, "n_unknown_cells": 0, "accuracy": 0.91, "macro_f1": 0.87, "per_type": per_type,
              "confusion": confusion.tolist()}  # fmt: skip

    def estimate(value: float) -> dict[str, object]:
        return {"value": value, "low": value - 0.02, "high": value + 0.02, "over": "donors"}

    def calibration(error: float) -> dict[str, object]:
        bins = [{"n_cells": 40, "confidence": c, "accuracy": c - error} for c in np.linspace(0.5, 0.99, 15)]
        return {"n_cells": n_cells, "expected_calibration_error": error, "brier_score": 0.1, "log_loss": 0.3,
                "bins": bins}  # fmt: skip

    raw = {
        "format_version": 1,
        "name": "full model",
        "created": "2026-01-02T03:04:05Z",
        "code": {"version": "0.1.0", "commit": None},
        "environment": {"python": "3.11"},
        "training_data": {"digest": "1" * 64, "n_cells": n_cells, "n_genes": 300, "cells_per_type": per_part,
                          "dropped_cell_types": {HOSTILE: 3}, "library_size_source": "summed"},
        "split": {"strategy": "donor", "seed": 0, "train": part, "validation": part, "test": part, "notes": [HOSTILE]},
        "cell_types": [{"name": name} for name in names],
        "organism": "human",
        "n_genes_measured": 300,
        "panel": {"n_genes": n_genes, "digest": "2" * 64, "min_share": 0.5, "overlap": {
            "treatment": "baseline", "min_mass": 0.6, "min_type_mass": 0.5, "evaluated_on": "test", "n_cells": n_cells,
            "curve": [{"mass_missing": m, "genes_missing": m, "at_baseline": 0.9 - m / 3, "at_zero": 0.9 - m / 2}
                      for m in (0.0, 0.1, 0.3, 0.5)]}},
        "normalization": {"formula": "ln(1 + counts per 10,000)", "counts_per": 10000.0, "log": "natural"},
        "baseline_kind": "mean_of_types",
        "network": {"n_members": 5, "hidden_units": [[256]] * 5, "parameters": {"shape": {"dropout": 0.25}},
                    "embedding_size": 32},
        "temperature": 1.2,
        "calibration": {"temperature": 1.2, "folds": "donors", "n_folds": 3, "n_cells": n_cells,
                        "uncalibrated": calibration(0.0612), "calibrated": calibration(0.0123)},
        "novelty": {"score": "energy", "threshold": 0.4, "false_refusal_rate": 0.02, "folds": "donors",
                    "n_cells": n_cells, "test_refusal_rate": 0.03, "left_out": [
                        {"cell_type": name, "fold": fold, "n_unknown": 50, "n_known": 500, "auroc": 0.9321,
                         "auroc_of_confidence": 0.88, "refused": 0.5, "known_refused": 0.02}
                        for name in names for fold in FOLDS]},
        "label_sets": {"folds": "donors", "n_cells": n_cells, "default_error_rate": 0.01, "levels": [
            {"error_rate": 0.01, "thresholds": [0.01] * n_types, "pooled": names[:1], "coverage": 0.9874,
             "coverage_per_fold": dict.fromkeys(FOLDS, 0.98), "mean_size": 1.31, "share_of_one": 0.8,
             "test_coverage": 0.98, "test_mean_size": 1.3, "test_share_of_one": 0.8}]},
        "evaluation": {
            "folds": "donors", "n_folds": 3, "n_cells": n_cells, "accuracy": estimate(0.9231),
            "macro_f1": estimate(0.8765), "baseline_accuracy": estimate(0.9011), "baseline_macro_f1": estimate(0.8456),
            "per_fold": [{"fold": fold, "n_cells": 200, "accuracy": 0.92, "macro_f1": 0.87, "baseline_accuracy": 0.9,
                          "baseline_macro_f1": 0.84} for fold in FOLDS],
            "per_type": per_type, "confusion": confusion.tolist(), "evaluated_on": "test",
            "depth": [{"share_of_counts": s, "accuracy": 0.93, "macro_f1": 0.8 + 0.08 * s}
                      for s in (0.1, 0.25, 0.5, 1)],
            "partial_panel": [{"share_missing": s, "n_draws": 3, "accuracy": 0.93, "macro_f1": 0.88 - s / 5}
                              for s in (0, 0.1, 0.3, 0.5)],
            "confidence": [{"confidence": c, "share_called": 1 - c / 2, "accuracy": 0.9 + c / 11}
                           for c in (0, 0.5, 0.9, 0.99)],
        },
        "metrics": {"test": scores, "validation": scores},
        "parity": {"n_cells": n_cells, "max_probability_difference": 2e-7, "n_label_ties": 0,
                   "max_convergence_delta": 1e-6},
        "files": {"annotator.onnx": {"sha256": "3" * 64, "size": 1234}},
    }  # fmt: skip
    manifest = Manifest.model_validate_json(seal(raw))
    identity = Identity("7", manifest.bundle_digest, manifest.manifest_digest, manifest.created, manifest.environment)
    donors = np.array(FOLDS)[np.arange(n_cells) % 3]
    summary = summarize_training(
        codes, donors, train=np.arange(n_cells), library_size=generator.lognormal(8, 0.5, n_cells),
        genes_detected=generator.integers(200, 4000, n_cells), cell_types=names,
    )  # fmt: skip
    return ReportFacts(
        "full-model", manifest, _markers(names, n_genes, generator), pd.DataFrame(),
        _map(names, codes, calls, generator), summary, identity, _reference(names, codes, generator),
    )  # fmt: skip


def _reference(names: list[str], codes: np.ndarray, generator: np.random.Generator) -> ReferenceProfile:
    """With two donors, one of them under a hostile name."""
    n_cells = len(codes)
    cells = pd.DataFrame(
        {
            BEST: np.array(names, dtype=object)[codes],
            UNASSIGNED_CELL: generator.random(n_cells) < 0.02,
            "confidence": generator.uniform(0.5, 1, n_cells),
            "novelty": generator.normal(0, 1, n_cells),
            "library_size": generator.lognormal(8, 0.5, n_cells),
            "genes_detected": generator.integers(200, 4000, n_cells),
            "mitochondrial_share": generator.uniform(0, 0.1, n_cells),
        }
    )
    effects = {"library_size": 0.6, "mitochondrial_share": -0.012, "detection": 0.071}
    donors = {"d1": DonorEffects(n_cells=300, effects=effects),
              HOSTILE: DonorEffects(n_cells=300, effects={**effects, "library_size": 1.7})}  # fmt: skip
    profile = describe_cells(cells, names, part="held_out", refuses=True)
    return profile.model_copy(update={"donors": donors})


def _markers(names: list[str], n_genes: int, generator: np.random.Generator) -> pd.DataFrame:
    n_rows = len(names) * n_genes
    numbers = [
        name for name, column in COLUMNS.items() if column.dtype == "float64" and name != "combination_threshold"
    ]
    ranks = np.tile(np.arange(1, n_genes + 1), len(names))
    genes = np.array(["GENE<b>", *(f"GENE{k}" for k in range(1, n_genes))])
    symbols = np.concatenate([np.roll(genes, -7 * k) for k in range(len(names))])
    negative = ranks > n_genes - 5
    return marker_table(
        cell_type=np.repeat(names, n_genes), rank=ranks, gene_symbol=symbols, ranking="evidence",
        negative_rank=pd.Series(n_genes - ranks + 1, dtype="Int64").where(pd.Series(negative)),
        direction=np.where(negative, "negative", "positive"), in_minimal_combination=ranks <= 2,
        combination_threshold=np.where(ranks <= 2, 1.5, np.nan),
        **{name: generator.uniform(0, 1, n_rows) for name in numbers},
    )  # fmt: skip


def _map(names: list[str], codes: np.ndarray, calls: np.ndarray, generator: np.random.Generator) -> pd.DataFrame:
    angle = 2 * np.pi * codes / len(names)
    where = 9 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + generator.normal(0, 0.5, (len(codes), 2))
    types = np.array(names, dtype=object)
    return pd.DataFrame({"x": where[:, 0], "y": where[:, 1], "label": types[codes], "call": types[calls],
                         "confidence": generator.uniform(0.3, 1, len(codes)),
                         "novelty": generator.uniform(0, 0.5, len(codes)), "part": "test"})  # fmt: skip
