"""Tables the wrong way round, told from their names: found where the names say so, never on ordinary tables."""

from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from cellmark.schemas.cells.table_orientation import names_swapped

IMMUNE = ["CD3D", "MS4A1", "LYZ", "GNLY", "NKG7", "CST3"]
BARCODES = ["AAACATACAACCAC-1", "sample2_AAACATTGAGCTACCC", "AAACATTGATCAGC"]
NUMBERED = [f"cell_{number}" for number in range(6)]


@pytest.mark.parametrize("file", ["pbmc3k", "pbmc_facs", "pancreas_baron_human", "mix5cl_celseq2"])
@pytest.mark.parametrize(("n_genes", "n_cells"), [(6, 4), (60, 3), (200, 300), (None, None)])
def test_real_names_are_told_apart_whatever_part_of_them_a_table_holds(
    file: str, n_genes: int | None, n_cells: int | None, shared_data: Path
) -> None:
    adata = ad.read_h5ad(shared_data / f"{file}.h5ad", backed="r")
    generator = np.random.default_rng(0)
    genes = list(generator.choice(adata.var_names, n_genes or adata.n_vars, replace=False))
    cells = list(generator.choice(adata.obs_names, n_cells or adata.n_obs, replace=False))
    adata.file.close()
    assert not names_swapped(gene_names=genes, cell_ids=cells)
    assert names_swapped(gene_names=cells, cell_ids=genes)


@pytest.mark.parametrize(
    ("genes", "cells"),
    [
        (IMMUNE, NUMBERED),
        (IMMUNE, BARCODES),
        (["Cd3e", "Ms4a1", "Lyz2", "Nkg7", "Ighm"], NUMBERED),
        ([f"ENSMUSG0000000{number}" for number in range(1000, 1005)], [f"S{number}" for number in range(9)]),
        (["RPL3", "RPS27A", "MT-CO1", "malat1"], ["A1", "B12", "H7"]),
        (["mt-Nd1", "Rpl3", "Rps6", "Xkr4"], ["TUMOR1", "TUMOR2"]),
    ],
)
def test_names_that_say_what_they_are_are_found(genes: list[str], cells: list[str]) -> None:
    assert names_swapped(gene_names=cells, cell_ids=genes)
    assert not names_swapped(gene_names=genes, cell_ids=cells)


@pytest.mark.parametrize(
    ("genes", "cells"),
    [
        ([f"GENE{number}" for number in range(120)], [f"cell-0-{number}" for number in range(40)]),
        ([f"g{number}" for number in range(20)], [f"c{number}" for number in range(20)]),
        (["IL2", "IL4", "IL6", "IL10", "IL13"], ["CTRL", "STIM"]),
        (["IL2", "IL4", "IL6", "IL10", "IL13"], ["A1", "A2", "A3", "B1", "B2"]),
        (IMMUNE, ["A1", "B2", "C3", "D4"]),
        (IMMUNE, ["TUMOR1", "CTRL2"]),
        (IMMUNE, ["0", "1", "2"]),
        (["a", "b", "c"], ["d", "e", "f"]),
        (["YAL001C", "YBR020W"], ["x1", "x2"]),
        (["1017", "672", "7157", "4609", "1956", "3845"], ["MS1", "MT2", "KO3"]),
    ],
)
def test_names_that_say_little_are_taken_as_they_stand(genes: list[str], cells: list[str]) -> None:
    assert not names_swapped(gene_names=genes, cell_ids=cells)


def test_the_header_of_the_names_says_what_rows_are() -> None:
    unclear = {"gene_names": ["x1", "x2"], "cell_ids": ["y1", "y2"]}
    assert names_swapped(**unclear, rows_are="gene_symbol")
    assert not names_swapped(**unclear, rows_are="gene_symbol", genes_in_rows=True)
    assert names_swapped(**unclear, rows_are="Cell ID", genes_in_rows=True)
    assert not names_swapped(**unclear, rows_are="cell_id")
    assert not names_swapped(**unclear)


def test_a_wrong_header_does_not_outweigh_barcodes_or_genes() -> None:
    assert not names_swapped(gene_names=IMMUNE, cell_ids=BARCODES, rows_are="gene")
    assert not names_swapped(gene_names=["RPL3", "RPS6", "MT-ND1"], cell_ids=["x", "y"], rows_are="gene")
    assert names_swapped(gene_names=BARCODES, cell_ids=IMMUNE, rows_are="cell_id")
