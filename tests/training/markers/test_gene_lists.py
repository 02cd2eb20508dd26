"""Lists of genes that may or may not be markers."""

from pathlib import Path

import anndata as ad
import pytest

from cellmark.schemas.errors import CellmarkError
from cellmark.training.markers.gene_lists import BUILT_IN, SURFACE_GENES, gene_list, read_gene_list, select


def chosen(symbols: str, **lists: list[str]) -> str:
    """The symbols that may be ranked."""
    names = symbols.split()
    allowed = select(names, **lists).allowed  # type: ignore[arg-type]
    return " ".join(name for name, kept in zip(names, allowed, strict=True) if kept)


# built-in lists


@pytest.mark.parametrize(
    ("name", "members", "others"),
    [
        (
            "ribosomal",
            "RPL3 RPL3L RPL7A RPL7L1 RPL10 RPL13A RPL36A RPL36AL RPL41 RPLP0 RPLP2 RPS2 RPS3A RPS4X RPS4Y1 RPS4Y2 RPS6 "
            "RPS15A RPS27L RPSA RPL23AP42 RPLP0P2 RPSAP58 RPS26P11 Rpl10 Rps4x Rplp0 Rpsa Rpl36a-ps1 Rps19-ps3",
            "RPS6KA1 RPS6KB1 RPS6KC1 RPS6KL1 RPS19BP1 RPL34-AS1 RPL17-C18orf32 Rps6ka3 MRPL12 MRPS7 RPP30 RPN1 RPE "
            "ARPC2 RPTOR RPA1",
        ),
        ("mitochondrial", "MT-CO1 MT-ND4L MT-RNR2 mt-Nd1 mt-Co3 MT.ND1", "MT1A MT2A MTOR MTND1P23 MTRNR2L1 GMT-1"),
        (
            "hemoglobin",
            "HBA1 HBA2 HBB HBD HBE1 HBG1 HBG2 HBM HBQ1 HBZ Hba-a1 Hba-a2 Hbb-bs Hbb-bt Hbb-bh1 Hbq1b",
            "HBEGF HBP1 HBS1L HBBP1 Hbegf CHB",
        ),
        ("surface", "CD3E MS4A1 NCAM1 ITGAX Cd19 Itgam Cd8b KLRB1", "CD68 LAMP1 LYZ GNLY CD2AP CD2BP2 HLA-DRA FUT4"),
    ],
)
def test_a_built_in_list_holds_its_genes_of_man_and_mouse_and_no_others(name: str, members: str, others: str) -> None:
    everything = f"{members} {others}"
    assert chosen(everything, include=[name]) == members
    assert chosen(everything, exclude=[name.upper()]) == others


def test_ribosomal_and_hemoglobin_genes_of_real_data(shared_data: Path) -> None:
    names = list(map(str, ad.read_h5ad(shared_data / "pbmc3k.h5ad", backed="r").var_names))
    begin = [name for name in names if name.startswith(("RPS", "RPL"))]
    left_out = set(begin) - set(chosen(" ".join(begin), include=["ribosomal"]).split())
    assert left_out == {name for name in begin if "6K" in name} | {"RPS19BP1", "RPL34-AS1"}
    assert chosen(" ".join(names), include=["hemoglobin"]).split() == ["HBB", "HBD", "HBA2", "HBA1", "HBQ1"]


def test_surface_genes_are_approved_symbols_each_once(shared_data: Path) -> None:
    """KIR haplotypes differ between people, so the references of real data sets lack some of them."""
    assert len(set(SURFACE_GENES)) == len(SURFACE_GENES) > 350
    measured: set[str] = set()
    for path in shared_data.glob("*.h5ad"):
        measured |= set(map(str, ad.read_h5ad(path, backed="r").var_names))
    assert all(symbol.startswith("KIR") for symbol in set(SURFACE_GENES) - measured)


# selecting


