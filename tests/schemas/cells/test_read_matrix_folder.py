"""Folders of a matrix and its names, as programs write them and portals publish them."""

import gzip
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.matrix_files import is_matrix
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.errors import ReadError

N_GENES, N_CELLS = 7, 5
IDS = [f"ENSG{number:011d}" for number in range(N_GENES)]
SYMBOLS = ["MS4A1", "CD79A", "NA", "LYZ", "CD3D", "GNLY", "MT-CO1"]
BARCODES = [f"AAACCTGAGAAACC{end}-{sample}" for end, sample in zip(("AA", "AC", "AG", "AT", "CA"), (1, 1, 2, 2, 3), strict=True)]  # fmt: skip  # noqa: E501
COUNTS = np.random.default_rng(3).poisson(3, (N_CELLS, N_GENES))
FEATURES = [f"{gene_id}\t{symbol}\tGene Expression" for gene_id, symbol in zip(IDS, SYMBOLS, strict=True)]


def text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def matrix(path: Path, X: np.ndarray) -> None:
    entries = sp.coo_matrix(X)
    rows = [f"{i + 1} {j + 1} {value}" for i, j, value in zip(entries.row, entries.col, entries.data, strict=True)]
    sizes = f"{X.shape[0]} {X.shape[1]} {entries.nnz}"
    text(path, ["%%MatrixMarket matrix coordinate integer general", "%", sizes, *rows])


def tenx(folder: Path, prefix: str = "", end: str = ".gz") -> Path:
    matrix(folder / f"{prefix}matrix.mtx{end}", COUNTS.T)
    text(folder / f"{prefix}features.tsv{end}", FEATURES)
    text(folder / f"{prefix}barcodes.tsv{end}", BARCODES)
    return folder


def parse_biosciences(folder: Path) -> Path:
    matrix(folder / "count_matrix.mtx", COUNTS)
    genes = [f"{gene_id},{symbol},hg38" for gene_id, symbol in zip(IDS, SYMBOLS, strict=True)]
    text(folder / "all_genes.csv", ["gene_id,gene_name,genome", *genes])
    rows = [f"{barcode},s{number % 2},{number}" for number, barcode in enumerate(BARCODES)]
    text(folder / "cell_metadata.csv", ["bc_wells,sample,tscp_count", *rows])
    return folder


def kallisto(folder: Path) -> Path:
    matrix(folder / "cells_x_genes.mtx", COUNTS)
    text(folder / "cells_x_genes.barcodes.txt", BARCODES)
    text(folder / "cells_x_genes.genes.txt", IDS)
    text(folder / "cells_x_genes.genes.names.txt", SYMBOLS)
    return folder


def alevin(folder: Path) -> Path:
    matrix(folder / "quants_mat.mtx", COUNTS)
    text(folder / "quants_mat_rows.txt", BARCODES)
    text(folder / "quants_mat_cols.txt", IDS)
    return folder


def expression_atlas(folder: Path) -> Path:
    name = "E-MTAB-1.aggregated_filtered_counts"
    matrix(folder / f"{name}.mtx", COUNTS.T)
    text(folder / f"{name}.mtx_rows", [f"{gene_id}\t{gene_id}" for gene_id in IDS])
    text(folder / f"{name}.mtx_cols", BARCODES)
    return folder


def sparse_of_geo(folder: Path) -> Path:
    matrix(folder / "count_matrix_sparse.mtx", COUNTS.T)
    text(folder / "count_matrix_genes.tsv", SYMBOLS)
    text(folder / "count_matrix_barcodes.tsv", BARCODES)
    text(folder / "metadata.csv", ["cell,type", "a,b"])
    return folder


def quoted(folder: Path) -> Path:
    tenx(folder)
    fields = [line.split("\t") for line in FEATURES]
    text(folder / "features.tsv.gz", ["\t".join(f'"{field}"' for field in line) for line in fields])
    text(folder / "barcodes.tsv.gz", [f'"{barcode}"' for barcode in BARCODES])
    return folder


