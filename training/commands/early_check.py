"""Columns that `cellmark train` was given wrongly, told within two seconds: before PyTorch, MLflow and the counts."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EARLY = (
    "LABEL_COLUMN_UNKNOWN",
    "LABEL_ONE_CLASS",
    "DONOR_COLUMN_UNKNOWN",
    "LEVELS_INVALID",
    "LIBRARY_SIZE_COLUMN_UNKNOWN",
)
"""What a slip in the name of a column ends in. Other errors come later, with those of the counts."""


def refuse_wrong_columns(data: Path, options: Mapping[str, Any]) -> None:
    """Raise `ReadError` where `data` does not exist, and `LabelError` for columns that are not there or hold no cell
    types. Looks into `obs` of an `.h5ad` alone; training looks at everything, of every format, again.
    """
    if os.environ.get("MLFLOW_RUN_ID"):
        return  # a run was begun by `mlflow run`: the refusal belongs into it, and nobody waits

    from cellmark.schemas.cells.read import require_input

    require_input(data)
    if data.suffix != ".h5ad" or not data.is_file():
        return

    from cellmark.schemas.checks.check_labelled import labelled_findings
    from cellmark.schemas.checks.library_size import unknown_totals
    from cellmark.schemas.errors import LabelError

    obs = _obs(data)
    if obs is None or obs.empty:
        return
    found = labelled_findings(
        obs,
        label=options["label"],
        donor=options["donor"],
        min_cells=options["min_cells"],
        held_out=False,
        levels=() if options["levels"] in (None, "ontology") else [one.strip() for one in options["levels"].split(",")],
    )
    sizes = options["library_size"]
    if sizes is not None and sizes not in obs.columns:
        found = (*found, unknown_totals(obs, sizes))
    wrong = [one for one in found if one.severity == "error" and one.code in EARLY]
    if wrong:
        raise LabelError(*wrong)


def _obs(path: Path) -> Any:
    """The table `obs` of an `.h5ad`; None where it is stored in a way that only training's reader knows."""
    import h5py

    from cellmark.schemas.cells.row_range import RowRange
    from cellmark.schemas.cells.stored_frame import frame_length, frame_rows

    try:
        with h5py.File(path) as file:
            frame = file["obs"]
            names = frame.attrs["column-order"]
            obs = frame_rows(frame, RowRange(0, frame_length(frame)))
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError):
        return None
    return obs if len(obs.columns) == len(names) else None
