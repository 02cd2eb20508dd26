"""`training_summary.json`: what the training data looked like, as the report shows it. Optional; no cell by itself."""

from typing import Literal

import numpy as np

from .manifest_section import Section, canonical_json

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FEWEST_CELLS = 5
"""A type with fewer training cells has no quantiles: they would be the cells themselves."""


class TrainingSummary(Section):
    """`cells`: of each type, by donor (one donor named `""` where none were given), over all parts of the split.

    `library_size`, `genes_detected`: of each type's training cells, the `quantiles`; types of few cells are absent.
    """

    format_version: Literal[1] = 1
    cells: dict[str, dict[str, int]]
    quantiles: tuple[float, ...] = QUANTILES
    library_size: dict[str, list[float]]
    genes_detected: dict[str, list[float]]

    def to_bytes(self) -> bytes:
        """As it lies in the bundle."""
        return canonical_json(self.model_dump(mode="json"))


def summarize_training(
    codes: np.ndarray,
    donors: np.ndarray | None,
    *,
    train: np.ndarray,
    library_size: np.ndarray | None,
    genes_detected: np.ndarray,
    cell_types: list[str],
) -> TrainingSummary:
    """The summary of labelled cells. `codes`: int [cells], numbers of `cell_types`; `donors`: str [cells]; `train`:
    rows of the training part; `library_size`, `genes_detected`: [cells], over all genes measured;
    None: not known.
    """
    names = np.zeros(len(codes), dtype="U1") if donors is None else donors.astype(str)
    of_type = {name: names[codes == number] for number, name in enumerate(cell_types)}
    cells = {
        name: {str(donor): int(n) for donor, n in zip(*np.unique(found, return_counts=True), strict=True)}
        for name, found in of_type.items()
    }
    return TrainingSummary(
        cells=cells,
        library_size={} if library_size is None else _spread(library_size[train], codes[train], cell_types),
        genes_detected=_spread(genes_detected[train], codes[train], cell_types),
    )


def _spread(values: np.ndarray, codes: np.ndarray, cell_types: list[str]) -> dict[str, list[float]]:
    return {
        name: [round(float(value), 1) for value in np.quantile(values[codes == number], QUANTILES)]
        for number, name in enumerate(cell_types)
        if (codes == number).sum() >= FEWEST_CELLS
    }
