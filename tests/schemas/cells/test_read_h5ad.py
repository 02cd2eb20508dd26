"""`.h5ad` by rows, against anndata's own reader, whatever the storage and its age; AnnData objects in memory."""

import contextlib
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells import read_anndata
from cellmark.schemas.cells.anndata_facts import facts_of_anndata, facts_of_h5ad
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.read_anndata import LazyCells, cells_from_anndata
from cellmark.schemas.cells.read_h5ad import open_h5ad
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.errors import ReadError

MATRICES = [sp.csr_matrix, sp.csc_matrix, np.asarray, sp.csr_array]


def drawn(matrix: Callable[[Any], Any] = sp.csr_matrix, dtype: str = "float32") -> ad.AnnData:
    """23 cells x 11 genes, two cells and a gene without counts; other counts in the layer, 17 genes in raw."""
    generator = np.random.default_rng(0)
    wide = generator.poisson(0.9, (23, 17))
    wide[[4, 22]] = 0
    wide[:, 3] = 0
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(generator.choice(["T", "B", "NK"], 23)),
            "n_counts": wide.sum(axis=1).astype(float),
            "note": [f"note {number}" for number in range(23)],
            "kept": wide[:, 0] > 0,
        },
        index=[f"c{number}" for number in range(23)],
    )
    names = [f"G{number}" for number in range(17)]
    adata = ad.AnnData(matrix(wide.astype(dtype)), obs=obs, var=pd.DataFrame({"length": range(17)}, index=names))
    adata.raw = adata.copy()
    adata = adata[:, :11].copy()
    adata.layers["counts"] = matrix((wide[:, :11] * 2).astype(dtype))
    adata.uns["organism"] = "human"
    return adata


def write(path: Path, adata: ad.AnnData, **options: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata.write_h5ad(path, **options)
    return path


def dense(X: Any) -> np.ndarray:
    return X.toarray() if sp.issparse(X) else np.asarray(X)


def read_by_rows(cells: CellSource, n_rows: int) -> np.ndarray:
    """All rows; chunks must follow one another, be no larger than asked for, and be sound CSR."""
    pieces, expected_start = [], 0
    for chunk in cells.chunks(n_rows):
        assert chunk.start == expected_start
        assert 0 < chunk.X.shape[0] <= n_rows
        assert chunk.X.format == "csr"
        chunk.X.check_format(full_check=True)
        pieces.append(chunk.X.toarray())
        expected_start += chunk.X.shape[0]
    return np.vstack(pieces)


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("layer", [None, "counts", "raw"])
@pytest.mark.parametrize("n_rows", [1, 2, 5, 22, 23, 24, 1000])
def test_rows_in_chunks_of_any_size_are_those_that_anndata_reads(
    matrix: Callable[[Any], Any], layer: str | None, n_rows: int, tmp_path: Path
) -> None:
    path = write(tmp_path / "cells.h5ad", drawn(matrix))
    expected = ad.read_h5ad(path)
    X, var = {
        None: (expected.X, expected.var),
        "counts": (expected.layers["counts"], expected.var),
        "raw": (expected.raw.X, expected.raw.var),
    }[layer]
    with open_h5ad(path, layer=layer) as cells:
        np.testing.assert_array_equal(read_by_rows(cells, n_rows), dense(X))
        assert cells.load().dtype == X.dtype
        assert list(cells.var_names) == list(var.index)
        pd.testing.assert_frame_equal(cells.var, var)
        pd.testing.assert_frame_equal(cells.obs, expected.obs)
        assert cells.uns["organism"] == "human"
        assert (cells.n_obs, cells.n_vars) == X.shape


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("dtype", ["float64", "int64", "int32", "uint16", "uint8", "int8", "bool"])
def test_every_type_of_number_keeps_its_values(matrix: Callable[[Any], Any], dtype: str, tmp_path: Path) -> None:
    path = write(tmp_path / "cells.h5ad", drawn(matrix, dtype))
    with open_h5ad(path) as cells:
        np.testing.assert_array_equal(read_by_rows(cells, 5), dense(ad.read_h5ad(path).X))


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_compressed_files_are_read(matrix: Callable[[Any], Any], compression: str, tmp_path: Path) -> None:
    path = write(tmp_path / "cells.h5ad", drawn(matrix), compression=compression)
    with open_h5ad(path) as cells:
        np.testing.assert_array_equal(read_by_rows(cells, 6), dense(ad.read_h5ad(path).X))


@pytest.mark.parametrize("matrix", [sp.csr_matrix, np.asarray])
@pytest.mark.parametrize("n_rows", [7, 1999, 10_000])
def test_a_matrix_larger_than_a_block_of_values_is_read_whole(
    matrix: Callable[[Any], Any], n_rows: int, tmp_path: Path
) -> None:
    values = np.arange(2400 * 2000, dtype=np.float32).reshape(2400, 2000) + 1
    path = write(tmp_path / "cells.h5ad", ad.AnnData(matrix(values)))
    with open_h5ad(path) as cells:
        np.testing.assert_array_equal(np.vstack([chunk.X.toarray() for chunk in cells.chunks(n_rows)]), values)


def test_real_cells_are_read_as_anndata_reads_them(shared_data: Path) -> None:
    for file in sorted(shared_data.glob("*.h5ad")):
        expected = ad.read_h5ad(file)
        with open_cells(file) as cells:
            assert (cells.load() != expected.X).nnz == 0
            assert sum(chunk.X.nnz for chunk in cells.chunks(500)) == expected.X.nnz
            pd.testing.assert_frame_equal(cells.obs, expected.obs)
            assert list(cells.var_names) == list(expected.var_names)
            assert cells.uns["organism"] == expected.uns["organism"]


def test_chunks_can_be_read_again(tmp_path: Path) -> None:
    with open_h5ad(write(tmp_path / "cells.h5ad", drawn())) as cells:
        np.testing.assert_array_equal(read_by_rows(cells, 4), read_by_rows(cells, 9))


def test_closing_twice_is_safe_and_frees_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "cells.h5ad", drawn())
    cells = open_h5ad(path)
    cells.close()
    cells.close()
    with h5py.File(path, "a") as file:
        file["more"] = 1