def headed(folder: Path) -> Path:
    tenx(folder, end="")
    text(folder / "features.tsv", ["gene_id\tgene_name\tfeature_type", *FEATURES])
    text(folder / "barcodes.tsv", ["barcode", *BARCODES])
    return folder


def numbered_by_r(folder: Path) -> Path:
    """`write.table(genes)`: a header without a field for the row names, which are numbers, and quotation marks."""
    tenx(folder, end="")
    genes = [
        f'"{k + 1}"\t"{gene_id}"\t"{symbol}"' for k, (gene_id, symbol) in enumerate(zip(IDS, SYMBOLS, strict=True))
    ]
    text(folder / "features.tsv", ['"V1"\t"V2"', *genes])
    text(folder / "barcodes.tsv", ['"x"', *(f'"{k + 1}"\t"{barcode}"' for k, barcode in enumerate(BARCODES))])
    return folder


def windows(folder: Path) -> Path:
    tenx(folder, end="")
    for name in ("features.tsv", "barcodes.tsv", "matrix.mtx"):
        content = (folder / name).read_bytes()
        mark = b"" if name == "matrix.mtx" else b"\xef\xbb\xbf"
        (folder / name).write_bytes(mark + content.replace(b"\n", b"\r\n"))
    return folder


LAYOUTS = {
    "10x": tenx,
    "STARsolo": lambda folder: tenx(folder / "Solo.out" / "Gene" / "filtered", end=""),
    "GEO": lambda folder: tenx(folder, prefix="GSM6567159_PDAC2_"),
    "GEO with dots": lambda folder: tenx(folder, prefix="GSM6567159_PDAC.2."),
    "Parse": parse_biosciences,
    "kallisto": kallisto,
    "alevin-fry": alevin,
    "Expression Atlas": expression_atlas,
    "sparse": sparse_of_geo,
    "quoted": quoted,
    "headed": headed,
    "numbered by R": numbered_by_r,
    "Windows": windows,
}


