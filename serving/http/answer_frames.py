"""Answers on cells in other forms than rows of JSON: as frames, for those that are files, and as a sparse matrix."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.api.request_cells import RequestCells
from cellmark.schemas.cells.cell_source import RowChunk
from cellmark.schemas.checks.checked_cells import CheckedCells, PreparedChunk
from cellmark.schemas.columns import UNS_KEY

from ..annotator import Annotator
from ..context import stage
from ..scoring.attribute import EXPLAIN_VALUES, Explained, Question, attribute_cells
from ..scoring.call_options import NO_FLOORS, PLAIN_CALLS, CallOptions, Floors
from ..scoring.calls_frame import calls_frame, final_calls, mark_cross_species
from ..scoring.score import in_order, score
from .answers import check, input_facts, judged, note_outcome
from .receipts import make_receipt
from .rows import encoded


def annotate_frame(
    annotator: Annotator, cells: RequestCells, options: CallOptions = PLAIN_CALLS, *, floors: Floors = NO_FLOORS
) -> tuple[pd.DataFrame, CheckedCells]:
    """As `annotate`, as a frame for the answers that are files: `attrs` holds the facts."""
    rules = annotator.rules(options.label_set_error)
    with stage("check"):
        checked = check(annotator, cells, floors)
    calls = score(checked, annotator.session, rules=rules, keep_probabilities=options.probabilities)
    rules, sample = judged(annotator, rules, calls, options)
    called, _ = final_calls(calls, rules, len(annotator.cell_types))
    note_outcome(annotator, checked, calls, called, sample.notes)
    make_receipt(annotator, np.where(called < len(annotator.cell_types), called, -1), sample_shift=sample.state)
    frame = calls_frame(calls, checked.cell_ids, annotator.cell_types, rules)
    mark_cross_species(frame, checked.genes.across)
    trust = {"novelty_threshold": rules.novelty_threshold, "label_set_error": rules.error_rate}
    facts = {**annotator.facts(checked).to_dict(), **trust}
    facts["notes"] += [note.to_dict() for note in sample.notes]
    frame.attrs[UNS_KEY] = facts if sample.facts is None else {**facts, "sample_shift": sample.facts}
    return frame, checked


def attribute_frame(
    annotator: Annotator, cells: RequestCells, question: Question, *, floors: Floors = NO_FLOORS
) -> pd.DataFrame:
    """As `attribute`, as a frame with a row for each cell and gene: `attrs` holds the facts."""
    question.check(annotator.session)
    with stage("check"):
        checked = check(annotator, cells, floors)
    frame = annotator.explain_checked(checked, question)
    note_outcome(annotator, checked)
    make_receipt(annotator, None)
    return frame


def attribute_sparse(
    annotator: Annotator, cells: RequestCells, question: Question, *, floors: Floors = NO_FLOORS
) -> bytes:
    """As `attribute`, with the attributions of all genes as a matrix in CSR form, cells x the model's genes."""
    question.check(annotator.session)
    with stage("check"):
        checked = check(annotator, cells, floors)
    rows: list[dict[str, Any]] = []
    codes: list[np.ndarray] = []
    pieces = [sp.csr_matrix((0, len(annotator.bundle.panel)), dtype=np.float32)]
    names: list[Any] = [*annotator.cell_types, None]  # -1 names the last: with nothing

    def work(chunk: RowChunk) -> tuple[PreparedChunk, Explained | None]:
        prepared = checked.prepare(chunk)
        if prepared.cells is None:
            return prepared, None
        return prepared, attribute_cells(annotator.session, prepared.cells, question)

    n_rows = max(16, EXPLAIN_VALUES // max(len(annotator.bundle.panel), 1))
    workers = 1 if checked.source.n_obs <= n_rows else None
    for prepared, explained in in_order(work, checked.source.chunks(n_rows), workers=workers):
        checked.record(prepared)
        if explained is not None:
            pieces.append(sp.csr_matrix(explained.attributions))
            codes.append(explained.called)
            facts = zip(*(getattr(explained, name).tolist() for name in EXPLAINED), strict=True)
            rows += [
                {"cell_type": names[a], "target": names[b], "against": names[c], "convergence_delta": delta}
                for a, b, c, delta in facts
            ]
    checked.finish()
    note_outcome(annotator, checked)
    X = sp.csr_matrix(sp.vstack(pieces, format="csr"))
    answer = {
        **input_facts(annotator, checked, cells),
        "receipt": make_receipt(annotator, np.concatenate([np.zeros(0, dtype=np.int64), *codes])),
        "genes": list(annotator.bundle.panel.symbols),
        "cells": [{"cell_id": name, **row} for name, row in zip(checked.cell_ids.tolist(), rows, strict=True)],
        "indptr": X.indptr.tolist(),
        "indices": X.indices.tolist(),
        "attributions": X.data.tolist(),
    }
    return encoded(answer)


EXPLAINED = ("called", "target", "against", "convergence_delta")