def test_reading_a_closed_file_is_an_error_of_ours(tmp_path: Path) -> None:
    cells = open_h5ad(write(tmp_path / "cells.h5ad", drawn()))
    cells.close()
    with pytest.raises(ReadError):
        list(cells.chunks(5))


def test_features_that_are_no_genes_are_dropped_with_a_note(tmp_path: Path) -> None:
    adata = drawn()
    adata.var["feature_types"] = ["Gene Expression", "Antibody Capture"] * 5 + ["Gene Expression"]
    with open_h5ad(write(tmp_path / "cells.h5ad", adata)) as cells:
        (note,) = cells.notes
        assert (note.code, note.found) == ("FEATURES_DROPPED", "5 Antibody Capture")
        np.testing.assert_array_equal(read_by_rows(cells, 4), dense(adata.X)[:, ::2])
        assert list(cells.var_names) == list(adata.var_names[::2])
        assert len(cells.var) == cells.n_vars == 6


def test_an_unknown_layer_is_refused_with_those_there_are(tmp_path: Path) -> None:
    adata = drawn()
    for raw, there in ((True, "(there are: counts, raw)"), (False, "(there are: counts)")):
        if not raw:
            adata.raw = None
        path = write(tmp_path / "cells.h5ad", adata)
        for refuse in (
            lambda path=path: open_h5ad(path, layer="spliced"),
            lambda: cells_from_anndata(adata, layer="x"),
        ):
            with pytest.raises(ReadError) as raised:
                refuse()
            assert raised.value.code == "LAYER_UNKNOWN"
            assert there in raised.value.findings[0].expected
            assert "--layer" in raised.value.findings[0].remedy


