"""Cells of one organism under a model of another."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.errors import InputError, ParameterError, ReadError
from cellmark.schemas.genes.fit_genes import GeneFit, fit_genes
from cellmark.schemas.genes.gene_panel import GenePanel
from cellmark.schemas.genes.gene_tables import ORGANISMS, load_gene_table
from cellmark.schemas.genes.name_list import NameList
from cellmark.schemas.genes.orthologs import Orthologs, read_orthologs, shipped_orthologs

PAIRS = {"CD3D": "Cd3d", "MS4A1": "Ms4a1", "CD74": "Cd74", "PTPRC": "Ptprc", "MT-CO1": "mt-Co1", "H2AZ1": "H2az1"}
"""As Ensembl's pages of these genes give them."""
HUMAN = GenePanel((*PAIRS, "INS", "LYZ"), organism="human")
MOUSE_NAMES = [*PAIRS.values(), "Ins1", "Ins2", "Lyz2", "0610007P14Rik"]


def fit(names: list[str], panel: GenePanel = HUMAN, orthologs: Orthologs | None = None, **uns: str) -> GeneFit:
    listed = np.array(names, dtype=object)
    obs = pd.DataFrame(index=["cell"])
    source = MemoryCells(sp.csr_matrix(np.ones((1, len(names)))), listed, obs, uns=dict(uns))
    return fit_genes(panel, source, orthologs=orthologs)


def found(fitted: GeneFit, names: list[str], panel: GenePanel = HUMAN) -> dict[str, str]:
    return {
        name: panel.symbols[column] for name, column in zip(names, fitted.match.columns, strict=True) if column >= 0
    }


def test_the_shipped_pairs_are_one_to_one_and_of_the_shipped_genes() -> None:
    shipped = shipped_orthologs()
    for organism in ORGANISMS:
        names = shipped.names[organism]
        assert len(set(names)) == len(names) == 17_051
        assert set(names) <= set(load_gene_table(organism).symbols)
    pairs = dict(zip(shipped.names["human"], shipped.names["mouse"], strict=True))
    assert {name: pairs[name] for name in PAIRS} == PAIRS
    assert not {"INS", "CD8B"} & set(pairs), "genes with two orthologs, or one that two genes share"


def test_without_orthologs_cells_of_another_organism_are_refused_and_led_to_the_option() -> None:
    (finding,) = fit(MOUSE_NAMES).findings
    assert (finding.code, finding.severity) == ("ORGANISM_MISMATCH", "error")
    assert "--orthologs" in finding.remedy


def test_genes_are_named_by_their_only_ortholog_and_all_others_are_not_measured() -> None:
    fitted = fit(MOUSE_NAMES, orthologs=shipped_orthologs())
    assert found(fitted, MOUSE_NAMES) == {mouse: human for human, mouse in PAIRS.items()}
    assert fitted.match.missing == ("INS", "LYZ")
    assert [(note.code, note.severity) for note in fitted.findings] == [("CROSS_SPECIES", "warning")]
    assert fitted.across is not None
    assert fitted.across.text == "mouse cells, human model"
    assert list(fitted.symbols) == MOUSE_NAMES


def test_ids_and_the_reverse_work_too() -> None:
    panel = GenePanel(tuple(PAIRS.values()), organism="Mus musculus")
    names = ["ENSG00000167286.11", "ENSG00000156738", "CD74", "INS", "B220"]
    fitted = fit(names, panel, shipped_orthologs())
    assert found(fitted, names, panel) == {
        "ENSG00000167286.11": "Cd3d", "ENSG00000156738": "Ms4a1", "CD74": "Cd74", "B220": "Ptprc",
    }  # fmt: skip
    assert fitted.across is not None
    assert fitted.across.text == "human cells, mouse model"


def test_an_alias_beside_the_gene_itself_is_not_added_to_it() -> None:
    panel = GenePanel(tuple(PAIRS.values()), organism="mouse")
    names = ["CD3D", "CD74", "MS4A1", "CD20"]
    assert found(fit(names, panel, shipped_orthologs()), names, panel) == {
        "CD3D": "Cd3d", "CD74": "Cd74", "MS4A1": "Ms4a1",
    }  # fmt: skip


def test_a_name_that_is_spelled_alike_is_no_ortholog() -> None:
    """Ensembl's ortholog of human LYZ is mouse Lyz3: a name like LYZ must not be taken for it."""
    names = [*PAIRS.values(), "Lyz", "lyz"]
    assert "LYZ" not in found(fit(names, orthologs=shipped_orthologs()), names).values()


