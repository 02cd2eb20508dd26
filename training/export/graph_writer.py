"""Writing a graph operator by operator, and what both graphs of a bundle begin with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cellmark.schemas.normalization import COUNTS_PER

from ..network.folded_network import FoldedNetwork

OPSET = 20
IR_VERSION = 10


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

    def linear(
        self, x: str, weight: np.ndarray, bias: np.ndarray | None, name: str, *, constants: str | None = None
    ) -> str:
        """`x` times the transpose of `weight` [out, in], plus `bias` [out]. `constants`: their name, if not `name`."""
        named = constants or name
        inputs = [x, self.constant(f"{named}_weight", weight.astype(np.float32))]
        if bias is not None:
            inputs.append(self.constant(f"{named}_bias", bias.astype(np.float32)))
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


def tensor(name: str, *shape: str | int) -> onnx.ValueInfoProto:
    info: onnx.ValueInfoProto = helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
    return info


def log1p_norm(graph: GraphWriter) -> str:
    """Expression x = ln(1 + counts per 10,000), NaN where a gene was not measured.

    A library size that is not positive stands for a cell without counts: it is read as 1, so nothing divides by 0.
    """
    zero, one = graph.scalar("zero", 0), graph.scalar("one", 1)
    positive = graph.add("Greater", ["library_size", zero], "has_library_size")
    size = graph.add("Where", [positive, "library_size", one], "safe_library_size")
    factor = graph.add("Div", [graph.scalar("counts_per", COUNTS_PER), size], "scale_factor")
    scaled = graph.add("Mul", ["counts", factor], "counts_per_10000")
    return graph.add("Log", [graph.add("Add", [scaled, one], "one_plus")], "log1p_norm")


def difference_from_fill(graph: GraphWriter, fill: np.ndarray) -> str:
    """Difference of x = ln(1 + counts per 10,000) from the fill; 0 where a gene was not measured.

    Every operator here is a pass over cells x genes. Putting zeros into the difference is faster than putting the fill
    into x: onnxruntime's `Where` takes a scalar in half the time of a row.
    """
    log = log1p_norm(graph)
    filled = graph.constant("fill", fill.astype(np.float32))
    difference = graph.add("Sub", [log, filled], "difference_of_measured")
    missing = graph.add("IsNaN", [difference], "not_measured")
    return graph.add("Where", [missing, "zero", difference], "difference")


@dataclass(frozen=True)
class Layers:
    """Pre-activations of each hidden layer, their ReLU and the logits of one member, by their names in the graph."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    logits: str


def layers_of(graph: GraphWriter, x: str, network: FoldedNetwork, fill: np.ndarray, name: str) -> Layers:
    """A member's layers, of the difference d = x - fill: W x + b is W d + (W fill + b). They share their constants,
    however often they are asked for.
    """
    before, after = [], []
    last = len(network.weights) - 1
    for depth, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        if depth == 0:
            bias = weight.astype(np.float64) @ fill.astype(np.float64) + bias
        z = f"z{depth}_{name}" if depth < last else f"logits_{name}"
        of_member = name.split("_")[0]
        graph.linear(x, weight, bias, z, constants=f"{of_member}_{depth}")
        if depth < last:
            before.append(z)
            x = graph.add("Relu", [z], f"h{depth}_{name}")
            after.append(x)
    return Layers(tuple(before), tuple(after), f"logits_{name}")
