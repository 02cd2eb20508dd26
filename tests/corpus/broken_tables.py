"""Tables (`.csv`, `.tsv`), zarr stores and inputs of no known kind that are broken."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corpus.broken import SYMBOLS, Broken, broken, cells, dense, text_file, write_csv, write_h5ad, write_zarr

TABLE, UNREADABLE = "TABLE_INVALID", "FILE_UNREADABLE"
HEADER = "," + ",".join(SYMBOLS)


def rows() -> list[str]:
    adata = cells()
    values = dense(adata).astype(int)
    return [f"{name}," + ",".join(map(str, row)) for name, row in zip(adata.obs_names, values.tolist(), strict=True)]


def table(*lines: str, end: str = "\n") -> str:
    return end.join(lines) + end


def changed(number: int, how: Callable[[str], str], name: str = "cells.csv") -> Callable[[Path], Path]:
    """A sound table with one line changed; 0 is the header."""
    lines = [HEADER, *rows()]
    lines[number] = how(lines[number])
    return text_file(name, table(*lines))


def field(line: str, number: int, value: str) -> str:
    fields = line.split(",")
    fields[number] = value
    return ",".join(fields)


def table_entries() -> list[Broken]:
    by_genes = [",".join(["", *(f"AAAC{number:04d}-1" for number in range(12))])]
    by_genes += [f"{name}," + ",".join(["1"] * 12) for name in SYMBOLS]
    return [
        broken("csv: empty", text_file("cells.csv", ""), "NO_CELLS", "NO_GENES"),
        broken("csv: a header alone", text_file("cells.csv", HEADER + "\n"), "NO_CELLS"),
        broken("csv: ids alone", text_file("cells.csv", table("id", "a", "b")), "NO_GENES"),
        broken("csv: zero bytes", text_file("cells.csv", bytes(1000)), TABLE),
        broken("csv: a zero byte in a name", changed(0, lambda line: line.replace("CD4", "CD\0", 1)), TABLE),
        broken("csv: bytes that are no text", text_file("cells.csv", b"id,A\n\xff\xfe,1\n"), UNREADABLE),
        broken("csv: UTF-16", text_file("cells.csv", table(HEADER, *rows()).encode("utf-16")), TABLE),
        broken("csv: a workbook under that name", text_file("cells.csv", b"PK\x03\x04" + bytes(range(256)) * 4), TABLE),
        broken("csv: HDF5 under that name", lambda folder: write_h5ad(cells(), folder).rename(folder / "x.csv"), TABLE),
        broken("csv: a word in a cell", changed(3, lambda line: field(line, 5, "high")), TABLE),
        broken("csv: a decimal comma", changed(3, lambda line: field(line, 5, '"1,5"')), TABLE),
        broken("csv: a date in a cell", changed(3, lambda line: field(line, 5, "2026-03-01")), TABLE),
        broken("csv: a missing value", changed(3, lambda line: field(line, 5, "")), "COUNTS_NAN"),
        broken("csv: NA", changed(3, lambda line: field(line, 5, "NA")), "COUNTS_NAN"),
        broken("csv: inf", changed(3, lambda line: field(line, 5, "inf")), "COUNTS_INFINITE"),
        broken("csv: a number of 400 digits", changed(3, lambda line: field(line, 5, "9" * 400)), "COUNTS_INFINITE"),
        broken("csv: a field too few", changed(3, lambda line: line.rsplit(",", 1)[0]), TABLE),
        broken("csv: a field too many", changed(3, lambda line: line + ",1"), TABLE),
        broken("csv: a header too short", changed(0, lambda line: line.rsplit(",", 2)[0]), TABLE),
        broken("csv: a quotation mark that is not closed", changed(3, lambda line: '"' + line), TABLE),
        broken("csv: cut within a line", text_file("cells.csv", table(HEADER, *rows())[:-60]), TABLE),
        broken("csv: semicolons", text_file("cells.csv", table(HEADER, *rows()).replace(",", ";")), TABLE),
        broken("csv: tabs under .csv", text_file("cells.csv", table(HEADER, *rows()).replace(",", "\t")), TABLE),
        broken("tsv: commas under .tsv", text_file("cells.tsv", table(HEADER, *rows())), TABLE),
        broken("csv: a text of one line", text_file("cells.csv", "please find the counts attached\n"), TABLE),
        broken("csv: a web page", text_file("cells.csv", "<!DOCTYPE html>\n<html><body>404</body></html>\n"), TABLE),
        broken("csv: genes x cells", text_file("cells.csv", table(*by_genes)), "TABLE_TRANSPOSED"),
        broken("csv: ids that are numbers and repeat",
               text_file("cells.csv", table(HEADER, *(field(line, 0, "1") for line in rows()))),
               TABLE),
        broken("csv: ids that repeat",
               text_file("cells.csv", table(HEADER, *(field(line, 0, "cell") for line in rows()))),
               "CELL_ID_DUPLICATE"),
        broken("csv: half of the rows again",
               text_file("cells.csv", table(HEADER, *rows(), *rows()[:6])), "CELL_ID_DUPLICATE"),
        broken("csv: two tables in one", text_file("cells.csv", table(HEADER, *rows(), HEADER, *rows())), TABLE),
        broken("csv: a layer asked of it",
               lambda folder: write_csv(cells(), folder), "PARAMETER_INVALID", layer="counts"),
        broken("csv: a column of library sizes asked of it", lambda folder: write_csv(cells(), folder),
               "LIBRARY_SIZE_COLUMN_UNKNOWN", library_size="total"),
        broken("csv.gz: not packed", text_file("cells.csv.gz", table(HEADER, *rows())), UNREADABLE),
        broken("csv.gz: cut",
               text_file("cells.csv.gz", gzip.compress(table(HEADER, *rows()).encode())[:-40]), UNREADABLE),
    ]  # fmt: skip


# zarr


def zarr_edited(edit: Callable[[Path], Any]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        store = write_zarr(cells(), folder)
        for listing in store.glob(".zmetadata"):
            listing.unlink()
        edit(store)
        return store

    return build


def zarr_metadata(place: str, **changes: Any) -> Callable[[Path], Any]:
    def edit(store: Path) -> None:
        path = store / place
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


def zarr_entries() -> list[Broken]:
    def gone(place: str) -> Callable[[Path], Any]:
        return lambda store: shutil.rmtree(store / place)

    def first_block(how: Callable[[bytes], bytes]) -> Callable[[Path], Any]:
        def edit(store: Path) -> None:
            block = store / "X" / "data" / "0"
            block.write_bytes(how(block.read_bytes()))

        return edit

    return [
        broken("zarr: an empty folder", lambda folder: _made(folder / "cells.zarr"), UNREADABLE),
        broken("zarr: a file of that name", text_file("cells.zarr", "x"), "FILE_FORMAT_UNKNOWN"),
        broken("zarr: no X", zarr_edited(gone("X")), "MATRIX_INVALID"),
        broken("zarr: no obs", zarr_edited(gone("obs")), "NOT_ANNDATA"),
        broken("zarr: no var", zarr_edited(gone("var")), "NOT_ANNDATA"),
        broken("zarr: no values", zarr_edited(gone("X/data")), UNREADABLE),
        broken("zarr: no index of obs", zarr_edited(gone("obs/_index")), UNREADABLE),
        broken("zarr: metadata that is no JSON",
               zarr_edited(lambda store: (store / "X/data/.zarray").write_text("{")), UNREADABLE),
        broken("zarr: a block is gone", zarr_edited(lambda store: (store / "X/data/0").unlink()), UNREADABLE),
        broken("zarr: a block is cut", zarr_edited(first_block(lambda content: content[:-20])), UNREADABLE),
        broken("zarr: a block of other bytes",
               zarr_edited(first_block(lambda content: b"\xff" * len(content))), UNREADABLE),
        broken("zarr: an unknown codec",
               zarr_edited(zarr_metadata("X/data/.zarray", compressor={"id": "none-such"})), UNREADABLE),
        broken("zarr: an unknown type", zarr_edited(zarr_metadata("X/data/.zarray", dtype="<q9")), UNREADABLE),
        broken("zarr: values claim a trillion",
               zarr_edited(zarr_metadata("X/data/.zarray", shape=[10**12])), "INPUT_TOO_LARGE"),
        broken("zarr: a shape below zero", zarr_edited(zarr_metadata("X/data/.zarray", shape=[-4])), UNREADABLE),
        broken("zarr: a matrix of another shape", zarr_edited(zarr_metadata("X/.zattrs", shape=[11, 60])), UNREADABLE),
        broken("zarr: a matrix beyond all limits", zarr_edited(zarr_metadata("X/.zattrs", shape=[2**62, 2**62])),
               "INPUT_TOO_LARGE"),
        broken("zarr: encoding of an unknown kind",
               zarr_edited(zarr_metadata("X/.zattrs", **{"encoding-type": "other"})), UNREADABLE),
        broken("zarr: a link out", zarr_edited(_link_out), UNREADABLE),
        broken("zarr: names as pickles", zarr_edited(_pickles), UNREADABLE),
    ]  # fmt: skip


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def _link_out(store: Path) -> None:
    (store / "X" / "data" / "0").unlink()
    (store / "X" / "data" / "0").symlink_to("/etc/hostname")


def _pickles(store: Path) -> None:
    zarr_metadata("obs/_index/.zarray", dtype="|O", filters=[{"id": "pickle", "protocol": 5}])(store)


# anything else


def other_entries() -> list[Broken]:
    def pipe(folder: Path) -> Path:
        os.mkfifo(folder / "cells.h5ad")
        return folder / "cells.h5ad"

    def loom(folder: Path) -> Path:
        return write_h5ad(cells(), folder).rename(folder / "cells.loom")

    def closed(folder: Path) -> Path:
        (folder / "there.h5ad").symlink_to(folder / "nowhere.h5ad")
        return folder / "there.h5ad"

    def array(folder: Path) -> Path:
        np.save(folder / "cells.npy", np.eye(4))
        return folder / "cells.npy"

    unknown = "FILE_FORMAT_UNKNOWN"
    return [
        broken("nothing there", lambda folder: folder / "nowhere.h5ad", "FILE_NOT_FOUND"),
        broken("a link to nothing", closed, "FILE_NOT_FOUND"),
        broken("a pipe", pipe, UNREADABLE),
        broken("an h5ad that is called loom", loom, UNREADABLE),
        broken("an array of NumPy", array, unknown),
        broken("an object of R", text_file("cells.rds", b"\x1f\x8b" + bytes(50)), unknown),
        broken("a workbook", text_file("cells.xlsx", b"PK\x03\x04" + bytes(50)), unknown),
        broken("a pickle", text_file("cells.pkl", b"\x80\x04K\x01."), unknown),
        broken("a file without an extension", text_file("cells", "x"), unknown, at_http=UNREADABLE),
        broken("an h5ad packed by gzip", text_file("cells.h5ad.gz", gzip.compress(b"\x89HDF\r\n\x1a\n")), unknown),
        broken("a folder of other files", _other, unknown),
    ]  # fmt: skip


def _other(folder: Path) -> Path:
    (folder / "results").mkdir()
    (folder / "results" / "notes.txt").write_text("x")
    return folder / "results"


def entries() -> list[Broken]:
    return [*table_entries(), *zarr_entries(), *other_entries()]