def test_cells_of_the_models_own_organism_are_as_without() -> None:
    names = ["CD3D", "ENSG00000156738", "CD74"]
    with_, without = fit(names, orthologs=shipped_orthologs()), fit(names)
    assert with_.across is None
    assert with_.findings == without.findings
    np.testing.assert_array_equal(with_.match.columns, without.match.columns)


def test_other_organisms_and_mixtures_stay_refused() -> None:
    for names in (
        ["ENSRNOG00000000001", "ENSRNOG00000000002"],
        ["GRCh38_CD3D", "GRCh38_MS4A1", "mm10_Cd3d", "mm10_Ptprc"],
    ):
        assert [note.code for note in fit(names, orthologs=shipped_orthologs()).findings] == ["ORGANISM_MISMATCH"]


def table(folder: Path, text: str, name: str = "mine.csv") -> Orthologs:
    (folder / name).write_text(text, encoding="utf-8")
    return read_orthologs(folder / name)


def pairs_of(orthologs: Orthologs, first: str, second: str) -> set[tuple[str, str]]:
    return set(zip(orthologs.names[first], orthologs.names[second], strict=True))


def test_a_table_of_ones_own_loses_genes_with_several_partners(tmp_path: Path) -> None:
    orthologs = table(tmp_path, "mouse,human\nCd3d,CD3D\nIns1,INS\nIns2,INS\nPtprc,CD45\nPtprc,CD45\nXyz,\n")
    assert pairs_of(orthologs, "human", "mouse") == {("CD3D", "Cd3d"), ("PTPRC", "Ptprc")}
    assert orthologs.source == "mine.csv"


def test_biomarts_export_is_taken_as_it_is(tmp_path: Path) -> None:
    text = """Gene stable ID\tGene name\tMouse gene name\tMouse gene stable ID\tMouse homology type
ENSG00000167286\tCD3D\tCd3d\tENSMUSG00000032094\tortholog_one2one
ENSG00000156738\tMS4A1\tMs4a1\tENSMUSG00000024673\tortholog_one2many
ENSG00000210049\tMT-TF\t\t\t
"""
    orthologs = table(tmp_path, text, "mart_export.txt")
    assert pairs_of(orthologs, "human", "mouse") == {("CD3D", "Cd3d")}


def test_another_organism_is_matched_by_the_tables_own_names(tmp_path: Path) -> None:
    orthologs = table(
        tmp_path, "rat,Rat gene stable ID,human\nCd3d,ENSRNOG00000016053,CD3D\nMs4a1,ENSRNOG00000001,MS4A1\n"
    )
    by_id = ["ENSRNOG00000016053", "ENSRNOG00000099999"]
    assert found(fit(by_id, orthologs=orthologs), by_id) == {"ENSRNOG00000016053": "CD3D"}
    by_name = ["Cd3d", "Ms4a1", "Actb"]
    fitted = fit(by_name, orthologs=orthologs, organism="Rattus norvegicus")
    assert found(fitted, by_name) == {"Cd3d": "CD3D", "Ms4a1": "MS4A1"}
    assert fitted.across is not None
    assert fitted.across.cells == "rat"


@pytest.mark.parametrize("text", ["", "human,b\nCD3D,1\n", "human,mouse,rat\nCD3D,Cd3d,Cd3d\n", '"a\n'])
def test_what_names_no_two_organisms_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ParameterError, match="such as human and mouse"):
        table(tmp_path, text)
    with pytest.raises(ReadError, match="FILE_NOT_FOUND"):
        read_orthologs(tmp_path / "nowhere.csv")


def test_names_of_a_list_keep_their_places() -> None:
    named = shipped_orthologs().named(NameList(np.array(["Ins1", "Cd3d", "", "Ptprc"])), cells="mouse", model="human")
    assert list(named) == ["", "CD3D", "", "PTPRC"]


def test_names_that_no_table_has_are_judged_by_the_organism_of_the_cells() -> None:
    names = np.array([*PAIRS.values(), "Actb", "Gapdh", "mystery"], dtype=object)
    X = sp.csr_matrix(np.full((8, len(names)), 2.0))
    obs = pd.DataFrame(index=[f"cell-{number}" for number in range(8)])
    clean = MemoryCells(X, names, obs)
    assert {note.code for note in CheckedCells(clean, HUMAN, orthologs=shipped_orthologs()).notes} == {"CROSS_SPECIES"}
    swamped = X.toarray()
    swamped[:, -1] = 100
    cells = CheckedCells(MemoryCells(sp.csr_matrix(swamped), names, obs), HUMAN, orthologs=shipped_orthologs())
    with pytest.raises(InputError, match="mystery"):
        list(cells.chunks(8))
