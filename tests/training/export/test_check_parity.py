"""Graphs that do not answer as torch does are refused."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import scipy.sparse as sp
import torch
from onnx import numpy_helper

from cellmark.schemas.errors import ExportError
from cellmark.training.export.check_parity import TIE, Parity, check_parity
from cellmark.training.export.export_onnx import annotator_graph, explainer_graph
from cellmark.training.network.classifier import Classifier
from cellmark.training.network.folded_network import fold

BASELINES, FILL = np.random.default_rng(5).uniform(0, 3, (2, 30)).astype(np.float32)


def draw_cells(n_cells: int = 40) -> tuple[sp.csr_matrix, np.ndarray]:
    generator = np.random.default_rng(0)
    counts = generator.poisson(generator.gamma(0.4, 6, (n_cells, 30))).astype(np.float32)
    return sp.csr_matrix(counts), (counts.sum(axis=1) + 500).astype(np.float32)


@pytest.fixture
def classifiers(draw_classifier: Callable[..., Classifier]) -> list[Classifier]:
    return [draw_classifier((16, 12), seed=seed) for seed in range(2)]


def export(classifiers: list[Classifier], *, temperature: float = 1.0) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    members = [fold(classifier) for classifier in classifiers]
    units = sum(member.embedding_size for member in members)
    annotator = annotator_graph(
        members, FILL, temperature=temperature, embedding_mean=np.zeros(units), embedding_components=np.eye(units)
    )
    return annotator, explainer_graph(members, BASELINES, FILL)


def plant(model: onnx.ModelProto, name: str, change: Callable[[np.ndarray], np.ndarray]) -> onnx.ModelProto:
    """The same graph with one constant changed."""
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == name]
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)).astype(np.float32), name))
    return model


def nudge(values: np.ndarray) -> np.ndarray:
    changed = values.copy()
    chosen = changed.flat[:: changed.size // 8 + 1]
    changed.flat[:: changed.size // 8 + 1] = chosen + np.arange(1, len(chosen) + 1)
    return changed


def test_faithful_graphs_pass_with_their_measures(classifiers: list[Classifier]) -> None:
    counts, library_size = draw_cells()
    parity = check_parity(*export(classifiers), classifiers, counts, library_size, baselines=BASELINES, fill=FILL)
    assert parity == Parity(
        40, parity.max_probability_difference, 0, parity.max_convergence_delta, parity.max_attribution_difference
    )
    assert 0 < parity.max_probability_difference < 1e-5
    assert 0 < parity.max_convergence_delta < 1e-4
    assert 0 < parity.max_attribution_difference < 1e-5


def test_a_temperature_is_part_of_what_is_compared(classifiers: list[Classifier]) -> None:
    counts, library_size = draw_cells()
    check_parity(
        *export(classifiers, temperature=2.0),
        classifiers,
        counts,
        library_size,
        baselines=BASELINES,
        fill=FILL,
        temperature=2.0,
    )
    with pytest.raises(ExportError, match="PARITY_FAILED"):
        check_parity(
            *export(classifiers, temperature=2.0), classifiers, counts, library_size, baselines=BASELINES, fill=FILL
        )


@pytest.mark.parametrize(
    "constant",
    ["m0_0_weight", "m0_0_bias", "m1_1_weight", "m1_2_weight", "m0_2_bias", "fill"],
)
def test_changed_weights_of_the_annotator_are_refused(classifiers: list[Classifier], constant: str) -> None:
    annotator, explainer = export(classifiers)
    counts, library_size = draw_cells()
    with pytest.raises(ExportError, match="probabilities"):
        check_parity(
            plant(annotator, constant, nudge),
            explainer,
            classifiers,
            counts,
            library_size,
            baselines=BASELINES,
            fill=FILL,
        )


@pytest.mark.parametrize("constant", ["m0_0_bias", "m1_1_bias", "baseline_difference"])
def test_changed_constants_of_the_explainer_are_refused(classifiers: list[Classifier], constant: str) -> None:
    annotator, explainer = export(classifiers)
    counts, library_size = draw_cells()
    with pytest.raises(ExportError, match="convergence_delta"):
        check_parity(
            annotator,
            plant(explainer, constant, nudge),
            classifiers,
            counts,
            library_size,
            baselines=BASELINES,
            fill=FILL,
        )


@pytest.mark.parametrize("constant", ["m0_0_weight", "m1_1_weight", "m1_2_weight", "fill"])
def test_an_explainer_of_another_network_is_refused(classifiers: list[Classifier], constant: str) -> None:
    # Weights changed wherever they are used leave a network that is complete in itself, but another one.
    annotator, explainer = export(classifiers)
    counts, library_size = draw_cells()
    with pytest.raises(ExportError, match="PARITY_FAILED"):
        check_parity(
            annotator,
            plant(explainer, constant, nudge),
            classifiers,
            counts,
            library_size,
            baselines=BASELINES,
            fill=FILL,
        )


def test_the_explainer_of_a_network_trained_otherwise_is_refused(
    classifiers: list[Classifier], draw_classifier: Callable[..., Classifier]
) -> None:
    annotator, _ = export(classifiers)
    _, other = export([classifiers[0], draw_classifier((16, 12), seed=9)])
    counts, library_size = draw_cells()
    with pytest.raises(ExportError, match="PARITY_FAILED"):
        check_parity(annotator, other, classifiers, counts, library_size, baselines=BASELINES, fill=FILL)


def test_an_explainer_with_two_genes_exchanged_is_refused(classifiers: list[Classifier]) -> None:
    annotator, explainer = export(classifiers)
    # Its attributions still sum to the logits: the same numbers stand at other genes.
    (last,) = [node for node in explainer.graph.node if node.output == ["attributions"]]
    last.output[0] = "right_order"
    order = np.r_[1, 0, 2:30].astype(np.int64)
    explainer.graph.initializer.append(numpy_helper.from_array(order, "order"))
    swap = onnx.helper.make_node("Gather", ["right_order", "order"], ["attributions"], axis=1)
    explainer.graph.node.insert(list(explainer.graph.node).index(last) + 1, swap)
    counts, library_size = draw_cells()
    with pytest.raises(ExportError, match="attributions"):
        check_parity(annotator, explainer, classifiers, counts, library_size, baselines=BASELINES, fill=FILL)


@pytest.mark.parametrize("which", [0, 1])
def test_a_graph_that_answers_nan_is_refused(classifiers: list[Classifier], which: int) -> None:
    graphs = list(export(classifiers))
    graphs[which] = plant(graphs[which], "m0_2_bias", lambda values: values * np.nan)
    counts, library_size = draw_cells()
    with pytest.raises(ExportError, match="PARITY_FAILED"):
        check_parity(*graphs, classifiers, counts, library_size, baselines=BASELINES, fill=FILL)


def twins(draw_classifier: Callable[..., Classifier], *, lead: float) -> list[Classifier]:
    """A network whose types 0 and 1 are equal but for `lead`, and far ahead of all others."""
    classifier = draw_classifier((16,))
    last = classifier.layers[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.weight[1] = last.weight[0]
        last.bias[:] = torch.tensor([50.0, 50.0 + lead, -50.0, -50.0])
    return [classifier]


def test_labels_that_differ_in_a_tie_are_counted(draw_classifier: Callable[..., Classifier]) -> None:
    networks = twins(draw_classifier, lead=0.0)
    annotator, explainer = export(networks)
    # In the graph the second of the two is ahead by less than what counts as a tie; torch takes the first.
    plant(annotator, "m0_1_bias", lambda values: values + np.array([0, TIE / 2, 0, 0]))
    counts, library_size = draw_cells()
    parity = check_parity(annotator, explainer, networks, counts, library_size, baselines=BASELINES, fill=FILL)
    assert 0 < parity.n_label_ties <= 40
    assert parity.n_label_ties == 40


def test_other_labels_without_a_tie_are_refused(draw_classifier: Callable[..., Classifier]) -> None:
    networks = twins(draw_classifier, lead=0.0)
    annotator, explainer = export(networks)
    plant(annotator, "m0_1_bias", lambda values: values + np.array([0, 1e-3, 0, 0]))
    counts, library_size = draw_cells()
    with pytest.raises(ExportError, match="PARITY_FAILED"):
        check_parity(annotator, explainer, networks, counts, library_size, baselines=BASELINES, fill=FILL)
