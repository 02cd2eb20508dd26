"""The two graphs against torch, Captum, SciPy and scikit-learn."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import scipy.sparse as sp
import torch
from captum.attr import DeepLift
from scipy.special import logsumexp, softmax
from sklearn.decomposition import PCA
from torch import nn

from cellmark.training.evaluation.novelty import fit_novelty, member_outputs
from cellmark.training.export.export_onnx import annotator_graph, explainer_graph
from cellmark.training.network.classifier import Classifier
from cellmark.training.network.contributions import multipliers
from cellmark.training.network.folded_network import FoldedNetwork, fit_embedding, fold, fold_layers
from fixtures.places import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")

N_GENES, N_TYPES = 30, 4
FILL = np.random.default_rng(6).uniform(0, 3, N_GENES).astype(np.float32)
"""What genes take that were not measured; explanations compare with another value."""
LN2 = np.log(2)
TOLERANCE = 1e-5
SHAPES = [(16,), (16, 12), (16, 12, 8)]


def draw_cells(n_cells: int = 24, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts, many of them zero, and library sizes well above their sums; float32."""
    generator = np.random.default_rng(seed)
    counts = generator.poisson(generator.gamma(0.4, 6, (n_cells, N_GENES))).astype(np.float32)
    return counts, (counts.sum(axis=1) + generator.integers(200, 4000, n_cells)).astype(np.float32)


def expression(counts: np.ndarray, library_size: np.ndarray) -> np.ndarray:
    return np.log1p(counts.astype(np.float64) / library_size.astype(np.float64)[:, None] * 1e4)


def draw_baselines(seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 3, N_GENES).astype(np.float32)