def test_include_then_exclude() -> None:
    genes = "CD3E RPL3 MS4A1 LYZ MT-CO1"
    assert chosen(genes) == genes
    assert chosen(genes, include=["LYZ", "surface"]) == "CD3E MS4A1 LYZ"
    assert chosen(genes, include=["LYZ", "surface"], exclude=["ms4a1"]) == "CD3E LYZ"
    assert chosen(genes, exclude=["ribosomal", "mitochondrial", "LYZ"]) == "CD3E MS4A1"


def test_genes_may_be_named_by_ensembl_id_with_or_without_version() -> None:
    symbols, ids = ["MS4A1", "CD3E", "LYZ", "RP11-34P13.7"], ["ENSG00000156738.17", "ENSG00000198851", None, None]
    for entry in ("ENSG00000156738", "ENSG00000156738.3", "ensg00000156738.17"):
        assert select(symbols, ids, include=[entry]).allowed.tolist() == [True, False, False, False]
    assert select(symbols, ids, include=["ENSG00000198851.1"]).allowed.tolist() == [False, True, False, False]
    assert select(symbols, ids, include=["RP11-34P13.7"]).allowed.tolist() == [False, False, False, True]
    assert select(symbols, ids, include=["LYZ"]).findings == ()


def test_names_that_the_data_lack_are_told() -> None:
    found = select(["A", "B"], include=["A", "nope"], exclude=["MALAT-1", "hemoglobin"])
    assert found.allowed.tolist() == [True, False]
    warning, note = found.findings
    assert (warning.code, warning.where, warning.severity, warning.examples) == (
        "GENE_LIST_UNMATCHED", "include_genes", "warning", ("nope",),
    )  # fmt: skip
    assert (note.where, note.severity, note.examples) == ("exclude_genes", "info", ("MALAT-1",))


@pytest.mark.parametrize(
    ("lists", "where"),
    [
        ({"include": ["nope"]}, "include_genes"),
        ({"include": ["hemoglobin"]}, "include_genes"),
        ({"include": ["CD3E"], "exclude": ["surface"]}, "include_genes"),
        ({"exclude": ["CD3E", "LYZ"]}, "exclude_genes"),
    ],
)
def test_lists_that_leave_nothing_are_refused(lists: dict[str, list[str]], where: str) -> None:
    with pytest.raises(CellmarkError) as caught:
        select(["CD3E", "LYZ"], **lists)  # type: ignore[arg-type]
    (finding,) = caught.value.findings
    assert (finding.code, finding.where) == ("PARAMETER_INVALID", where)
    assert finding.examples


# reading


def test_a_list_is_genes_built_in_names_and_files(tmp_path: Path) -> None:
    path = tmp_path / "panel.txt"
    path.write_text("# my panel\nCD4\n\n  CD8A  # cytotoxic\nsurface\nCD4\n", encoding="utf-8-sig")
    assert read_gene_list(path) == ["CD4", "CD8A", "surface", "CD4"]
    assert gene_list(f"MS4A1, {path} ,ribosomal") == ("MS4A1", "CD4", "CD8A", "surface", "ribosomal")
    assert gene_list("RP11-34P13.7,HLA.A,") == ("RP11-34P13.7", "HLA.A")
    assert set(gene_list(",".join(BUILT_IN))) == set(BUILT_IN)


@pytest.mark.parametrize("text", ["", " , ,", "{tmp}/empty.txt"])
def test_a_list_of_nothing_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("# nothing yet\n")
    with pytest.raises(CellmarkError) as caught:
        gene_list(text.format(tmp=tmp_path))
    assert caught.value.code == "PARAMETER_INVALID"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("none.txt", None, "FILE_NOT_FOUND"),
        ("table.csv", b"gene,score\nCD4,1\n", "FILE_UNREADABLE"),
        ("binary.txt", b"\xff\xfe\x00CD4", "FILE_UNREADABLE"),
        ("folder/", None, "FILE_UNREADABLE"),
    ],
)
def test_a_file_that_is_no_list_is_refused(name: str, content: bytes | None, code: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    elif name.endswith("/"):
        path.mkdir()
    with pytest.raises(CellmarkError) as caught:
        gene_list(f"{tmp_path}/{name}")
    assert caught.value.code == code
