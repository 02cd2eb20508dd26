"""Tables of one row for each gene and cell, against a pivot by pandas."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.read_limits import ReadLimits
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.errors import ReadError


def drawn(n_cells: int = 30, n_genes: int = 20) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows, columns = np.nonzero(generator.poisson(0.7, (n_cells, n_genes)))
    names = np.array(["NA", "nan", *(f"GENE{number}" for number in range(n_genes - 2))])
    cells = np.array(["".join(letters) for letters in generator.choice([*"ACGT"], (n_cells, 16))])
    counts = generator.integers(1, 9, len(rows))
    return pd.DataFrame({"gene": names[columns], "cell": cells[rows], "count": counts}).sort_values(["gene", "cell"])


def same_as_pivot(path: Path, table: pd.DataFrame, *, genes_by_cells: bool = False) -> None:
    cells = open_cells(path, ReadingOptions(genes_by_cells=genes_by_cells))
    expected = table.pivot_table(index="cell", columns="gene", values="count", fill_value=0)
    found = pd.DataFrame(cells.load().toarray(), index=cells.cell_ids, columns=cells.var_names)
    np.testing.assert_array_equal(found.loc[expected.index, expected.columns], expected)
    assert found.shape == expected.shape
    (note,) = cells.notes
    assert (note.code, note.severity) == ("TABLE_LONG", "info")


@pytest.mark.parametrize("order", [["gene", "cell", "count"], ["cell", "gene", "count"], ["count", "cell", "gene"]])
@pytest.mark.parametrize("name", ["t.tsv.gz", "t.csv", "t.txt"])
@pytest.mark.parametrize("genes_by_cells", [False, True])
def test_it_is_read_as_pandas_pivots_it(order: list[str], name: str, genes_by_cells: bool, tmp_path: Path) -> None:
    table = drawn()
    table[order].to_csv(tmp_path / name, sep="," if ".csv" in name else "\t", index=False)
    same_as_pivot(tmp_path / name, table, genes_by_cells=genes_by_cells)


@pytest.mark.parametrize("names", [("GeneSymbol", "CellID", "UMI"), ("geneName", "cellBarcode", "nUMI")])
def test_headers_in_camel_case_are_words_like_others(names: tuple[str, str, str], tmp_path: Path) -> None:
    drawn().rename(columns=dict(zip(("gene", "cell", "count"), names, strict=True))).to_csv(
        tmp_path / "t.csv", index=False
    )
    same_as_pivot(tmp_path / "t.csv", drawn())


def test_the_best_of_several_counts_is_taken(tmp_path: Path) -> None:
    """BD Rhapsody's expression_data.st, with its remarks."""
    table = drawn()
    rhapsody = pd.DataFrame(
        {
            "Cell_Index": pd.factorize(table["cell"])[0] * 37 + 1001,
            "Gene": table["gene"],
            "RSEC_Reads": table["count"] * 7,
            "Raw_Molecules": table["count"] + 1,
            "RSEC_Adjusted_Molecules": table["count"],
        }
    )
    text = "####################\n## BD Targeted Multiplex Rhapsody Analysis Pipeline\n" + rhapsody.to_csv(
        sep="\t", index=False
    )
    (tmp_path / "t.tsv").write_text(text)
    expected = table.assign(cell=rhapsody["Cell_Index"].astype(str))
    same_as_pivot(tmp_path / "t.tsv", expected)


def test_parts_give_the_same_as_the_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = drawn()
    table.to_csv(tmp_path / "t.csv")  # with the numbers of rows
    same_as_pivot(tmp_path / "t.csv", table)
    monkeypatch.setattr("cellmark.schemas.cells.read_long_table.ROWS_AT_ONCE", 7)
    same_as_pivot(tmp_path / "t.csv", table)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("A,c1,2\nB,c1,1\nA,c1,2\n", "1 rows of a gene and cell that come before"),
        ("A,c1,2\nB,c1,many\n", "'many' in row 3, column 'count'"),
        ("A,c1,2\nB,c1\n", "in row 3, column 'count'"),
        ("A,c1,2\nB,c1,\n", "'' in row 3"),
        ("A,c1,2\nB,c1,1,5\n", "saw 4"),
    ],
)
def test_rows_that_say_no_count_are_refused(rows: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("gene,cell,count\n" + rows)
    with pytest.raises(ReadError) as raised:
        open_cells(tmp_path / "t.csv")
    assert raised.value.code == "TABLE_INVALID"
    assert found in raised.value.findings[0].found


@pytest.mark.parametrize("sorted_by", ["gene", "cell"])
@pytest.mark.parametrize("order", [["a", "b", "c"], ["b", "a", "c"]])
@pytest.mark.parametrize("header", [True, False])
def test_headers_that_do_not_say_what_is_what_are_refused_and_the_remedy_works(
    header: bool, order: list[str], sorted_by: str, tmp_path: Path
) -> None:
    table = drawn().sort_values(sorted_by)
    for name, separator in (("t.csv", ","), ("t.tsv.gz", "\t")):
        path = tmp_path / name
        renamed = table.rename(columns={"gene": "a", "cell": "b", "count": "c"})[order]
        renamed.to_csv(path, sep=separator, index=False, header=header)
        for genes_by_cells in (False, True):
            with pytest.raises(ReadError, match="one row for each gene and cell") as raised:
                open_cells(path, ReadingOptions(genes_by_cells=genes_by_cells))
        remedy = raised.value.findings[0].remedy
        subprocess.run(remedy[remedy.index("gzip ") :], shell=True, check=True)
        same_as_pivot(tmp_path / f"t_named{name[1:5]}", table)


def test_rows_that_belong_together_are_added_up_by_the_remedy(tmp_path: Path) -> None:
    table = drawn()
    twice = pd.concat([table, table.iloc[:9]])
    (tmp_path / "t.tsv").write_text("# remark\n" + twice.to_csv(sep="\t", index=False))
    with pytest.raises(ReadError, match="9 rows of a gene and cell") as raised:
        open_cells(tmp_path / "t.tsv")
    remedy = raised.value.findings[0].remedy
    command = remedy[remedy.index("python -c") :].replace("python -c", f"{sys.executable} -c", 1)
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    cells = open_cells(tmp_path / "summed.csv")
    assert cells.load().sum() == twice.loc[~twice["gene"].isin(["NA", "nan"]), "count"].sum()


def test_a_header_alone_has_no_cells(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("gene,cell,count\n")
    with pytest.raises(ReadError) as raised:
        open_cells(tmp_path / "t.csv")
    assert raised.value.code == "NO_CELLS"


def test_it_stays_within_limits(tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(drawn().to_csv(index=False).encode()))
    for limits in (ReadLimits(max_cells=29), ReadLimits(max_genes=19), ReadLimits(max_nonzeros=20)):
        with pytest.raises(ReadError) as raised:
            open_cells(tmp_path / "t.csv.gz", limits=limits)
        assert raised.value.code == "INPUT_TOO_LARGE"
