"""Whether a model is weak, by stated limits: one sentence for the end of a training, the card and a promotion."""

from .manifest import Manifest

WEAK = "Weak: "
"""What the verdict on a weak model begins with."""
LEAST_ACCURACY = 0.8
MOST_CALIBRATION_ERROR = 0.05
MOST_TYPES_IN_A_SET = 3.0
LEAST_UNKNOWN_REFUSED = 0.1
FEWEST_CELLS = 50
"""With fewer cells than this nothing is said of them."""
LIMITS = (
    f"accuracy {LEAST_ACCURACY:.0%}, calibration error {MOST_CALIBRATION_ERROR:.0%}, label sets of "
    f"{MOST_TYPES_IN_A_SET:.0f} types, {LEAST_UNKNOWN_REFUSED:.0%} of unknown cells unassigned"
)


def verdict(manifest: Manifest) -> str:
    """The weaknesses of a model, or that it has none, and what was not measured."""
    weak, missing = weaknesses(manifest), not_measured(manifest)
    sentence = WEAK + "; ".join(weak) if weak else f"Within cellmark's limits ({LIMITS})"
    return f"{sentence}; not measured: {', '.join(missing)}." if missing else f"{sentence}."


def weaknesses(manifest: Manifest) -> list[str]:
    """What is beyond its limit, each with the limit and the cells that it was measured on; held-out cells alone."""
    found = []
    for value, n_cells, on in _accuracies(manifest)[:1]:
        if value < LEAST_ACCURACY:
            found.append(f"{value:.1%} of {n_cells:,} {on} called right (limit {LEAST_ACCURACY:.0%})")
    for value, n_cells in _calibration_errors(manifest)[:1]:
        if value > MOST_CALIBRATION_ERROR:
            found.append(
                f"probabilities {value:.1%} from accuracy on {n_cells:,} held-out cells (limit "
                f"{MOST_CALIBRATION_ERROR:.0%})"
            )
    for value, n_cells in _set_sizes(manifest)[:1]:
        if value > MOST_TYPES_IN_A_SET:
            found.append(
                f"label sets of {value:.1f} types on the mean of {n_cells:,} held-out cells (limit "
                f"{MOST_TYPES_IN_A_SET:.0f})"
            )
    for refused, n_cells in _unknown(manifest)[:1]:
        if refused < LEAST_UNKNOWN_REFUSED * n_cells:
            found.append(
                f"{refused:,} of {n_cells:,} cells of types that a network was not shown stayed unassigned (limit "
                f"{LEAST_UNKNOWN_REFUSED:.0%})"
            )
    return found


def not_measured(manifest: Manifest) -> list[str]:
    """What the limits are of, and nothing is known about on enough cells."""
    measured = {
        "accuracy": _accuracies(manifest),
        "calibration": _calibration_errors(manifest),
        "label sets": _set_sizes(manifest),
        "unknown cells": _unknown(manifest),
    }
    return [name for name, found in measured.items() if not found]


def _accuracies(manifest: Manifest) -> list[tuple[float, int, str]]:
    """Of cells whose type the networks had learned, since the registered model has learned all of them."""
    found, evaluation = [], manifest.evaluation
    if evaluation is not None:
        judged = evaluation.judged
        if judged is not None:
            right = sum(row[place] for place, row in enumerate(judged.confusion))
            found.append((right / max(judged.n_cells, 1), judged.n_cells, "cross-validated cells"))
        else:
            found.append((evaluation.accuracy.value, evaluation.n_cells, "cross-validated cells"))
    test = manifest.metrics.get("test") or {}
    if test.get("accuracy") is not None:
        found.append((test["accuracy"], test["n_cells"], "test cells"))
    return [one for one in found if one[1] >= FEWEST_CELLS]


def _calibration_errors(manifest: Manifest) -> list[tuple[float, int]]:
    entry = manifest.calibration
    scores = [] if entry is None else [entry.calibrated, entry.test_calibrated]
    return [
        (score.expected_calibration_error, score.n_cells)
        for score in scores
        if score is not None and score.n_cells >= FEWEST_CELLS
    ]


def _set_sizes(manifest: Manifest) -> list[tuple[float, int]]:
    entry = manifest.label_sets
    if entry is None or entry.n_cells < FEWEST_CELLS:
        return []
    return [(level.mean_size, entry.n_cells) for level in entry.levels if level.error_rate == entry.default_error_rate]


def _unknown(manifest: Manifest) -> list[tuple[int, int]]:
    cells = None if manifest.novelty is None else manifest.novelty.left_out_cells()
    return [] if cells is None or cells.n < FEWEST_CELLS else [(cells.refused, cells.n)]
