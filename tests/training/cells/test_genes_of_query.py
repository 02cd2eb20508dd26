"""Training on the genes of a query: as if the others had never been counted."""

from dataclasses import fields

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.errors import InputError
from cellmark.training.cells.genes_of_query import on_genes_of
from cellmark.training.cells.labelled_cells import LabelledCells, read_labelled

# Symbols of human genes; RNF53 is an alias of BRCA1, and of no other gene.
SYMBOLS = ["CD3D", "MS4A1", "NKG7", "BRCA1", "LYZ", "GNLY", "CD8A", "IL7R"]


def labelled(symbols: list[str], **settings: object) -> LabelledCells:
    generator = np.random.default_rng(0)
    counts = np.random.default_rng(1).poisson(4, (30, len(SYMBOLS))).astype(np.float32)[:, : len(symbols)]
    obs = pd.DataFrame({"cell_type": np.repeat(["a", "b"], 15), "n": 100.0 + generator.integers(0, 9, 30)})
    obs.index = [f"cell{number}" for number in range(30)]
    cells = cells_from_anndata(ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=symbols)))
    return read_labelled(cells, label="cell_type", min_cells=3, **settings)  # type: ignore[arg-type]


def query(symbols: list[str]) -> ad.AnnData:
    return ad.AnnData(np.ones((5, len(symbols)), dtype=np.float32), var=pd.DataFrame(index=symbols))


def test_the_cells_are_those_of_a_file_that_counted_only_these_genes() -> None:
    kept, note = on_genes_of(labelled(SYMBOLS), cells_from_anndata(query([*SYMBOLS[4::-1], "ACTB"])))
    expected = labelled(SYMBOLS[:5])
    assert kept.digest() == expected.digest()
    for field in fields(LabelledCells):
        if field.name in ("gene_symbols", "gene_ids", "n_genes_measured", "library_size_source", "dropped"):
            assert getattr(kept, field.name) == getattr(expected, field.name), field.name
    np.testing.assert_array_equal(kept.library_size, expected.counts.sum(axis=1).A1)
    assert "5 of 8 genes" in note.found
    assert note.severity == "info"
    all_counts, of_kept = labelled(SYMBOLS).counts.sum(), kept.counts.sum()
    assert f"{1 - of_kept / all_counts:.1%} of the counts" in note.found


def test_genes_under_another_name_are_found_as_an_input_has_them_found() -> None:
    asked = ["RNF53" if symbol == "BRCA1" else symbol for symbol in SYMBOLS[:5]]
    kept, _ = on_genes_of(labelled(SYMBOLS), cells_from_anndata(query(asked)))
    assert "BRCA1" in kept.gene_symbols
    ids = query(["g1", "g2", "g3"])
    ids.var["gene_symbols"] = ["CD3D", "LYZ", "NKG7"]
    kept, _ = on_genes_of(labelled(SYMBOLS), cells_from_anndata(ids))
    assert kept.gene_symbols == ("CD3D", "NKG7", "LYZ")


def test_given_library_sizes_stay() -> None:
    cells = labelled(SYMBOLS, library_size="n")
    kept, _ = on_genes_of(cells, cells_from_anndata(query(SYMBOLS[:4])))
    np.testing.assert_array_equal(kept.library_size, cells.library_size)


@pytest.mark.parametrize(
    ("symbols", "code"),
    [
        (["CD3D", "ACTB", "GAPDH"], "NO_GENES_SHARED"),
        (["Cd3d", "Ms4a1", "Nkg7", "Gm10073", "Brca1", "Lyz2"], "ORGANISM_MISMATCH"),
    ],
)
def test_queries_that_share_too_little_are_refused(symbols: list[str], code: str) -> None:
    with pytest.raises(InputError) as caught:
        on_genes_of(labelled(SYMBOLS), cells_from_anndata(query(symbols)))
    assert caught.value.code == code


def test_cells_without_a_count_in_the_shared_genes_are_named() -> None:
    cells = labelled(SYMBOLS)
    cells.counts[3, :2] = 0
    cells.counts.eliminate_zeros()
    with pytest.raises(InputError, match="cell3") as caught:
        on_genes_of(cells, cells_from_anndata(query(SYMBOLS[:2])))
    assert caught.value.code == "CELL_EMPTY"
