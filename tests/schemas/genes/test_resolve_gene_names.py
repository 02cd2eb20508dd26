"""Which gene a name stands for, and which names are left alone because they may stand for several."""

import numpy as np
import pytest

from cellmark.schemas.genes.gene_tables import ALIAS, AMBIGUOUS, ENSEMBL, ENTREZ, PREVIOUS, SYMBOL, load_gene_table
from cellmark.schemas.genes.name_list import NameList
from cellmark.schemas.genes.resolve_gene_names import (
    COPY,
    DATE,
    NO_WAY,
    SPELLING,
    ResolvedNames,
    current_symbols,
    resolve_gene_names,
)


def resolved(*names: str) -> ResolvedNames:
    return resolve_gene_names(NameList(np.array(names, dtype=object)), "human")


def symbol(found: ResolvedNames, number: int = 0) -> str | None:
    gene = int(found.gene[number])
    return str(load_gene_table("human").symbols[gene]) if gene >= 0 else None


@pytest.mark.parametrize(
    ("name", "expected", "way"),
    [
        ("MS4A1", "MS4A1", SYMBOL),
        (" MS4A1 ", "MS4A1", SPELLING),
        ("ms4a1", "MS4A1", SPELLING),
        ("HLA.A", "HLA-A", SPELLING),
        ("MT.CO1", "MT-CO1", SPELLING),
        ("X7SK", "7SK", SPELLING),
        ("c1orf112", "FIRRM", PREVIOUS),
        ("hg19_MS4A1", "MS4A1", SPELLING),
        ("GRCh38______HLA-A", "HLA-A", SPELLING),
        ("ENSG00000156738", "MS4A1", ENSEMBL),
        ("ENSG00000156738.18", "MS4A1", ENSEMBL),
        ("GRCh38_ENSG00000156738.18", "MS4A1", ENSEMBL),
        ("MARCH1", "MARCHF1", PREVIOUS),
        ("MARC1", "MTARC1", PREVIOUS),
        ("CD20", "MS4A1", PREVIOUS),
        ("Bp35", "MS4A1", ALIAS),
        ("3-Mar", "MARCHF3", DATE),
        ("Sep-07", "SEPTIN7", DATE),
        ("07.09.2021", "SEPTIN7", DATE),
    ],
)
def test_a_name_leads_to_its_gene(name: str, expected: str, way: int) -> None:
    found = resolved(name)
    assert symbol(found) == expected
    assert found.way.tolist() == [way]


@pytest.mark.parametrize("name", ["1-Mar", "Mar-01", "01.03.2020", "2-Mar"])
def test_a_date_of_two_genes_is_ambiguous(name: str) -> None:
    found = resolved(name)
    assert found.gene.tolist() == [AMBIGUOUS]
    symbols = load_gene_table("human").symbols[list(found.candidates[0])]
    assert {text[:4] for text in symbols} == {"MARC", "MTAR"}


def test_an_alias_of_two_genes_is_ambiguous() -> None:
    assert resolved("SEP2").gene.tolist() == [AMBIGUOUS]


@pytest.mark.parametrize("name", ["mm10_Cd79a", "no such gene", "", "RP11-206L10.2x", "ENSMUSG00000024673", "1-Jan"])
def test_other_names_are_unknown(name: str) -> None:
    found = resolved(name)
    assert symbol(found) is None
    assert found.way.tolist() == [NO_WAY]


def test_a_numbered_copy_is_never_taken_for_the_gene() -> None:
    found = resolved("CD4", "CD4.1", "CD8A-1", "LYZ.2")
    assert [symbol(found, number) for number in range(4)] == ["CD4", None, None, None]
    assert found.way.tolist() == [SYMBOL, COPY, NO_WAY, NO_WAY]


def test_row_numbers_are_no_entrez_ids() -> None:
    table = load_gene_table("human")
    ids = table.names[table.kind == ENTREZ][:3000]
    assert (resolved(*ids).gene >= 0).all()
    assert (resolved(*map(str, range(3000))).gene < 0).all()


def test_symbols_of_all_names() -> None:
    names = np.array(["ENSG00000198804", "MARCH1", "1-Mar", "other"], dtype=object)
    assert current_symbols(NameList(names), "human").tolist() == ["MT-CO1", "MARCHF1", "1-Mar", "other"]


def test_lists_are_remembered_by_their_names() -> None:
    first = resolved("MS4A1", "LYZ")
    assert resolved("MS4A1", "LYZ") is first
    assert resolved("MS4A1L", "YZ") is not first
    assert NameList(np.array(["a\nb", "c"])) != NameList(np.array(["a", "b\nc"]))
    ends = ["x" * 99]
    assert NameList(np.array([*ends, "a", *ends])) != NameList(np.array([*ends, "b", *ends]))
    assert NameList(np.array(["\ud800", "c"], dtype=object)) == NameList(np.array(["\ud800", "c"], dtype=object))


@pytest.mark.parametrize("dtype", [object, "U", ">U9"])
def test_lists_are_told_apart_in_any_kind_of_array(dtype: object) -> None:
    lists = [
        ["ab", "c"],
        ["a", "bc"],
        ["abc"],
        ["abc", ""],
        ["", "abc"],
        ["ab\0c"],
        ["ab", "d"],
        ["ab", "é"],
        ["ab", "€"],
    ]
    distinct = {NameList(np.array(names, dtype=dtype)) for names in lists}  # type: ignore[call-overload]
    assert len(distinct) == len(lists)
    for names in lists:
        again = NameList(np.array(names, dtype=dtype))  # type: ignore[call-overload]
        assert again == NameList(np.array(names, dtype=dtype))  # type: ignore[call-overload]
        assert again.names.tolist() == names


def test_names_with_separators_in_them_are_told_apart() -> None:
    first, second = (NameList(np.array(names, dtype=object)) for names in (["a\0", "b"], ["a", "\0b"]))
    assert first != second
    assert NameList(np.array([], dtype=object)) != NameList(np.array([""], dtype=object))
