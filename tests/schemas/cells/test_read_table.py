"""Tables of counts: values against pandas and AnnData, both ways round, and every kind of broken table."""

import gzip
import subprocess
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.read_table import VALUES_AT_ONCE, read_table
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.errors import ReadError

SMALL = "cell_id,CD3D,LYZ,MS4A1\nc1,0,1,2\nc2,3,0,0\n"
SMALL_VALUES = [[0, 1, 2], [3, 0, 0]]


def written(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def refused(path: Path, *, genes_by_cells: bool = False) -> ReadError:
    with pytest.raises(ReadError) as raised:
        open_cells(path, ReadingOptions(genes_by_cells=genes_by_cells))
    return raised.value


@pytest.fixture(scope="module")
def slice_of_pbmc(shared_data: Path) -> ad.AnnData:
    adata = ad.read_h5ad(shared_data / "pbmc3k.h5ad", backed="r")
    part = adata[:150, 2000:2800].to_memory()
    adata.file.close()
    return part


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t.csv.gz", "t.tsv.gz", "t.txt.gz", "T.CSV"])
@pytest.mark.parametrize("genes_by_cells", [False, True])
def test_real_cells_come_back_from_a_table_either_way_round(
    name: str, genes_by_cells: bool, slice_of_pbmc: ad.AnnData, tmp_path: Path
) -> None:
    frame = slice_of_pbmc.to_df().astype(int)
    frame = frame.T if genes_by_cells else frame
    frame.to_csv(tmp_path / name, sep="," if "csv" in name.lower() else "\t")
    cells = open_cells(tmp_path / name, ReadingOptions(genes_by_cells=genes_by_cells))
    assert (cells.load() != slice_of_pbmc.X).nnz == 0
    assert list(cells.cell_ids) == list(slice_of_pbmc.obs_names)
    assert list(cells.var_names) == list(slice_of_pbmc.var_names)
    assert list(cells.obs.columns) == []


@pytest.mark.parametrize("genes_by_cells", [False, True])
def test_real_cells_the_wrong_way_round_are_refused_with_the_remedy(
    genes_by_cells: bool, slice_of_pbmc: ad.AnnData, tmp_path: Path
) -> None:
    frame = slice_of_pbmc.to_df().astype(int)
    (frame if genes_by_cells else frame.T).to_csv(tmp_path / "t.csv")
    error = refused(tmp_path / "t.csv", genes_by_cells=genes_by_cells)
    assert error.code == "TABLE_TRANSPOSED"
    assert "--genes-by-cells" in error.findings[0].remedy
    # What is to be omitted is named as it was given.
    assert "genes_by_cells=True in Python" in error.findings[0].remedy
    assert error.findings[0].remedy.startswith("Omit") == genes_by_cells
    assert "row" in error.findings[0].examples[0]


def test_the_published_layout_is_read_with_its_cell_types(reference_data: Path, tmp_path: Path) -> None:
    expected = pd.read_parquet(reference_data / "counts.parquet")
    expected.to_csv(tmp_path / "counts.csv", index=False)
    cells = open_cells(tmp_path / "counts.csv")
    assert list(cells.cell_ids) == list(expected["cell_id"])
    assert list(cells.obs["cell_type"]) == list(expected["cell_type"])
    assert list(cells.var_names) == list(expected.columns[2:])
    np.testing.assert_array_equal(cells.load().toarray(), expected.iloc[:, 2:].to_numpy())


def test_many_blocks_of_rows_give_the_same_table_as_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.poisson(1, (53, 9)), columns=[f"GENE{number}" for number in range(9)])
    frame.insert(0, "label", ["T"] * 53)
    frame.index = pd.Index([f"cell{number}" for number in range(53)])
    frame.to_csv(tmp_path / "t.csv")
    whole = read_table(tmp_path / "t.csv")
    assert frame.size < VALUES_AT_ONCE
    monkeypatch.setattr("cellmark.schemas.cells.read_table.VALUES_AT_ONCE", 40)
    parts = read_table(tmp_path / "t.csv")
    assert (whole.X != parts.X).nnz == 0
    assert list(whole.cell_ids) == list(parts.cell_ids)
    assert list(parts.obs["label"]) == ["T"] * 53
    np.testing.assert_array_equal(whole.X.toarray(), frame.iloc[:, 1:].to_numpy())


