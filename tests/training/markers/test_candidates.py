import json
from pathlib import Path

import numpy as np
import pandas as pd

from cellmark.training.markers.published_ranking import candidates


def test_equals_the_published_candidates_in_order(reference_data: Path) -> None:
    table = pd.read_parquet(reference_data / "contributions.parquet")
    codes, cell_types = pd.factorize(table.pop("cell_type"), sort=True)
    expected = json.loads((reference_data / "candidates_top50.json").read_text())
    found = candidates(table.to_numpy(), codes, n_types=7)
    assert {name: table.columns[genes].tolist() for name, genes in zip(cell_types, found, strict=True)} == expected


def cells_of(first: list[list[float]], second: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([*first, *second]), np.repeat([0, 1], [len(first), len(second)])


def test_the_parts_come_in_their_order() -> None:
    # Contributions of the type's four cells and of two others.
    genes = {
        "strict, smaller": ([2, 2, 2, 2], [0.2, 0.2]),
        "strict, larger": ([5, 5, 5, 5], [2.4, 2.4]),
        "by its mean": ([3, 3, 3, 30], [2, 2]),
        "by its median": ([3, 3, 3, -8.6], [1, 1]),
        "by neither": ([8, 8, 8, 8], [8, 8]),
        "half of the cells": ([7, 1, 0, 0], [9, 9]),
        "a quarter of the cells": ([9, 0, 0, 0], [0, 0]),
        "a quarter, less": ([8, -1, 0, 0], [0, 0]),
        "never": ([-1, -1, -1, -1], [-2, -2]),
        "nothing": ([0, 0, 0, 0], [0, 0]),
    }
    own, other = (np.array([pair[side] for pair in genes.values()], dtype=float).T for side in (0, 1))
    found = candidates(np.vstack([own, other]), np.repeat([0, 1], [4, 2]), n_types=2, n=20)[0]
    names = list(genes)
    assert [names[gene] for gene in found] == [
        "strict, larger",
        "strict, smaller",
        "by its mean",
        "by its median",
        "by neither",
        "half of the cells",
        "a quarter of the cells",
        "a quarter, less",
    ]


def test_one_of_median_and_mean_is_enough_to_fill_up() -> None:
    # Gene 0: the other type's median is 0, its mean is not; gene 1: neither is; gene 2 keeps below in both.
    values, codes = cells_of([[4, 9, 1]] * 3, [[0, 9, 0], [0, 9, 0], [8, 9, 0]])
    assert candidates(values, codes, n_types=2, n=3)[0].tolist() == [2, 0, 1]
    assert candidates(values, codes, n_types=2, n=2)[0].tolist() == [2, 0]


def test_the_smallest_ratio_that_gives_enough_is_taken() -> None:
    values, codes = cells_of([[1, 5, 9]] * 3, [[0.05, 1.2, 4]] * 3)
    assert candidates(values, codes, n_types=2, n=1)[0].tolist() == [0]
    assert candidates(values, codes, n_types=2, n=2)[0].tolist() == [1, 0]
    assert candidates(values, codes, n_types=2, n=3)[0].tolist() == [2, 1, 0]


def test_a_type_without_cells_has_none_and_ties_go_by_number() -> None:
    values, codes = cells_of([[1, 1, 1]] * 3, [[0, 0, 0]] * 3)
    found = candidates(values, codes * 2, n_types=3)
    assert [genes.tolist() for genes in found] == [[0, 1, 2], [], []]
