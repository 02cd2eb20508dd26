"""What the networks are given: standardised rows, noise, batches."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from cellmark.training.network.batch_inputs import DenseCells, Noise, batches

CPU = torch.device("cpu")


def test_rows_are_dense_and_standardised() -> None:
    x = sp.random(20, 7, density=0.4, format="csr", dtype=np.float32, random_state=0)
    mean, scale = np.arange(7.0), np.linspace(0.5, 2, 7)
    found = DenseCells(x, mean, scale, CPU)[np.array([5, 3, 5])]
    expected = (x.toarray()[[5, 3, 5]] - mean) / scale
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_noise_is_drawn_with_the_standard_deviation_asked_for() -> None:
    noise = Noise(0.7, batch_size=50, n_genes=40, n_cells=500, device=CPU)
    generator, draws = torch.Generator().manual_seed(0), np.random.default_rng(0)
    noise.draw(generator)
    first, second = (noise.added(torch.zeros(50, 40), draws) for _ in range(2))
    assert float(first.std()) == pytest.approx(0.7, rel=0.05)
    assert not torch.equal(first, second)
    noise.draw(generator)
    assert not torch.isin(noise.added(torch.zeros(50, 40), draws), first).any()


def test_without_noise_inputs_stay() -> None:
    noise = Noise(0.0, batch_size=5, n_genes=4, n_cells=50, device=CPU)
    noise.draw(torch.Generator())
    inputs = torch.rand(5, 4)
    assert torch.equal(noise.added(inputs.clone(), np.random.default_rng(0)), inputs)


@pytest.mark.parametrize(("n_cells", "sizes"), [(10, [4, 4, 2]), (9, [4, 5]), (8, [4, 4]), (1, [1]), (0, [])])
def test_no_batch_of_one_cell_is_left_over(n_cells: int, sizes: list[int]) -> None:
    cells = np.arange(n_cells)
    found = batches(cells, 4)
    assert [len(batch) for batch in found] == sizes
    if n_cells:
        np.testing.assert_array_equal(np.concatenate(found), cells)
