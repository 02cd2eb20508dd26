"""The manifest's section `novelty`: the threshold above which a cell stays unassigned, and what it was set on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.manifest_trust import NoveltyEntry

from .config import TrainingConfig
from .ensemble import variations
from .fit_settings import FitSettings
from .labelled_cells import LabelledCells
from .left_out_types import left_out_types
from .novelty_of_cells import FALSE_REFUSAL_RATE, novelty_of_folds, novelty_threshold
from .novelty_score import NAME
from .out_of_fold import MOST_MEMBERS, OutOfFold


def novelty_section(
    held_out: OutOfFold,
    x: sp.csr_matrix,
    cells: LabelledCells,
    *,
    test_novelty: np.ndarray,
    settings: FitSettings,
    config: TrainingConfig,
    on_step: Callable[[str], None] = lambda step: None,
) -> dict[str, Any] | None:
    """As `NoveltyEntry`; None where no fold could be judged.

    `x`: CSR, cells x panel genes, ln(1 + counts per 10,000). `test_novelty`: of the test cells to the registered model,
    [test cells]. With `--evaluate full` each type is left out in turn as well; `on_step` hears of each.
    """
    judged = held_out.judged(cells.codes)
    if len(judged) == 0:
        return None
    threshold = novelty_threshold(novelty_of_folds(held_out, x, cells.codes)[judged])
    left_out = []
    if config.evaluate == "full":
        left_out = left_out_types(
            cells.counts, cells.library_size, cells.codes, cells.donors, cells.cell_types, held_out.plan,
            members=variations(settings, n_members=min(config.n_members, MOST_MEMBERS)), max_genes=config.max_genes,
            seed=config.seed, device=config.device, on_step=on_step,
        )  # fmt: skip
    section = {
        "score": NAME,
        "threshold": threshold,
        "false_refusal_rate": FALSE_REFUSAL_RATE,
        "folds": held_out.plan.folds,
        "n_cells": len(judged),
        "test_refusal_rate": float((test_novelty > threshold).mean()) if len(test_novelty) else None,
        "left_out": left_out,
    }
    return NoveltyEntry.model_validate(section).model_dump(mode="json")
