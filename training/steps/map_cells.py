"""A UMAP of held-out cells as the exported model sees them: for the report's map, without ids or counts."""

import numpy as np
import onnx
import pandas as pd

from ..cells.draw_cells import draw_cells
from ..cells.plane import plane
from ..export.check_parity import open_session
from .training_cells import TrainingCells

AT_MOST = 4_000
CHUNK = 1024


def map_cells(annotator: onnx.ModelProto, prepared: TrainingCells, *, seed: int) -> pd.DataFrame:
    """`x`, `y`, `label`, `call` (the most probable type), `confidence`, `novelty` (null where the graph has no such
    output) and `part` of at most `AT_MOST` cells of `Split.unseen`; of more, as many of each type as it has.

    Rows are sorted by their content, so that a row's place says nothing of the cell's place in the file.
    """
    part, unseen = prepared.split.unseen
    counts, library_size = prepared.counts[unseen], prepared.cells.library_size[unseen]
    codes = prepared.cells.codes[unseen]
    rows = draw_cells(codes, at_most=AT_MOST, seed=seed)
    session = open_session(annotator)
    available = {output.name for output in session.get_outputs()}
    wanted = [name for name in ("probabilities", "embedding", "novelty") if name in available]
    found: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        fed = {
            "counts": counts[chunk].toarray().astype(np.float32),
            "library_size": library_size[chunk].astype(np.float32)[:, None],
        }
        for name, values in zip(wanted, session.run(wanted, fed), strict=True):
            found[name].append(values)
    outputs = {name: np.concatenate(values) for name, values in found.items()}
    where = plane(outputs["embedding"], seed=seed)
    names = np.array(prepared.cells.cell_types, dtype=object)
    probabilities = outputs["probabilities"]
    novelty = outputs.get("novelty", np.full(len(rows), np.nan)).astype(np.float64)
    table = pd.DataFrame(
        {
            "x": np.round(where[:, 0].astype(np.float64), 3),
            "y": np.round(where[:, 1].astype(np.float64), 3),
            "label": names[codes[rows]],
            "call": names[probabilities.argmax(axis=1)],
            "confidence": np.round(probabilities.max(axis=1).astype(np.float64), 4),
            "novelty": novelty,
            "part": part,
        }
    )
    return table.sort_values(["label", "x", "y", "confidence"], kind="stable", ignore_index=True)
