"""The two graphs of a bundle, written operator by operator: no tracing, no source paths, the same bytes every time.

Both take raw counts of the panel's genes (NaN: not measured) and the library size over all genes; normalisation,
logarithm and standardisation are inside. A gene that was not measured takes its baseline x0, so that x - x0 and with it
its attribution are exactly 0.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cellmark.schemas.normalization import COUNTS_PER

from ..evaluation.novelty import LEAST_DISTANCE, LEAST_ENTROPY, NoveltyScore, Whitened
from ..network.folded_network import FoldedNetwork

OPSET = 20
IR_VERSION = 10
TINY = 1e-10
"""Below this |z - z0|, ReLU's derivative stands in for the difference quotient, as in Captum's rescale rule."""


class GraphWriter:
    """Nodes and constants of one graph, named in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.names: set[str] = set()

    def constant(self, name: str, values: np.ndarray) -> str:
        """A constant of the graph; one that has been added before is used again."""
        if name not in self.names:
            self.names.add(name)
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def scalar(self, name: str, value: float) -> str:
        return self.constant(name, np.array(value, dtype=np.float32))

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def linear(self, x: str, weight: np.ndarray, bias: np.ndarray | None, name: str) -> str:
        """`x` times the transpose of `weight` [out, in], plus `bias` [out]."""
        inputs = [x, self.constant(f"{name}_weight", weight.astype(np.float32))]
        if bias is not None:
            inputs.append(self.constant(f"{name}_bias", bias.astype(np.float32)))
        return self.add("Gemm", inputs, name, transB=1)

    def mean(self, inputs: Sequence[str], output: str) -> str:
        """Mean over members. Of one member it is that member's value: no pass over cells x genes for nothing."""
        return inputs[0] if len(inputs) == 1 else self.add("Mean", inputs, output)

    def model(
        self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, name, list(inputs), list(outputs), self.constants)
        model: onnx.ModelProto = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="cellmark"
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def _tensor(name: str, *shape: str | int) -> onnx.ValueInfoProto:
    info: onnx.ValueInfoProto = helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
    return info


def _difference(graph: GraphWriter, baselines: np.ndarray) -> str:
    """Difference x - x0 of x = ln(1 + counts per 10,000) from the baseline; 0 where a gene was not measured.

    A library size that is not positive stands for a cell without counts: it is read as 1, so nothing divides by 0.
    Every operator here is a pass over cells x genes. Filling zeros into the difference is faster than filling baselines
    into x: onnxruntime's `Where` takes a scalar in half the time of a row.
    """
    zero, one = graph.scalar("zero", 0), graph.scalar("one", 1)
    positive = graph.add("Greater", ["library_size", zero], "has_library_size")
    size = graph.add("Where", [positive, "library_size", one], "safe_library_size")
    factor = graph.add("Div", [graph.scalar("counts_per", COUNTS_PER), size], "scale_factor")
    scaled = graph.add("Mul", ["counts", factor], "counts_per_10000")
    log = graph.add("Log", [graph.add("Add", [scaled, one], "one_plus")], "log1p_norm")
    x0 = graph.constant("baselines", baselines.astype(np.float32))
    difference = graph.add("Sub", [log, x0], "difference_of_measured")
    missing = graph.add("IsNaN", [difference], "not_measured")
    return graph.add("Where", [missing, zero, difference], "difference")


def _hidden(graph: GraphWriter, x: str, network: FoldedNetwork, depth: int, baselines: np.ndarray, name: str) -> str:
    """Pre-activation of a hidden layer. The first one takes d = x - x0: W x + b is W d + (W x0 + b)."""
    weight, bias = network.weights[depth], network.biases[depth]
    if depth == 0:
        bias = weight.astype(np.float64) @ baselines.astype(np.float64) + bias
    return graph.linear(x, weight, bias, name)


def _check_members(members: Sequence[FoldedNetwork], baselines: np.ndarray) -> None:
    if not members:
        raise ValueError("members: at least one network is needed")
    for member in members:
        if (member.n_genes, member.n_types) != (len(baselines), members[0].n_types):
            raise ValueError("members: all networks must have the same genes and types, and baselines one value a gene")


