"""Held-out cells as an annotator sees them: what new cells are compared with (`cellmark drift`)."""

import numpy as np
import onnx
import pandas as pd
from scipy.special import softmax

from cellmark.schemas.drift.compare_donors import compare_donors
from cellmark.schemas.drift.reference_plane import ReferencePlane, plane_of_cells
from cellmark.schemas.reference_profile import BEST, UNASSIGNED_CELL, Part, ReferenceProfile, describe_cells

from ..cells.cell_groups import draw_cells
from ..cells.labelled_cells import LabelledCells
from ..evaluation.out_of_fold import OutOfFold
from ..export.check_parity import open_session
from .describe import quality_tables
from .fitted_networks import CallMeasures
from .training_cells import TrainingCells

CHUNK = 1024
MOST_IN_PLANE = 4_000
ENOUGH_ANSWERS = 100
"""Test cells of which every twentieth is still a few."""


def describe_reference(
    annotator: onnx.ModelProto, held_out: OutOfFold, trust: CallMeasures, prepared: TrainingCells
) -> ReferenceProfile:
    """The profile of all cells that networks were asked about without having seen them or their donor: the cells of
    each fold, by that fold's networks, and the test part, by the annotator itself.

    Where whole donors were held out, the test part alone tells confidence, novelty and unassigned cells if it has
    enough of them: networks of a fold learned from fewer donors, and find a new one more novel than the annotator does.
    Where no fold could be judged, the test part, or else the validation part, tells everything. `held_out`, `trust`: of
    networks made as the annotator's.
    """
    cells, split, columns = prepared.cells, prepared.split, prepared.columns
    judged = held_out.judged(cells.codes)
    part: Part = "held_out"
    if len(judged) == 0:
        part, _ = split.unseen
    elif held_out.plan.folds == "donors" and len(split.test) >= ENOUGH_ANSWERS:
        part = "test"
    by_annotator = split.validation if part == "validation" else split.test
    rows = np.concatenate([judged, by_annotator])
    answers = [_of_folds(held_out, trust, judged), _of_graph(annotator, cells, by_annotator, columns)]
    best, confidence, novelty = (np.concatenate(values) for values in zip(*answers, strict=True))
    threshold = None if trust.novelty is None else trust.novelty["threshold"]
    quality, _ = quality_tables(cells, rows, columns)
    table = pd.DataFrame(
        {
            BEST: np.array(cells.cell_types, dtype=object)[best],
            UNASSIGNED_CELL: np.zeros(len(rows), dtype=bool) if threshold is None else ~(novelty <= threshold),
            "confidence": confidence,
            "novelty": novelty,
            "genes_detected": quality["genes_detected"].to_numpy(),
        }
    )
    if not cells.normalised:
        table["library_size"] = quality["total_counts"].to_numpy()
    if "mitochondrial_fraction" in quality:
        table["mitochondrial_share"] = quality["mitochondrial_fraction"].to_numpy()
    asked = None if part == "held_out" else np.arange(len(rows)) >= len(judged)
    profile = describe_cells(table, cells.cell_types, part=part, refuses=threshold is not None, asked=asked)
    if cells.donors is None:
        return profile
    donors = compare_donors(
        table,
        cells.donors[rows],
        cells.cell_types,
        counted=cells.counts[rows][:, columns],
        labels=np.array(cells.cell_types)[cells.codes[rows]],
    )
    return profile.model_copy(update={"donors": donors})


def describe_plane(annotator: onnx.ModelProto, prepared: TrainingCells, *, seed: int) -> ReferencePlane | None:
    """Where cells of `Split.unseen` lie in a flat view of the annotator's embedding, at most `MOST_IN_PLANE` of them;
    None for too few.
    """
    cells, (_, unseen) = prepared.cells, prepared.split.unseen
    rows = unseen[draw_cells(cells.codes[unseen], at_most=MOST_IN_PLANE, seed=seed)]
    session = open_session(annotator)
    embedding, calls = [], []
    for start in range(0, len(rows), CHUNK):
        fed = _fed(cells, rows[start : start + CHUNK], prepared.columns)
        places, probabilities = session.run(["embedding", "probabilities"], fed)
        embedding.append(places)
        calls.append(probabilities.argmax(axis=1))
    if not embedding:
        return None
    return plane_of_cells(np.concatenate(embedding), cells.codes[rows], np.concatenate(calls), list(cells.cell_types))


def _fed(cells: LabelledCells, rows: np.ndarray, columns: np.ndarray) -> dict[str, np.ndarray]:
    """What a graph takes of some cells. `rows`: cell numbers; `columns`: the panel's."""
    return {
        "counts": cells.counts[rows][:, columns].toarray().astype(np.float32),
        "library_size": cells.library_size[rows].astype(np.float32)[:, None],
    }


def _of_folds(held_out: OutOfFold, trust: CallMeasures, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of the best type, its probability, and novelty, of cells that lie in a fold, [rows] each."""
    probabilities = softmax(held_out.logits[rows] / np.float32(trust.temperature), axis=1)
    return probabilities.argmax(axis=1), probabilities.max(axis=1), trust.fold_novelty[rows].astype(np.float32)


def _of_graph(
    annotator: onnx.ModelProto, cells: LabelledCells, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same, of the graph; novelty is NaN where it has none."""
    session = open_session(annotator)
    has_novelty = "novelty" in {output.name for output in session.get_outputs()}
    best, confidence = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.float32)
    novelty = np.full(len(rows), np.nan, dtype=np.float32)
    for start in range(0, len(rows), CHUNK):
        chunk = slice(start, start + CHUNK)
        fed = _fed(cells, rows[chunk], columns)
        probabilities, *others = session.run(["probabilities", *(["novelty"] if has_novelty else [])], fed)
        best[chunk], confidence[chunk] = probabilities.argmax(axis=1), probabilities.max(axis=1)
        if others:
            novelty[chunk] = others[0]
    return best, confidence, novelty