def test_a_row_number_is_right_in_a_later_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("cellmark.schemas.cells.read_table.VALUES_AT_ONCE", 8)
    rows = [f"c{number},{number},1" for number in range(20)]
    rows[13] = "c13,many,1"
    error = refused(written(tmp_path, "\n".join(["id,CD3D,LYZ", *rows])))
    # A spreadsheet counts the header as row 1.
    assert "'many' in row 15 ('c13'), column 'CD3D'" in error.findings[0].found


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (SMALL, "t.csv"),
        ("\ufeff" + SMALL, "t.csv"),
        (SMALL.replace("\n", "\r\n"), "t.csv"),
        ("\n" + SMALL + "\n\n", "t.csv"),
        (SMALL.replace("cell_id", ""), "t.csv"),
        (SMALL.replace("cell_id,", ""), "t.csv"),
        (SMALL.replace(",", "\t"), "t.tsv"),
        (SMALL.replace(",", "\t"), "t.txt"),
        (SMALL, "t.txt"),
        ('"CD3D" "LYZ" "MS4A1"\n"c1" 0 1 2\n"c2" 3 0 0\n', "t.txt"),
        ('"cell_id", "CD3D", "LYZ", "MS4A1"\n"c1",0,1,2\n"c2",3,0,0\n'.replace(", ", ","), "t.csv"),
        (SMALL.replace("0", "0.0").replace(",2", ",2e0"), "t.csv"),
    ],
)
def test_the_ways_that_programs_write_a_table_are_read_alike(text: str, name: str, tmp_path: Path) -> None:
    cells = open_cells(written(tmp_path, text, name))
    assert list(cells.cell_ids) == ["c1", "c2"]
    assert list(cells.var_names) == ["CD3D", "LYZ", "MS4A1"]
    np.testing.assert_array_equal(cells.load().toarray(), SMALL_VALUES)


def test_duplicate_genes_stay_duplicates(tmp_path: Path) -> None:
    cells = read_table(written(tmp_path, "id,LYZ,CD3D,LYZ\nc1,1,2,3\n"))
    assert list(cells.var_names) == ["LYZ", "CD3D", "LYZ"]
    np.testing.assert_array_equal(cells.X.toarray(), [[1, 2, 3]])


def test_cells_and_genes_keep_names_that_pandas_would_change(tmp_path: Path) -> None:
    cells = read_table(written(tmp_path, "id,NA,nan,007,True\n001,1,2,3,4\nNA,5,6,7,8\n1e3,0,0,0,1\n"))
    assert list(cells.cell_ids) == ["001", "NA", "1e3"]
    assert list(cells.var_names) == ["NA", "nan", "007", "True"]


def test_labels_that_are_numbers_are_labels_under_a_header_that_says_so(tmp_path: Path) -> None:
    cells = read_table(written(tmp_path, "id,cell_type,LYZ,CD3D\nc1,01,1,2\nc2,4,0,1\n"))
    assert list(cells.obs["cell_type"]) == ["01", "4"]
    assert list(cells.var_names) == ["LYZ", "CD3D"]


def test_a_missing_label_stays_missing(tmp_path: Path) -> None:
    cells = read_table(written(tmp_path, "id,kind,LYZ\nc1,T cell,1\nc2,,2\nc3,B cell,3\n"))
    assert cells.obs["kind"].isna().tolist() == [False, True, False]


def test_a_text_column_of_a_table_of_genes_describes_the_genes(tmp_path: Path) -> None:
    text = "gene,gene_id,AAACATACAACCAC-1,AAACATTGAGCTAC-1\nLYZ,ENSG1,1,0\nCD3D,ENSG2,0,5\n"
    cells = read_table(written(tmp_path, text), genes_by_cells=True)
    assert list(cells.var["gene_id"]) == ["ENSG1", "ENSG2"]
    np.testing.assert_array_equal(cells.X.toarray(), [[1, 0], [0, 5]])


def described(cells: CellSource) -> list[str]:
    (note,) = cells.notes
    assert (note.code, note.severity) == ("TABLE_COLUMNS_IGNORED", "info")
    return note.found.partition(": ")[2].split(", ")


