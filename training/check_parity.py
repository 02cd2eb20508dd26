"""Proof, at every export, that the graphs answer as the trained network does; a graph that does not is refused."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
import scipy.sparse as sp
import torch

from cellmark.schemas.errors import ExportError, Finding
from cellmark.schemas.normalization import dense_counts, normalize

from .classifier import Classifier
from .fit import predict_logits

PROBABILITY_TOLERANCE = 1e-5
TIE = 2e-5
CONVERGENCE_TOLERANCE = 1e-4
N_CELLS = 2000


@dataclass(frozen=True)
class Parity:
    """What the proofs measured. `n_label_ties`: cells whose label differs where torch's two best are closer than
    `TIE`. `max_convergence_delta`: relative to max(1, sum of |attributions|).
    """

    n_cells: int
    max_probability_difference: float
    n_label_ties: int
    max_convergence_delta: float


def check_parity(
    annotator: onnx.ModelProto,
    explainer: onnx.ModelProto,
    classifiers: Sequence[Classifier],
    counts: sp.csr_matrix,
    library_size: np.ndarray,
    *,
    temperature: float = 1.0,
) -> Parity:
    """Compare both graphs (onnxruntime, CPU, float32) with the torch networks (CPU, float32).

    `counts`: CSR, cells x panel genes; the first `N_CELLS` are used. Raises `ExportError` (`PARITY_FAILED`).
    """
    counts, library_size = counts[:N_CELLS], library_size[:N_CELLS]
    # float32 throughout: the comparison is with what torch itself would answer.
    x = normalize(counts, library_size)
    logits = torch.stack([predict_logits(classifier, x) for classifier in classifiers]).mean(dim=0)
    expected = torch.softmax(logits / temperature, dim=1).numpy()
    feeds = {
        "counts": dense_counts(counts, np.ones(counts.shape[1], dtype=bool)),
        "library_size": library_size.astype(np.float32).reshape(-1, 1),
    }
    (probabilities,) = _session(annotator).run(["probabilities"], feeds)
    difference = float(np.abs(probabilities - expected).max())
    differ = probabilities.argmax(axis=1) != expected.argmax(axis=1)
    two_best = np.sort(expected, axis=1)[:, -2:]
    tied = two_best[:, 1] - two_best[:, 0] < TIE
    target = np.eye(expected.shape[1], dtype=np.float32)[probabilities.argmax(axis=1)]
    attributions, delta = _session(explainer).run(["attributions", "convergence_delta"], {**feeds, "target": target})
    relative = float((np.abs(delta) / np.maximum(1, np.abs(attributions).sum(axis=1))).max())
    parity = Parity(len(library_size), difference, int((differ & tied).sum()), relative)
    # Comparisons are written so that NaN fails.
    if not (difference <= PROBABILITY_TOLERANCE):
        raise _failed(
            "probabilities", f"within {PROBABILITY_TOLERANCE} of torch's", f"a difference of {difference:.3g}"
        )
    if (differ & ~tied).any():
        raise _failed("labels", "the same as torch's", f"{int((differ & ~tied).sum())} others")
    if not (relative <= CONVERGENCE_TOLERANCE):
        raise _failed("convergence_delta", f"at most {CONVERGENCE_TOLERANCE} of the attributions", f"{relative:.3g}")
    return parity


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    return ort.InferenceSession(model.SerializeToString(deterministic=True), providers=["CPUExecutionProvider"])


def _failed(where: str, expected: str, found: str) -> ExportError:
    return ExportError(
        Finding("PARITY_FAILED", where, expected, found,
                "The model was not exported. Train again, or report this with the versions of torch and onnxruntime.")
    )  # fmt: skip
