"""Calls in `.zarr` copies of inputs of every format, and in `.zarr` inputs themselves."""

import shutil
import subprocess
import sys
import time
import tracemalloc
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
import zarr
from anndata.tests.helpers import assert_equal

from cellmark.schemas.errors import InputError, OutputError
from cellmark.serving.batch.collect_calls import collect_calls, collect_in_place
from cellmark.serving.batch.job_folder import JobFolder
from cellmark.serving.batch.verify_job import Difference, verify_job
from cellmark.serving.outputs.write_zarr import copy_group
from fixtures.batch_jobs import MakeJob, run


def quiet(text: str) -> None:
    return


@pytest.fixture(scope="module")
def rich(new_cells: ad.AnnData) -> ad.AnnData:
    """Cells with something in every place, and a column of older calls."""
    cells = new_cells.copy()
    generator = np.random.default_rng(0)
    cells.layers["counts"], cells.layers["dense"] = cells.X.copy(), cells.X.toarray()
    cells.raw = cells.copy()
    cells.obs["batch"] = pd.Categorical(["é", "b"] * (cells.n_obs // 2), categories=["b", "é", "unused"], ordered=True)
    cells.obs["whole or missing"] = pd.array([1, None] * (cells.n_obs // 2), dtype="Int64")
    cells.obs["text"] = [f"α{number}" for number in range(cells.n_obs)]
    cells.obs["cellmark_cell_type"] = pd.Categorical(["old"] * cells.n_obs)
    cells.obsm["X_umap"] = generator.normal(size=(cells.n_obs, 2))
    cells.obsm["frame"] = pd.DataFrame({"x": range(cells.n_obs)}, index=cells.obs_names)
    cells.obsp["connectivities"] = sp.random(cells.n_obs, cells.n_obs, 0.1, format="csc", random_state=0)
    cells.varm["PCs"] = generator.normal(size=(cells.n_vars, 3))
    cells.uns["nested"] = {"a": {"b": np.arange(3)}, "text": "é", "flag": True, "frame": pd.DataFrame({"x": [1, 2]})}
    cells.uns["empty"], cells.uns["none"] = np.zeros((0, 3)), np.array([], dtype=object)
    cells.uns["cellmark_cell_type_colors"] = np.array(["#000000"], dtype=object)
    return cells


def stored(cells: ad.AnnData, folder: Path, kind: str) -> Path:
    """The cells in a file of some kind."""
    if kind == "h5ad":
        cells.write_h5ad(folder / "cells.h5ad", compression="gzip")
        return folder / "cells.h5ad"
    with ad.settings.override(zarr_write_format=2 if "2" in kind else 3), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells.write_zarr(folder / "cells.zarr")
    if "zip" not in kind:
        return folder / "cells.zarr"
    shutil.make_archive(str(folder / "cells"), "zip", folder, "cells.zarr")
    shutil.rmtree(folder / "cells.zarr")
    return folder / "cells.zip"


def without_calls(adata: ad.AnnData) -> ad.AnnData:
    kept = adata.copy()
    kept.obs = kept.obs[[name for name in kept.obs if not str(name).startswith("cellmark_")]]
    kept.uns = {key: value for key, value in kept.uns.items() if not key.startswith("cellmark")}
    return kept


@pytest.mark.parametrize("kind", ["h5ad", "zarr2", "zarr3 zip"])
def test_a_copy_has_the_calls_and_all_else_that_the_input_has(
    job_of: MakeJob, rich: ad.AnnData, tmp_path: Path, kind: str
) -> None:
    job = job_of(stored(rich, tmp_path, kind), format="zarr")
    assert run(job)
    (other,) = collect_calls(job, tmp_path / "calls", "h5ad", force=False, on_sample=quiet)
    ours, theirs = ad.read_zarr(job.folder / "results" / "cells.zarr"), ad.read_h5ad(other)
    assert_equal(without_calls(ours), without_calls(rich))
    # Columns, their order, categories and colours as in the .h5ad, which scanpy's own tests look at.
    new = [name for name in theirs.obs if name.startswith("cellmark_")]
    assert [name for name in ours.obs if name.startswith("cellmark_")] == new
    pd.testing.assert_frame_equal(ours.obs[new], theirs.obs[new])
    assert "old" not in ours.obs["cellmark_cell_type"].cat.categories
    for key in (key for key in theirs.uns if key.startswith("cellmark")):
        assert_equal(ours.uns[key], theirs.uns[key])
    assert len(ours.uns["cellmark_cell_type_colors"]) == len(ours.obs["cellmark_cell_type"].cat.categories)
    # The receipt covers a folder too.
    assert verify_job(job) == []
    next((job.folder / "results" / "cells.zarr" / "X").rglob("*0*")).write_bytes(b"0")
    assert verify_job(job) == [Difference("cells.zarr", "changed")]
    assert sorted(path.name for path in (job.folder / "results").iterdir()) == ["cells.zarr", "summary.csv"]


@pytest.mark.parametrize("version", [2, 3])
def test_metadata_that_was_consolidated_knows_the_new_columns(
    job_of: MakeJob, new_cells: ad.AnnData, tmp_path: Path, version: int
) -> None:
    path = stored(new_cells, tmp_path, f"zarr{version}")
    if version == 2:
        (path / ".zmetadata").unlink()  # not consolidated, and it stays so
    job = job_of(path, format="zarr")
    run(job)
    root = zarr.open_group(job.folder / "results" / "cells.zarr", mode="r")
    assert (root.metadata.consolidated_metadata is None) == (version == 2)
    assert "cellmark_cell_type" in root["obs"]


@pytest.mark.parametrize("kind", ["tenx", "loom", "csv"])
def test_of_other_formats_matrix_obs_and_var_are_written(
    job_of: MakeJob, new_cells: ad.AnnData, tmp_path: Path, kind: str
) -> None:
    X = sp.csr_matrix(new_cells.X)
    path = tmp_path / {"tenx": "cells.h5", "loom": "cells.loom", "csv": "cells.csv"}[kind]
    names, ids = np.array(new_cells.var_names, dtype="S"), np.array(new_cells.obs_names, dtype="S")
    if kind == "csv":
        new_cells.to_df().astype(int).to_csv(path)
    elif kind == "loom":
        with h5py.File(path, "w") as file:
            file["matrix"], file["row_attrs/Gene"], file["col_attrs/CellID"] = X.toarray().T, names, ids
    else:
        with h5py.File(path, "w") as file:
            matrix = file.create_group("matrix")
            for name, values in (("data", X.data), ("indices", X.indices), ("indptr", X.indptr)):
                matrix[name] = values.astype(np.int32)
            matrix["shape"], matrix["barcodes"] = np.array(X.shape[::-1]), ids
            for name in ("id", "name"):
                matrix[f"features/{name}"] = names
            matrix["features/feature_type"] = np.array(["Gene Expression"] * X.shape[1], dtype="S")
    job = job_of(path, format="zarr")
    assert run(job)
    found = ad.read_zarr(job.folder / "results" / "cells.zarr")
    assert isinstance(found.X, sp.csr_matrix)
    assert np.array_equal(found.X.toarray(), X.toarray())
    assert found.obs_names.tolist() == new_cells.obs_names.tolist()
    assert found.var_names.tolist() == new_cells.var_names.tolist()
    assert found.obs["cellmark_cell_type"].notna().all()


@pytest.mark.parametrize("version", [2, 3])
def test_in_place_a_folder_gets_its_calls_and_keeps_everything_else(
    job_of: MakeJob, rich: ad.AnnData, tmp_path: Path, version: int
) -> None:
    (tmp_path / "data").mkdir()
    path = stored(rich, tmp_path / "data", f"zarr{version}")
    kept = next((path / "X" / "data").rglob("*0*"))
    kept.chmod(0o440)
    (path / "X").chmod(0o550)
    job = job_of(path)
    assert run(job)
    assert collect_in_place(job, on_sample=quiet) == [path]
    found = ad.read_zarr(path)
    assert_equal(without_calls(found), without_calls(rich))
    assert found.obs["cellmark_cell_type"].astype(str).tolist() != ["old"] * rich.n_obs
    assert (kept.stat().st_mode & 0o777, (path / "X").stat().st_mode & 0o777) == (0o440, 0o550)
    assert [one.name for one in path.parent.iterdir()] == ["cells.zarr"]
    with pytest.raises(InputError, match="INPUT_CHANGED"):
        collect_in_place(job, on_sample=quiet)


def test_a_part_of_a_larger_store_is_not_changed_in_place(
    job_of: MakeJob, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    zarr.open_group(tmp_path / "all.zarr", mode="w", zarr_format=2)
    job = job_of(stored(new_cells, tmp_path / "all.zarr", "zarr2"))
    assert run(job)
    with pytest.raises(OutputError, match="a part of a larger zarr store"):
        collect_in_place(job, on_sample=quiet)


def test_a_copy_without_room_is_refused(
    job_of: MakeJob, new_cells: ad.AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stored(new_cells, tmp_path, "zarr2")
    job = job_of(path)
    assert run(job)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    usage = shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match="room for a complete copy"):
        collect_in_place(job, on_sample=quiet)
    with pytest.raises(OutputError, match="room for a complete copy"):
        collect_calls(job, tmp_path / "calls", "zarr", force=False, on_sample=quiet)
    assert not (tmp_path / "calls" / "cells.zarr").exists()
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_a_kill_half_way_leaves_a_whole_input_and_the_next_call_ends_it(
    job_of: MakeJob, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    path = stored(new_cells, tmp_path / "data", "zarr3")
    job = job_of(path)
    assert run(job)
    before = ad.read_zarr(path)
    command = [sys.executable, "-m", "cellmark.serving.commands.cli", "batch", "collect", str(job.folder), "--in-place"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(path.parent.glob(".cells-*/draft/*")) and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.wait()
    found = ad.read_zarr(path)
    assert_equal(without_calls(found), before)
    if "cellmark_cell_type" not in found.obs:
        collect_in_place(JobFolder(job.folder), on_sample=quiet)
    assert ad.read_zarr(path).obs["cellmark_cell_type"].notna().all()


def test_memory_does_not_grow_with_the_matrices_of_an_h5ad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellmark.serving.outputs.write_zarr.CHUNK_VALUES", 20_000)
    monkeypatch.setattr("cellmark.serving.outputs.write_zarr.BLOCK_VALUES", 100_000)
    dense = np.zeros((5_000, 400), dtype=np.float32)
    dense[:, ::7] = 1
    values = np.arange(2_000_000, dtype=np.float64)
    with h5py.File(tmp_path / "cells.h5ad", "w") as file:
        file.create_dataset("X", data=dense, chunks=(64, 400), compression="lzf")
        file.create_dataset("wide", data=dense, chunks=(5_000, 1), compression="lzf")
        file.create_dataset("values", data=values)
    tracemalloc.start()
    with h5py.File(tmp_path / "cells.h5ad") as file:
        copy_group(file, zarr.open_group(tmp_path / "cells.zarr", mode="w", zarr_format=2))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.4 * min(values.nbytes, dense.nbytes)
    found = zarr.open_group(tmp_path / "cells.zarr", mode="r")
    assert np.array_equal(found["X"][:], dense)
    assert np.array_equal(found["wide"][:], dense)
    assert np.array_equal(found["values"][:], values)


def test_the_command_writes_zarr(cellmark: Callable[..., Any], sample: Path, job_of: MakeJob, tmp_path: Path) -> None:
    job = job_of(sample)
    run(job)
    ran = cellmark("batch", "collect", job.folder, "-o", tmp_path / "calls", "--format", "zarr")
    assert ran.status == 0
    assert "cellmark_cell_type" in ad.read_zarr(tmp_path / "calls" / "sample.zarr").obs
    assert cellmark("batch", "collect", job.folder, "-o", tmp_path / "calls", "--format", "zarr").status == 1
    assert cellmark("batch", "collect", job.folder, "-o", tmp_path / "calls", "--format", "zarr", "--force").status == 0


def test_links_to_nothing_are_left_out_and_empty_attributes_become_null(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        file["values"] = np.arange(3)
        file["values"].attrs["note"] = h5py.Empty("f4")
        file["lost"] = h5py.SoftLink("/nowhere")
    root = zarr.open_group(tmp_path / "copy.zarr", mode="w")
    with h5py.File(tmp_path / "cells.h5") as file:
        copy_group(file, root)
    assert list(root) == ["values"]
    assert root["values"][:].tolist() == [0, 1, 2]
    assert root["values"].attrs["note"] is None
