"""Bodies of requests that are broken: both forms of JSON, and `.npz`."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corpus.broken import Broken, broken, cells, cells_json, csr_arrays, json_file, npz_file, text_file

INVALID, UNREADABLE, MATRIX = "REQUEST_INVALID", "FILE_UNREADABLE", "MATRIX_INVALID"

# JSON


def rows(**changes: Any) -> Callable[[Path], Path]:
    """The CSR form with other fields; None leaves one away."""
    body = {**csr_arrays(cells()), **changes}
    return json_file({key: value for key, value in body.items() if value is not None})


def rows_of(key: str, how: Callable[[list[Any]], Any]) -> Callable[[Path], Path]:
    return rows(**{key: how(list(csr_arrays(cells())[key]))})


def by_cells(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], Path]:
    body = cells_json(cells())
    changed = change(body)
    return json_file(body if changed is None else changed)


def first_cell(**changes: Any) -> Callable[[Path], Path]:
    def change(body: dict[str, Any]) -> None:
        body["cells"][0].update(changes)

    return by_cells(change)


def first_count(value: Any) -> Callable[[Path], Path]:
    def change(body: dict[str, Any]) -> None:
        body["cells"][0]["counts"]["MS4A1"] = value

    return by_cells(change)


def raw_count(text: str) -> Callable[[Path], Path]:
    """A number that Python's JSON would not write."""
    whole = json.dumps(cells_json(cells()))
    first = json.dumps(cells_json(cells())["cells"][0]["counts"]["MS4A1"])
    return json_file(whole.replace(f'"MS4A1": {first}', f'"MS4A1": {text}', 1))


def text_of(change: Callable[[str], str | bytes]) -> Callable[[Path], Path]:
    return json_file(change(json.dumps(cells_json(cells()))))


def sizes(body: dict[str, Any], values: list[Any]) -> None:
    for cell, value in zip(body["cells"], values, strict=False):
        cell["library_size"] = value


def without_first(key: str) -> Callable[[Path], Path]:
    return by_cells(lambda body: body["cells"][0].pop(key) and None)


