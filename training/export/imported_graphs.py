"""The two graphs of a model that another tool trained, and the proof that they answer as it does.

Standardise, clip, one linear layer, a sigmoid for each type, with 64 bits, as the tool's own arithmetic: scores of
thousands that nearly cancel are not rare, and 32 bits would move their sigmoids in the fourth digit. A gene that was
not measured is 0 after standardisation, in the cell and in the baseline that it is compared with, so it changes no
score and its attribution is exactly 0.
"""

import numpy as np
import onnx
import scipy.sparse as sp
from onnx import TensorProto

from cellmark.schemas.golden_cells import GoldenCells
from cellmark.schemas.imported_model import CLIP, ImportedModel, sigmoid
from cellmark.schemas.normalization import COUNTS_PER, dense_counts, normalize

from .check_parity import (
    ATTRIBUTION_TOLERANCE,
    CONVERGENCE_TOLERANCE,
    PROBABILITY_TOLERANCE,
    TIE,
    Parity,
    open_session,
    parity_failed,
)
from .graph_writer import GraphWriter, log1p_norm, tensor

CELLS_PER_TYPE = 2
N_RAISED = 50
RAISED_BY, BEYOND_CLIP = 3.0, 15.0
"""Standard deviations above the mean: of the genes with a type's largest coefficients, and of the gene in which the
least expression is beyond the clip.
"""


def imported_annotator(model: ImportedModel) -> onnx.ModelProto:
    """The annotator: `logits`, `probabilities` (each type's own sigmoid), `energy`, and as `embedding` the logits,
    since a linear model has no layer between. There is no `novelty`.
    """
    graph = GraphWriter()
    logits = _linear(graph, _standardised(graph, model), model, "exact_logits")
    _float(graph, logits, "logits")
    _float(graph, graph.add("Sigmoid", [logits], "exact_probabilities"), "probabilities")
    axis = graph.constant("types_axis", np.array([1], dtype=np.int64))
    graph.add("Neg", [graph.add("ReduceLogSumExp", ["logits", axis], "log_sum_exp", keepdims=0)], "energy")
    graph.add("Identity", ["logits"], "embedding")
    n_genes, n_types = len(model.gene_symbols), len(model.cell_types)
    return graph.model(
        "annotator",
        [tensor("counts", "cells", n_genes), tensor("library_size", "cells", 1)],
        [
            tensor("logits", "cells", n_types),
            tensor("probabilities", "cells", n_types),
            tensor("energy", "cells"),
            tensor("embedding", "cells", n_types),
        ],
    )


def imported_explainer(model: ImportedModel) -> onnx.ModelProto:
    """The explainer: `attributions`, coefficient x (clipped expression of the cell - of the mean cell), and
    `convergence_delta`, what they leave of the target's difference of logits. Both are of clipped values, so that the
    sum is exact for cells beyond the clip as well.
    """
    graph = GraphWriter()
    z = _standardised(graph, model)
    of_mean = graph.constant("standardised_mean", model.standardise(model.mean)[None])
    baseline = graph.add("Where", ["not_measured", "nothing", of_mean], "baseline")
    difference = graph.add("Sub", [z, baseline], "difference")
    at_cell = _linear(graph, z, model, "cell_logits")
    at_baseline = _linear(graph, baseline, model, "baseline_logits")
    target = graph.add("Cast", ["target"], "exact_target", to=TensorProto.DOUBLE)
    multipliers = graph.add("MatMul", [target, "linear_weight"], "multipliers")
    attributions = graph.add("Mul", [multipliers, difference], "exact_attributions")
    axis = graph.constant("last_axis", np.array([1], dtype=np.int64))
    explained = graph.add("ReduceSum", [attributions, axis], "explained", keepdims=0)
    moved = graph.add("Mul", [target, graph.add("Sub", [at_cell, at_baseline], "moved_logits")], "target_change")
    change = graph.add("ReduceSum", [moved, axis], "change", keepdims=0)
    _float(graph, attributions, "attributions")
    _float(graph, graph.add("Sub", [explained, change], "exact_delta"), "convergence_delta")
    n_genes, n_types = len(model.gene_symbols), len(model.cell_types)
    return graph.model(
        "explainer",
        [tensor("counts", "cells", n_genes), tensor("library_size", "cells", 1), tensor("target", "cells", n_types)],
        [tensor("attributions", "cells", n_genes), tensor("convergence_delta", "cells")],
    )


def _standardised(graph: GraphWriter, model: ImportedModel) -> str:
    log = log1p_norm(graph)
    missing = graph.add("IsNaN", [log], "not_measured")
    x = graph.add("Cast", [log], "exact_log1p_norm", to=TensorProto.DOUBLE)
    if model.centred:
        x = graph.add("Sub", [x, graph.constant("mean", model.mean)], "centred")
    scaled = graph.add("Div", [x, graph.constant("scale", model.scale)], "scaled")
    clipped = graph.add("Min", [scaled, graph.constant("clip", np.array(CLIP))], "clipped")
    return graph.add("Where", [missing, graph.constant("nothing", np.array(0.0)), clipped], "standardised")


