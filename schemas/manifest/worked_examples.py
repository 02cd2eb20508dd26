"""One worked example of each type: a cell, its call, and the genes for and against it.

Cells are drawn from type means, as the golden cells are. Real ones are kept only on request, as a file of the bundle:
of each no more than the genes that are shown.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .manifest_section import Section, canonical_json

MOST_FOR, MOST_AGAINST = 8, 5
LEAST_SHARE = 0.01
"""Share of the strongest gene's attribution below which a gene is not worth a line."""


class ExampleGene(Section):
    """`attribution`: how far the gene moves the called type's logit from that of the reference cell."""

    gene_symbol: str
    count: float
    attribution: float


class WorkedExample(Section):
    """A cell of `cell_type`. `runner_up`: the second most probable type. `genes`: the strongest first, for and against
    the called type.
    """

    cell_type: str
    called: str
    confidence: float
    runner_up: str | None = None
    runner_up_confidence: float | None = None
    library_size: float
    genes: list[ExampleGene]


class WorkedExamples(Section):
    """`worked_examples.json`. `kind`: whether the cells are real."""

    format_version: Literal[1] = 1
    kind: Literal["drawn", "real"]
    examples: list[WorkedExample]

    def to_bytes(self) -> bytes:
        """As it lies in the bundle."""
        return canonical_json(self.model_dump(mode="json"))


def worked_example(
    cell_type: str,
    *,
    counts: np.ndarray,
    library_size: float,
    probabilities: np.ndarray,
    attributions: np.ndarray,
    cell_types: Sequence[str],
    gene_symbols: Sequence[str],
) -> WorkedExample:
    """One example. `counts`, `attributions` (for the most probable type): [genes]; `probabilities`: [types]."""
    order = np.argsort(-probabilities, kind="stable")
    strongest = np.argsort(-np.abs(attributions), kind="stable")
    least = LEAST_SHARE * float(np.abs(attributions).max(initial=0))
    strongest = strongest[np.abs(attributions[strongest]) > least]
    chosen = [
        *strongest[attributions[strongest] > 0][:MOST_FOR],
        *strongest[attributions[strongest] < 0][:MOST_AGAINST],
    ]
    return WorkedExample(
        cell_type=cell_type,
        called=cell_types[order[0]],
        confidence=round(float(probabilities[order[0]]), 4),
        runner_up=cell_types[order[1]] if len(order) > 1 else None,
        runner_up_confidence=round(float(probabilities[order[1]]), 4) if len(order) > 1 else None,
        library_size=round(float(library_size), 1),
        genes=[
            ExampleGene(
                gene_symbol=gene_symbols[gene],
                count=round(float(counts[gene]), 2),
                attribution=round(float(attributions[gene]), 4),
            )
            for gene in chosen
        ],
    )
