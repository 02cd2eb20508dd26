"""The manifest's section `novelty`: the threshold above which a cell stays unassigned, and what it was set on."""

from typing import Any

import numpy as np

from cellmark.schemas.manifest.manifest_trust import NoveltyEntry

from .novelty_of_cells import FALSE_REFUSAL_RATE, novelty_threshold, threshold_cells
from .novelty_score import NAME
from .out_of_fold import OutOfFold


def novelty_section(
    held_out: OutOfFold, fold_novelty: np.ndarray, codes: np.ndarray, *, test_novelty: np.ndarray
) -> dict[str, Any] | None:
    """As `NoveltyEntry`, without types left out; None where no fold could be judged.

    `fold_novelty`: [cells], see `novelty_of_folds`; `codes`: int [cells]. `test_novelty`: of the test cells to the
    registered model, [test cells].
    """
    cells = threshold_cells(held_out, codes)
    if len(cells) == 0:
        return None
    threshold = novelty_threshold(fold_novelty[cells])
    unused = set(range(len(held_out.plan.names))) - set(held_out.plan.fold_of[cells].tolist())
    section = {
        "score": NAME,
        "threshold": threshold,
        "false_refusal_rate": FALSE_REFUSAL_RATE,
        "folds": held_out.plan.folds,
        "n_cells": len(cells),
        "unused_folds": [held_out.plan.names[number] for number in sorted(unused)],
        "test_refusal_rate": float((test_novelty > threshold).mean()) if len(test_novelty) else None,
    }
    return NoveltyEntry.model_validate(section).model_dump(mode="json")
