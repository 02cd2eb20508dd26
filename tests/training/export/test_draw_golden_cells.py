"""Golden cells: drawn around type means, with outputs computed apart from the graphs."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from captum.attr import DeepLift

from cellmark.schemas.normalization import normalize
from cellmark.training.export.check_parity import CELLS_PER_TYPE, draw_golden_counts, golden_cells
from cellmark.training.network.classifier import Classifier
from cellmark.training.network.folded_network import fold


def draw_cells() -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], 40)
    rates = generator.gamma(0.5, 8, (3, 30))
    counts = generator.poisson(rates[codes] * generator.lognormal(0, 0.3, (120, 1)))
    return sp.csr_matrix(counts.astype(np.float32)), (counts.sum(axis=1) * 2.0).astype(np.float32), codes


def test_drawn_counts_are_whole_reproducible_and_below_their_library_size() -> None:
    cells = draw_cells()
    counts, sizes = draw_golden_counts(*cells, 3, seed=4)
    assert counts.shape == (3 * CELLS_PER_TYPE, 30)
    assert (counts.data == np.rint(counts.data)).all()
    assert (counts.toarray().sum(axis=1) <= sizes).all()
    assert (sizes > 0).all()
    again, other = draw_golden_counts(*cells, 3, seed=4)[0], draw_golden_counts(*cells, 3, seed=5)[0]
    np.testing.assert_array_equal(counts.toarray(), again.toarray())
    assert (counts.toarray() != other.toarray()).any()


def test_no_training_cell_is_among_them() -> None:
    cells = draw_cells()
    counts, _ = draw_golden_counts(*cells, 3, seed=0)
    real = {row.tobytes() for row in cells[0].toarray()}
    assert not real & {row.tobytes() for row in counts.toarray()}


def test_drawn_cells_follow_their_types_mean_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellmark.training.export.check_parity.CELLS_PER_TYPE", 300)
    counts, library_size, codes = draw_cells()
    drawn, sizes = draw_golden_counts(counts, library_size, codes, 3, seed=0)
    for code in range(3):
        mine = drawn.toarray()[code * 300 : (code + 1) * 300]
        median = np.median(library_size[codes == code])
        assert sizes[code * 300] == pytest.approx(median, abs=1)
        share = counts[codes == code].sum(axis=0).A1 / library_size[codes == code].sum()
        expected = share * median
        np.testing.assert_allclose(mine.mean(axis=0), expected, atol=5 * np.sqrt(expected.max() / 300))


def test_expected_outputs_equal_torch_and_captum(draw_classifier: Callable[..., Classifier]) -> None:
    networks = [draw_classifier((16, 12), seed=seed).double() for seed in range(2)]
    baselines = np.random.default_rng(5).uniform(0, 3, 30).astype(np.float32)
    counts, library_size, _ = draw_cells()
    golden = golden_cells(
        [fold(network) for network in networks], baselines, counts[:9], library_size[:9], temperature=1.7,
        cell_types=["B", "NK", "T"],
    )  # fmt: skip
    assert golden.cell_types == ("B", "NK", "T")
    x = torch.as_tensor(normalize(counts[:9], library_size[:9]).toarray(), dtype=torch.float64)
    with torch.no_grad():
        logits = torch.stack([network(x) for network in networks]).mean(dim=0)
    np.testing.assert_allclose(golden.probabilities, torch.softmax(logits / 1.7, dim=1), atol=1e-6)
    start = torch.as_tensor(baselines, dtype=torch.float64).expand_as(x)
    with pytest.warns(UserWarning, match="hooks"):
        parts = [
            DeepLift(network).attribute(x.clone().requires_grad_(), start, target=logits.argmax(1))
            for network in networks
        ]
    expected = torch.stack(parts).mean(dim=0).detach().numpy()
    np.testing.assert_allclose(golden.attributions, expected, atol=1e-5 * np.abs(expected).max())
