"""The two graphs of a bundle, written operator by operator: no tracing, no source paths, the same bytes every time.

Both take raw counts of the panel's genes (NaN: not measured) and the library size over all genes; normalisation,
logarithm and standardisation are inside. A gene that was not measured takes its fill, a mean of training cells, in
the cell and in the baseline that the cell is compared with: so it has no part in the difference, and its attribution is
exactly 0.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from ..evaluation.novelty import LEAST_DISTANCE, LEAST_ENTROPY, NoveltyScore, Whitened
from ..network.folded_network import FoldedNetwork
from .graph_writer import GraphWriter, difference_from_fill, layers_of, tensor

TINY = 1e-10
"""Below this |z - z0|, ReLU's derivative stands in for the difference quotient, as in Captum's rescale rule."""


def _check_members(members: Sequence[FoldedNetwork], *of_genes: np.ndarray) -> None:
    if not any(member.hidden_units for member in members):
        raise ValueError("members: at least one network is needed")
    for member in members:
        if member.n_types != members[0].n_types or any(len(values) != member.n_genes for values in of_genes):
            raise ValueError("members: all must have the same genes and types; baselines and fill, one value a gene")


def annotator_graph(
    members: Sequence[FoldedNetwork],
    fill: np.ndarray,
    *,
    temperature: float = 1.0,
    embedding_mean: np.ndarray,
    embedding_components: np.ndarray,
    novelty: NoveltyScore | None = None,
) -> onnx.ModelProto:
    """The annotator: `logits`, `probabilities`, `energy`, `embedding`, `novelty` of `counts` and `library_size`.

    `members`: networks whose logits are averaged, and members without hidden layers. `fill`: float32 [genes],
    ln(1 + counts per 10,000), of genes that were not measured.
    `embedding_mean` [units] and `embedding_components` [d, units]: a PCA of the members' last hidden layers side by
    side. `energy` is -logsumexp(logits), larger is more novel. `temperature` divides the logits that `probabilities`
    are made of. Without `novelty`, the constants of that score, the graph has no such output.
    """
    _check_members(members, fill)
    graph = GraphWriter()
    difference = difference_from_fill(graph, fill)
    layers = [layers_of(graph, difference, member, fill, f"m{number}") for number, member in enumerate(members)]
    networks = [of_member for of_member in layers if of_member.after]
    logits = [of_member.logits for of_member in layers]
    graph.add("Mean", logits, "logits")
    cooled = graph.add("Div", ["logits", graph.scalar("temperature", temperature)], "cooled_logits")
    graph.add("Softmax", [cooled], "probabilities", axis=1)
    axis = graph.constant("types_axis", np.array([1], dtype=np.int64))
    graph.add("Neg", [graph.add("ReduceLogSumExp", ["logits", axis], "log_sum_exp", keepdims=0)], "energy")
    side_by_side = graph.add("Concat", [of_member.after[-1] for of_member in networks], "last_hidden", axis=1)
    components = embedding_components.astype(np.float32)
    shift = -(embedding_components.astype(np.float64) @ embedding_mean.astype(np.float64))
    graph.linear(side_by_side, components, shift, "embedding")
    if novelty is not None:
        of_networks = [of_member.logits for of_member in networks]
        mean = "logits" if of_networks == logits else graph.mean(of_networks, "network_logits")
        _novelty(graph, of_networks, mean, novelty)
    n_genes, n_types = members[0].n_genes, members[0].n_types
    return graph.model(
        "annotator",
        [tensor("counts", "cells", n_genes), tensor("library_size", "cells", 1)],
        [
            tensor("logits", "cells", n_types),
            tensor("probabilities", "cells", n_types),
            tensor("energy", "cells"),
            tensor("embedding", "cells", len(components)),
            *([tensor("novelty", "cells")] if novelty is not None else []),
        ],
    )


def _novelty(graph: GraphWriter, network_logits: Sequence[str], mean_logits: str, score: NoveltyScore) -> None:
    """The output `novelty` of the networks' logits, their mean and `embedding`; see `NoveltyScore`."""
    axis = graph.constant("types_axis", np.array([1], dtype=np.int64))
    each = [
        graph.add("Softmax", [logits], f"m{number}_probabilities", axis=1)
        for number, logits in enumerate(network_logits)
    ]
    probabilities = graph.mean(each, "mean_probabilities")
    tiny = graph.scalar("least_probability", 1e-30)
    log = graph.add("Log", [graph.add("Max", [probabilities, tiny], "some_probability")], "log_probability")
    product = graph.add("Mul", [probabilities, log], "probability_log")
    entropy = graph.add("Neg", [graph.add("ReduceSum", [product, axis], "negative_entropy", keepdims=0)], "entropy")
    embedded = _nearest(graph, "embedding", score.embedding, "embedded")
    by_logits = _nearest(graph, mean_logits, score.logits, "by_logits")
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


