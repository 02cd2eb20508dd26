"""A step of a training: what becomes of cells of unknown types, as thoroughly as was asked for."""

from collections.abc import Sequence
from typing import Any

from ..cells.labelled_cells import LabelledCells
from ..config import TrainingConfig
from ..evaluation.left_out_types import TypesOut, left_out_types, some_left_out
from ..evaluation.out_of_fold import FoldPlan
from ..listener import Listener
from ..network.fit_settings import FitSettings


def leave_types_out(
    config: TrainingConfig,
    cells: LabelledCells,
    plan: FoldPlan,
    *,
    members: Sequence[FitSettings],
    listener: Listener,
) -> dict[str, Any]:
    """The fields `left_out` and `left_out_level` of `NoveltyEntry`. `plan`: the folds of the registered model."""
    given = TypesOut(
        cells.counts, cells.library_size, cells.codes, cells.donors, cells.cell_types, members, config.max_genes,
        config.seed, config.device,
    )  # fmt: skip
    if config.evaluate == "full":
        rows = left_out_types(given, plan, on_step=lambda name: listener.step(f"Leaving out {name}"))
    else:
        listener.step("Leaving some types out")
        rows = some_left_out(given, plan)
    return {"left_out": [{"together": [], **row} for row in rows], "left_out_level": config.evaluate if rows else None}
