"""Held-out cells as the exported model sees them: what new cells are compared with (`cellmark drift`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pandas as pd

from cellmark.schemas.reference_profile import BEST, UNASSIGNED_CELL, ReferenceProfile, describe_cells

from .describe import quality_tables
from .graph_session import open_session
from .labelled_cells import LabelledCells
from .split import Split

CHUNK = 1024


def describe_reference(
    annotator: onnx.ModelProto,
    cells: LabelledCells,
    split: Split,
    columns: np.ndarray,
    *,
    novelty: Mapping[str, Any] | None,
) -> ReferenceProfile:
    """The profile of the test part, or of the validation part where there is no test part.

    `columns`: of the panel's genes in `cells.counts`. `novelty`: the manifest's section, for the threshold.
    """
    part, rows = ("test", split.test) if len(split.test) else ("validation", split.validation)
    names = np.array(cells.cell_types, dtype=object)
    session = open_session(annotator)
    has_novelty = "novelty" in {output.name for output in session.get_outputs()}
    wanted = ["probabilities", *(["novelty"] if has_novelty else [])]
    found = []
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        fed = {
            "counts": cells.counts[chunk][:, columns].toarray().astype(np.float32),
            "library_size": cells.library_size[chunk].astype(np.float32)[:, None],
        }
        outputs = dict(zip(wanted, session.run(wanted, fed), strict=True))
        best, strange = outputs["probabilities"], outputs.get("novelty", np.full(len(chunk), np.nan, dtype=np.float32))
        refused = np.zeros(len(chunk), dtype=bool) if novelty is None else ~(strange <= novelty["threshold"])
        found.append(
            pd.DataFrame(
                {
                    BEST: names[best.argmax(axis=1)],
                    UNASSIGNED_CELL: refused,
                    "confidence": best.max(axis=1),
                    "novelty": strange,
                }
            )
        )
    quality, _ = quality_tables(cells, rows, columns)
    table = pd.concat(found, ignore_index=True)
    table["library_size"], table["genes_detected"] = quality["total_counts"], quality["genes_detected"]
    if "mitochondrial_fraction" in quality:
        table["mitochondrial_share"] = quality["mitochondrial_fraction"]
    return describe_cells(
        table, cells.cell_types, part="test" if part == "test" else "validation", refuses=novelty is not None
    )
