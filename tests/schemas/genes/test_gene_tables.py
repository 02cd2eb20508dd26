"""The shipped names of genes: known genes by every kind of name, ambiguous ones, sources, and that they load late."""

import hashlib
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest

from cellmark.schemas.genes.gene_tables import AMBIGUOUS, ORGANISMS, RELEASE, GeneTable, Organism, load_gene_table
from cellmark.schemas.genes.mangled_gene_names import loose_keys

DATA = files("cellmark.schemas") / "data"
HUMAN = {
    "CD3D": ("ENSG00000167286", "915"),
    "MS4A1": ("ENSG00000156738", "931"),
    "NKG7": ("ENSG00000105374", "4818"),
    "GNLY": ("ENSG00000115523", "10578"),
    "LYZ": ("ENSG00000090382", "4069"),
    "PPBP": ("ENSG00000163736", "5473"),
    "FCGR3A": ("ENSG00000203747", "2214"),
    "MT-CO1": ("ENSG00000198804", "4512"),
}
"""Ids as Ensembl and NCBI Gene give them."""
MOUSE = {"Cd3d": "ENSMUSG00000032094", "Ms4a1": "ENSMUSG00000024673", "Lyz2": "ENSMUSG00000069516"}


def symbols_of(table: GeneTable, *names: str) -> list[str | None]:
    places = table.find(names)
    genes = [int(table.gene[place]) if place >= 0 else -1 for place in places]
    return [str(table.symbols[gene]) if gene >= 0 else None for gene in genes]


def test_known_genes_are_found_by_symbol_and_by_id() -> None:
    table = load_gene_table("human")
    for symbol, names in HUMAN.items():
        assert symbols_of(table, symbol, *names) == [symbol] * 3
    mouse = load_gene_table("mouse")
    for symbol, name in MOUSE.items():
        assert symbols_of(mouse, symbol, name) == [symbol] * 2


def test_previous_symbols_and_aliases_lead_to_the_current_symbol() -> None:
    table = load_gene_table("human")
    assert symbols_of(table, "MARCH1", "MARC1", "SEPT7", "FAM46C") == ["MARCHF1", "MTARC1", "SEPTIN7", "TENT5C"]
    assert symbols_of(table, "CD20", "no such gene") == ["MS4A1", None]


def test_a_symbol_wins_over_the_same_word_as_an_alias() -> None:
    table = load_gene_table("human")
    assert symbols_of(table, *table.symbols) == table.symbols.tolist()


def test_an_alias_of_several_genes_is_ambiguous_and_names_them() -> None:
    table = load_gene_table("human")
    (place,) = table.find(["SEP2"])
    assert table.gene[place] == AMBIGUOUS
    assert {str(table.symbols[gene]) for gene, _ in table.candidates(int(place))} == {"SEPTIN6", "SEPTIN8"}


def test_names_are_found_whatever_their_case_and_punctuation() -> None:
    table = load_gene_table("human")
    places = table.find_loosely(loose_keys(["hla.a", "Ms4a1", "C1ORF112", "MT.CO1", "no such gene"]))
    assert table.names[places[:4]].tolist() == ["HLA-A", "MS4A1", "C1orf112", "MT-CO1"]
    assert places[4] == -1


def test_names_that_differ_in_spelling_alone_are_ambiguous() -> None:
    table = load_gene_table("human")
    alike = [key for key in set(loose_keys(table.names)) if table.alike(key)]
    assert alike
    for key in alike[:20]:
        assert table.find_loosely([key]).tolist() == [AMBIGUOUS]
        assert len(set(table.alike(key))) > 1


@pytest.mark.parametrize("organism", ORGANISMS)
def test_the_parts_of_a_table_fit_together(organism: Organism) -> None:
    table = load_gene_table(organism)
    n_names = len(table.names)
    assert len(set(table.names.tolist())) == n_names == len(table.gene) == len(table.kind) == len(table.starts) - 1
    assert len(set(table.symbols.tolist())) == len(table.symbols)
    rng = np.random.default_rng(0)
    for place in rng.integers(0, n_names, 2000).tolist():
        candidates = table.candidates(place)
        best = [gene for gene, kind in candidates if kind == table.kind[place]]
        assert min(kind for _, kind in candidates) == table.kind[place]
        assert table.gene[place] == (best[0] if len(best) == 1 else AMBIGUOUS)


def test_the_readme_states_each_table_with_its_digest_and_the_releases() -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    for organism in ORGANISMS:
        assert hashlib.sha256((DATA / f"genes_{organism}.parquet").read_bytes()).hexdigest() in readme
    assert "| 48 |" in readme
    assert "| M37 |" in readme
    assert "CC0" in readme
    assert "complete_set_2026-06-20" in readme
    assert RELEASE == "GENCODE 48 (human) and M37 (mouse), HGNC of 2026-06-20"


def test_the_tables_are_small() -> None:
    assert sum(len(file.read_bytes()) for file in DATA.iterdir()) < 2_000_000


def test_names_that_are_the_panels_load_no_table() -> None:
    code = """
import numpy as np, pandas as pd, scipy.sparse as sp
from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.schemas.genes.fit_genes import fit_genes
from cellmark.schemas.genes.gene_panel import GenePanel
from cellmark.schemas.genes.gene_tables import load_gene_table
cells = MemoryCells(sp.csr_matrix(np.ones((2, 3))), np.array(["LYZ", "CD3D", "extra"]), pd.DataFrame(index=["a", "b"]))
cells.uns = {"organism": "Homo sapiens"}
assert not fit_genes(GenePanel(("CD3D", "LYZ"), None, "human"), cells).findings
assert load_gene_table.cache_info().currsize == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
