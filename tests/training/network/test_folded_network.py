"""Folded networks answer as torch does."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import DeepLift
from torch import nn

from cellmark.training.network.classifier import Classifier
from cellmark.training.network.contributions import multipliers
from cellmark.training.network.folded_network import fold, fold_layers

SHAPES = [(16,), (16, 12), (16, 12, 8)]


def draw_expression(n_cells: int = 20, n_genes: int = 30) -> np.ndarray:
    return np.random.default_rng(7).uniform(0, 5, (n_cells, n_genes)).astype(np.float32)


@pytest.mark.parametrize("hidden", SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_folded_logits_and_hidden_layers_equal_torch(
    draw_classifier: Callable[..., Classifier], hidden: tuple[int, ...], seed: int
) -> None:
    classifier = draw_classifier(hidden, seed=seed)
    x = draw_expression()
    network = fold(classifier)
    pre_activations, logits = network.forward(x.astype(np.float64))
    exact = classifier.double()
    inputs = torch.as_tensor(x, dtype=torch.float64)
    with torch.no_grad():
        expected = exact(inputs).numpy()
        hidden_layers = []
        values = exact.standardize(inputs)
        for layer in exact.layers:
            values = layer(values)
            if isinstance(layer, nn.BatchNorm1d):
                hidden_layers.append(values.numpy())
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(pre_activations, hidden_layers, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_folded_network_knows_its_sizes(draw_classifier: Callable[..., Classifier]) -> None:
    network = fold(draw_classifier((16, 12), n_genes=30, n_types=4))
    assert (network.n_genes, network.n_types, network.embedding_size) == (30, 4, 12)
    assert network.hidden_units == [16, 12]
    assert {array.dtype for array in (*network.weights, *network.biases)} == {np.dtype(np.float32)}


def test_folding_leaves_the_network_as_it_was(draw_classifier: Callable[..., Classifier]) -> None:
    classifier = draw_classifier((16,))
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    fold(classifier)
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_layer_that_cannot_be_folded_is_refused() -> None:
    with pytest.raises(TypeError, match="GELU"):
        fold_layers(nn.Sequential(nn.Linear(3, 2), nn.GELU(), nn.Linear(2, 2)))


def test_a_normalisation_that_is_not_after_a_linear_layer_is_refused() -> None:
    # Folded into the layer before the ReLU it would change the answers without a word.
    for layers in (
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2)),
        nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)),
    ):
        with pytest.raises(TypeError):
            fold_layers(layers)


@pytest.fixture
def gated(draw_classifier: Callable[..., Classifier]) -> Classifier:
    """A network of two hidden layers with a gate, closed for a third of its genes."""
    classifier = draw_classifier((16, 12))
    classifier.gate = nn.Parameter(torch.rand(30, generator=torch.Generator().manual_seed(3)))
    classifier.gate.data[::3] = 0
    return classifier


def test_a_gate_is_folded_into_the_first_layer(gated: Classifier) -> None:
    x = draw_expression()
    network = fold(gated)
    assert (network.weights[0][:, ::3] == 0).all()
    with torch.no_grad():
        expected = gated.double()(torch.as_tensor(x, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(network.forward(x.astype(np.float64))[1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")
def test_attributions_of_a_gated_network_equal_captum_and_closed_genes_have_none(gated: Classifier) -> None:
    x, baselines = draw_expression().astype(np.float64), np.random.default_rng(1).uniform(0, 2, 30)
    targets = np.arange(len(x)) % 4
    ours = multipliers(fold(gated), x, baselines, np.eye(4)[targets]) * (x - baselines)
    inputs = torch.as_tensor(x).requires_grad_()
    start = torch.as_tensor(baselines).expand_as(inputs)
    expected = DeepLift(gated.double()).attribute(inputs, start, target=torch.as_tensor(targets)).detach().numpy()
    assert (ours[:, ::3] == 0).all()
    assert (np.linalg.norm(ours - expected, axis=1) / np.linalg.norm(expected, axis=1)).max() < 1e-5
