"""One example of each type from the golden cells, which are drawn from type means."""

from collections.abc import Sequence

from ..golden_cells import GoldenCells
from ..manifest.worked_examples import WorkedExample, WorkedExamples, worked_example

CELLS_PER_TYPE = 2
"""Golden cells of each type, in the order of the types."""


def drawn_examples(golden: GoldenCells, cell_types: Sequence[str], gene_symbols: Sequence[str]) -> WorkedExamples:
    """The first golden cell of each type that is called so; no example of a type without one, or of other files."""
    if len(golden.library_size) != CELLS_PER_TYPE * len(cell_types):
        return WorkedExamples(kind="drawn", examples=[])
    best = golden.probabilities.argmax(axis=1).reshape(-1, CELLS_PER_TYPE)
    chosen = [
        (name, CELLS_PER_TYPE * code + int((best[code] == code).argmax()))
        for code, name in enumerate(cell_types)
        if (best[code] == code).any()
    ]
    examples: list[WorkedExample] = [
        worked_example(
            name,
            counts=golden.counts[row].toarray().ravel(),
            library_size=float(golden.library_size[row]),
            probabilities=golden.probabilities[row],
            attributions=golden.attributions[row],
            cell_types=cell_types,
            gene_symbols=gene_symbols,
        )
        for name, row in chosen
    ]
    return WorkedExamples(kind="drawn", examples=examples)