def same_cells(cells: CellSource) -> None:
    np.testing.assert_array_equal(cells.load().toarray(), COUNTS)
    assert list(cells.cell_ids) == BARCODES
    assert list(cells.var_names) in (SYMBOLS, IDS)
    if "gene_ids" in cells.var and list(cells.var_names) == SYMBOLS:
        assert list(cells.var["gene_ids"]) in (IDS, SYMBOLS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_programs_write_and_portals_publish_is_read(layout: str, tmp_path: Path) -> None:
    folder = LAYOUTS[layout](tmp_path / "run")
    same_cells(open_cells(folder))
    assert not open_cells(folder).notes
    (file,) = filter(is_matrix, folder.iterdir())
    same_cells(open_cells(file))


@pytest.mark.parametrize("layout", ["10x", "quoted", "GEO"])
def test_scanpy_reads_the_same(layout: str, tmp_path: Path) -> None:
    scanpy = pytest.importorskip("scanpy")
    folder = LAYOUTS[layout](tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prefix = "GSM6567159_PDAC2_" if layout == "GEO" else None
        expected = scanpy.read_10x_mtx(folder, make_unique=False, prefix=prefix)
    cells = open_cells(folder)
    np.testing.assert_array_equal(cells.load().toarray(), expected.X.toarray())
    assert list(cells.cell_ids) == list(expected.obs_names)
    assert list(cells.var["gene_ids"]) == list(expected.var["gene_ids"])


def test_what_is_known_of_cells_and_genes_comes_along(tmp_path: Path) -> None:
    cells = open_cells(parse_biosciences(tmp_path / "run"))
    assert list(cells.obs["sample"]) == ["s0", "s1", "s0", "s1", "s0"]
    assert list(cells.obs["tscp_count"]) == [0, 1, 2, 3, 4]
    assert set(cells.var["genome"]) == {"hg38"}
    assert list(open_cells(kallisto(tmp_path / "kb")).var_names) == SYMBOLS


def test_a_matrix_on_its_side_is_read_with_a_note(tmp_path: Path) -> None:
    folder = tenx(tmp_path / "run", end="")
    matrix(folder / "matrix.mtx", COUNTS)
    cells = open_cells(folder)
    same_cells(cells)
    (note,) = cells.notes
    assert (note.code, note.severity) == ("MATRIX_TURNED", "info")
    assert "5 cells, 7 genes" in note.found


def test_lists_of_names_that_are_exchanged_are_refused(tmp_path: Path) -> None:
    folder = tenx(tmp_path / "run", end="")
    text(folder / "features.tsv", BARCODES)
    text(folder / "barcodes.tsv", IDS)
    with pytest.raises(ReadError, match=r"features\.tsv lists cells"):
        open_cells(folder)


@pytest.mark.parametrize("third", ["GRCh38", "chr1", "protein_coding", "GEX"])
def test_a_third_column_that_is_no_type_of_10x_leaves_all_features(third: str, tmp_path: Path) -> None:
    folder = tenx(tmp_path / "run", end="")
    text(folder / "features.tsv", [line.replace("Gene Expression", third) for line in FEATURES])
    same_cells(open_cells(folder))


def test_a_square_matrix_is_taken_as_its_program_writes_it(tmp_path: Path) -> None:
    square = COUNTS[:, :N_CELLS]
    for name, values in (("matrix.mtx", square.T), ("cells_x_genes.mtx", square)):
        folder = tmp_path / name.removesuffix(".mtx")
        matrix(folder / name, values)
        start = "" if name == "matrix.mtx" else "cells_x_genes."
        end = "tsv" if name == "matrix.mtx" else "txt"
        text(folder / f"{start}barcodes.{end}", BARCODES)
        text(folder / f"{start}genes.{end}", IDS[:N_CELLS])
        np.testing.assert_array_equal(open_cells(folder).load().toarray(), square)


@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_line_of_more_numbers_is_refused_by_its_number_and_the_remedy_works(end: str, tmp_path: Path) -> None:
    folder = tenx(tmp_path / "velo cyto", end=end)
    entries = sp.coo_matrix(COUNTS.T)
    parts = [(value - value // 2, value // 2, 0) for value in entries.data]
    rows = [f"{i + 1} {j + 1} {a} {b} {c}" for i, j, (a, b, c) in zip(entries.row, entries.col, parts, strict=True)]
    head = ["%%MatrixMarket matrix coordinate integer general", "%", f"{N_GENES} {N_CELLS} {entries.nnz}"]
    text(folder / f"matrix.mtx{end}", [*head, *rows])
    with pytest.raises(ReadError, match=r"expected 3 numbers.*found 5 in line 4: ") as raised:
        open_cells(folder)
    remedy = raised.value.findings[0].remedy
    subprocess.run(remedy.partition("add them up: ")[2], shell=True, check=True)
    same_cells(open_cells(f"{folder}-total"))


@pytest.mark.parametrize("wrong", ["1 1", "1 1 2 3", "1  1 2 3", "1\t1\t2\t3"])
@pytest.mark.parametrize("spaces", [" ", "  "])
def test_a_single_wrong_line_is_found_wherever_it_stands(wrong: str, spaces: str, tmp_path: Path) -> None:
    folder = tenx(tmp_path / "run", end="")
    lines = (folder / "matrix.mtx").read_text().splitlines()
    head, rows = lines[:3], [line.replace(" ", spaces) for line in lines[3:]] * 400
    head[2] = f"{N_GENES} {N_CELLS} {len(rows)}"
    rows[-7] = wrong
    text(folder / "matrix.mtx", [*head, *rows])
    with pytest.raises(ReadError, match=f"in line {3 + len(rows) - 6:,}: "):
        open_cells(folder)


def test_blank_lines_spaces_at_ends_and_no_last_line_end_are_no_fault(tmp_path: Path) -> None:
    folder = tenx(tmp_path / "run", end="")
    lines = (folder / "matrix.mtx").read_text().splitlines()
    (folder / "matrix.mtx").write_text("\n".join([*lines[:3], " \n".join(lines[3:10]), "", *lines[10:]]))
    same_cells(open_cells(folder))


def test_several_matrices_in_a_folder_are_listed_and_each_can_be_given(tmp_path: Path) -> None:
    for sample in ("GSM1_a_", "GSM2_b_"):
        tenx(tmp_path / "series", prefix=sample)
    with pytest.raises(ReadError, match=r"GSM1_a_matrix\.mtx\.gz, GSM2_b_matrix\.mtx\.gz") as raised:
        open_cells(tmp_path / "series")
    assert str(tmp_path / "series" / "GSM1_a_matrix.mtx.gz") in raised.value.findings[0].remedy
    for sample in ("GSM1_a_", "GSM2_b_"):
        same_cells(open_cells(tmp_path / "series" / f"{sample}matrix.mtx.gz"))


def test_folders_of_samples_are_listed(tmp_path: Path) -> None:
    for sample in ("s1", "s2"):
        tenx(tmp_path / "per_sample_outs" / sample / "count" / "filtered")
    with pytest.raises(ReadError, match="2 such folders") as raised:
        open_cells(tmp_path / "per_sample_outs")
    assert raised.value.code == "FILE_FORMAT_UNKNOWN"
    for example in raised.value.findings[0].examples:
        same_cells(open_cells(example))


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("raw_feature_bc_matrix", "filtered_feature_bc_matrix"),
        ("Solo.out/Gene/raw", "Solo.out/Gene/filtered"),
        ("counts_unfiltered", "counts_filtered"),
        ("raw_gene_bc_matrices/hg19", "filtered_gene_bc_matrices/hg19"),
    ],
)
def test_all_barcodes_of_a_run_are_refused_with_the_place_of_its_cells(name: str, twin: str, tmp_path: Path) -> None:
    tenx(tmp_path / twin)
    raw = np.zeros((N_CELLS * 30, N_GENES), dtype=int)
    raw[:N_CELLS] = COUNTS * 10
    raw[N_CELLS::2, 0] = 2  # ambient RNA
    matrix(tmp_path / name / "matrix.mtx", raw.T)
    text(tmp_path / name / "features.tsv", FEATURES)
    text(tmp_path / name / "barcodes.tsv", [f"{number:08d}-1" for number in range(len(raw))])
    with pytest.raises(ReadError, match="145 of 150 barcodes") as raised:
        open_cells(tmp_path / name)
    assert raised.value.code == "CELL_EMPTY"
    remedy = raised.value.findings[0].remedy
    assert remedy == f"Use the filtered matrix of the same run: {tmp_path / twin}."
    same_cells(open_cells(tmp_path / twin))


def test_without_the_filtered_matrix_beside_it_the_remedy_names_what_programs_call_it(tmp_path: Path) -> None:
    tenx(tmp_path / "cells", end="")
    matrix(tmp_path / "cells" / "matrix.mtx", np.where(np.arange(N_CELLS) < 2, COUNTS.T, 0))
    with pytest.raises(ReadError, match="filtered_feature_bc_matrix") as raised:
        open_cells(tmp_path / "cells")
    assert raised.value.code == "CELL_EMPTY"


def test_a_matrix_without_names_beside_it_says_what_is_missing(tmp_path: Path) -> None:
    matrix(tmp_path / "alone.mtx", COUNTS)
    with pytest.raises(ReadError, match=r"features\.tsv and barcodes\.tsv") as raised:
        open_cells(tmp_path / "alone.mtx")
    assert raised.value.code == "FILE_FORMAT_UNKNOWN"
    text(tmp_path / "barcodes.tsv", BARCODES)
    with pytest.raises(ReadError, match=r"no features\.tsv or genes\.tsv in it") as raised:
        open_cells(tmp_path)
    assert raised.value.code == "FILE_UNREADABLE"


@pytest.mark.parametrize("add", [1, 7])
def test_random_sparse_matrices_are_read_as_scipy_reads_them(add: int, tmp_path: Path) -> None:
    X = sp.random(300, 400, density=0.3, random_state=add, format="coo", data_rvs=lambda n: np.arange(1, n + 1))
    folder = tmp_path / "run"
    folder.mkdir()
    scipy.io.mmwrite(folder / "matrix.mtx", X.astype(int))
    text(folder / "features.tsv", [f"G{number}" for number in range(300)])
    text(folder / "barcodes.tsv", [f"C{number}" for number in range(400)])
    assert (open_cells(folder).load() != X.T.tocsr()).nnz == 0
