"""The embedding against scikit-learn."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA

from cellmark.training.network import folded_network
from cellmark.training.network.classifier import Classifier
from cellmark.training.network.folded_network import FoldedNetwork, embed, fit_embedding, fold


def draw_expression(n_cells: int) -> sp.csr_matrix:
    generator = np.random.default_rng(0)
    return sp.csr_matrix((generator.exponential(1, (n_cells, 30))).astype(np.float32))


def hidden_layers(members: list[FoldedNetwork], x: sp.csr_matrix) -> np.ndarray:
    values = x.toarray().astype(np.float64)
    return np.hstack([np.maximum(member.forward(values)[0][-1], 0) for member in members])


def test_mean_and_components_give_what_pca_transform_gives(
    draw_classifier: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folded_network, "CHUNK", 9)
    members = [fold(draw_classifier((16, 8), seed=0)), fold(draw_classifier((12,), seed=1))]
    x = draw_expression(40)
    mean, components = fit_embedding(members, x, size=5)
    assert mean.shape == (20,)
    assert components.shape == (5, 20)
    hidden = hidden_layers(members, x)
    expected = PCA(n_components=5, svd_solver="full").fit(hidden).transform(hidden)
    np.testing.assert_allclose((hidden - mean) @ components.T, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("n_cells", "units", "expected"), [(40, 16, 16), (10, 16, 9), (80, 64, 32), (2, 16, 1)])
def test_size_is_bounded_by_units_and_cells(
    draw_classifier: Callable[..., Classifier], n_cells: int, units: int, expected: int
) -> None:
    mean, components = fit_embedding([fold(draw_classifier((units,)))], draw_expression(n_cells))
    assert components.shape == (expected, units)
    assert mean.shape == (units,)


def test_many_cells_are_stood_for_by_evenly_spaced_ones(
    draw_classifier: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folded_network, "N_CELLS", 10)
    members = [fold(draw_classifier((16,)))]
    x = draw_expression(91)
    mean, _ = fit_embedding(members, x, size=4)
    np.testing.assert_allclose(mean, hidden_layers(members, x[::10]).mean(axis=0), rtol=1e-5)


def test_the_same_cells_give_the_same_numbers(draw_classifier: Callable[..., Classifier]) -> None:
    members = [fold(draw_classifier((16,)))]
    first, second = (fit_embedding(members, draw_expression(30)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_embed_gives_what_the_annotator_graph_gives(
    draw_classifier: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime as ort

    from cellmark.training.export.export_onnx import annotator_graph

    monkeypatch.setattr(folded_network, "CHUNK", 7)
    members = [fold(draw_classifier((16, 8), seed=0)), fold(draw_classifier((12,), seed=1))]
    generator = np.random.default_rng(1)
    counts = generator.poisson(2, (24, 30)).astype(np.float32)
    library_size = counts.sum(axis=1, keepdims=True)
    x = sp.csr_matrix(np.log1p(counts / library_size * 1e4).astype(np.float32))
    mean, components = fit_embedding(members, x, size=5)
    graph = annotator_graph(
        members, np.zeros(30, dtype=np.float32), embedding_mean=mean, embedding_components=components
    )
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(["embedding"], {"counts": counts, "library_size": library_size})
    found = embed(members, x, mean, components)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert embed(members, x[:0], mean, components).shape == (0, 5)
