"""`.h5ad` files whose structure is broken, each by one edit of a sound file."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np

from corpus.broken import Broken, broken, cells, text_file, write_csc_h5ad, write_dense_h5ad, write_h5ad, write_tenx

Edit = Callable[[h5py.File], None]
ARCHIVES = Path(__file__).resolve().parents[1] / "archives"


def edited(edit: Edit, write: Callable[[ad.AnnData, Path], Path] = write_h5ad) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        adata = cells()
        adata.layers["counts"] = adata.X.copy()
        path = write(adata, folder)
        with h5py.File(path, "r+") as file:
            edit(file)
        return path

    return build


def bytes_changed(change: Callable[[bytearray], bytes | bytearray]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = write_h5ad(cells(), folder)
        path.write_bytes(change(bytearray(path.read_bytes())))
        return path

    return build


def without(*names: str) -> Edit:
    def edit(file: h5py.File) -> None:
        for name in names:
            del file[name]

    return edit


def put(name: str, value: Any, **attributes: Any) -> Edit:
    """Another value in an object's place, with its attributes."""

    def edit(file: h5py.File) -> None:
        kept = dict(file[name].attrs) if name in file else {}
        if name in file:
            del file[name]
        file[name] = value
        for key, content in {**kept, **attributes}.items():
            file[name].attrs[key] = content

    return edit


def computed(name: str, how: Callable[[np.ndarray], Any]) -> Edit:
    return lambda file: put(name, how(file[name][()]))(file)


def attribute(name: str, key: str, value: Any) -> Edit:
    def edit(file: h5py.File) -> None:
        if value is None:
            del file[name].attrs[key]
        else:
            file[name].attrs[key] = value

    return edit


def linked(name: str, link: Any) -> Edit:
    def edit(file: h5py.File) -> None:
        del file[name]
        file[name] = link

    return edit


def claimed(name: str, shape: tuple[int, ...], dtype: str = "i4") -> Edit:
    """A dataset that claims a size and stores nothing."""

    def edit(file: h5py.File) -> None:
        kept = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, shape=shape, dtype=dtype, chunks=tuple(min(length, 2**16) for length in shape))
        file[name].attrs.update(kept)

    return edit


def deep(file: h5py.File) -> None:
    group = file.create_group("uns/deep")
    for _ in range(300):
        group = group.create_group("g")


def within_itself(file: h5py.File) -> None:
    file["obs"]["again"] = file["obs"]
    file["obs"].attrs["column-order"] = np.array(["again"], dtype=object)


def unfiltered(file: h5py.File) -> None:
    """A chunk whose bytes are not what its filter says."""
    values = file["X/data"][()]
    del file["X/data"]
    dataset = file["X"].create_dataset("data", shape=values.shape, dtype=values.dtype, chunks=values.shape,
                                       compression="gzip")  # fmt: skip
    dataset.id.write_direct_chunk((0,), b"this is not deflated", 0)


def checksummed(file: h5py.File) -> None:
    values = file["X/data"][()]
    del file["X/data"]
    dataset = file["X"].create_dataset("data", data=values, chunks=values.shape, fletcher32=True)
    _, chunk = dataset.id.read_direct_chunk((0,))
    dataset.id.write_direct_chunk((0,), chunk[:-1] + bytes([chunk[-1] ^ 1]), 0)


def loops(folder: Path) -> Path:
    return Path(shutil.copy(ARCHIVES / "damaged" / "loops.h5ad", folder / "cells.h5ad"))


def virtual(file: h5py.File) -> None:
    kept = dict(file["X/data"].attrs)
    layout = h5py.VirtualLayout(shape=file["X/data"].shape, dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "data", shape=file["X/data"].shape)
    del file["X/data"]
    file["X"].create_virtual_dataset("data", layout).attrs.update(kept)


def external(file: h5py.File) -> None:
    n = file["X/data"].shape[0]
    del file["X/data"]
    file["X"].create_dataset("data", shape=(n,), dtype="f4", external=[("/etc/hostname", 0, 4 * n)])


