"""Proof, at every export, that the graphs answer as the trained network does; a graph that does not is refused.

Golden cells carry the proof to wherever the bundle is opened. They are drawn from type means, so that no person's
profile travels with a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
import scipy.sparse as sp
import torch

from cellmark.schemas.errors import ExportError
from cellmark.schemas.golden_cells import GoldenCells
from cellmark.schemas.normalization import dense_counts, normalize
from cellmark.schemas.telemetry import refuse_telemetry

from ..evaluation.novelty import NoveltyScore, member_outputs
from ..network.classifier import Classifier
from ..network.contributions import multipliers
from ..network.fit import predict_logits
from ..network.folded_network import FoldedNetwork, fold

if TYPE_CHECKING:
    import onnxruntime
    from onnxruntime import InferenceSession


def open_session(model: onnx.ModelProto) -> "onnxruntime.InferenceSession":
    """A session of the graph as it will be written."""
    refuse_telemetry()
    import onnxruntime

    return onnxruntime.InferenceSession(model.SerializeToString(deterministic=True), providers=["CPUExecutionProvider"])


PROBABILITY_TOLERANCE = 1e-5
TIE = 2e-5
CONVERGENCE_TOLERANCE = 1e-4
ATTRIBUTION_TOLERANCE = 1e-4
"""Relative to max(1, norm of the cell's attributions); the graph computes in float32."""
NOVELTY_TOLERANCE = 2e-3
"""In standard deviations of training cells; the graph takes logarithms of float32."""
N_CELLS = 2000
N_ATTRIBUTED = 200


@dataclass(frozen=True)
class Parity:
    """What the proofs measured. `n_label_ties`: cells whose label differs where torch's two best are closer than
    `TIE`. `max_convergence_delta`: relative to max(1, sum of |attributions|); the larger of what the graph says is left
    and what is left against torch's own logits. `max_attribution_difference`: relative norm of a cell.
    """

    n_cells: int
    max_probability_difference: float
    n_label_ties: int
    max_convergence_delta: float
    max_attribution_difference: float


def check_parity(
    annotator: onnx.ModelProto,
    explainer: onnx.ModelProto,
    classifiers: Sequence[Classifier],
    counts: sp.csr_matrix,
    library_size: np.ndarray,
    *,
    baselines: np.ndarray,
    fill: np.ndarray,
    temperature: float = 1.0,
    novelty: tuple[NoveltyScore, np.ndarray, np.ndarray] | None = None,
) -> Parity:
    """Compare both graphs (onnxruntime, CPU, float32) with the torch networks (CPU, float32).

    `counts`: CSR, cells x panel genes; the first `N_CELLS` are used, and the first `N_ATTRIBUTED` to compare
    attributions gene by gene, with all genes and with half of them missing. `baselines`: x0, [genes]; `fill`: of genes
    that were not measured, [genes]. `novelty`: the score's constants with the mean and the
    components of the embedding, where the annotator has that output. Raises `ExportError` (`PARITY_FAILED`).
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
    annotate = open_session(annotator)
    (probabilities,) = annotate.run(["probabilities"], feeds)
    difference = float(np.abs(probabilities - expected).max())
    # A cell of which nothing was measured stands at the fill.
    nothing = {"counts": np.full((1, len(fill)), np.nan, np.float32), "library_size": np.ones((1, 1), np.float32)}
    (unmeasured,) = annotate.run(["probabilities"], nothing)
    expected_there = torch.softmax(_at(classifiers, fill[None]) / temperature, dim=1).numpy()
    difference = float(np.maximum(difference, np.abs(unmeasured - expected_there).max()))
    differ = probabilities.argmax(axis=1) != expected.argmax(axis=1)
    two_best = np.sort(expected, axis=1)[:, -2:]
    tied = two_best[:, 1] - two_best[:, 0] < TIE
    explain = open_session(explainer)
    n_types = expected.shape[1]
    moved = (logits - _at(classifiers, baselines[None])).numpy().astype(np.float64)
    called = np.eye(n_types, dtype=np.float32)[probabilities.argmax(axis=1)]
    relative, _ = _explained(explain, feeds, called, moved)
    # Each type in turn, called or not: a fault in what explains a rare one shows too.
    few = slice(0, N_ATTRIBUTED)
    in_turn = np.eye(n_types, dtype=np.float32)[np.arange(len(library_size)) % n_types][few]
    in_turn_relative, attributions = _explained(
        explain, {name: values[few] for name, values in feeds.items()}, in_turn, moved[few]
    )
    values = x[few].toarray()
    attributed = _attribution_difference(attributions, classifiers, values, baselines[None], in_turn)
    lost = np.random.default_rng(0).random(len(fill)) < 0.5
    lacking, lacked = np.where(lost, fill, values), np.where(lost, fill, baselines)[None]
    less = {"counts": np.where(lost, np.float32(np.nan), feeds["counts"][few])}
    moved = (_at(classifiers, lacking) - _at(classifiers, lacked)).numpy().astype(np.float64)
    less_relative, attributions = _explained(
        explain, {**less, "library_size": feeds["library_size"][few]}, in_turn, moved
    )
    less_attributed = _attribution_difference(attributions, classifiers, lacking, lacked, in_turn)
    # `np.max` and not `max`, which may lose a NaN.
    relative = float(np.max([relative, in_turn_relative, less_relative]))
    attributed = float(np.max([attributed, less_attributed]))
    parity = Parity(len(library_size), difference, int((differ & tied).sum()), relative, attributed)
    # Comparisons are written so that NaN fails.
    if not (difference <= PROBABILITY_TOLERANCE):
        raise parity_failed(
            "probabilities", f"within {PROBABILITY_TOLERANCE} of torch's", f"a difference of {difference:.3g}"
        )
    if (differ & ~tied).any():
        raise parity_failed("labels", "the same as torch's", f"{int((differ & ~tied).sum())} others")
    if not (relative <= CONVERGENCE_TOLERANCE):
        raise parity_failed(
            "convergence_delta", f"at most {CONVERGENCE_TOLERANCE} of the attributions", f"{relative:.3g}"
        )
    if not (attributed <= ATTRIBUTION_TOLERANCE):
        raise parity_failed(
            "attributions", f"within {ATTRIBUTION_TOLERANCE} of the network's", f"off by {attributed:.3g}"
        )
    if novelty is not None:
        _check_novelty(annotate, feeds, classifiers, x, *novelty)
    return parity


def _check_novelty(
    annotate: "InferenceSession",
    feeds: dict[str, np.ndarray],
    classifiers: Sequence[Classifier],
    x: sp.csr_matrix,
    score: NoveltyScore,
    embedding_mean: np.ndarray,
    embedding_components: np.ndarray,
) -> None:
    """The graph's novelty is that of the score itself, computed without the graph."""
    (found,) = annotate.run(["novelty"], feeds)
    outputs = member_outputs([fold(classifier) for classifier in classifiers], x, embedding_mean, embedding_components)
    off = float(np.abs(found - score.of(outputs)).max())
    if not (off <= NOVELTY_TOLERANCE):
        raise parity_failed("novelty", f"within {NOVELTY_TOLERANCE} of the score's own", f"a difference of {off:.3g}")


def _at(classifiers: Sequence[Classifier], values: np.ndarray) -> torch.Tensor:
    """Torch's logits, cells x types. `values`: normalised expression, cells x genes."""
    x = torch.as_tensor(values, dtype=torch.float32)
    with torch.no_grad():
        return torch.stack([classifier.eval()(x) for classifier in classifiers]).mean(dim=0)


def _explained(
    explain: "InferenceSession", feeds: dict[str, np.ndarray], target: np.ndarray, moved: np.ndarray
) -> tuple[float, np.ndarray]:
    """What is left of completeness, relative to max(1, sum of |attributions|), and the attributions.

    `moved`: torch's logits less those at the baseline, cells x types. The graph's delta is against logits of its own;
    torch's tell whether it explains the right network.
    """
    attributions, delta = explain.run(["attributions", "convergence_delta"], {**feeds, "target": target})
    left = attributions.sum(axis=1, dtype=np.float64) - (target * moved).sum(axis=1)
    largest = np.maximum(1, np.abs(attributions).sum(axis=1))
    return float((np.maximum(np.abs(delta), np.abs(left)) / largest).max()), attributions


def _attribution_difference(
    attributions: np.ndarray,
    classifiers: Sequence[Classifier],
    values: np.ndarray,
    baselines: np.ndarray,
    target: np.ndarray,
) -> float:
    """Largest relative norm of the difference from attributions computed without the graph, in float64.

    `values`: cells x genes; `baselines`: the same, or one row.
    """
    values = values.astype(np.float64)
    found = [multipliers(fold(classifier), values, baselines, target) for classifier in classifiers]
    expected = np.mean(found, axis=0) * (values - baselines)
    off = np.linalg.norm(attributions - expected, axis=1) / np.maximum(1, np.linalg.norm(expected, axis=1))
    return float(off.max())


def parity_failed(where: str, expected: str, found: str) -> ExportError:
    """The error of a graph that answers otherwise than what it was made from."""
    return ExportError.of(
        "PARITY_FAILED",
        where=where,
        expected=expected,
        found=found,
        remedy="The model was not exported. Train again, or report this with the versions of torch and onnxruntime.",
    )


CELLS_PER_TYPE = 2
KIND = "drawn"
"""The manifest's `golden_cells`: no cell of a person is among them."""


def draw_golden_counts(
    counts: sp.csr_matrix, library_size: np.ndarray, codes: np.ndarray, n_types: int, *, seed: int
) -> tuple[sp.csr_matrix, np.ndarray]:
    """Poisson draws around each type's mean profile at its median library size.

    `counts`: CSR, training cells x panel genes; `library_size`, `codes`: [cells]. Returns counts, CSR, float32, drawn
    cells x panel genes, and their library sizes, float32.
    """
    generator = np.random.default_rng(seed)
    rows, sizes = [], []
    for code in range(n_types):
        of_type = codes == code
        size = float(np.median(library_size[of_type]))
        share = np.asarray(counts[of_type].sum(axis=0)).ravel() / library_size[of_type].sum(dtype=np.float64)
        for _ in range(CELLS_PER_TYPE):
            drawn = generator.poisson(share * size).astype(np.float32)
            rows.append(drawn)
            # What is drawn for the panel alone may exceed the median total; a library is never smaller than that.
            sizes.append(max(round(size), drawn.sum(), 1.0))
    return sp.csr_matrix(np.array(rows)), np.array(sizes, dtype=np.float32)


def golden_cells(
    members: Sequence[FoldedNetwork],
    baselines: np.ndarray,
    counts: sp.csr_matrix,
    library_size: np.ndarray,
    *,
    temperature: float,
    cell_types: Sequence[str],
) -> GoldenCells:
    """Drawn cells with the outputs expected of them, computed from the folded networks and not from the graphs."""
    x = normalize(counts, library_size).toarray().astype(np.float64)
    logits = np.mean([member.forward(x)[1] for member in members], axis=0) / temperature
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    target = np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
    mean = np.mean([multipliers(member, x, baselines, target) for member in members], axis=0)
    attributions = mean * (x - baselines)
    return GoldenCells(
        counts, library_size, probabilities.astype(np.float32), attributions.astype(np.float32), tuple(cell_types)
    )