def test_an_anndata_without_values_is_refused(tmp_path: Path) -> None:
    adata = ad.AnnData(obs=pd.DataFrame(index=["a"]), var=pd.DataFrame(index=["G"]))
    for refuse in (lambda: open_h5ad(write(tmp_path / "x.h5ad", adata)), lambda: cells_from_anndata(adata)):
        with pytest.raises(ReadError) as raised:
            refuse()
        assert raised.value.code == "MATRIX_INVALID"


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("matrix", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_a_file_without_cells_or_genes_opens_and_says_so(
    shape: tuple[int, int], matrix: Callable[[Any], Any], tmp_path: Path
) -> None:
    path = write(tmp_path / "cells.h5ad", ad.AnnData(matrix(np.zeros(shape, dtype=np.float32))))
    with open_h5ad(path) as cells:
        assert (cells.n_obs, cells.n_vars) == shape
        assert cells.load().shape == shape


# Old layouts, written here as the AnnData of that time wrote them


def write_0_6(path: Path, adata: ad.AnnData, *, sparse: bool) -> Path:
    """Before 0.7: frames are tables of records, categories lie in `uns`, raw has keys of its own."""

    def records(frame: pd.DataFrame) -> np.ndarray:
        frame = frame.copy()
        for column in frame:
            if isinstance(frame[column].dtype, pd.CategoricalDtype):
                frame[column] = frame[column].cat.codes
        plain = frame.reset_index().to_records(index=False)
        kinds = [(name, "S10" if plain.dtype[name].kind == "O" else plain.dtype[name]) for name in plain.dtype.names]
        return plain.astype(kinds)

    def matrix(group: h5py.Group, name: str, X: Any) -> None:
        if not sparse:
            group[name] = dense(X)
            return
        stored = group.create_group(name)
        stored.attrs["h5sparse_format"], stored.attrs["h5sparse_shape"] = "csr", X.shape
        stored["data"], stored["indices"], stored["indptr"] = X.data, X.indices, X.indptr

    with h5py.File(path, "w") as file:
        matrix(file, "X", adata.X)
        matrix(file, "raw.X", adata.raw.X)
        file["obs"], file["var"] = records(adata.obs.drop(columns=["kept"])), records(adata.var)
        file["raw.var"] = records(adata.raw.var)
        file["uns/cell_type_categories"] = np.array(list(adata.obs["cell_type"].cat.categories), dtype="S10")
    return path


def write_0_7(path: Path, adata: ad.AnnData) -> Path:
    """0.7: frames are groups, categories lie in `__categories` and are pointed to."""
    write(path, adata)
    with h5py.File(path, "a") as file:
        obs = file["obs"]
        codes, categories = obs["cell_type/codes"][()], obs["cell_type/categories"][()]
        del obs["cell_type"]
        obs["__categories/cell_type"] = categories
        obs["cell_type"] = codes
        obs["cell_type"].attrs["categories"] = obs["__categories/cell_type"].ref
        obs.attrs["encoding-version"] = "0.1.0"
    return path


@pytest.mark.parametrize("layout", ["0.6 sparse", "0.6 dense", "0.7"])
@pytest.mark.parametrize("layer", [None, "raw"])
def test_files_of_older_anndata_are_read_as_anndata_reads_them(layout: str, layer: str | None, tmp_path: Path) -> None:
    adata, path = drawn(), tmp_path / "old.h5ad"
    if layout == "0.7":
        write_0_7(path, adata)
    else:
        write_0_6(path, adata, sparse="sparse" in layout)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ad.read_h5ad(path)
        with open_h5ad(path, layer=layer) as cells:
            X = cells.load().toarray()
    np.testing.assert_array_equal(X, dense(adata.raw.X if layer else adata.X))
    assert list(expected.obs["cell_type"]) == list(adata.obs["cell_type"])
    pd.testing.assert_frame_equal(cells.obs, expected.obs)
    assert list(cells.var_names) == list((adata.raw.var if layer else adata.var).index)


# Damage that HDF5 itself does not notice


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("X/indices", lambda old: np.where(np.arange(len(old)) == 3, 11, old)),
        ("X/indices", lambda old: np.where(np.arange(len(old)) == 3, -1, old)),
        ("X/indices", lambda old: old[:-1]),
        ("X/indices", lambda old: old.astype(float)),
        ("X/data", lambda old: old[:-1]),
        ("X/data", lambda old: old.astype("S4")),
        ("X/indptr", lambda old: old[:-1]),
        ("X/indptr", lambda old: np.where(np.arange(len(old)) == 2, 10**6, old)),
        ("X/indptr", lambda old: old + 1),
        ("X/indptr", lambda old: old[:0]),
        ("var/_index", lambda old: old[:-1]),
        ("obs/_index", lambda old: old[:-1]),
    ],
)
@pytest.mark.parametrize("matrix", [sp.csr_matrix, sp.csc_matrix])
def test_parts_that_do_not_fit_together_are_refused(
    matrix: Callable[[Any], Any], name: str, change: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    path = write(tmp_path / "cells.h5ad", drawn(matrix))
    with h5py.File(path, "a") as file:
        if isinstance(file[name], h5py.Group):  # text as anndata 0.13 writes it: values, and a mask
            name += "/values"
        old, attributes = file[name][()], dict(file[name].attrs)
        changed = change(old) if not (name == "X/indices" and matrix is sp.csc_matrix) else change(old + 0)
        if name == "X/indices" and matrix is sp.csc_matrix:
            changed = np.where(changed == 11, 23, changed)
        del file[name]
        file[name] = changed
        file[name].attrs.update(attributes)
    with pytest.raises(ReadError) as raised, open_h5ad(path) as cells:
        read_by_rows(cells, 5)
    assert raised.value.code == "FILE_UNREADABLE"


@pytest.mark.parametrize("name", ["X/data", "X/indptr", "obs/_index", "var", "obs/cell_type/codes", "layers/counts"])
@pytest.mark.parametrize("kind", ["external", "soft through external", "virtual"])
def test_values_in_other_files_are_never_read(name: str, kind: str, tmp_path: Path) -> None:
    other, path = write(tmp_path / "other.h5ad", drawn()), write(tmp_path / "cells.h5ad", drawn())
    with h5py.File(path, "a") as file:
        if kind == "virtual" and not isinstance(file[name], h5py.Dataset):
            pytest.skip("only datasets can be virtual")
        dataset = file[name]
        attributes = dict(dataset.attrs)
        if kind == "virtual":
            shape, dtype = dataset.shape, dataset.dtype
            del file[name]
            layout = h5py.VirtualLayout(shape=shape, dtype=dtype)
            layout[:] = h5py.VirtualSource(other, name, shape=shape, dtype=dtype)
            file.create_virtual_dataset(name, layout).attrs.update(attributes)
        else:
            del file[name]
            if kind == "external":
                file[name] = h5py.ExternalLink(other, name)
            else:
                file["elsewhere"] = h5py.ExternalLink(other, "/")
                file[name] = h5py.SoftLink(f"/elsewhere/{name}")
    layer = "counts" if name.startswith("layers") else None
    with pytest.raises(ReadError, match="links to other files"):
        open_h5ad(path, layer=layer)


def test_a_dataset_far_larger_than_what_is_stored_is_not_allocated(tmp_path: Path) -> None:
    path = write(tmp_path / "cells.h5ad", drawn())
    with h5py.File(path, "a") as file:
        del file["X/indptr"]
        file["X"].create_dataset("indptr", shape=(2**36,), chunks=(1024,), dtype="i4")
    with pytest.raises(ReadError, match="far more than are stored") as raised:
        open_h5ad(path)
    assert raised.value.code == "FILE_UNREADABLE"


# AnnData in memory


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("layer", [None, "counts", "raw"])
def test_an_anndata_in_memory_is_read_and_stays_what_it_was(matrix: Callable[[Any], Any], layer: str | None) -> None:
    adata = drawn(matrix)
    before = adata.copy()
    cells = cells_from_anndata(adata, layer=layer)
    X = {None: adata.X, "counts": adata.layers["counts"], "raw": adata.raw.X}[layer]
    np.testing.assert_array_equal(read_by_rows(cells, 5), dense(X))
    assert type(adata.X) is type(before.X)
    np.testing.assert_array_equal(dense(adata.X), dense(before.X))
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    pd.testing.assert_frame_equal(adata.var, before.var)
    assert list(adata.uns) == list(before.uns)


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_view_is_read_and_stays_a_view(matrix: Callable[[Any], Any]) -> None:
    view = drawn(matrix)[[8, 2, 3], ["G5", "G1"]]
    cells = cells_from_anndata(view)
    assert view.is_view
    np.testing.assert_array_equal(cells.load().toarray(), dense(view.X))
    assert list(cells.cell_ids) == ["c8", "c2", "c3"]
    assert list(cells.var_names) == ["G5", "G1"]


@pytest.mark.parametrize("matrix", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_a_backed_anndata_is_read_and_stays_open(matrix: Callable[[Any], Any], tmp_path: Path) -> None:
    adata = drawn(matrix)
    backed = ad.read_h5ad(write(tmp_path / "cells.h5ad", adata), backed="r")
    np.testing.assert_array_equal(cells_from_anndata(backed).load().toarray(), dense(adata.X))
    np.testing.assert_array_equal(cells_from_anndata(backed[3:7]).load().toarray(), dense(adata.X)[3:7])
    assert backed.file.is_open
    backed.file.close()


@pytest.mark.parametrize("matrix", MATRICES[:3])
@pytest.mark.parametrize("layer", [None, "raw"])
def test_text_of_fixed_length_is_read_as_anndata_reads_it(
    matrix: Callable[[Any], Any], layer: str | None, tmp_path: Path
) -> None:
    """As hdf5r, HDF5.jl and Matlab write attributes, lists of text among them."""
    path = write(tmp_path / "cells.h5ad", drawn(matrix))

    def fix(_: str, element: Any) -> None:
        for name, value in list(element.attrs.items()):
            if isinstance(value, str):
                element.attrs[name] = np.bytes_(value.encode())
            elif value.dtype == object:
                element.attrs[name] = np.array([text.encode() for text in value], dtype="S")

    with h5py.File(path, "r+") as file:
        fix("", file)
        file.visititems(fix)
    expected = ad.read_h5ad(path)
    with open_h5ad(path, layer=layer) as cells:
        np.testing.assert_array_equal(read_by_rows(cells, 5), dense(expected.raw.X if layer else expected.X))
        pd.testing.assert_frame_equal(cells.obs, expected.obs)
    assert {values.layout for values in facts_of_h5ad(path).stored} == {facts_of_anndata(expected).stored[0].layout}


def write_filtered(path: Path, number: int) -> Path:
    """An `.h5ad` whose values claim to be compressed by a plugin."""
    adata = drawn()
    write(path, adata)
    with h5py.File(path, "r+") as file:
        del file["X/data"]
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((adata.X.nnz,))
        created.set_filter(number, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((adata.X.nnz,))
        dataset = h5py.h5d.create(file["X"].id, b"data", h5py.h5t.IEEE_F32LE, space, created)
        dataset.write_direct_chunk((0,), adata.X.data.astype("<f4").tobytes())
    return path


@pytest.mark.parametrize(("number", "name"), [(32015, "zstd"), (32099, "unnamed")])
def test_a_filter_that_is_missing_is_named_with_the_line_that_installs_it(
    number: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: code < 256)
    with pytest.raises(ReadError) as raised:
        open_h5ad(write_filtered(tmp_path / "cells.h5ad", number))
    (finding,) = raised.value.findings
    assert f"{name} (HDF5 filter {number})" in finding.found
    assert "pip install hdf5plugin" in finding.remedy
    assert "complete" not in finding.remedy


def test_filters_of_hdf5plugin_are_used_where_it_is_installed(tmp_path: Path) -> None:
    plugin = pytest.importorskip("hdf5plugin")
    adata = drawn()
    with open_h5ad(write(tmp_path / "cells.h5ad", adata, compression=plugin.FILTERS["zstd"])) as cells:
        np.testing.assert_array_equal(cells.load().toarray(), dense(adata.X))


def run_remedy(error: ReadError, folder: Path) -> None:
    """Paste the line of a remedy that begins with python."""
    (code,) = re.findall(r'python -c "(.*)"', error.findings[0].remedy)
    with contextlib.chdir(folder):
        exec(code, {})


@pytest.mark.parametrize("name", ["cells.h5mu", "cells.h5ad"])
def test_a_mudata_is_refused_with_the_line_that_takes_the_rna_out(name: str, tmp_path: Path) -> None:
    """As mudata writes it: one AnnData for each modality, below `mod`."""
    adata, proteins = drawn(), drawn()
    with h5py.File(tmp_path / name, "w") as file:
        for part, element in (("obs", adata.obs), ("var", adata.var)):
            ad.io.write_elem(file, part, element)
        modalities = file.create_group("mod")
        for part, element in (("prot", proteins), ("rna", adata)):
            ad.io.write_elem(modalities, part, element)
    with pytest.raises(ReadError) as raised:
        open_cells(tmp_path / name)
    assert raised.value.code == "NOT_ANNDATA"
    assert "a MuData of 'prot', 'rna'" in raised.value.findings[0].found
    run_remedy(raised.value, tmp_path)
    with open_cells(tmp_path / "rna.h5ad") as cells:
        np.testing.assert_array_equal(cells.load().toarray(), dense(adata.X))


def test_what_a_file_lacks_decides_what_to_do_about_it(tmp_path: Path) -> None:
    path = write(tmp_path / "cells.h5ad", drawn())
    content = path.read_bytes()
    remedies = {}
    for name, damaged in (("cut", content[: len(content) // 2]), ("text", b"not HDF5"), ("empty", b"")):
        (tmp_path / f"{name}.h5ad").write_bytes(damaged)
    (tmp_path / "newer.h5ad").write_bytes(content)
    (tmp_path / "newest.h5ad").write_bytes(content)
    with h5py.File(tmp_path / "newer.h5ad", "r+") as file:
        file["obs/note"].attrs["encoding-type"] = "of-next-year"
    with h5py.File(tmp_path / "newest.h5ad", "r+") as file:
        file["X"].attrs["encoding-version"] = "9.0"
    for name in ("cut", "text", "empty", "newer", "newest"):
        with pytest.raises(ReadError) as raised:
            open_h5ad(tmp_path / f"{name}.h5ad")
        remedies[name] = raised.value.findings[0].remedy
    assert "not complete" in remedies["cut"]
    assert "extension" in remedies["text"]
    assert "copy or download it again" in remedies["empty"]
    assert "-U anndata" in remedies["newer"]
    assert remedies["newer"] == remedies["newest"]


def check_lazy(adata: ad.AnnData, expected: np.ndarray, *, n_blocks: int) -> None:
    cells = cells_from_anndata(adata)
    assert isinstance(cells, LazyCells)
    for n_rows in (2, 1000):
        np.testing.assert_array_equal(read_by_rows(cells, n_rows), expected)
    np.testing.assert_array_equal(cells.load().toarray(), expected)
    np.testing.assert_array_equal(cells.take(np.array([1, 4])).toarray(), expected[[1, 4]])
    assert len(list(cells.chunks(1000))) == n_blocks


@pytest.mark.parametrize("matrix", [sp.csr_matrix, np.asarray])
def test_a_backed_anndata_is_read_by_rows(
    matrix: Callable[[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_anndata, "BLOCK_VALUES", 60)
    adata = drawn(matrix)
    backed = ad.read_h5ad(write(tmp_path / "cells.h5ad", adata), backed="r")
    n_blocks = len(list(cells_from_anndata(backed).chunks(1000)))
    assert n_blocks >= 3
    check_lazy(backed, dense(adata.X), n_blocks=n_blocks)
    backed.file.close()


@pytest.mark.parametrize("matrix", [sp.csr_matrix, np.asarray])
def test_dask_arrays_are_computed_by_their_chunks(
    matrix: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    array = pytest.importorskip("dask.array")
    monkeypatch.setattr(read_anndata, "BLOCK_VALUES", 60)
    adata = drawn(matrix)
    lazy = adata.copy()
    lazy.X = array.from_array(adata.X, chunks=(4, -1), asarray=False)
    check_lazy(lazy, dense(adata.X), n_blocks=3)
    view = cells_from_anndata(lazy[3:20, 2:9])
    np.testing.assert_array_equal(read_by_rows(view, 4), dense(adata.X)[3:20, 2:9])
    lazy.X = array.from_array(adata.X, chunks=(-1, 4), asarray=False)
    np.testing.assert_array_equal(read_by_rows(cells_from_anndata(lazy), 4), dense(adata.X))


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
@pytest.mark.filterwarnings("ignore")
def test_a_lazy_anndata_is_read_by_rows(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("xarray")
    pytest.importorskip("dask.array")
    adata = drawn()
    path = tmp_path / f"cells.{kind}"
    adata.write_h5ad(path) if kind == "h5ad" else adata.write_zarr(path)
    with ad.settings.override(zarr_write_format=2):
        lazy = ad.experimental.read_lazy(path)
    cells = cells_from_anndata(lazy)
    np.testing.assert_array_equal(read_by_rows(cells, 5), dense(adata.X))
    assert isinstance(cells.obs, pd.DataFrame)
    assert list(cells.obs["cell_type"]) == list(adata.obs["cell_type"])
    assert list(cells.var_names) == list(adata.var_names)


def test_an_empty_value_in_place_of_raw_is_no_raw(tmp_path: Path) -> None:
    # As anndata.io.write_elem writes an AnnData without raw.
    ad.AnnData(sp.csr_matrix(np.eye(3, dtype=np.float32))).write_h5ad(tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "cells.h5ad", "r+") as file:
        file["raw"] = h5py.Empty("f4")
    with open_cells(tmp_path / "cells.h5ad") as source:
        assert (source.load().toarray() == np.eye(3)).all()
        assert source.others == ()
    with pytest.raises(ReadError) as raised:
        open_cells(tmp_path / "cells.h5ad", ReadingOptions(layer="raw"))
    assert raised.value.code == "LAYER_UNKNOWN"