UNREADABLE = "FILE_UNREADABLE"
RECORD = [("a", "f4"), ("b", "i4")]


def entries() -> list[Broken]:
    return [
        # the file itself
        broken("h5ad: empty", text_file("cells.h5ad", ""), UNREADABLE),
        broken("h5ad: a text", text_file("cells.h5ad", "gene,cell\n"), UNREADABLE),
        broken("h5ad: HTML of an error page", text_file("cells.h5ad", "<!DOCTYPE html><p>404</p>"), UNREADABLE),
        broken("h5ad: gzip around it", text_file("cells.h5ad", b"\x1f\x8b\x08" + bytes(200)), UNREADABLE),
        broken("h5ad: the signature alone", text_file("cells.h5ad", b"\x89HDF\r\n\x1a\n"), UNREADABLE),
        broken("h5ad: a pointer of git-lfs", text_file("cells.h5ad", "version https://git-lfs.github.com/spec/v1\n"),
               UNREADABLE),
        broken("h5ad: the first half", bytes_changed(lambda content: content[: len(content) // 2]), UNREADABLE),
        broken("h5ad: without the last bytes", bytes_changed(lambda content: content[:-9]), UNREADABLE),
        broken("h5ad: without the first bytes", bytes_changed(lambda content: content[9:]), UNREADABLE),
        broken("h5ad: sent as text (line ends changed)",
               bytes_changed(lambda content: bytes(content).replace(b"\r\n", b"\n")), UNREADABLE),
        broken("h5ad: superblock of an unknown version",
               bytes_changed(lambda content: content[:8] + b"\xff" + content[9:]),
               UNREADABLE),
        broken("h5ad: makes libhdf5 loop", loops, UNREADABLE, apart_only=True),
        broken("h5ad: a 10x file under that name", lambda folder: write_tenx(cells(), folder).rename(folder / "x.h5ad"),
               "NOT_ANNDATA"),
        # what an AnnData has
        broken("h5ad: no objects", lambda folder: _empty(folder), "NOT_ANNDATA"),
        broken("h5ad: no X", edited(without("X")), "MATRIX_INVALID"),
        broken("h5ad: no obs", edited(without("obs")), "NOT_ANNDATA"),
        broken("h5ad: no var", edited(without("var")), "NOT_ANNDATA"),
        broken("h5ad: X is a text", edited(put("X", "counts")), UNREADABLE),
        broken("h5ad: X is one number", edited(put("X", 5.0)), UNREADABLE),
        broken("h5ad: X is a row", edited(put("X", np.ones(60, dtype="f4")), write_dense_h5ad), UNREADABLE),
        broken("h5ad: X has three dimensions", edited(put("X", np.ones((12, 60, 2), dtype="f4")), write_dense_h5ad),
               UNREADABLE),
        broken("h5ad: obs is a list", edited(put("obs", np.arange(12))), UNREADABLE),
        broken("h5ad: obs without its index", edited(without("obs/_index")), UNREADABLE),
        broken("h5ad: var without its index", edited(without("var/_index")), UNREADABLE),
        broken("h5ad: obs names another index", edited(attribute("obs", "_index", "barcode")), UNREADABLE),
        broken("h5ad: obs lists a column that is not there",
               edited(attribute("obs", "column-order", np.array(["total", "gone"], dtype=object))), UNREADABLE),
        broken("h5ad: encoding of an unknown kind", edited(attribute("X", "encoding-type", "cso_matrix")), UNREADABLE),
        broken("h5ad: encoding of an unknown version", edited(attribute("X", "encoding-version", "9.9.9")), UNREADABLE),
        broken("h5ad: encoding of obs unknown", edited(attribute("obs", "encoding-type", "table")), UNREADABLE),
        broken("h5ad: rows called columns", edited(attribute("X", "encoding-type", "csc_matrix")), UNREADABLE),
        broken("h5ad: columns called rows", edited(attribute("X", "encoding-type", "csr_matrix"), write_csc_h5ad),
               UNREADABLE),
        # sizes that do not fit
        broken("h5ad: fewer ids than rows", edited(computed("obs/_index", lambda ids: ids[:-1])), UNREADABLE),
        broken("h5ad: more names than columns",
               edited(computed("var/_index", lambda names: np.append(names, b"X").astype(object))), UNREADABLE),
        broken("h5ad: a column of obs too long", edited(computed("obs/total", lambda total: np.append(total, 1))),
               UNREADABLE),
        broken("h5ad: dense X with a row less", edited(computed("X", lambda X: X[:-1]), write_dense_h5ad), UNREADABLE),
        broken("h5ad: dense X with a column more",
               edited(computed("X", lambda X: np.hstack([X, X[:, :1]])), write_dense_h5ad), UNREADABLE),
        broken("h5ad: dense X turned", edited(computed("X", lambda X: X.T), write_dense_h5ad), UNREADABLE),
        broken("h5ad: shape of another number of cells",
               edited(attribute("X", "shape", np.array([11, 60]))), UNREADABLE),
        broken("h5ad: shape of another number of genes",
               edited(attribute("X", "shape", np.array([12, 61]))), UNREADABLE),
        broken("h5ad: shape below zero", edited(attribute("X", "shape", np.array([-12, 60]))), UNREADABLE),
        broken("h5ad: shape of one number", edited(attribute("X", "shape", np.array([12]))), UNREADABLE),
        broken("h5ad: shape of text", edited(attribute("X", "shape", "12x60")), UNREADABLE),
        broken("h5ad: no shape", edited(attribute("X", "shape", None)), UNREADABLE),
        broken("h5ad: shape beyond all limits", edited(attribute("X", "shape", np.array([2**62, 2**62]))),
               "INPUT_TOO_LARGE"),
        # the sparse matrix
        broken("h5ad: no data", edited(without("X/data")), UNREADABLE),
        broken("h5ad: no indices", edited(without("X/indices")), UNREADABLE),
        broken("h5ad: no indptr", edited(without("X/indptr")), UNREADABLE),
        broken("h5ad: data shorter than indices", edited(computed("X/data", lambda data: data[:-3])), UNREADABLE),
        broken("h5ad: indices shorter than data",
               edited(computed("X/indices", lambda indices: indices[:-3])), UNREADABLE),
        broken("h5ad: indptr too short", edited(computed("X/indptr", lambda indptr: indptr[:-1])), UNREADABLE),
        broken("h5ad: indptr too long", edited(computed("X/indptr", lambda indptr: np.append(indptr, indptr[-1]))),
               UNREADABLE),
        broken("h5ad: indptr falls", edited(computed("X/indptr", lambda indptr: indptr[[0, 3, 2, 1, *range(4, 13)]])),
               UNREADABLE),
        broken("h5ad: indptr starts at one", edited(computed("X/indptr", lambda indptr: indptr + 1)), UNREADABLE),
        broken("h5ad: indptr ends early",
               edited(computed("X/indptr", lambda indptr: np.append(indptr[:-1], indptr[-2]))),
               UNREADABLE),
        broken("h5ad: indptr negative",
               edited(computed("X/indptr", lambda indptr: np.append(-5, indptr[1:]))), UNREADABLE),
        broken("h5ad: indptr of fractions", edited(computed("X/indptr", lambda indptr: indptr + 0.5)), UNREADABLE),
        broken("h5ad: indices beyond the genes",
               edited(computed("X/indices", lambda indices: indices + 5)), UNREADABLE),
        broken("h5ad: indices below zero", edited(computed("X/indices", lambda indices: indices - 1)), UNREADABLE),
        broken("h5ad: indices of fractions", edited(computed("X/indices", lambda indices: indices + 0.5)), UNREADABLE),
        broken("h5ad: indices of text",
               edited(computed("X/indices", lambda indices: indices.astype("S4"))), UNREADABLE),
        broken("h5ad: indices in a table", edited(computed("X/indices", lambda indices: indices.reshape(1, -1))),
               UNREADABLE),
        broken("h5ad: csc indices beyond the cells", edited(computed("X/indices", lambda indices: indices + 5),
               write_csc_h5ad), UNREADABLE),
        broken("h5ad: csc indptr falls",
               edited(computed("X/indptr", lambda indptr: np.roll(indptr, 3)), write_csc_h5ad), UNREADABLE),
        # types
        broken("h5ad: values of text", edited(computed("X/data", lambda data: data.astype("S8"))), UNREADABLE),
        broken("h5ad: dense values of text",
               edited(computed("X", lambda X: X.astype("S8")), write_dense_h5ad), UNREADABLE),
        broken("h5ad: complex values", edited(computed("X/data", lambda data: data.astype("c8"))), UNREADABLE),
        broken("h5ad: dense complex values",
               edited(computed("X", lambda X: X.astype("c8")), write_dense_h5ad), UNREADABLE),
        broken("h5ad: values of records",
               edited(computed("X/data", lambda data: np.zeros(len(data), dtype=RECORD))), UNREADABLE),
        broken("h5ad: opaque values",
               edited(computed("X/data", lambda data: data.astype("f4").view("V4"))), UNREADABLE),
        broken("h5ad: data is empty of kind", edited(put("X/data", h5py.Empty("f4"))), UNREADABLE),
        broken("h5ad: ids of numbers", edited(computed("obs/_index", lambda ids: np.arange(12))), UNREADABLE),
        broken("h5ad: names of broken text",
               edited(computed("var/_index", lambda names: np.array([b"\xff\xfe\xfa"] * 60, dtype="S3"))), UNREADABLE),
        broken("h5ad: a category that is not there",
               edited(lambda file: put("obs/donor/codes", np.full(12, 9, dtype="i1"))(file)), UNREADABLE),
        # links and sizes
        broken("h5ad: X is a link out", edited(linked("X", h5py.ExternalLink("/etc/passwd", "/X"))), UNREADABLE),
        broken("h5ad: obs is a link out", edited(linked("obs", h5py.ExternalLink("other.h5ad", "/obs"))), UNREADABLE),
        broken("h5ad: X is a link to nothing", edited(linked("X", h5py.SoftLink("/nowhere"))), "MATRIX_INVALID"),
        broken("h5ad: values in another file", edited(external), UNREADABLE),
        broken("h5ad: virtual values", edited(virtual), UNREADABLE),
        broken("h5ad: obs within obs", edited(within_itself), UNREADABLE),
        broken("h5ad: groups 300 deep", edited(deep), UNREADABLE),
        broken("h5ad: claims 16 billion values", edited(claimed("X/data", (2**34,))), UNREADABLE),
        broken("h5ad: claims a dense terabyte", edited(claimed("X", (12, 2**37), "f4"), write_dense_h5ad), UNREADABLE),
        broken("h5ad: a column that claims a terabyte", edited(claimed("obs/total", (2**38,), "f4")), UNREADABLE),
        broken("h5ad: a chunk that does not unpack", edited(unfiltered), UNREADABLE),
        broken("h5ad: a chunk of another checksum", edited(checksummed), UNREADABLE),
        # another layer
        broken("h5ad: the layer is another shape", edited(put("layers/counts", np.ones((12, 7), dtype="f4"),
               **{"encoding-type": "array", "encoding-version": "0.2.0"})), UNREADABLE, layer="counts"),
        broken("h5ad: the layer lacks indices", edited(without("layers/counts/indices")), UNREADABLE, layer="counts"),
        broken("h5ad: layers is a list", edited(put("layers", np.arange(3))), UNREADABLE, layer="counts"),
        broken("h5ad: raw without its genes", edited(_raw_without_var), UNREADABLE, layer="raw"),
    ]  # fmt: skip


def _raw_without_var(file: h5py.File) -> None:
    file.copy(file["X"], file.create_group("raw"), name="X")


def _empty(folder: Path) -> Path:
    path = folder / "cells.h5ad"
    h5py.File(path, "w").close()
    return path
