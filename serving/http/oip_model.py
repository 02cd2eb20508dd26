"""A model as the Open Inference Protocol sees it: its tensors, and rows of counts through the gate and the graph."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.api.request_cells import LONGEST_NAME, memory_source
from cellmark.schemas.cells.cell_source import NamedCells
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.columns import UNASSIGNED
from cellmark.schemas.errors import ModelError

from ..annotator import Annotator
from ..context import Outcome, current, stage
from ..scoring.score import annotate_cells, rows_per_chunk
from .oip_tensors import TEXT, InferRequest, Wanted, invalid, write_response
from .receipts import make_receipt

PLATFORM = "onnxruntime_onnx"
COUNTS, LIBRARY_SIZE, CELL_IDS = "counts", "library_size", "cell_ids"
CELL_TYPE, BEST, CONFIDENCE = "cell_type", "best_cell_type", "confidence"
OF_GRAPH = ("novelty", "probabilities", "logits", "energy", "embedding")
PER_CELL = ("novelty", "energy")
"""Outputs of the graph that have one number for each cell."""
DIGITS = 12


def version_of(annotator: Annotator) -> str:
    """The version that answers name: the registry's, or the first characters of the digest of a bare bundle."""
    return annotator.source.version or annotator.bundle.digest[:DIGITS]


def check_named(annotator: Annotator, name: str, version: str | None) -> None:
    """Raise `ModelError` (`MODEL_UNKNOWN`) unless the model has this name, and this version where one is named."""
    known = version_of(annotator)
    if name != annotator.source.name or version not in (None, known):
        raise ModelError.of(
            "MODEL_UNKNOWN",
            where="model",
            expected=f"{annotator.source.name}, version {known}",
            found="another name or version",
            remedy="GET /model says which model is served.",
        )


def describe(annotator: Annotator) -> dict[str, Any]:
    """The answer of `GET /v2/models/{name}`. `library_size` and `cell_ids` may be omitted."""
    n_genes, n_types = len(annotator.bundle.panel), len(annotator.cell_types)
    outputs = [_tensor(CELL_TYPE, TEXT, -1), _tensor(BEST, TEXT, -1), _tensor(CONFIDENCE, "FP32", -1)]
    for name in _graph_outputs(annotator):
        shape = (-1,) if name in PER_CELL else (-1, -1 if name == "embedding" else n_types)
        outputs.append(_tensor(name, "FP32", *shape))
    return {
        "name": annotator.source.name,
        "versions": [version_of(annotator)],
        "platform": PLATFORM,
        "inputs": [
            _tensor(COUNTS, "FP32", -1, n_genes),
            _tensor(LIBRARY_SIZE, "FP32", -1),
            _tensor(CELL_IDS, TEXT, -1),
        ],
        "outputs": outputs,
    }