GENES = ["LYZ", "CD3D", "MS4A1", "MT-CO1"]
ENSEMBL = [f"ENSG{number:011d}" for number in range(4)]
CELLS = [f"AAACATACAACC{end}-1" for end in ("AA", "AC", "AG")]
VALUES = np.arange(12).reshape(4, 3)


def gene_table(**columns: object) -> pd.DataFrame:
    """Genes x cells, with columns that describe the genes first; those whose names begin with `_` come last."""
    frame = pd.DataFrame(VALUES, index=GENES, columns=CELLS)
    for number, (name, values) in enumerate(columns.items()):
        frame.insert(frame.shape[1] if name.startswith("_") else number, name.removeprefix("_"), values)
    return frame


@pytest.mark.parametrize(
    "columns",
    [
        {"Chr": "chr1", "Start": 1, "End": [20, 30, 40, 50], "Strand": ["+", "-", "+", "."], "Length": 900},
        {"Chr": "1;1;1", "Start": "1;5;9", "End": "2;6;10", "Strand": "+;+;+", "Length": 900},
        {"Length": [900, 800, 700, 1000]},
        {"gene_id": ENSEMBL, "Gene Biotype": "protein_coding"},
        {"Gene.Symbol": GENES, "Description": ["lysozyme", "", "a, b", "NA"]},
        {"effective_length": [1.5, 2.5, 3, 4], "transcript_id(s)": "T1,T2"},
        {"_gene_type": "protein_coding", "_length": 5},
        {"EntrezID": [4069, 915, 931, 4512]},
        {"Annotation by hand": ["a", "b", "", "c"]},
        {"baseMean": [1.5, 2, 3, 4], "_padj": [0.1, 0.2, 0.3, 1]},
        {"gene_len": 900, "_n_cells_by_counts": 3},
    ],
)
@pytest.mark.parametrize("end", [".csv", ".tsv"])
def test_columns_that_describe_genes_are_no_cells(columns: dict[str, object], end: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{end}"
    gene_table(**columns).to_csv(path, sep="," if end == ".csv" else "\t", index_label="Geneid")
    cells = open_cells(path, ReadingOptions(genes_by_cells=True))
    assert list(cells.cell_ids) == CELLS
    assert list(cells.var_names) == GENES
    np.testing.assert_array_equal(cells.load().toarray(), VALUES.T)
    names = [name.removeprefix("_") for name in columns]
    assert described(cells) == names == list(cells.var.columns)
    # Without the option the remedy names it, and it works.
    assert "--genes-by-cells" in refused(path).findings[0].remedy


def test_what_featurecounts_writes_before_its_header_is_skipped(tmp_path: Path) -> None:
    table = gene_table(Chr="chr1", Length=900).to_csv(sep="\t", index_label="Geneid")
    text = '# Program:featureCounts v2.0.3; Command:"featureCounts" "-a" "genes.gtf"\n' + table
    cells = open_cells(written(tmp_path, text, "counts.txt"), ReadingOptions(genes_by_cells=True))
    assert list(cells.cell_ids) == CELLS
    wrong = text.replace("\t7\t", "\tmany\t")
    error = refused(written(tmp_path, wrong, "wrong.txt"), genes_by_cells=True)
    assert "'many' in row 5 ('MS4A1')" in error.findings[0].found


@pytest.mark.parametrize(
    "head",
    ["#cell_id,", "####\n## Pipeline 1.9\ncell_id,", "\n# a, b, c, d\n\n#more\ncell_id,", "#one remark\n#cell_id,"],
)
def test_remarks_are_told_from_a_header_with_the_same_sign(head: str, tmp_path: Path) -> None:
    cells = open_cells(written(tmp_path, SMALL.replace("cell_id,", head)))
    assert list(cells.var_names) == ["CD3D", "LYZ", "MS4A1"]
    np.testing.assert_array_equal(cells.load().toarray(), SMALL_VALUES)


def test_columns_that_describe_cells_are_no_genes_wherever_they_stand(tmp_path: Path) -> None:
    text = (
        "cell_id,LYZ,sample,kind of cell,CD3D,leiden,MS4A1,tissue,comment\n"
        "c1,1,s1,1,2,0,3,blood,good\nc2,4,s2,0,5,11,6,lung,\n"
    )
    cells = open_cells(written(tmp_path, text))
    assert list(cells.var_names) == ["LYZ", "kind of cell", "CD3D", "MS4A1"]
    assert described(cells) == ["sample", "leiden", "tissue", "comment"]
    assert list(cells.obs["leiden"]) == ["0", "11"]
    assert list(cells.obs["tissue"]) == ["blood", "lung"]
    np.testing.assert_array_equal(cells.load().toarray(), [[1, 1, 2, 3], [4, 0, 5, 6]])


def test_several_columns_of_text_before_the_genes_describe_the_cells(tmp_path: Path) -> None:
    cells = open_cells(written(tmp_path, "id,kind,my donor,A\nc1,T,d1,1\nc2,B,d2,0\n"))
    assert described(cells) == ["kind", "my donor"]
    assert list(cells.obs["my donor"]) == ["d1", "d2"]


@pytest.mark.parametrize("first", ["", "Unnamed: 0", "index", "X"])
def test_a_column_that_numbers_the_rows_gives_way_to_one_that_names_them(first: str, tmp_path: Path) -> None:
    text = f"{first},barcode,LYZ,CD3D\n0,c1,1,2\n1,c2,3,4\n"
    cells = open_cells(written(tmp_path, text))
    assert list(cells.cell_ids) == ["c1", "c2"]
    assert list(cells.var_names) == ["LYZ", "CD3D"]
    assert list(cells.obs.columns) == []
    genes = gene_table().reset_index(names="gene_name").rename_axis(first)
    genes.to_csv(tmp_path / "genes.csv")
    cells = open_cells(tmp_path / "genes.csv", ReadingOptions(genes_by_cells=True))
    assert list(cells.var_names) == GENES
    np.testing.assert_array_equal(cells.load().toarray(), VALUES.T)


def test_a_numbering_behind_the_names_is_no_gene(tmp_path: Path) -> None:
    cells = open_cells(written(tmp_path, "cell_id,Unnamed: 0,LYZ\nc1,0,5\nc2,1,6\n"))
    assert list(cells.var_names) == ["LYZ"]
    # A gene whose counts happen to be 0, 1 is one.
    cells = open_cells(written(tmp_path, "cell_id,CD3D,LYZ\nc1,0,5\nc2,1,6\n"))
    assert list(cells.var_names) == ["CD3D", "LYZ"]


def test_ids_and_symbols_in_one_name_are_divided(tmp_path: Path) -> None:
    """The UCSC Cell Browser's exprMatrix.tsv.gz."""
    frame = gene_table()
    frame.index = [f"{gene_id}|{symbol}" for gene_id, symbol in zip(ENSEMBL, GENES, strict=True)]
    frame.to_csv(tmp_path / "exprMatrix.tsv.gz", sep="\t", index_label="gene")
    cells = open_cells(tmp_path / "exprMatrix.tsv.gz", ReadingOptions(genes_by_cells=True))
    assert list(cells.var_names) == list(cells.var.index) == GENES
    assert list(cells.var["gene_ids"]) == ENSEMBL
    np.testing.assert_array_equal(cells.load().toarray(), VALUES.T)


@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz"])
def test_semicolons_are_read_where_the_extension_does_not_say_otherwise(name: str, tmp_path: Path) -> None:
    cells = open_cells(written(tmp_path, SMALL.replace(",", ";"), name))
    np.testing.assert_array_equal(cells.load().toarray(), SMALL_VALUES)


@pytest.mark.parametrize(
    ("name", "mark"), [("my t.csv", ";"), ("t.csv.gz", "\t"), ("t.tsv", ","), ("t.tsv", ";"), ("t.csv", " ")]
)
def test_another_separator_is_refused_and_the_remedy_works(name: str, mark: str, tmp_path: Path) -> None:
    path = written(tmp_path, SMALL.replace(",", mark), name)
    remedy = refused(path).findings[0].remedy
    command = remedy[remedy.index("mv ") :]
    subprocess.run(command, shell=True, check=True)
    (renamed,) = tmp_path.iterdir()
    np.testing.assert_array_equal(open_cells(renamed).load().toarray(), SMALL_VALUES)


def test_a_row_of_text_below_the_header_is_removed_by_the_remedy(tmp_path: Path) -> None:
    """Single Cell Portal's files have such a row."""
    lines = gene_table().to_csv(sep="\t", index_label="GENE").splitlines()
    path = written(tmp_path, "\n".join([lines[0], "TYPE\tnumeric\tnumeric\tnumeric", *lines[1:]]) + "\n", "t.tsv")
    remedy = refused(path, genes_by_cells=True).findings[0].remedy
    subprocess.run(remedy[remedy.index("gzip ") :], shell=True, check=True)
    cells = open_cells(tmp_path / "t_counts.tsv", ReadingOptions(genes_by_cells=True))
    np.testing.assert_array_equal(cells.load().toarray(), VALUES.T)


def test_a_table_without_a_header_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "IL7R\t3\nLYZ\t0\nCD3D\t5\n", "counts.txt")
    for genes_by_cells in (False, True):
        error = refused(path, genes_by_cells=genes_by_cells)
        assert "a first row that looks like the others: IL7R, 3" in error.findings[0].found
    remedy = error.findings[0].remedy
    subprocess.run(remedy[remedy.index("gzip ") :], shell=True, check=True)
    cells = open_cells(tmp_path / "counts_named.txt", ReadingOptions(genes_by_cells=True))
    np.testing.assert_array_equal(cells.load().toarray(), [[3, 0, 5]])
    # Columns of a data frame without names are numbers, and fine.
    cells = open_cells(written(tmp_path, "gene_id1\t0\t1\nLYZ\t0\t7\n", "t.txt"), ReadingOptions(genes_by_cells=True))
    assert list(cells.cell_ids) == ["0", "1"]


