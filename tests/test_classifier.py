"""The network's layers and its standardisation."""

import numpy as np
import torch
from torch import nn

from cellmark.training.classifier import Classifier, NetworkShape


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