def _tensor(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def _graph_outputs(annotator: Annotator) -> list[str]:
    return [name for name in OF_GRAPH if name in annotator.session.output_names]


def infer(annotator: Annotator, request: InferRequest) -> tuple[bytes, int | None]:
    """The body of an answer, as `write_response`; the request's context gets what is recorded of it.

    Rows are checked as everywhere: raw counts, or ln(1 + counts per 10,000), of the panel's genes in its order. A gene
    that is NaN in every cell was not measured. Raises `RequestError` for tensors that are not the model's, `InputError`
    with all problems of the cells.
    """
    offered = {CELL_TYPE, BEST, CONFIDENCE, *_graph_outputs(annotator)}
    wanted = request.outputs or tuple(
        Wanted(one["name"], request.binary) for one in describe(annotator)["outputs"] if one["name"] in offered
    )
    if unknown := [one.name for one in wanted if one.name not in offered]:
        raise invalid("outputs", ", ".join(sorted(offered)), f"{len(unknown)} others")
    with stage("check"):
        source, sizes = cells_of(request.inputs, annotator.bundle.panel.symbols)
        checked = annotator.check(source, ReadingOptions(library_size=sizes))
    with stage("infer"):
        n_rows = rows_per_chunk(len(annotator.bundle.panel))
        pieces = [annotate_cells(annotator.session, cells) for cells in checked.chunks(n_rows)]
        values = (
            pieces[0]
            if len(pieces) == 1
            else {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        )
    codes, tensors = called(annotator, values)
    facts: dict[str, Any] = {"model_name": annotator.source.name, "model_version": version_of(annotator)}
    if request.id is not None:
        facts["id"] = request.id
    facts["parameters"] = {
        "bundle_digest": annotator.bundle.digest,
        "library_size_source": checked.library_size_source,
        "notes": " ".join(dict.fromkeys(note.code for note in checked.notes)),
    }
    told = [(one, TEXT if one.name in (CELL_TYPE, BEST) else "FP32", tensors[one.name]) for one in wanted]
    _record(annotator, checked, codes, tensors)
    with stage("encode"):
        return write_response(facts, told)


def _record(annotator: Annotator, checked: CheckedCells, codes: np.ndarray, tensors: Mapping[str, np.ndarray]) -> None:
    """What metrics, log and receipt say of the request."""
    make_receipt(annotator, codes)
    context = current()
    if context is None:
        return
    names, numbers = (*annotator.cell_types, UNASSIGNED), np.bincount(codes % (len(annotator.cell_types) + 1))
    context.outcome = Outcome(
        checked.source.n_obs,
        {names[code]: int(numbers[code]) for code in np.flatnonzero(numbers)},
        tensors[CONFIDENCE],
        tensors.get("novelty"),
        checked.match.n_matched / max(len(annotator.bundle.panel), 1),
        tuple(note.code for note in checked.notes),
    )


def called(annotator: Annotator, values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Calls as places among the model's types, -1 for `unassigned`, and all outputs by name, from the graph's."""
    probabilities, novelty = values["probabilities"], values.get("novelty")
    names = np.array([*annotator.cell_types, UNASSIGNED], dtype=object)
    best = values[annotator.bundle.manifest.ranked_by].argmax(axis=1)
    threshold = annotator.rules().novelty_threshold
    assigned = best
    if novelty is not None and threshold is not None:
        # Written so that NaN, which is like nothing, is unassigned too.
        assigned = np.where(novelty.ravel() <= threshold, best, -1)
    tensors = {CELL_TYPE: names[assigned], BEST: names[best], CONFIDENCE: probabilities.max(axis=1)}
    graph = _graph_outputs(annotator)
    return assigned, tensors | {name: values[name].ravel() if name in PER_CELL else values[name] for name in graph}


def cells_of(inputs: Mapping[str, np.ndarray], genes: tuple[str, ...]) -> tuple[NamedCells, np.ndarray | None]:
    """The rows as cells of the genes measured, and their library sizes, float64 [cells], None to sum."""
    if unknown := [name for name in inputs if name not in (COUNTS, LIBRARY_SIZE, CELL_IDS)]:
        raise invalid("inputs", f"{COUNTS}, {LIBRARY_SIZE} and {CELL_IDS}", f"{len(unknown)} others")
    rows = inputs.get(COUNTS)
    if rows is None:
        raise invalid("inputs", f"a tensor {COUNTS}", "none")
    if rows.dtype == object or rows.ndim != 2 or rows.shape[1] != len(genes):
        raise invalid(COUNTS, f"numbers, cells x the panel's {len(genes)} genes", f"shape {list(rows.shape)}")
    n_obs = rows.shape[0]
    sizes, ids = inputs.get(LIBRARY_SIZE), inputs.get(CELL_IDS)
    if sizes is not None:
        if sizes.dtype == object or sizes.shape not in ((n_obs,), (n_obs, 1)):
            raise invalid(LIBRARY_SIZE, f"one number for each of {n_obs} cells", f"shape {list(sizes.shape)}")
        sizes = sizes.ravel().astype(np.float64)
    if ids is not None:
        if ids.dtype != object or ids.size != n_obs or not all(0 < len(text) <= LONGEST_NAME for text in ids.ravel()):
            raise invalid(CELL_IDS, f"{n_obs} strings of 1 to {LONGEST_NAME} characters", "others")
        ids = ids.ravel()
    names = _names(genes)
    if rows.dtype.kind == "f" and n_obs:
        measured = ~np.isnan(rows).all(axis=0)
        if not measured.all():
            rows, names = rows[:, measured], names[measured]
    named = [str(number) for number in range(n_obs)] if ids is None else ids
    X = _csr(rows if rows.dtype.itemsize >= 4 else rows.astype(np.float32))
    return memory_source(X, names, named, name="body", counts_from=COUNTS), sizes


@lru_cache(maxsize=8)
def _names(genes: tuple[str, ...]) -> np.ndarray:
    return np.array(genes, dtype=object)


def _csr(rows: np.ndarray) -> sp.csr_matrix:
    """As SciPy makes it, which goes through another form of sparse matrix first."""
    i, j = np.nonzero(rows)
    indptr = np.zeros(rows.shape[0] + 1, dtype=np.int32)
    np.cumsum(np.bincount(i, minlength=rows.shape[0]), out=indptr[1:])
    X = sp.csr_matrix((rows[i, j], j.astype(np.int32), indptr), shape=rows.shape, copy=False)
    X.has_sorted_indices = X.has_canonical_format = True
    return X