def test_decimal_commas_are_refused_with_their_reason(tmp_path: Path) -> None:
    error = refused(written(tmp_path, "id;A;B\nc1;1,5;2\nc2;0;1\n", "t.txt"))
    assert "'1,5' in row 2" in error.findings[0].found
    assert "comma" in error.findings[0].remedy


def test_a_separator_at_the_end_of_every_line_is_no_gene(tmp_path: Path) -> None:
    cells = open_cells(written(tmp_path, SMALL.replace("\n", ",\n")))
    assert list(cells.var_names) == ["CD3D", "LYZ", "MS4A1"]
    np.testing.assert_array_equal(cells.load().toarray(), SMALL_VALUES)
    rows = "".join(f"c{number},1,2,3,\n" for number in range(80))
    wrong = written(tmp_path, f"id,A,B,C,\n{rows}c80,1,2,3,4\n")
    assert "without a header" in refused(wrong).findings[0].found


@pytest.mark.parametrize(
    "text",
    [
        "gene,count\nLYZ,3\nCD3D,2\nMS4A1,0\n",
        "gene_id,transcript_id(s),length,effective_length,expected_count,TPM,FPKM\nENSG1,T1,900,800,3,1.5,2\n",
        "Name,Length,EffectiveLength,TPM,NumReads\nENST00000000001,900,800,1.5,3\n",
        "target_id,length,eff_length,est_counts,tpm\nENST00000000001,900,800,3,1.5\n",
    ],
)
def test_measures_of_one_sample_are_no_cells(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    for genes_by_cells in (False, True):
        error = refused(path, genes_by_cells=genes_by_cells)
        assert error.code == "TABLE_INVALID"
        assert "no cell: " in error.findings[0].found
    remedy = error.findings[0].remedy
    subprocess.run(remedy[remedy.index("gzip ") :], shell=True, check=True)
    renamed = open_cells(tmp_path / "table_renamed.csv", ReadingOptions(genes_by_cells=True))
    assert list(renamed.cell_ids) == ["sample_1"]


def test_values_that_are_no_counts_are_left_for_the_checks(tmp_path: Path) -> None:
    cells = read_table(written(tmp_path, "id,A,B,C,D,E,F\nc1,1.5,-2,,inf,123456789012345678901234,NA\n"))
    np.testing.assert_array_equal(cells.X.toarray(), [[1.5, -2, np.nan, np.inf, 123456789012345678901234.0, np.nan]])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("id,A,B\nc1,1,2\nc2,x,3\nc3,1,1\n", "'x' in row 3 ('c2'), column 'A'"),
        ("id,A,B\nc1,1,2\nc2,True,3\nc3,1,1\n", "row 3 ('c2'), column 'A'"),
        ('id,A,B\nc1,1,"1,000"\n', "'1,000' in row 2 ('c1'), column 'B'"),
        ("id,A,B\nc1,1,#REF!\n", "'#REF!' in row 2"),
        ("id,MS4A1,CD3D\nc1,1,many\n", "'many' in row 2 ('c1'), column 'CD3D'"),
        ("id,kind,CD3D,A\nc1,T,many,1\n", "'many' in row 2 ('c1'), column 'CD3D'"),
        ("id,kind,A,B\nc1,T,1,#REF!\n", "'#REF!' in row 2 ('c1'), column 'B'"),
        ("id,A,B\nc1,1,2\nc2,1\nc3,1,1\n", "2 in row 3 ('c2'), which ends at column 'A'"),
        ("id,A,B\nc1,1,2\nc2,1,2,3\n", "4 in row 3 ('c2'), beyond column 'B'"),
        ("id,A,B\nc1,1,2,\nc2,1,2,\n", "4 in row 2 ('c1'), beyond column 'B'"),
        ("id,A,B\nc1,1\n", "2 in row 2"),
        ("id;A;B\nc1;1;2\n", "semicolons"),
        ("id\tA\tB\nc1\t1\t2\n", "tabs"),
        ("LYZ,CD3D\n0,1\n0,2\n", "numbers that repeat"),
        ("c1,0,1,0\nc2,1,2,5\n", "numbers that repeat"),
        ('id,A,B\nc1,1,"2\nc2,1,2\n', "a quotation mark that is never closed"),
    ],
)
def test_a_broken_table_is_refused_where_it_breaks(text: str, found: str, tmp_path: Path) -> None:
    error = refused(written(tmp_path, text))
    assert error.code == "TABLE_INVALID"
    assert found in error.findings[0].found


