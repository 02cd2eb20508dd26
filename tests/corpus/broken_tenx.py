"""10x Genomics output that is broken: the `.h5`, and the folder of three files."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from corpus.broken import N_CELLS, SYMBOLS, Broken, broken, cells, text_file, write_folder, write_h5ad, write_tenx
from corpus.broken_h5ad import attribute, claimed, computed, linked, put, without

UNREADABLE = "FILE_UNREADABLE"


def edited(edit: Callable[[h5py.File], None]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = write_tenx(cells(), folder)
        with h5py.File(path, "r+") as file:
            edit(file)
        return path

    return build


def version_2(file: h5py.File, *genomes: str) -> None:
    for genome in genomes:
        group = file.create_group(genome)
        for name in ("data", "indices", "indptr", "shape", "barcodes"):
            group[name] = file[f"matrix/{name}"][()]
        group["genes"] = group["gene_names"] = file["matrix/features/name"][()]
    del file["matrix"]


def in_folder(**files: str | bytes | None) -> Callable[[Path], Path]:
    """A sound folder with other content of some files (`matrix`, `barcodes`, `features`), None to omit one."""

    def build(folder: Path) -> Path:
        target = write_folder(cells(), folder)
        for name, content in files.items():
            path = next(target.glob(f"{name}.*"))
            if content is None:
                path.unlink()
            else:
                path.write_bytes(gzip.compress(content if isinstance(content, bytes) else content.encode()))
        return target

    return build


def matrix(header: str, *lines: str) -> str:
    return "\n".join([header, *lines]) + "\n"


HEADER = "%%MatrixMarket matrix coordinate integer general"
SIZES = f"{len(SYMBOLS)} {N_CELLS}"
BARCODES = [f"AAAC{number:04d}-1" for number in range(N_CELLS)]
FEATURES = [f"ENSG{number:011d}\t{name}\tGene Expression" for number, name in enumerate(SYMBOLS)]


def renamed(folder: Path) -> Path:
    return write_h5ad(cells(), folder).rename(folder / "x.h5")


def not_packed(folder: Path) -> Path:
    target = write_folder(cells(), folder)
    (target / "matrix.mtx.gz").write_bytes(b"%%MatrixMarket matrix coordinate integer general\n")
    return target


def cut_gzip(folder: Path) -> Path:
    target = write_folder(cells(), folder)
    path = target / "matrix.mtx.gz"
    path.write_bytes(path.read_bytes()[:-40])
    return target


def link_out(folder: Path) -> Path:
    target = write_folder(cells(), folder)
    (target / "barcodes.tsv.gz").unlink()
    (target / "barcodes.tsv.gz").symlink_to("/etc/hostname")
    return target


def feature_types(value: bytes) -> Callable[[h5py.File], None]:
    return put("matrix/features/feature_type", np.array([value] * len(SYMBOLS), dtype="S"))


def h5_entries() -> list[Broken]:
    lists: list[tuple[str, Callable[[np.ndarray], Any]]] = [
        ("data shorter than indices", lambda values: values[:-2]),
        ("data of text", lambda values: values.astype("S5")),
        ("data in a table", lambda values: values.reshape(-1, 1)),
    ]
    made = [broken(f"10x: {name}", edited(computed("matrix/data", how)), UNREADABLE) for name, how in lists]
    return [
        *made,
        broken("10x: empty", text_file("cells.h5", ""), UNREADABLE),
        broken("10x: a text", text_file("cells.h5", "barcode\n"), UNREADABLE),
        broken("10x: an AnnData under that name", renamed, UNREADABLE),
        broken("10x: HDF5 of something else", edited(lambda file: file.move("matrix", "table")), "NOT_ANNDATA"),
        broken("10x: two genomes (version 2)", edited(lambda file: version_2(file, "hg19", "mm10")), UNREADABLE),
        broken("10x: matrix is a list", edited(put("matrix", np.arange(5))), "NOT_ANNDATA"),
        broken("10x: no data", edited(without("matrix/data")), UNREADABLE),
        broken("10x: no indices", edited(without("matrix/indices")), UNREADABLE),
        broken("10x: no indptr", edited(without("matrix/indptr")), UNREADABLE),
        broken("10x: no shape", edited(without("matrix/shape")), UNREADABLE),
        broken("10x: no barcodes", edited(without("matrix/barcodes")), UNREADABLE),
        broken("10x: no features", edited(without("matrix/features")), UNREADABLE),
        broken("10x: no names of features", edited(without("matrix/features/name")), UNREADABLE),
        broken("10x: no gene among the features", edited(feature_types(b"Antibody Capture")), "NO_GENES"),
        broken("10x: a barcode less", edited(computed("matrix/barcodes", lambda ids: ids[:-1])), UNREADABLE),
        broken("10x: a name less", edited(computed("matrix/features/name", lambda names: names[:-1])), UNREADABLE),
        broken("10x: barcodes of numbers", edited(put("matrix/barcodes", np.arange(N_CELLS))), UNREADABLE),
        broken("10x: barcodes twice", edited(computed("matrix/barcodes", lambda ids: ids[[0, *range(11)]])),
               "CELL_ID_DUPLICATE"),
        broken("10x: shape turned", edited(computed("matrix/shape", lambda shape: shape[::-1])), UNREADABLE),
        broken("10x: shape negative", edited(computed("matrix/shape", lambda shape: -shape)), UNREADABLE),
        broken("10x: shape of three", edited(computed("matrix/shape", lambda shape: np.append(shape, 1))), UNREADABLE),
        broken("10x: shape beyond all limits",
               edited(put("matrix/shape", np.array([2**60, 2**60]))), "INPUT_TOO_LARGE"),
        broken("10x: indptr falls", edited(computed("matrix/indptr", lambda indptr: indptr[::-1])), UNREADABLE),
        broken("10x: indptr ends early", edited(computed("matrix/indptr", lambda indptr: indptr // 2)), UNREADABLE),
        broken("10x: indptr too short", edited(computed("matrix/indptr", lambda indptr: indptr[:-1])), UNREADABLE),
        broken("10x: indices beyond the features", edited(computed("matrix/indices", lambda indices: indices + 9)),
               UNREADABLE),
        broken("10x: indices negative", edited(computed("matrix/indices", lambda indices: -indices)), UNREADABLE),
        broken("10x: indices of fractions",
               edited(computed("matrix/indices", lambda indices: indices + 0.5)), UNREADABLE),
        broken("10x: claims 8 billion values", edited(claimed("matrix/data", (2**33,))), UNREADABLE),
        broken("10x: data is a link out", edited(linked("matrix/data", h5py.ExternalLink("/etc/passwd", "/x"))),
               UNREADABLE),
        broken("10x: features is a link to nothing",
               edited(linked("matrix/features", h5py.SoftLink("/no"))), UNREADABLE),
        broken("10x: names of broken text",
               edited(put("matrix/features/name", np.array([b"\xff\xfe"] * len(SYMBOLS), dtype="S2"))), UNREADABLE),
        broken("10x: marked as another kind of file", edited(_marked), UNREADABLE),
    ]  # fmt: skip


def _marked(file: h5py.File) -> None:
    attribute("matrix", "note", "kept")(file)
    put("matrix/data", h5py.Empty("i4"))(file)


def folder_entries() -> list[Broken]:
    one = "1 1 1"
    return [
        broken("10x folder: no matrix", in_folder(matrix=None), "FILE_FORMAT_UNKNOWN"),
        broken("10x folder: no barcodes", in_folder(barcodes=None), UNREADABLE),
        broken("10x folder: no features", in_folder(features=None), UNREADABLE),
        broken("10x folder: empty", _folder, "FILE_FORMAT_UNKNOWN"),
        broken("10x folder: matrix is empty", in_folder(matrix=b""), UNREADABLE),
        broken("10x folder: barcodes are empty", in_folder(barcodes=b""), UNREADABLE),
        broken("10x folder: features are empty", in_folder(features=b""), UNREADABLE),
        broken("10x folder: a barcode less", in_folder(barcodes="\n".join(BARCODES[:-1]) + "\n"), UNREADABLE),
        broken("10x folder: a feature more", in_folder(features="\n".join([*FEATURES, "E\tX\tGene Expression"]) + "\n"),
               UNREADABLE),
        broken("10x folder: rows of features of unequal length",
               in_folder(features="\n".join([*FEATURES[:-1], "E"]) + "\n"), UNREADABLE),
        broken("10x folder: only antibodies",
               in_folder(features="\n".join(FEATURES).replace("Gene Expression", "CRISPR") + "\n"), "NO_GENES"),
        broken("10x folder: barcodes and features exchanged",
               in_folder(barcodes="\n".join(FEATURES) + "\n", features="\n".join(BARCODES) + "\n"), UNREADABLE),
        broken("10x folder: matrix of cells x genes",
               in_folder(matrix=matrix(HEADER, f"{N_CELLS} {len(SYMBOLS)} 1", one)), "CELL_EMPTY"),
        broken("10x folder: a value more in a line",
               in_folder(matrix=matrix(HEADER, SIZES + " 1", "1 1 1 2")), UNREADABLE),
        broken("10x folder: no header", in_folder(matrix=matrix(SIZES + " 1", one)), UNREADABLE),
        broken("10x folder: header of an array",
               in_folder(matrix=matrix("%%MatrixMarket matrix array integer general", SIZES, "1")), UNREADABLE),
        broken("10x folder: values are complex",
               in_folder(matrix=matrix("%%MatrixMarket matrix coordinate complex general", SIZES + " 1", "1 1 1 2")),
               UNREADABLE),
        broken("10x folder: values are patterns",
               in_folder(matrix=matrix("%%MatrixMarket matrix coordinate pattern general", SIZES + " 1", "1 1")),
               "CELL_EMPTY"),
        broken("10x folder: fewer values than promised",
               in_folder(matrix=matrix(HEADER, SIZES + " 9", one)), UNREADABLE),
        broken("10x folder: a row beyond the genes",
               in_folder(matrix=matrix(HEADER, SIZES + " 1", "61 1 1")), UNREADABLE),
        broken("10x folder: a column of zero", in_folder(matrix=matrix(HEADER, SIZES + " 1", "1 0 1")), UNREADABLE),
        broken("10x folder: a word for a number",
               in_folder(matrix=matrix(HEADER, SIZES + " 1", "1 1 one")), UNREADABLE),
        broken("10x folder: sizes below zero", in_folder(matrix=matrix(HEADER, SIZES + " -1")), UNREADABLE),
        broken("10x folder: claims 9 billion values", in_folder(matrix=matrix(HEADER, SIZES + " 9000000000", one)),
               UNREADABLE),
        broken("10x folder: a million lines of remarks", in_folder(matrix=HEADER + "\n" + "%\n" * 10**6), UNREADABLE),
        broken("10x folder: matrix is not packed", not_packed, UNREADABLE),
        broken("10x folder: matrix is cut", cut_gzip, UNREADABLE),
        broken("10x folder: barcodes link out", link_out, UNREADABLE),
    ]  # fmt: skip


def _folder(folder: Path) -> Path:
    (folder / "matrix").mkdir()
    return folder / "matrix"


def entries() -> list[Broken]:
    return [*h5_entries(), *folder_entries()]
