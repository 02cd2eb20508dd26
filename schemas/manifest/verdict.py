"""Whether a model is weak, by stated limits: one sentence for the end of a training, the card and a promotion."""

from .manifest import Manifest

WEAK = "Weak: "
"""What the verdict on a weak model begins with."""
LEAST_ACCURACY = 0.8
MOST_CALIBRATION_ERROR = 0.05
MOST_TYPES_IN_A_SET = 3.0
LEAST_UNKNOWN_REFUSED = 0.1
N_LIMITS = 4
FEWEST_CELLS = 50
"""With fewer cells than this nothing is said of them."""
LIMITS = (
    f"accuracy {LEAST_ACCURACY:.0%}, calibration error {MOST_CALIBRATION_ERROR:.0%}, label sets of "
    f"{MOST_TYPES_IN_A_SET:.0f} types, {LEAST_UNKNOWN_REFUSED:.0%} of unknown cells unassigned"
)


def verdict(manifest: Manifest) -> str:
    """The weaknesses of a model, or that it has none, and what was not measured."""
    weak, missing = weaknesses(manifest), not_measured(manifest)
    if len(missing) == N_LIMITS:
        return f"Not measured: {', '.join(missing)}."
    sentence = WEAK + "; ".join(weak) if weak else f"Within cellmark's limits ({LIMITS})"
    return f"{sentence}; not measured: {', '.join(missing)}." if missing else f"{sentence}."


def weaknesses(manifest: Manifest) -> list[str]:
    """What is beyond its limit, each with the limit and the held-out cells that it was measured on."""
    found = []
    accuracy, calibration = _accuracy(manifest), _calibration_error(manifest)
    set_size, unknown = _set_size(manifest), _unknown(manifest)
    if accuracy is not None and accuracy[0] < LEAST_ACCURACY:
        value, n_cells, on = accuracy
        found.append(f"{value:.1%} of {n_cells:,} {on} called right (limit {LEAST_ACCURACY:.0%})")
    if calibration is not None and calibration[0] > MOST_CALIBRATION_ERROR:
        value, n_cells = calibration
        found.append(
            f"probabilities {value:.1%} from accuracy on {n_cells:,} held-out cells (limit "
            f"{MOST_CALIBRATION_ERROR:.0%})"
        )
    if set_size is not None and set_size[0] > MOST_TYPES_IN_A_SET:
        value, n_cells = set_size
        found.append(
            f"label sets of {value:.1f} types on the mean of {n_cells:,} held-out cells (limit "
            f"{MOST_TYPES_IN_A_SET:.0f})"
        )
    if unknown is not None and unknown[0] < LEAST_UNKNOWN_REFUSED * unknown[1]:
        refused, n_cells = unknown
        found.append(
            f"{refused:,} of {n_cells:,} cells of types that a network was not shown stayed unassigned (limit "
            f"{LEAST_UNKNOWN_REFUSED:.0%})"
        )
    return found


def not_measured(manifest: Manifest) -> list[str]:
    """Which limits nothing is known about, on enough cells."""
    measured = {
        "accuracy": _accuracy(manifest),
        "calibration": _calibration_error(manifest),
        "label sets": _set_size(manifest),
        "unknown cells": _unknown(manifest),
    }
    return [name for name, found in measured.items() if found is None]


def _accuracy(manifest: Manifest) -> tuple[float, int, str] | None:
    """The share of right calls, its cells, and which these are: cells whose type the networks had learned, since the
    registered model has learned all types; the test part where there are too few.
    """
    found, evaluation = [], manifest.evaluation
    if evaluation is not None and evaluation.judged is not None:
        judged = evaluation.judged
        right = sum(row[place] for place, row in enumerate(judged.confusion))
        found.append((right / max(judged.n_cells, 1), judged.n_cells, "cross-validated cells"))
    elif evaluation is not None:
        found.append((evaluation.accuracy.value, evaluation.n_cells, "cross-validated cells"))
    test = manifest.metrics.get("test") or {}
    if test.get("accuracy") is not None:
        found.append((test["accuracy"], test["n_cells"], "test cells"))
    return next((one for one in found if one[1] >= FEWEST_CELLS), None)


def _calibration_error(manifest: Manifest) -> tuple[float, int] | None:
    entry = manifest.calibration
    scores = [] if entry is None else [entry.calibrated, entry.test_calibrated]
    enough = (score for score in scores if score is not None and score.n_cells >= FEWEST_CELLS)
    return next(((score.expected_calibration_error, score.n_cells) for score in enough), None)


def _set_size(manifest: Manifest) -> tuple[float, int] | None:
    entry = manifest.label_sets
    if entry is None or entry.n_cells < FEWEST_CELLS:
        return None
    served = (level for level in entry.levels if level.error_rate == entry.default_error_rate)
    return next(((level.mean_size, entry.n_cells) for level in served), None)


def _unknown(manifest: Manifest) -> tuple[int, int] | None:
    cells = None if manifest.novelty is None else manifest.novelty.left_out_cells()
    return None if cells is None or cells.n < FEWEST_CELLS else (cells.refused, cells.n)