def _linear(graph: GraphWriter, z: str, model: ImportedModel, name: str) -> str:
    weight, bias = graph.constant("linear_weight", model.weights), graph.constant("linear_bias", model.intercepts)
    return graph.add("Gemm", [z, weight, bias], name, transB=1)


def _float(graph: GraphWriter, values: str, name: str) -> str:
    return graph.add("Cast", [values], name, to=TensorProto.FLOAT)


def draw_cells(model: ImportedModel, *, seed: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """Cells that no person has: Poisson draws around the scaler's means, two for each type, with more of the genes that
    speak for it, and another one beyond the clip. Counts, CSR, float32, cells x genes, and library sizes, float32.
    """
    generator = np.random.default_rng(seed)
    rows, sizes = [], []
    easiest = int(np.argmin(model.mean + BEYOND_CLIP * model.scale))
    for weights in model.weights:
        x = model.mean.copy()
        raised = np.argsort(-weights, kind="stable")[: min(N_RAISED, len(x) // 10)]
        x[raised] += RAISED_BY * model.scale[raised]
        x[easiest] = 0
        beyond = min(np.expm1(model.mean[easiest] + BEYOND_CLIP * model.scale[easiest]), COUNTS_PER / 2)
        share = np.expm1(np.clip(x, 0, np.log1p(COUNTS_PER)))
        share *= min(1.0, (COUNTS_PER - beyond) / max(share.sum(), 1.0))  # all genes fit into the library
        share[easiest] = beyond
        for _ in range(CELLS_PER_TYPE):
            size = float(generator.integers(2_000, 20_000))
            counts = generator.poisson(share * size / COUNTS_PER).astype(np.float32)
            rows.append(counts)
            sizes.append(max(size, float(counts.sum())))
    return sp.csr_matrix(np.array(rows)), np.array(sizes, dtype=np.float32)


def imported_golden_cells(model: ImportedModel, counts: sp.csr_matrix, library_size: np.ndarray) -> GoldenCells:
    """Cells with the outputs expected of them, computed from the arrays and not from the graphs."""
    x = normalize(counts, library_size).toarray()
    logits = model.logits(x)
    probabilities = sigmoid(logits).astype(np.float32)
    target = np.eye(len(model.cell_types))[probabilities.argmax(axis=1)]
    attributions = model.attributions(x, target).astype(np.float32)
    return GoldenCells(counts, library_size, probabilities, attributions, model.cell_types)


def check_imported(
    annotator: onnx.ModelProto,
    explainer: onnx.ModelProto,
    model: ImportedModel,
    counts: sp.csr_matrix,
    library_size: np.ndarray,
) -> Parity:
    """Compare both graphs with the arrays, with all genes and with half of them missing.

    Raises `ExportError` (`PARITY_FAILED`).
    """
    annotate, explain = open_session(annotator), open_session(explainer)
    n_genes, n_types = len(model.gene_symbols), len(model.cell_types)
    lost = np.random.default_rng(0).random(n_genes) < 0.5
    found = np.zeros(3)
    n_ties = 0
    for measured in (np.ones(n_genes, dtype=bool), ~lost):
        x = np.where(measured, normalize(counts, library_size).toarray().astype(np.float64), np.nan)
        feeds = {
            "counts": dense_counts(counts, measured),
            "library_size": library_size.astype(np.float32).reshape(-1, 1),
        }
        logits, probabilities = annotate.run(["logits", "probabilities"], feeds)
        expected = model.logits(x)
        differ = logits.argmax(axis=1) != expected.argmax(axis=1)
        two_best = np.sort(expected, axis=1)[:, -2:]
        tied = two_best[:, 1] - two_best[:, 0] < TIE * np.maximum(1, np.abs(expected).max(axis=1))
        if (differ & ~tied).any():
            raise parity_failed("labels", f"the same as {model.tool}'s", f"{int((differ & ~tied).sum())} others")
        n_ties += int((differ & tied).sum())
        target = np.eye(n_types, dtype=np.float32)[np.arange(len(library_size)) % n_types]
        attributions, delta = explain.run(["attributions", "convergence_delta"], {**feeds, "target": target})
        wanted = model.attributions(x, target)
        largest = np.maximum(1, np.abs(wanted).sum(axis=1))
        off = np.linalg.norm(attributions - wanted, axis=1) / np.maximum(1, np.linalg.norm(wanted, axis=1))
        left = np.maximum(np.abs(delta), np.abs(attributions.sum(axis=1, dtype=np.float64) - wanted.sum(axis=1)))
        differences = np.abs(probabilities - sigmoid(expected)).max(), (left / largest).max(), off.max()
        found = np.maximum(found, differences)  # keeps a NaN
    limits = (PROBABILITY_TOLERANCE, CONVERGENCE_TOLERANCE, ATTRIBUTION_TOLERANCE)
    for name, value, most in zip(("probabilities", "convergence_delta", "attributions"), found, limits, strict=True):
        if not (value <= most):  # written so that NaN fails
            raise parity_failed(name, f"within {most} of {model.tool}'s", f"{value:.3g}")
    return Parity(len(library_size), float(found[0]), n_ties, float(found[1]), float(found[2]))
