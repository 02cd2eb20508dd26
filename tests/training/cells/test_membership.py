"""Which cells are of which type, as a matrix."""

import numpy as np

from cellmark.training.cells.cell_groups import membership


def test_its_product_with_values_is_the_sum_over_each_types_cells() -> None:
    generator = np.random.default_rng(0)
    codes, values = generator.integers(0, 3, 50), generator.normal(size=(50, 4))
    found = membership(codes, 5) @ values
    assert found.shape == (5, 4)
    for code in range(5):
        np.testing.assert_allclose(found[code], values[codes == code].sum(axis=0))