def run(model: onnx.ModelProto, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds["library_size"] = feeds["library_size"].reshape(-1, 1)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def annotator_of(
    members: Sequence[FoldedNetwork], baselines: np.ndarray, *, temperature: float = 1.0
) -> onnx.ModelProto:
    units = sum(member.embedding_size for member in members)
    return annotator_graph(
        members, baselines, temperature=temperature, embedding_mean=np.zeros(units), embedding_components=np.eye(units)
    )


def one_hot(targets: np.ndarray, n_types: int = N_TYPES) -> np.ndarray:
    return np.eye(n_types, dtype=np.float32)[targets]


def captum(network: nn.Module, x: np.ndarray, baselines: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Captum's DeepLIFT attributions in float64: multipliers x (x - x0)."""
    inputs = torch.as_tensor(x, dtype=torch.float64).requires_grad_()
    start = torch.as_tensor(baselines, dtype=torch.float64).expand_as(inputs)
    found = DeepLift(network.double()).attribute(inputs, start, target=torch.as_tensor(targets))
    values: np.ndarray = found.detach().numpy()
    return values


def assert_same_attributions(ours: np.ndarray, expected: np.ndarray) -> None:
    """Within 1e-5 relative L2 norm per cell, and within 1e-5 of the cell's largest attribution for each gene."""
    off = np.abs(ours - expected)
    assert (np.linalg.norm(off, axis=1) / np.linalg.norm(expected, axis=1)).max() <= TOLERANCE
    assert (off / np.abs(expected).max(axis=1, keepdims=True)).max() <= TOLERANCE


@pytest.mark.parametrize("hidden", SHAPES)
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("seed", [0, 10, 20])
def test_attributions_equal_captum_deeplift_as_the_mean_over_members(
    draw_classifier: Callable[..., Classifier], hidden: tuple[int, ...], n_members: int, seed: int
) -> None:
    networks = [draw_classifier(hidden, seed=seed + number) for number in range(n_members)]
    baselines, (counts, library_size) = draw_baselines(seed), draw_cells(seed=seed)
    targets = np.random.default_rng(seed).integers(0, N_TYPES, len(counts))
    graph = explainer_graph([fold(network) for network in networks], baselines, FILL)
    ours = run(graph, counts=counts, library_size=library_size, target=one_hot(targets))
    x = expression(counts, library_size)
    expected = np.mean([captum(network, x, baselines, targets) for network in networks], axis=0)
    assert_same_attributions(ours["attributions"], expected)
    largest = np.abs(ours["attributions"]).sum(axis=1)
    assert (np.abs(ours["convergence_delta"]) <= 1e-4 * np.maximum(1, largest)).all()


def test_attributions_of_members_of_different_depth_are_their_mean(
    draw_classifier: Callable[..., Classifier],
) -> None:
    networks = [draw_classifier(hidden, seed=3) for hidden in SHAPES]
    baselines, (counts, library_size) = draw_baselines(), draw_cells()
    targets = np.zeros(len(counts), dtype=int)
    graph = explainer_graph([fold(network) for network in networks], baselines, FILL)
    ours = run(graph, counts=counts, library_size=library_size, target=one_hot(targets))
    x = expression(counts, library_size)
    expected = np.mean([captum(network, x, baselines, targets) for network in networks], axis=0)
    assert_same_attributions(ours["attributions"], expected)


def test_where_a_unit_does_not_move_the_derivative_stands_in() -> None:
    """Two genes that cancel each other leave the unit where it was: their attributions are opposite, not zero."""
    weights = np.zeros((1, N_GENES), dtype=np.float32)
    weights[0, :2] = 1, -1
    member = FoldedNetwork((weights, np.array([[2.0], [0.0]], np.float32)), (np.ones(1, np.float32), np.zeros(2)))
    counts = np.zeros((1, N_GENES), dtype=np.float32)
    counts[0, :2] = 7
    found = run(
        explainer_graph([member], np.zeros(N_GENES, np.float32), FILL), counts=counts,
        library_size=np.full(1, 1e4, np.float32), target=one_hot(np.array([0]), 2),
    )["attributions"]  # fmt: skip
    np.testing.assert_allclose(found[0, :2], [2 * np.log(8), -2 * np.log(8)], rtol=1e-6)
    assert not found[0, 2:].any()


@pytest.mark.parametrize("seed", range(3))
def test_a_contrast_equals_the_difference_of_two_single_targets(
    draw_classifier: Callable[..., Classifier], seed: int
) -> None:
    members = [fold(draw_classifier((16, 12), seed=seed + number)) for number in range(2)]
    counts, library_size = draw_cells(seed=seed)
    graph = explainer_graph(members, draw_baselines(), FILL)
    generator = np.random.default_rng(seed)
    first = generator.integers(0, N_TYPES, len(counts))
    second = (first + generator.integers(1, N_TYPES, len(counts))) % N_TYPES
    single = [
        run(graph, counts=counts, library_size=library_size, target=one_hot(types))["attributions"].astype(np.float64)
        for types in (first, second)
    ]
    contrast = run(graph, counts=counts, library_size=library_size, target=one_hot(first) - one_hot(second))
    assert_same_attributions(contrast["attributions"], single[0] - single[1])
    logits = run(annotator_of(members, draw_baselines()), counts=counts, library_size=library_size)["logits"]
    at_baseline = run(
        annotator_of(members, draw_baselines()), counts=np.full((1, N_GENES), np.nan, np.float32),
        library_size=np.ones(1, np.float32),
    )["logits"]  # fmt: skip
    rows = np.arange(len(counts))
    moved = logits - at_baseline
    expected = moved[rows, first] - moved[rows, second]
    np.testing.assert_allclose(contrast["attributions"].sum(axis=1), expected, atol=2e-5 * np.abs(logits).max())


def test_convergence_delta_is_the_sum_of_attributions_minus_the_change_of_the_logit(
    draw_classifier: Callable[..., Classifier],
) -> None:
    member = fold(draw_classifier((16, 12)))
    # A planted fault, so that there is something left: the cell's last biases differ from those of its baseline.
    graph = explainer_graph([member], draw_baselines(), FILL)
    (bias,) = [tensor for tensor in graph.graph.initializer if tensor.name == "m0_2_bias"]
    changed = onnx.numpy_helper.to_array(bias) + np.array([0.5, 0, 0, 0], dtype=np.float32)
    graph.graph.initializer.append(onnx.numpy_helper.from_array(changed, "changed"))
    (last,) = [node for node in graph.graph.node if node.name == "logits_m0"]
    last.input[2] = "changed"
    counts, library_size = draw_cells(4)
    for target, expected in ((0, -0.5), (1, 0.0)):
        targets = one_hot(np.full(4, target))
        delta = run(graph, counts=counts, library_size=library_size, target=targets)["convergence_delta"]
        assert delta.shape == (4,)
        np.testing.assert_allclose(delta, expected, atol=1e-4)


def reference_layers(member: Any) -> nn.Sequential:
    """The published member's layers in the order of its `architecture`, in evaluation mode."""
    layers: list[nn.Module] = []
    for number, text in enumerate(json.loads(str(member["architecture"]))):
        kind, sizes = text.split("(")[0], [int(size) for size in re.findall(r"(?:features=|Norm1d\()(\d+)", text)]
        layer: nn.Module = getattr(nn, kind)(*sizes)
        prefix = f"state_{number}_"
        state = {key.removeprefix(prefix): torch.as_tensor(member[key]) for key in member if key.startswith(prefix)}
        layer.load_state_dict(state)
        layers.append(layer)
    return nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def reference(reference_data: Path) -> dict[str, Any]:
    with np.load(reference_data / "member.npz", allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def test_multipliers_equal_the_published_members(reference: dict[str, Any]) -> None:
    layers = reference_layers(reference)
    weights, biases = fold_layers(layers)
    network = FoldedNetwork(
        tuple(weight.astype(np.float32) for weight in weights), tuple(bias.astype(np.float32) for bias in biases)
    )
    target = one_hot(reference["target"], network.n_types)
    x, baseline = reference["inputs"].astype(np.float64), reference["baseline"][0]
    ours = multipliers(network, x, baseline, target)
    off = np.linalg.norm(ours - reference["multipliers"], axis=1)
    assert (off / np.linalg.norm(reference["multipliers"], axis=1)).max() <= TOLERANCE
    np.testing.assert_allclose(network.forward(x)[1], reference["logits"], atol=1e-4)
    np.testing.assert_allclose(
        network.forward(baseline[None].astype(np.float64))[1], reference["baseline_logits"], atol=1e-4
    )


def test_graphs_of_the_published_member_equal_captum_and_the_stored_results(reference: dict[str, Any]) -> None:
    layers = reference_layers(reference)
    weights, biases = fold_layers(layers)
    # The published network takes log2, ours the natural logarithm: the first layer is divided by ln 2.
    weights[0] = weights[0] / LN2
    member = FoldedNetwork(
        tuple(weight.astype(np.float32) for weight in weights), tuple(bias.astype(np.float32) for bias in biases)
    )
    x, baseline, targets = reference["inputs"].astype(np.float64), reference["baseline"][0], reference["target"]
    baselines = (baseline.astype(np.float64) * LN2).astype(np.float32)
    feeds = {"counts": (2**x - 1).astype(np.float32), "library_size": np.full(len(x), 1e4, dtype=np.float32)}
    explained = run(
        explainer_graph([member], baselines, np.zeros_like(baselines)), **feeds, target=one_hot(targets, member.n_types)
    )
    stored = reference["multipliers"].astype(np.float64) * (x - baseline)
    for expected in (captum(layers, x, baseline, targets), stored):
        assert_same_attributions(explained["attributions"], expected)
    logits = run(annotator_of([member], baselines), **feeds)["logits"]
    np.testing.assert_allclose(logits, reference["logits"], atol=1e-4)


@pytest.mark.parametrize("hidden", SHAPES)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_logits_and_probabilities_equal_torch(
    draw_classifier: Callable[..., Classifier], hidden: tuple[int, ...], temperature: float
) -> None:
    networks = [draw_classifier(hidden, seed=seed) for seed in range(2)]
    counts, library_size = draw_cells()
    graph = annotator_of([fold(network) for network in networks], draw_baselines(), temperature=temperature)
    ours = run(graph, counts=counts, library_size=library_size)
    x = torch.as_tensor(expression(counts, library_size), dtype=torch.float32)
    with torch.no_grad():
        logits = torch.stack([network(x) for network in networks]).mean(dim=0)
        probabilities = torch.softmax(logits / temperature, dim=1).numpy()
    np.testing.assert_allclose(ours["logits"], logits.numpy(), atol=2e-5, rtol=1e-5)
    np.testing.assert_allclose(ours["probabilities"], probabilities, atol=1e-5)
    assert (ours["probabilities"].argmax(1) == probabilities.argmax(1)).all()


@pytest.mark.parametrize("scale", [1, 1000])
def test_energy_is_minus_logsumexp_of_the_logits_also_of_huge_ones(
    draw_classifier: Callable[..., Classifier], scale: float
) -> None:
    member = fold(draw_classifier((16,)))
    member = FoldedNetwork((*member.weights[:-1], member.weights[-1] * np.float32(scale)), member.biases)
    counts, library_size = draw_cells()
    ours = run(annotator_of([member], draw_baselines(), temperature=3.0), counts=counts, library_size=library_size)
    assert ours["energy"].shape == (len(counts),)
    np.testing.assert_allclose(ours["energy"], -logsumexp(ours["logits"].astype(np.float64), axis=1), rtol=1e-5)
    np.testing.assert_allclose(
        ours["probabilities"], softmax(ours["logits"].astype(np.float64) / 3, axis=1), atol=scale * 1e-6
    )


def test_embedding_equals_scikit_learn_pca_of_the_members_last_hidden_layers(
    draw_classifier: Callable[..., Classifier],
) -> None:
    members = [fold(draw_classifier((16, 8), seed=0)), fold(draw_classifier((12,), seed=1))]
    baselines, (counts, library_size) = draw_baselines(), draw_cells(60)

    def hidden(x: np.ndarray) -> np.ndarray:
        return np.hstack([np.maximum(member.forward(x)[0][-1], 0) for member in members])

    pca = PCA(n_components=5, svd_solver="full").fit(hidden(expression(*draw_cells(80, seed=9))))
    graph = annotator_graph(
        members, baselines, embedding_mean=pca.mean_, embedding_components=pca.components_
    )  # fmt: skip
    ours = run(graph, counts=counts, library_size=library_size)["embedding"]
    expected = pca.transform(hidden(expression(counts, library_size)))
    np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())


@pytest.fixture(scope="module")
def graphs(draw_classifier: Callable[..., Classifier]) -> dict[str, onnx.ModelProto]:
    members = [fold(draw_classifier((16, 12), seed=seed)) for seed in range(2)]
    baselines = draw_baselines()
    return {"annotator": annotator_of(members, FILL), "explainer": explainer_graph(members, baselines, FILL)}


def test_a_gene_that_was_not_measured_takes_its_fill_and_has_no_attribution(
    draw_classifier: Callable[..., Classifier], graphs: dict[str, onnx.ModelProto]
) -> None:
    """A cell that lacks genes is compared with a baseline that has the same values in them."""
    networks = [draw_classifier((16, 12), seed=seed) for seed in range(2)]
    counts, library_size = draw_cells()
    missing = np.random.default_rng(1).random(counts.shape) < 0.5
    missing[0] = False
    nan = np.where(missing, np.float32(np.nan), counts)
    x = np.where(missing, FILL, expression(counts, library_size))
    baselines = np.where(missing, FILL, draw_baselines())
    targets = np.arange(len(counts)) % N_TYPES
    ours = run(graphs["explainer"], counts=nan, library_size=library_size, target=one_hot(targets))
    assert (ours["attributions"][missing] == 0).all()
    assert_same_attributions(
        ours["attributions"], np.mean([captum(network, x, baselines, targets) for network in networks], axis=0)
    )
    assert np.abs(ours["convergence_delta"]).max() < 1e-4
    annotated = run(graphs["annotator"], counts=nan, library_size=library_size)["logits"]
    with torch.no_grad():
        logits = torch.stack([network.double()(torch.as_tensor(x)) for network in networks]).mean(dim=0)
    np.testing.assert_allclose(annotated, logits.numpy(), atol=5e-5)


def test_a_member_without_hidden_layers_is_one_more_of_the_mean(draw_classifier: Callable[..., Classifier]) -> None:
    """Its attributions are weight x (x - x0), whatever the networks do; the embedding has nothing of it."""
    network, linear = draw_classifier((16,)), draw_classifier(())
    members, baselines, (counts, library_size) = [fold(network), fold(linear)], draw_baselines(), draw_cells()
    targets = np.arange(len(counts)) % N_TYPES
    graph = explainer_graph(members, baselines, FILL)
    ours = run(graph, counts=counts, library_size=library_size, target=one_hot(targets))["attributions"]
    x = expression(counts, library_size)
    of_linear = members[1].weights[0][targets] * (x - baselines)
    assert_same_attributions(ours, (captum(network, x, baselines, targets) + of_linear) / 2)
    annotated = run(annotator_of(members, FILL), counts=counts, library_size=library_size)
    with torch.no_grad():
        logits = torch.stack([one.double()(torch.as_tensor(x)) for one in (network, linear)]).mean(dim=0)
    np.testing.assert_allclose(annotated["logits"], logits.numpy(), atol=2e-5, rtol=1e-5)
    assert annotated["embedding"].shape == (len(counts), 16)


@pytest.mark.parametrize("hidden", [[(16,)], [(16,), (8,)]])
def test_novelty_of_the_graph_is_that_of_the_networks_alone(
    draw_classifier: Callable[..., Classifier], hidden: list[tuple[int, ...]]
) -> None:
    """The same with and without a member without hidden layers, which changes the logits."""
    networks, linear = [fold(draw_classifier(units)) for units in hidden], fold(draw_classifier(()))
    counts, library_size = draw_cells(120)
    x = sp.csr_matrix(expression(counts, library_size))
    embedding = fit_embedding(networks, x)
    outputs = member_outputs([*networks, linear], x, *embedding)
    score = fit_novelty(outputs, np.arange(120) % N_TYPES)
    given = {"embedding_mean": embedding[0], "embedding_components": embedding[1], "novelty": score}
    alone, joined = (
        run(annotator_graph(members, FILL, **given), counts=counts, library_size=library_size)
        for members in (networks, [*networks, linear])
    )
    assert np.abs(alone["logits"] - joined["logits"]).max() > 0.1
    np.testing.assert_array_equal(alone["novelty"], joined["novelty"])
    np.testing.assert_allclose(joined["novelty"], score.of(outputs), atol=2e-3)


@pytest.mark.parametrize("counts", [0.0, 3.0, np.nan])
@pytest.mark.parametrize("library_size", [0.0, -1.0, np.nan, 500.0, np.inf])
def test_no_cell_ever_gets_nan(graphs: dict[str, onnx.ModelProto], counts: float, library_size: float) -> None:
    feeds = {
        "counts": np.full((2, N_GENES), counts, np.float32), "library_size": np.full(2, library_size, np.float32)
    }  # fmt: skip
    outputs = run(graphs["annotator"], **feeds) | run(graphs["explainer"], **feeds, target=one_hot(np.array([0, 1])))
    assert set(outputs) == {"logits", "probabilities", "energy", "embedding", "attributions", "convergence_delta"}
    for name, values in outputs.items():
        assert np.isfinite(values).all(), name


def test_a_cell_at_its_baseline_has_no_attribution_and_finite_multipliers(graphs: dict[str, onnx.ModelProto]) -> None:
    feeds = {"counts": np.full((1, N_GENES), np.nan, np.float32), "library_size": np.ones(1, np.float32)}
    ours = run(graphs["explainer"], **feeds, target=one_hot(np.array([2])))
    assert (ours["attributions"] == 0).all()
    assert abs(ours["convergence_delta"][0]) < 1e-4


def test_a_row_gives_the_same_alone_as_in_any_batch(graphs: dict[str, onnx.ModelProto]) -> None:
    counts, library_size = draw_cells(16)
    target = one_hot(np.arange(16) % N_TYPES)
    for graph, more in ((graphs["annotator"], {}), (graphs["explainer"], {"target": target})):
        together = run(graph, counts=counts, library_size=library_size, **more)
        for row in range(16):
            feeds = {name: values[row : row + 1] for name, values in more.items()}
            alone = run(graph, counts=counts[row : row + 1], library_size=library_size[row : row + 1], **feeds)
            for name, values in alone.items():
                # Not to the bit: onnxruntime multiplies a single row by another kernel.
                np.testing.assert_allclose(values[0], together[name][row], rtol=2e-6, atol=2e-6, err_msg=name)


def test_inputs_and_outputs_are_those_of_the_design(graphs: dict[str, onnx.ModelProto]) -> None:
    def shapes(values: Any) -> dict[str, list[object]]:
        assert {value.type.tensor_type.elem_type for value in values} == {onnx.TensorProto.FLOAT}
        dims = {value.name: value.type.tensor_type.shape.dim for value in values}
        return {name: [dim.dim_param or dim.dim_value for dim in shape] for name, shape in dims.items()}

    inputs = {"counts": ["cells", N_GENES], "library_size": ["cells", 1]}
    assert shapes(graphs["annotator"].graph.input) == inputs
    assert shapes(graphs["annotator"].graph.output) == {
        "logits": ["cells", N_TYPES], "probabilities": ["cells", N_TYPES], "energy": ["cells"],
        "embedding": ["cells", 24],
    }  # fmt: skip
    assert shapes(graphs["explainer"].graph.input) == {**inputs, "target": ["cells", N_TYPES]}
    assert shapes(graphs["explainer"].graph.output) == {
        "attributions": ["cells", N_GENES], "convergence_delta": ["cells"],
    }  # fmt: skip


def test_graphs_pass_the_checker_and_carry_no_metadata(graphs: dict[str, onnx.ModelProto]) -> None:
    for model in graphs.values():
        onnx.checker.check_model(model, full_check=True)
        assert not model.metadata_props
        assert not model.doc_string
        assert not model.graph.doc_string
        assert not model.functions
        assert (model.producer_name, model.producer_version, model.domain) == ("cellmark", "", "")
        parts = [*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output]
        assert not any(part.doc_string for part in parts)
        assert not any(node.metadata_props for node in model.graph.node)
        assert not any(tensor.external_data for tensor in model.graph.initializer)
        here = str(ROOT).encode()
        assert here not in model.SerializeToString()


def test_every_constant_is_used_and_every_name_unique(graphs: dict[str, onnx.ModelProto]) -> None:
    for model in graphs.values():
        constants = [tensor.name for tensor in model.graph.initializer]
        branches = [part.g.node for node in model.graph.node for part in node.attribute if part.HasField("g")]
        used = {name for nodes in (model.graph.node, *branches) for node in nodes for name in node.input}
        assert set(constants) <= used
        made = [name for node in model.graph.node for name in node.output]
        assert len({*constants, *made}) == len(constants) + len(made)


def test_same_members_give_the_same_bytes(draw_classifier: Callable[..., Classifier]) -> None:
    def export() -> list[bytes]:
        members = [fold(draw_classifier((16, 12), seed=seed)) for seed in range(2)]
        graphs = annotator_of(members, draw_baselines()), explainer_graph(members, draw_baselines(), FILL)
        return [graph.SerializeToString(deterministic=True) for graph in graphs]

    assert export() == export()


def test_members_that_do_not_fit_together_are_refused(draw_classifier: Callable[..., Classifier]) -> None:
    good, other_genes, other_types = (
        fold(draw_classifier((8,))), fold(draw_classifier((8,), n_genes=29)), fold(draw_classifier((8,), n_types=3)),
    )  # fmt: skip
    for members in ([], [good, other_genes], [good, other_types], [other_genes]):
        with pytest.raises(ValueError, match="members"):
            explainer_graph(members, draw_baselines(), FILL)
        with pytest.raises(ValueError, match="members"):
            annotator_of(members, draw_baselines())