def annotator_graph(
    members: Sequence[FoldedNetwork],
    baselines: np.ndarray,
    *,
    temperature: float = 1.0,
    embedding_mean: np.ndarray,
    embedding_components: np.ndarray,
    novelty: NoveltyScore | None = None,
) -> onnx.ModelProto:
    """The annotator: `logits`, `probabilities`, `energy`, `embedding`, `novelty` of `counts` and `library_size`.

    `members`: networks whose logits are averaged. `baselines`: x0, float32 [genes], ln(1 + counts per 10,000).
    `embedding_mean` [units] and `embedding_components` [d, units]: a PCA of the members' last hidden layers side by
    side. `energy` is -logsumexp(logits), larger is more novel. `temperature` divides the logits that `probabilities`
    are made of. Without `novelty`, the constants of that score, the graph has no such output.
    """
    _check_members(members, baselines)
    graph = GraphWriter()
    difference = _difference(graph, baselines)
    hidden: list[str] = []
    logits: list[str] = []
    for number, member in enumerate(members):
        x = difference
        for depth in range(len(member.hidden_units)):
            z = _hidden(graph, x, member, depth, baselines, f"m{number}_z{depth}")
            x = graph.add("Relu", [z], f"m{number}_h{depth}")
        hidden.append(x)
        logits.append(graph.linear(x, member.weights[-1], member.biases[-1], f"m{number}_logits"))
    graph.add("Mean", logits, "logits")
    cooled = graph.add("Div", ["logits", graph.scalar("temperature", temperature)], "cooled_logits")
    graph.add("Softmax", [cooled], "probabilities", axis=1)
    axis = graph.constant("types_axis", np.array([1], dtype=np.int64))
    graph.add("Neg", [graph.add("ReduceLogSumExp", ["logits", axis], "log_sum_exp", keepdims=0)], "energy")
    side_by_side = graph.add("Concat", hidden, "last_hidden", axis=1)
    components = embedding_components.astype(np.float32)
    shift = -(embedding_components.astype(np.float64) @ embedding_mean.astype(np.float64))
    graph.linear(side_by_side, components, shift, "embedding")
    if novelty is not None:
        _novelty(graph, logits, novelty)
    n_genes, n_types = members[0].n_genes, members[0].n_types
    return graph.model(
        "annotator",
        [_tensor("counts", "cells", n_genes), _tensor("library_size", "cells", 1)],
        [
            _tensor("logits", "cells", n_types),
            _tensor("probabilities", "cells", n_types),
            _tensor("energy", "cells"),
            _tensor("embedding", "cells", len(components)),
            *([_tensor("novelty", "cells")] if novelty is not None else []),
        ],
    )


def _novelty(graph: GraphWriter, member_logits: Sequence[str], score: NoveltyScore) -> None:
    """The output `novelty` of `logits`, `embedding` and the members' logits; see `novelty_score`."""
    axis = graph.constant("types_axis", np.array([1], dtype=np.int64))
    each = [
        graph.add("Softmax", [logits], f"m{number}_probabilities", axis=1)
        for number, logits in enumerate(member_logits)
    ]
    probabilities = graph.mean(each, "mean_probabilities")
    tiny = graph.scalar("least_probability", 1e-30)
    log = graph.add("Log", [graph.add("Max", [probabilities, tiny], "some_probability")], "log_probability")
    product = graph.add("Mul", [probabilities, log], "probability_log")
    entropy = graph.add("Neg", [graph.add("ReduceSum", [product, axis], "negative_entropy", keepdims=0)], "entropy")
    embedded = _nearest(graph, "embedding", score.embedding, "embedded")
    by_logits = _nearest(graph, "logits", score.logits, "by_logits")
    views = []
    for number, (view, least) in enumerate(
        ((entropy, LEAST_ENTROPY), (embedded, LEAST_DISTANCE), (by_logits, LEAST_DISTANCE))
    ):
        some = graph.add("Max", [view, graph.scalar(f"least_{number}", least)], f"view_{number}")
        # (log v - mean) / scale / 3, so that the sum of the three is their mean.
        weight = 1 / (3 * score.scales[number])
        scaled = graph.add(
            "Mul",
            [graph.add("Log", [some], f"log_view_{number}"), graph.scalar(f"weight_{number}", weight)],
            f"scaled_view_{number}",
        )
        views.append(scaled)
    shift = -float((score.means / score.scales).mean())
    total = graph.add("Sum", views, "sum_of_views")
    graph.add("Add", [total, graph.scalar("novelty_shift", shift)], "novelty")


