"""What spreadsheets, R, joint references and tools do to names, and what can be said of it from the name alone."""

import pytest

from cellmark.schemas.genes.mangled_gene_names import (
    copied_from,
    dated_symbols,
    ensembl_id,
    genome_prefix,
    loose_keys,
    without_x,
)


def test_keys_ignore_case_and_punctuation() -> None:
    assert len(set(loose_keys(["HLA-A", "HLA.A", "hla_a", "Hla A"]))) == 1
    assert len(set(loose_keys(["HLA-A", "HLAA", "HLA-B"]))) == 3


def test_keys_keep_their_places_whatever_is_in_a_name() -> None:
    assert loose_keys(["a\nb", "c"]) == ["A.B", "C"]
    assert len(set(loose_keys(["IFNα", "IFNβ", "IFN-"]))) == 3
    assert loose_keys([]) in ([], [""])


@pytest.mark.parametrize(
    ("name", "organism", "bare"),
    [
        ("hg19_MS4A1", "human", "MS4A1"),
        ("GRCh38______CD3D", "human", "CD3D"),
        ("GRCh38-HLA-A", "human", "HLA-A"),
        ("mm10___Cd79a", "mouse", "Cd79a"),
        ("mm10-Cd79a", "mouse", "Cd79a"),
        ("HGF", None, "HGF"),
        ("hg19_", None, "hg19_"),
        ("MMP9", None, "MMP9"),
    ],
)
def test_a_genomes_prefix_names_the_organism(name: str, organism: str | None, bare: str) -> None:
    assert genome_prefix(name) == (organism, bare)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ENSG00000156738", ("ENSG00000156738", False)),
        ("ENSG00000156738.18", ("ENSG00000156738", True)),
        ("ensg00000156738.18", ("ENSG00000156738", True)),
        ("ENSG00000002586.20_PAR_Y", ("ENSG00000002586", True)),
        ("ENSMUSG00000024673.7", ("ENSMUSG00000024673", True)),
        ("ENSDARG00000000001", ("ENSDARG00000000001", False)),
        ("ENST00000345732", None),
        ("ENSA", None),
        ("ENSG123", None),
    ],
)
def test_ensembl_ids_lose_their_version(name: str, found: tuple[str, bool] | None) -> None:
    assert ensembl_id(name) == found


@pytest.mark.parametrize(
    "name",
    ["1-Mar", "Mar-1", "01-Mar", "Mar-01", "1-Mar-20", "01.03.2020", "1.3.20", "3/1/2020", "2020-03-01",
     "2020-03-01 00:00:00", "1. Mrz", "March 1", "1 march"],
)  # fmt: skip
def test_a_first_of_march_may_have_been_march1_or_marc1(name: str) -> None:
    assert {"MARCH1", "MARC1"} <= set(dated_symbols(name))


@pytest.mark.parametrize(
    ("name", "symbol"), [("2-Sep", "SEPT2"), ("Sep-02", "SEPT2"), ("15.09.2021", "SEP15"), ("1-Dec", "DEC1")]
)
def test_other_dates_give_their_symbols(name: str, symbol: str) -> None:
    assert symbol in dated_symbols(name)


@pytest.mark.parametrize("name", ["MARCH1", "SEPT2", "MS4A1", "H3-4", "7SK", "40-Mar", "1-Foo", "MAR", "43891", ""])
def test_what_is_no_date_gives_nothing(name: str) -> None:
    assert dated_symbols(name) == ()


def test_rs_x_and_numbers_are_told_apart_from_names() -> None:
    assert without_x("X7SK") == "7SK"
    assert without_x("XIST") is None
    assert copied_from("TBCE.1") == copied_from("TBCE-1") == "TBCE"
    assert copied_from("TBCE") is None