def test_short_rows_are_found_when_values_are_missing_elsewhere_too(tmp_path: Path) -> None:
    assert np.isnan(read_table(written(tmp_path, "id,A,B\nc1,1,\nc2,1,2\n")).X.toarray()[0, 1])
    assert refused(written(tmp_path, "id,A,B\nc1,1,\nc2,1\n")).findings[0].found.startswith("2 in row 3")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("", ["NO_CELLS", "NO_GENES"]),
        ("\n\n", ["NO_CELLS", "NO_GENES"]),
        ("cell_id,LYZ\n", ["NO_CELLS"]),
        ("cell_id\nc1\nc2\n", ["NO_GENES"]),
        ("cell_id,cell_type\nc1,T\nc2,B\n", ["NO_GENES"]),
        ("cell_id\n", ["NO_CELLS", "NO_GENES"]),
    ],
)
def test_a_table_without_cells_or_genes_is_refused_as_such(text: str, codes: list[str], tmp_path: Path) -> None:
    error = refused(written(tmp_path, text))
    assert [finding.code for finding in error.findings] == codes


def test_an_empty_table_of_genes_names_what_is_missing_in_its_own_terms(tmp_path: Path) -> None:
    assert refused(written(tmp_path, "gene,c1,c2\n"), genes_by_cells=True).code == "NO_GENES"
    assert refused(written(tmp_path, "gene\nLYZ\n"), genes_by_cells=True).code == "NO_CELLS"


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    for name, content in (
        ("bytes.csv", b"\x89HDF\r\n\x1a\n" + bytes(range(256))),
        ("notgz.csv.gz", SMALL.encode()),
        ("short.csv.gz", gzip.compress(SMALL.encode() * 50)[:-20]),
        ("latin.csv", "id,Zellgr\xf6\xdfe\nc1,1\n".encode("latin-1")),
    ):
        (tmp_path / name).write_bytes(content)
        assert refused(tmp_path / name).code in {"FILE_UNREADABLE", "TABLE_INVALID"}