def _nearest(graph: GraphWriter, values: str, space: Whitened, name: str) -> str:
    """Squared distance from the nearest type's mean, [cells].

    |z|^2 - 2 z m + |m|^2 of whitened values z finds the nearest mean, but its terms cancel: for distant types float32
    leaves no digit of a small distance. So the distance itself is |z - m|^2, of that mean alone.
    """
    axis = graph.constant("types_axis", np.array([1], dtype=np.int64))
    # Around the middle of the means, for the same reason.
    middle = space.means.mean(axis=0)
    centre = graph.constant(f"{name}_centre", np.linalg.solve(space.matrix, middle).astype(np.float32))
    means = space.means - middle
    there = graph.linear(graph.add("Sub", [values, centre], f"{name}_centred"), space.matrix, None, f"{name}_whitened")
    square = graph.add("Mul", [there, there], f"{name}_square")
    length = graph.add("ReduceSum", [square, axis], f"{name}_length", keepdims=1)
    rest = graph.linear(there, -2 * means, (means**2).sum(axis=1), f"{name}_rest")
    number = graph.add(
        "ArgMin", [graph.add("Add", [length, rest], f"{name}_about")], f"{name}_number", axis=1, keepdims=0
    )
    mean = graph.add("Gather", [graph.constant(f"{name}_means", means.astype(np.float32)), number], f"{name}_mean")
    return graph.add(
        "ReduceSumSquare", [graph.add("Sub", [there, mean], f"{name}_from_mean"), axis], f"{name}_nearest", keepdims=0
    )


def explainer_graph(members: Sequence[FoldedNetwork], baselines: np.ndarray) -> onnx.ModelProto:
    """The explainer: DeepLIFT's rescale rule (Shrikumar et al. 2017, arXiv:1704.02685) as ordinary operators.

    Inputs `counts`, `library_size` and `target` [cells, types] (one-hot: why this type; the difference of two one-hots:
    why this and not that). Outputs `attributions` [cells, genes], multipliers x (x - x0), and `convergence_delta`
    [cells], their sum minus the target's difference of logits from the baseline's.
    """
    _check_members(members, baselines)
    graph = GraphWriter()
    difference = _difference(graph, baselines)
    tiny, zero, one = graph.scalar("tiny", TINY), "zero", "one"
    multipliers: list[str] = []
    logits: list[str] = []
    baseline_logits = np.zeros(members[0].n_types)
    for number, member in enumerate(members):
        at_baseline, of_baseline = member.forward(baselines.astype(np.float64)[None, :])
        baseline_logits += of_baseline[0] / len(members)
        x = difference
        rates: list[str] = []
        for depth, z0 in enumerate(at_baseline):
            name = f"_m{number}_{depth}"
            z = _hidden(graph, x, member, depth, baselines, f"m{number}_z{depth}")
            x = graph.add("Relu", [z], f"h{name}")
            before = z0[0].astype(np.float32)
            after = np.maximum(before, 0)
            dz = graph.add("Sub", [z, graph.constant(f"z0{name}", before)], f"dz{name}")
            dh = graph.add("Sub", [x, graph.constant(f"h0{name}", after)], f"dh{name}")
            small = graph.add("Less", [graph.add("Abs", [dz], f"abs{name}"), tiny], f"small{name}")
            slope = graph.add("Where", [graph.add("Greater", [z, zero], f"on{name}"), one, zero], f"slope{name}")
            divisor = graph.add("Where", [small, one, dz], f"divisor{name}")
            quotient = graph.add("Div", [dh, divisor], f"quotient{name}")
            rates.append(graph.add("Where", [small, slope, quotient], f"rate{name}"))
        logits.append(graph.linear(x, member.weights[-1], member.biases[-1], f"m{number}_logits"))
        back = graph.add(
            "MatMul", ["target", graph.constant(f"m{number}_logits_weight", member.weights[-1])], f"m{number}_back"
        )
        for depth in reversed(range(len(rates))):
            gated = graph.add("Mul", [back, rates[depth]], f"m{number}_gated_{depth}")
            weight = graph.constant(f"m{number}_z{depth}_weight", member.weights[depth])
            back = graph.add("MatMul", [gated, weight], f"m{number}_back_{depth}")
        multipliers.append(back)
    mean_multipliers = graph.mean(multipliers, "multipliers")
    graph.add("Mul", [mean_multipliers, difference], "attributions")
    axis = graph.constant("last_axis", np.array([1], dtype=np.int64))
    explained = graph.add("ReduceSum", ["attributions", axis], "explained", keepdims=0)
    moved = graph.add(
        "Sub",
        [
            graph.mean(logits, "mean_logits"),
            graph.constant("baseline_logits", baseline_logits.astype(np.float32)),
        ],
        "moved_logits",
    )
    change = graph.add("ReduceSum", [graph.add("Mul", ["target", moved], "target_change"), axis], "change", keepdims=0)
    graph.add("Sub", [explained, change], "convergence_delta")
    n_genes, n_types = members[0].n_genes, members[0].n_types
    return graph.model(
        "explainer",
        [_tensor("counts", "cells", n_genes), _tensor("library_size", "cells", 1), _tensor("target", "cells", n_types)],
        [_tensor("attributions", "cells", n_genes), _tensor("convergence_delta", "cells")],
    )
