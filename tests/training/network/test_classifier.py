"""The network's layers and its standardisation."""

import numpy as np
import torch
from torch import nn

from cellmark.training.network.classifier import Classifier, NetworkShape


def make(shape: NetworkShape) -> Classifier:
    return Classifier(5, 3, shape, mean=np.arange(5.0), scale=np.array([1.0, 2, 4, 5, 10]))


def test_layers_repeat_linear_batchnorm_relu_dropout_and_end_linear() -> None:
    layers = make(NetworkShape((7, 6), dropout=0.3)).layers
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout]
    assert [type(layer) for layer in layers] == [*kinds, *kinds, nn.Linear]
    assert [layer.out_features for layer in layers if isinstance(layer, nn.Linear)] == [7, 6, 3]
    assert {layer.p for layer in layers if isinstance(layer, nn.Dropout)} == {0.3}


def test_standardisation_is_stored_with_the_network_and_not_trained() -> None:
    classifier = make(NetworkShape((7,)))
    assert {"mean", "scale"} <= set(classifier.state_dict())
    assert not {"mean", "scale"} & {name for name, _ in classifier.named_parameters()}
    x = torch.full((1, 5), 10.0)
    torch.testing.assert_close(classifier.standardize(x), torch.tensor([[10.0, 4.5, 2.0, 1.4, 0.6]]))


def test_logits_of_a_cell_do_not_depend_on_its_neighbours_in_evaluation() -> None:
    torch.manual_seed(0)
    classifier = make(NetworkShape((7,))).eval()
    x = torch.rand(6, 5)
    together, alone = classifier(x), torch.cat([classifier(row[None]) for row in x])
    assert together.shape == (6, 3)
    torch.testing.assert_close(together, alone)


def test_a_gate_multiplies_standardised_expression_and_is_learned() -> None:
    classifier = Classifier(
        5, 3, NetworkShape((7,)), mean=np.arange(5.0), scale=np.array([1.0, 2, 4, 5, 10]), gated=True
    ).eval()
    assert "gate" in dict(classifier.named_parameters())
    x = torch.rand(4, 5)
    torch.testing.assert_close(classifier(x), classifier.layers(classifier.standardize(x)))
    with torch.no_grad():
        classifier.gate[:] = torch.tensor([0.0, 1, 2, 3, 4])
    inputs = classifier.inputs(torch.full((1, 5), 10.0))
    torch.testing.assert_close(inputs, torch.tensor([[0, 4.5, 4.0, 4.2, 2.4]]))
    changed = x.clone()
    changed[:, 0] += 5
    torch.testing.assert_close(classifier(changed), classifier(x))


def test_gate_values_are_a_copy_and_none_without_a_gate() -> None:
    assert make(NetworkShape((7,))).gate_values() is None
    classifier = Classifier(5, 3, NetworkShape((7,)), mean=np.zeros(5), scale=np.ones(5), gated=True)
    values = classifier.gate_values()
    assert values is not None
    values[:] = 7
    np.testing.assert_array_equal(classifier.gate_values(), np.ones(5, dtype=np.float32))