def json_entries() -> list[Broken]:
    whole = json.dumps(cells_json(cells()))
    return [
        # no JSON
        broken("json: empty", json_file(b""), INVALID),
        broken("json: blanks", json_file("  \n "), INVALID),
        broken("json: cut", json_file(whole[: len(whole) // 2]), INVALID),
        broken("json: twice", json_file(whole + whole), INVALID),
        broken("json: a comma too many", json_file(whole[:-1] + ",}"), INVALID),
        broken("json: single quotes", json_file(whole.replace('"', "'")), INVALID),
        broken("json: a remark", json_file("// cells\n" + whole), INVALID),
        broken("json: a form's encoding", json_file("cells=1&genes=2"), INVALID),
        broken("json: lines of JSON", json_file(whole + "\n" + whole), INVALID),
        broken("json: UTF-16", text_of(lambda text: text.encode("utf-16")), INVALID),
        broken("json: UTF-8 with a mark before it", text_of(lambda text: text.encode("utf-8-sig")), INVALID),
        broken("json: bytes that are no UTF-8",
               text_of(lambda text: text.encode().replace(b"AAAC", b"\xff\xfe", 1)), INVALID),
        broken("json: a zero byte", text_of(lambda text: text.replace("AAAC", "\0", 1)), INVALID),
        broken("json: 100,000 brackets", json_file("[" * 100_000 + "]" * 100_000), INVALID),
        broken("json: a field of brackets",
               by_cells(lambda body: body["cells"][0].update(counts=_nested(400)) or None), INVALID),
        broken("json: NaN", raw_count("NaN"), INVALID),
        broken("json: Infinity", raw_count("Infinity"), INVALID),
        broken("json: 1e400", raw_count("1e400"), INVALID),
        broken("json: a number of 5,000 digits", raw_count("9" * 5000), INVALID),
        broken("json: a hexadecimal number", raw_count("0x10"), INVALID),
        broken("json: a number that starts with zero", raw_count("007"), INVALID),
        # other values
        broken("json: null", json_file(None), INVALID),
        broken("json: a number", json_file(5), INVALID),
        broken("json: a text", json_file("cells"), INVALID),
        broken("json: a list of cells", by_cells(lambda body: body["cells"]), INVALID),
        broken("json: an empty object", json_file({}), INVALID),
        broken("json: neither form", json_file({"genes": ["CD4"], "X": [[1]]}), INVALID),
        broken("json: both forms", by_cells(lambda body: {**body, **csr_arrays(cells())}), INVALID),
        broken("json: an unknown field", by_cells(lambda body: {**body, "layer": "counts"}), INVALID),
        broken("json: a field in capitals",
               by_cells(lambda body: {"Cells": body["cells"], "genes": body["genes"]}), INVALID),
        broken("json: a name twice",
               json_file('{"cells": [], "cells": ' + json.dumps(cells_json(cells())["cells"]) + "}"), INVALID),
        broken("json: a gene twice in a cell",
               text_of(lambda text: text.replace('"counts": {', '"counts": {"CD4": 1, "CD4": 2, ', 1)), INVALID),
        # by cells
        broken("json: cells is an object", by_cells(lambda body: {**body, "cells": {"a": 1}}), INVALID),
        broken("json: cells is null", by_cells(lambda body: {**body, "cells": None}), INVALID),
        broken("json: cells of lists", by_cells(lambda body: {**body, "cells": [[1, 2]]}), INVALID),
        broken("json: cells is empty", by_cells(lambda body: {**body, "cells": []}), "NO_CELLS"),
        broken("json: genes is a text", by_cells(lambda body: {**body, "genes": "CD4"}), INVALID),
        broken("json: genes of numbers", by_cells(lambda body: {**body, "genes": [1, 2]}), INVALID),
        broken("json: genes of an empty name", by_cells(lambda body: {**body, "genes": [*body["genes"], ""]}), INVALID),
        broken("json: genes twice", by_cells(lambda body: {**body, "genes": body["genes"] * 2}), INVALID),
        broken("json: genes is empty", by_cells(lambda body: {**body, "genes": []}), "GENE_UNKNOWN_KEY", "NO_GENES"),
        broken("json: a gene of half a letter",
               by_cells(lambda body: {**body, "genes": [*body["genes"], "\ud800"]}), INVALID),
        broken("json: a name of 300 letters",
               by_cells(lambda body: {**body, "genes": [*body["genes"], "A" * 300]}), INVALID),
        broken("json: a gene that is not named",
               by_cells(lambda body: {**body, "genes": body["genes"][1:]}), "GENE_UNKNOWN_KEY"),
        broken("json: no names of genes and few counts", json_file({"cells": [{"cell_id": "a", "counts": {"CD4": 3}}]}),
               "TOO_FEW_GENES", "LIBRARY_SIZE_NEEDED"),
        broken("json: a cell without an id", without_first("cell_id"), INVALID),
        broken("json: a cell without counts", without_first("counts"), INVALID),
        broken("json: an id of a number", first_cell(cell_id=7), INVALID),
        broken("json: an empty id", first_cell(cell_id=""), INVALID),
        broken("json: an id of 300 letters", first_cell(cell_id="A" * 300), INVALID),
        broken("json: an id of half a letter", first_cell(cell_id="\udfff"), INVALID),
        broken("json: an unknown field of a cell", first_cell(batch="b1"), INVALID),
        broken("json: counts is a list", first_cell(counts=[1, 2, 3]), INVALID),
        broken("json: counts of text", first_cell(counts="MS4A1"), INVALID),
        broken("json: no counts in a cell", first_cell(counts={}), "CELL_EMPTY"),
        broken("json: a count of text", first_count("3"), INVALID),
        broken("json: a count that is true", first_count(True), INVALID),
        broken("json: a count that is null", first_count(None), INVALID),
        broken("json: a count of a list", first_count([3]), INVALID),
        broken("json: a count of 1e300", first_count(1e300), "COUNTS_TOO_LARGE"),
        broken("json: a whole count of 400 bits", first_count(2**400), "COUNTS_TOO_LARGE"),
        broken("json: library sizes of some cells",
               by_cells(lambda body: sizes(body, [9000.0])), "LIBRARY_SIZE_INVALID"),
        broken("json: a library size of text", first_cell(library_size="9000"), INVALID),
        broken("json: library sizes of zero", by_cells(lambda body: sizes(body, [0] * 12)), "LIBRARY_SIZE_INVALID"),
        broken("json: library sizes below the counts",
               by_cells(lambda body: sizes(body, [1] * 12)), "LIBRARY_SIZE_INVALID"),
        broken("json: library sizes of 1e300",
               by_cells(lambda body: sizes(body, [1e300] * 12)), "LIBRARY_SIZE_INVALID"),
        # by rows
        *(broken(f"json rows: no {key}", rows(**{key: None}), INVALID) for key in ("genes", "indices", "data")),
        broken("json rows: no indptr", rows(indptr=None), INVALID),
        broken("json rows: no cell_ids", rows(cell_ids=None), INVALID),
        broken("json rows: indptr too short", rows_of("indptr", lambda values: values[:-1]), MATRIX),
        broken("json rows: indptr falls", rows_of("indptr", lambda values: [0, *values[:0:-1]]), MATRIX),
        broken("json rows: indptr starts at one", rows_of("indptr", lambda values: [1, *values[1:]]), MATRIX),
        broken("json rows: indptr ends early", rows_of("indptr", lambda values: [*values[:-1], values[-2]]), MATRIX),
        broken("json rows: indptr negative", rows_of("indptr", lambda values: [-1, *values[1:]]), INVALID),
        broken("json rows: indptr of fractions", rows_of("indptr", lambda values: [0.5, *values[1:]]), INVALID),
        broken("json rows: indptr beyond 64 bits", rows_of("indptr", lambda values: [*values[:-1], 2**64]), INVALID),
        broken("json rows: indices beyond the genes", rows_of("indices", lambda values: [60, *values[1:]]), MATRIX),
        broken("json rows: indices negative", rows_of("indices", lambda values: [-1, *values[1:]]), INVALID),
        broken("json rows: indices too few", rows_of("indices", lambda values: values[:-1]), MATRIX),
        broken("json rows: data too few", rows_of("data", lambda values: values[:-1]), MATRIX),
        broken("json rows: a gene twice in a cell",
               rows_of("indices", lambda values: [values[1], *values[1:]]), MATRIX),
        broken("json rows: data in rows", rows_of("data", lambda values: [values]), INVALID),
        broken("json rows: library sizes too few", rows(library_sizes=[9e3] * 5), MATRIX),
        broken("json rows: library sizes negative", rows(library_sizes=[-1.0] * 12), "LIBRARY_SIZE_INVALID"),
        broken("json rows: an id twice",
               rows_of("cell_ids", lambda values: [values[1], *values[1:]]), "CELL_ID_DUPLICATE"),
    ]  # fmt: skip


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


# npz


def plain() -> dict[str, np.ndarray]:
    arrays = {key: np.array(value) for key, value in csr_arrays(cells()).items()}
    return {**arrays, "data": arrays["data"].astype(np.float32)}


def npz(**changes: Any) -> Callable[[Path], Path]:
    arrays = {**plain(), **changes}
    return npz_file({key: value for key, value in arrays.items() if value is not None})


def npz_of(key: str, how: Callable[[np.ndarray], Any]) -> Callable[[Path], Path]:
    return npz(**{key: how(plain()[key])})


def members(changes: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Callable[[Path], Path]:
    """An archive in which some members are other bytes."""

    def build(folder: Path) -> Path:
        path = npz()(folder)
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as old, zipfile.ZipFile(path, "w", method) as new:
            for name in old.namelist():
                if name not in changes:
                    new.writestr(name, old.read(name))
            for name, content in changes.items():
                new.writestr(name, content)
        return path

    return build


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header.encode() + content


def cut(how: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = npz()(folder)
        path.write_bytes(how(path.read_bytes()))
        return path

    return build


def twice(folder: Path) -> Path:
    path = npz()(folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("data.npy", b"x")
    return path


def npz_entries() -> list[Broken]:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s,)}\n"
    return [
        broken("npz: empty", text_file("cells.npz", ""), UNREADABLE),
        broken("npz: a text", text_file("cells.npz", "genes\n"), UNREADABLE),
        broken("npz: one array, not an archive", lambda folder: _bare_array(folder), UNREADABLE),
        broken("npz: cut", cut(lambda content: content[:-30]), UNREADABLE),
        broken("npz: the last half", cut(lambda content: content[len(content) // 2 :]), UNREADABLE),
        broken("npz: a byte of the values changed", cut(lambda content: _flip(content, 200)), UNREADABLE),
        broken("npz: an archive of nothing", npz_file({}), MATRIX),
        *(broken(f"npz: no {key}",
                 npz(**{key: None}), MATRIX) for key in ("genes", "cell_ids", "indptr", "indices", "data")),
        broken("npz: SciPy's own form", npz(format=np.array(b"csr"), shape=np.array([12, 60])), MATRIX),
        broken("npz: another array", npz(X=np.eye(3)), MATRIX),
        broken("npz: an array twice", twice, MATRIX),
        broken("npz: a member that leads out", members({"../../genes.npy": b"x"}), MATRIX),
        broken("npz: a member that is no array", members({"data.npy": b"MS4A1"}), UNREADABLE),
        broken("npz: a member without its ending", members({"data": b"x"}), MATRIX),
        broken("npz: packed by bzip2", members({}, zipfile.ZIP_BZIP2), UNREADABLE),
        broken("npz: an array of format 9", members({"data.npy": npy(header % 5, bytes(40), b"\x09\x00")}), UNREADABLE),
        broken("npz: claims a trillion values", members({"data.npy": npy(header % 10**12, bytes(8))}), UNREADABLE),
        broken("npz: claims a negative number of values",
               members({"data.npy": npy(header % -5, bytes(8))}), UNREADABLE),
        broken("npz: a header that is a program",
               members({"data.npy": npy("__import__('os').system('true')\n")}), UNREADABLE),
        broken("npz: a header of brackets", members({"data.npy": npy("(" * 60_000 + "\n")}), UNREADABLE),
        broken("npz: names as objects", npz_of("genes", lambda values: values.astype(object)), MATRIX),
        broken("npz: names as bytes", npz_of("genes", lambda values: values.astype("S")), MATRIX),
        broken("npz: names as numbers", npz(genes=np.arange(60)), MATRIX),
        broken("npz: ids as numbers", npz(cell_ids=np.arange(12)), MATRIX),
        broken("npz: room for names of 1,000 letters", npz_of("genes", lambda values: values.astype("U1000")), MATRIX),
        broken("npz: names in a table", npz_of("genes", lambda values: values.reshape(6, 10)), MATRIX),
        broken("npz: names is one name", npz(genes=np.array("CD4")), MATRIX),
        broken("npz: data is complex", npz_of("data", lambda values: values.astype("c8")), MATRIX),
        broken("npz: data is text", npz_of("data", lambda values: values.astype("U8")), MATRIX),
        broken("npz: data is dates", npz_of("data", lambda values: values.astype("i8").view("M8[s]")), MATRIX),
        broken("npz: data is true and false", npz_of("data", lambda values: values > 0), MATRIX),
        broken("npz: data is a dense matrix", npz(data=np.ones((12, 60), dtype="f4")), MATRIX),
        broken("npz: data too few", npz_of("data", lambda values: values[:-1]), MATRIX),
        broken("npz: indices too few", npz_of("indices", lambda values: values[:-1]), MATRIX),
        broken("npz: indices of fractions", npz_of("indices", lambda values: values.astype("f4")), MATRIX),
        broken("npz: indices beyond the genes", npz_of("indices", lambda values: values + 1), MATRIX),
        broken("npz: indices negative", npz_of("indices", lambda values: values - 1), MATRIX),
        broken("npz: indices beyond 63 bits", npz_of("indices", lambda values: values.astype("u8") + 2**63), MATRIX),
        broken("npz: a gene twice in a cell",
               npz_of("indices", lambda values: np.append(values[1], values[1:])), MATRIX),
        broken("npz: indptr too long", npz_of("indptr", lambda values: np.append(values, values[-1])), MATRIX),
        broken("npz: indptr falls", npz_of("indptr", lambda values: values[::-1].copy()), MATRIX),
        broken("npz: indptr empty", npz_of("indptr", lambda values: values[:0]), MATRIX),
        broken("npz: library sizes too many", npz(library_sizes=np.full(13, 9e3)), MATRIX),
        broken("npz: library sizes of text", npz(library_sizes=np.array(["9e3"] * 12)), MATRIX),
        broken("npz: library sizes of NaN", npz(library_sizes=np.full(12, np.nan)), "LIBRARY_SIZE_INVALID"),
        broken("npz: library sizes below the counts", npz(library_sizes=np.full(12, 2)), "LIBRARY_SIZE_INVALID"),
    ]  # fmt: skip


def _bare_array(folder: Path) -> Path:
    np.save(folder / "cells.npy", np.eye(3))
    return (folder / "cells.npy").rename(folder / "cells.npz")


def _flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


def entries() -> list[Broken]:
    return [*json_entries(), *npz_entries()]