def explainer_graph(members: Sequence[FoldedNetwork], baselines: np.ndarray, fill: np.ndarray) -> onnx.ModelProto:
    """The explainer: DeepLIFT's rescale rule (Shrikumar et al. 2017, arXiv:1704.02685) as ordinary operators.

    Inputs `counts`, `library_size` and `target` [cells, types] (one-hot: why this type; the difference of two one-hots:
    why this and not that). Outputs `attributions` [cells, genes], multipliers x (x - x0), and `convergence_delta`
    [cells], their sum minus the target's difference of logits from the baseline's.

    `members`, `fill`: as for the annotator; `baselines`: x0, float32 [genes]. The baseline of a cell has the fill in
    the genes that the cell lacks. Where all cells have all genes, it is one row, and costs next to nothing.
    """
    _check_members(members, baselines, fill)
    graph = GraphWriter()
    difference = difference_from_fill(graph, fill)
    of_baseline = _baseline_difference(graph, baselines, fill)
    tiny, zero, one = graph.scalar("tiny", TINY), "zero", "one"
    at_cell = [layers_of(graph, difference, member, fill, f"m{number}") for number, member in enumerate(members)]
    at_baseline = [layers_of(graph, of_baseline, member, fill, f"m{number}_0") for number, member in enumerate(members)]
    multipliers: list[str] = []
    for number, (member, cell, baseline) in enumerate(zip(members, at_cell, at_baseline, strict=True)):
        rates: list[str] = []
        for depth in range(len(member.hidden_units)):
            name = f"_m{number}_{depth}"
            z = cell.before[depth]
            dz = graph.add("Sub", [z, baseline.before[depth]], f"dz{name}")
            dh = graph.add("Sub", [cell.after[depth], baseline.after[depth]], f"dh{name}")
            small = graph.add("Less", [graph.add("Abs", [dz], f"abs{name}"), tiny], f"small{name}")
            slope = graph.add("Where", [graph.add("Greater", [z, zero], f"on{name}"), one, zero], f"slope{name}")
            divisor = graph.add("Where", [small, one, dz], f"divisor{name}")
            quotient = graph.add("Div", [dh, divisor], f"quotient{name}")
            rates.append(graph.add("Where", [small, slope, quotient], f"rate{name}"))
        weights = [f"m{number}_{depth}_weight" for depth in range(len(member.weights))]
        back = graph.add("MatMul", ["target", weights[-1]], f"m{number}_back")
        for depth in reversed(range(len(rates))):
            gated = graph.add("Mul", [back, rates[depth]], f"m{number}_gated_{depth}")
            back = graph.add("MatMul", [gated, weights[depth]], f"m{number}_back_{depth}")
        multipliers.append(back)
    mean_multipliers = graph.mean(multipliers, "multipliers")
    from_baseline = graph.add("Sub", [difference, of_baseline], "difference_from_baseline")
    graph.add("Mul", [mean_multipliers, from_baseline], "attributions")
    axis = graph.constant("last_axis", np.array([1], dtype=np.int64))
    explained = graph.add("ReduceSum", ["attributions", axis], "explained", keepdims=0)
    means = [
        graph.mean([of_member.logits for of_member in layers], name)
        for layers, name in ((at_cell, "mean_logits"), (at_baseline, "baseline_logits"))
    ]
    moved = graph.add("Sub", means, "moved_logits")
    change = graph.add("ReduceSum", [graph.add("Mul", ["target", moved], "target_change"), axis], "change", keepdims=0)
    graph.add("Sub", [explained, change], "convergence_delta")
    n_genes, n_types = members[0].n_genes, members[0].n_types
    return graph.model(
        "explainer",
        [tensor("counts", "cells", n_genes), tensor("library_size", "cells", 1), tensor("target", "cells", n_types)],
        [tensor("attributions", "cells", n_genes), tensor("convergence_delta", "cells")],
    )


def _baseline_difference(graph: GraphWriter, baselines: np.ndarray, fill: np.ndarray) -> str:
    """Difference x0 - fill, 1 x genes where all genes were measured, or cells x genes, 0 where one was not."""
    offset = graph.constant("baseline_difference", (baselines - fill).astype(np.float32)[None])
    # One NaN makes the sum NaN; a sum is a faster pass than a search among booleans.
    lacks = graph.add("IsNaN", [graph.add("ReduceSum", ["difference_of_measured"], "sum", keepdims=0)], "lacks_genes")
    n_genes, name = len(fill), "difference_of_baseline"
    here = helper.make_node("Where", ["not_measured", "zero", offset], ["of_cells"], name="of_cells")
    all_there = helper.make_node("Identity", [offset], ["of_all"], name="of_all")
    branches = {
        "then_branch": helper.make_graph([here], "lacking", [], [tensor("of_cells", "cells", n_genes)]),
        "else_branch": helper.make_graph([all_there], "complete", [], [tensor("of_all", 1, n_genes)]),
    }
    return graph.add("If", [lacks], name, **branches)
