"""Genes of training data that are named by ids or with a genome's prefix get symbols."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.training.cells.labelled_cells import read_labelled
from cellmark.training.cells.name_genes import name_genes

SYMBOLS = ["MS4A1", "CD79A", "GNLY", "NKG7", "LYZ", "PPBP", "CD3D", "CD8A", "MT-CO1", "FCER1A"]
IDS = [
    "ENSG00000156738", "ENSG00000105369", "ENSG00000115523", "ENSG00000105374", "ENSG00000090382", "ENSG00000163736",
    "ENSG00000167286", "ENSG00000153563", "ENSG00000198804", "ENSG00000179639",
]  # fmt: skip
ENTREZ = ["931", "973", "10578", "4818", "4069", "5473", "915", "925", "4512", "2205"]


def cells(names: list[str], **var: list[object]) -> MemoryCells:
    X = sp.csr_matrix(np.arange(1, 2 * len(names) + 1, dtype=np.float32).reshape(2, -1))
    return MemoryCells(X, np.array(names), pd.DataFrame(index=["a", "b"]), var=pd.DataFrame(var, index=names))


@pytest.mark.parametrize(
    "names", [IDS, [f"{name}.3" for name in IDS], [f"GRCh38_{name}" for name in SYMBOLS], [f"hg19_{i}" for i in IDS]]
)
def test_ids_and_prefixes_become_symbols_with_a_note(names: list[str]) -> None:
    named = name_genes(cells(names))
    assert named.var_names.tolist() == SYMBOLS
    (note,) = named.notes
    assert (note.code, note.severity) == ("GENES_MAPPED", "info")
    assert "10 other names" in note.found
    assert note.examples[0] == f"{names[0]} = MS4A1"
    assert (named.load() != cells(names).X).nnz == 0


def test_ids_of_two_kinds_and_symbols_in_one_file_are_all_named() -> None:
    names = [*SYMBOLS[:3], *IDS[3:7], *ENTREZ[7:]]
    named = name_genes(cells(names))
    assert named.var_names.tolist()[:7] == SYMBOLS[:7]
    # Three numbers are too few to tell Entrez ids from the numbers of rows by their size alone.
    assert named.var["gene_ids"].tolist() == ["", "", "", *IDS[3:7], "", "", ""]


def test_the_files_own_symbols_come_before_the_table() -> None:
    mine = ["B-CELL-GENE", *SYMBOLS[1:8], "", None]
    named = name_genes(cells(IDS, feature_name=mine))
    assert named.var_names.tolist() == ["B-CELL-GENE", *SYMBOLS[1:]]
    (note,) = named.notes
    assert "8 by var['feature_name'], 2 by Ensembl id" in note.found
    assert named.var["gene_ids"].tolist() == IDS


def test_ids_that_nothing_names_stay_and_are_counted() -> None:
    named = name_genes(cells([*IDS, "ENSG09999999999"]))
    assert named.var_names.tolist() == [*SYMBOLS, "ENSG09999999999"]
    assert "1 ids have no symbol and stay" in named.notes[0].found


@pytest.mark.parametrize(
    "names", [SYMBOLS, [str(n) for n in range(10)], ["a", "b"], [f"g{n}" for n in range(30)] + IDS[:2]]
)
def test_symbols_row_numbers_and_a_few_ids_among_other_names_stay(names: list[str]) -> None:
    given = cells(names)
    assert name_genes(given) is given


def test_names_that_r_mangled_are_repaired_and_counted() -> None:
    names = [*SYMBOLS[:8], "HLA.DRA", "MT.CO1", "X7SK.1", "NKX2.1", "LYZ.1"]
    named = name_genes(cells(names, gene_ids=[*IDS, "", "", ""]))
    assert named.var_names.tolist() == [*SYMBOLS[:8], "HLA-DRA", "MT-CO1", "X7SK.1", "NKX2-1", "LYZ.1"]
    (note,) = named.notes
    assert (note.code, note.severity) == ("GENES_MAPPED", "info")
    assert "3 repaired, as R writes dots for dashes" in note.found
    assert "HLA.DRA = HLA-DRA" in note.examples
    assert named.var["gene_ids"].tolist()[:10] == IDS


def test_a_mangled_name_beside_its_own_symbol_stays() -> None:
    given = cells([*SYMBOLS, "HLA.DRA", "HLA-DRA", "HLA.A", "HLA_A"])
    assert name_genes(given) is given


def test_a_joint_reference_of_two_organisms_stays() -> None:
    names = [*(f"GRCh38_{name}" for name in SYMBOLS), *(f"mm10_{name.capitalize()}" for name in SYMBOLS)]
    given = cells(names)
    assert name_genes(given) is given


def test_training_reads_symbols_ids_and_sums_genes_that_become_one() -> None:
    names = [*IDS, "ENSG00000156738.7"]
    X = np.random.default_rng(0).poisson(2, (8, 11)) + 1
    adata = ad.AnnData(sp.csr_matrix(X.astype(np.float32)), obs=pd.DataFrame({"t": list("aabbaabb")}))
    adata.var_names = names
    adata.obs_names = [f"c{number}" for number in range(8)]
    from cellmark.schemas.cells.read_anndata import cells_from_anndata

    read = read_labelled(cells_from_anndata(adata), label="t", min_cells=2)
    assert read.gene_symbols == tuple(SYMBOLS)
    assert read.gene_ids == tuple(IDS)
    np.testing.assert_array_equal(read.counts.toarray()[:, 0], X[:, 0] + X[:, 10])
    assert {note.code for note in read.notes} >= {"GENES_MAPPED", "GENES_DUPLICATED"}
    assert read.n_genes_measured == 11
