"""Names of an input onto a panel: exact ones first, better ways before worse, doubt is reported and left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.genes.map_gene_names import MappedGenes, PanelNames, map_gene_names

HUMAN = PanelNames(("MS4A1", "MARCH1", "HLA-A", "TBCE", "RP11-206L10.2"), None, "human")


def mapped(panel: PanelNames, *names: str) -> MappedGenes:
    given_names = np.array(names, dtype=object)
    return map_gene_names(given_names, panel, panel.columns_of(given_names))


def test_each_name_goes_to_its_gene_and_says_how() -> None:
    found = mapped(HUMAN, "LYZ", "ENSG00000156738.3", "MARCHF1", "hla.a", "RP11.206L10.2", "what")
    assert found.columns.tolist() == [-1, 0, 1, 2, 4, -1]
    assert found.mapped == (
        ("ENSG00000156738.3", "MS4A1", "Ensembl id"),
        ("MARCHF1", "MARCH1", "current symbol"),
        ("hla.a", "HLA-A", "spelling"),
        ("RP11.206L10.2", "RP11-206L10.2", "spelling"),
    )
    assert found.lost == ("what",)
    assert found.ways == {"spelling": 2, "Ensembl id": 1, "current symbol": 1}


def test_an_exact_name_takes_no_other() -> None:
    found = mapped(HUMAN, "MS4A1", "CD20", "ENSG00000156738", "ms4a1")
    assert found.columns.tolist() == [0, -1, -1, -1]
    assert found.mapped == ()


def test_a_better_way_wins() -> None:
    assert mapped(HUMAN, "CD20", "ENSG00000156738").columns.tolist() == [-1, 0]
    assert mapped(HUMAN, "CD20", "ms4a1").columns.tolist() == [-1, 0]


def test_several_ids_of_a_gene_are_all_taken_but_several_aliases_are_not() -> None:
    panel = PanelNames(("POLR2J3",), None, "human")  # Ensembl has it at two places
    assert mapped(panel, "ENSG00000168255", "ENSG00000285437").columns.tolist() == [0, 0]
    assert mapped(HUMAN, "Bp35").columns.tolist() == [0]
    two = mapped(HUMAN, "Bp35", "FMC7")
    assert two.columns.tolist() == [-1, -1]
    assert [doubt.name for doubt in two.ambiguous] == ["Bp35", "FMC7"]


def test_ambiguous_names_are_told_when_they_matter() -> None:
    (doubt,) = mapped(HUMAN, "1-Mar", "MS4A1").ambiguous
    assert (doubt.name, set(doubt.symbols)) == ("1-Mar", {"MARCHF1", "MTARC1"})
    assert mapped(HUMAN, "1-Mar", "MARCH1").ambiguous == ()
    assert mapped(HUMAN, "2-Mar", "SEP2").ambiguous == ()


def test_a_symbol_that_was_another_genes_before_is_a_doubt() -> None:
    # HGNC: IL27 is the symbol of interleukin 27 and a previous one of MYDGF.
    panel = PanelNames(("MYDGF", "MS4A1"), None, "human")
    found = mapped(panel, "IL27", "MS4A1")
    assert found.columns.tolist() == [-1, 1]
    assert found.ambiguous[0].symbols == ("IL27", "MYDGF")


def test_the_panels_own_ids_come_before_its_symbols() -> None:
    panel = PanelNames(("old name", "x"), ("ENSG00000156738", "ENSG99999999999"), "human")
    assert mapped(panel, "ENSG00000156738.2", "ENSG99999999999.1").columns.tolist() == [0, 1]
    assert mapped(panel, "MS4A1").columns.tolist() == [0]


def test_a_gene_under_two_names_in_the_panel_is_its_current_one() -> None:
    both = PanelNames(("MARCH1", "MARCHF1"), None, "human")
    assert mapped(both, "ENSG00000145416").columns.tolist() == [1]
    old = PanelNames(("MARCH1", "RNF171"), None, "human")
    assert mapped(old, "ENSG00000145416").columns.tolist() == [-1]


def test_a_panel_of_no_known_organism_goes_by_spelling_alone() -> None:
    panel = PanelNames(("GENE-1", "gene2", "ENSDARG00000000001", "Gene.3", "GENE_3"), None, None)
    found = mapped(panel, "gene.1", "hg19_GENE2", "ENSDARG00000000001.4", "gene3", "gene-3")
    assert found.columns.tolist() == [0, 1, 2, -1, -1]
    assert found.lost == ()


def test_genes_of_another_genome_are_never_taken() -> None:
    assert mapped(HUMAN, "mm10_Ms4a1", "mm10_MS4A1", "GRCm38_RP11-206L10.2").columns.tolist() == [-1, -1, -1]


def test_an_x_that_is_part_of_the_name_stays() -> None:
    panel = PanelNames(("IST", "7SK"), None, None)
    assert mapped(panel, "XIST", "X7SK").columns.tolist() == [-1, 1]


@pytest.mark.parametrize("organism", ["human", "mouse", None])
@given(names=st.lists(st.one_of(st.text(max_size=12), st.sampled_from(["MS4A1", "1-Mar", "TBCE", "TBCE.1", "930"]))))
def test_any_names_are_mapped_without_harm(organism: str | None, names: list[str]) -> None:
    panel = PanelNames(HUMAN.symbols, None, organism)  # type: ignore[arg-type]
    given_names = np.array(names, dtype=object)
    exact = panel.columns_of(given_names)
    found = map_gene_names(given_names, panel, exact)
    assert len(found.columns) == len(names)
    assert (found.columns[exact >= 0] == exact[exact >= 0]).all()
    assert len(found.mapped) == (found.columns >= 0).sum() - (exact >= 0).sum()
    again = map_gene_names(given_names[::-1], panel, exact[::-1])
    assert again.columns[::-1].tolist() == found.columns.tolist()
