"""New populations on disk: their markers, and the population of each cell beside its call."""

import json
from pathlib import Path

import pandas as pd

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.calls.new_populations import CalledCells, NewPopulations
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.columns import NEW_POPULATION

from .write_calls import write_calls


def write_populations(found: NewPopulations, out: Path, *, top: int, force: bool) -> None:
    """All markers as a `.csv` or `.parquet`; or as `.json` the populations with their first `top` markers."""
    with whole_file(out, force=force) as draft:
        if out.suffix == ".json":
            text = json.dumps(found.to_dict(top=top), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            draft.write_text(text, encoding="utf-8", newline="\n")
        elif out.suffix == ".parquet":
            found.markers.to_parquet(draft, index=False)
        else:
            found.markers.to_csv(draft, index=False)


def write_population_cells(
    found: NewPopulations, called: CalledCells, out: Path, *, source: CellSource, origin: Path, force: bool
) -> None:
    """The calls of every cell, and its population, as `annotate` writes calls (see `write_calls`)."""
    frame = called.calls.copy()
    names = list(found.populations["population"])
    frame[NEW_POPULATION] = pd.Categorical(
        found.cells.reindex(frame.index), categories=names
    ).remove_unused_categories()
    frame.attrs = called.calls.attrs
    write_calls(frame, out, source=source, origin=origin, force=force)
