"""A worked example has the strongest genes for and against its call, of a cell that nobody is."""

import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.golden_cells import GoldenCells, read_golden
from cellmark.schemas.manifest.worked_examples import MOST_AGAINST, MOST_FOR, WorkedExamples, worked_example
from cellmark.schemas.report.drawn_examples import drawn_examples
from cellmark.schemas.report.examples import example_chart
from cellmark.schemas.report.facts import read_examples
from fixtures.places import ARCHIVES


def test_the_strongest_genes_come_first_for_and_then_against() -> None:
    generator = np.random.default_rng(0)
    attributions = generator.normal(0, 1, 60)
    symbols = [f"G{k}" for k in range(60)]
    example = worked_example("b", counts=np.arange(60.0), library_size=1000, probabilities=np.array([0.2, 0.7, 0.1]),
                             attributions=attributions, cell_types=["a", "b", "c"], gene_symbols=symbols)  # fmt: skip
    assert (example.called, example.confidence, example.runner_up, example.runner_up_confidence) == ("b", 0.7, "a", 0.2)
    by_size = sorted(symbols, key=lambda symbol: attributions[int(symbol[1:])])
    assert [one.gene_symbol for one in example.genes] == by_size[::-1][:MOST_FOR] + by_size[:MOST_AGAINST]
    assert all(one.count == int(one.gene_symbol[1:]) for one in example.genes)
    picture = str(example_chart(example))
    assert picture.count('class="blue"') == MOST_FOR
    assert picture.count('class="orange"') == MOST_AGAINST


def test_golden_cells_of_a_bundle_give_an_example_of_each_type() -> None:
    bundle = Bundle.open(ARCHIVES / "tiny")
    examples, golden = read_examples(bundle), read_golden(bundle)
    assert examples.kind == "drawn"
    names = bundle.manifest.cell_type_names
    for one in examples.examples:
        assert one.called == one.cell_type
        row = 2 * names.index(one.cell_type)
        assert one.library_size in golden.library_size[row : row + 2].round(1)
        gene = bundle.panel.symbols.index(one.genes[0].gene_symbol)
        cell = row + list(golden.library_size[row : row + 2].round(1)).index(np.float32(one.library_size))
        assert golden.attributions[cell].argmax() == gene
        assert one.genes[0].attribution == pytest.approx(golden.attributions[cell, gene], abs=1e-4)
    assert len(examples.examples) >= 1


def test_a_drawn_cell_that_is_called_another_type_is_no_example() -> None:
    golden = GoldenCells(
        counts=sp.csr_matrix(np.ones((4, 3), dtype=np.float32)), library_size=np.array([1, 2, 3, 4], dtype=np.float32),
        probabilities=np.array([[0.4, 0.6], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], dtype=np.float32),
        attributions=np.ones((4, 3), dtype=np.float32))  # fmt: skip
    found = drawn_examples(golden, ["a", "b"], ["x", "y", "z"])
    assert [(one.cell_type, one.library_size) for one in found.examples] == [("a", 2.0)]
    assert drawn_examples(golden, ["a", "b", "c"], ["x", "y", "z"]).examples == []


def test_they_are_read_as_they_were_written() -> None:
    examples = read_examples(Bundle.open(ARCHIVES / "tiny"))
    assert WorkedExamples.model_validate_json(examples.to_bytes()) == examples
