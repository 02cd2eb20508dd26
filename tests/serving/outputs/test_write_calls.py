"""Calls on disk: an `.h5ad` keeps all else that it holds, tables hold what the frame holds."""

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata.tests.helpers import assert_equal

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.columns import UNS_KEY
from cellmark.schemas.errors import OutputError
from cellmark.serving.annotator import Annotator
from cellmark.serving.files.annotate_file import annotate_file
from cellmark.serving.outputs.copy_file import reserve_space
from cellmark.serving.scoring.call_options import CallOptions

REQUIRED_COLUMNS = [
    "cellmark_cell_type",
    "cellmark_best_cell_type",
    "cellmark_confidence",
    "cellmark_second_cell_type",
    "cellmark_margin",
    "cellmark_novelty",
    "cellmark_label_set",
]
"""What a model without an ontology leaves out."""


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture
def rich_cells(new_cells: ad.AnnData) -> ad.AnnData:
    """An AnnData with something in every place, raw counts in `layers["counts"]` and `raw`."""
    cells = new_cells.copy()
    n_obs, n_vars = cells.shape
    generator = np.random.default_rng(0)
    cells.raw = cells
    cells.layers["counts"] = cells.X.copy()
    cells.layers["dense"] = cells.X.toarray()
    cells.X = cells.X.copy()
    cells.X.data = np.log1p(cells.X.data)
    cells.obs["categorical"] = pd.Categorical(["é", "b"] * (n_obs // 2), categories=["b", "é", "unused"], ordered=True)
    cells.obs["flag"] = [True, False] * (n_obs // 2)
    cells.obs["whole or missing"] = pd.array([1, None] * (n_obs // 2), dtype="Int64")
    cells.obs["flag or missing"] = pd.array([True, None] * (n_obs // 2), dtype="boolean")
    cells.var["gene_ids"] = [f"ENSG{number}" for number in range(n_vars)]
    cells.obsm["X_pca"] = generator.normal(size=(n_obs, 5))
    cells.obsm["frame"] = pd.DataFrame({"x": range(n_obs)}, index=cells.obs_names)
    cells.obsp["connectivities"] = sp.random(n_obs, n_obs, 0.1, format="csr", random_state=0)
    cells.varm["PCs"] = generator.normal(size=(n_vars, 3))
    cells.varp["pairs"] = sp.random(n_vars, n_vars, 0.01, format="csr", random_state=1)
    cells.uns["nested"] = {"a": {"b": np.arange(3)}, "text": "é", "frame": pd.DataFrame({"x": [1, 2]})}
    return cells


def without_calls(adata: ad.AnnData) -> dict[str, Any]:
    return {key: value for key, value in adata.uns.items() if not key.startswith("cellmark")}


def elements(path: Path) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Name, content and attributes of everything in an HDF5 file, as stored."""
    found = []

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        content = item[()] if isinstance(item, h5py.Dataset) else None
        storage = (item.dtype, item.chunks, item.compression) if isinstance(item, h5py.Dataset) else None
        found.append((name, (content, storage), dict(item.attrs)))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return iter(found)


def test_an_h5ad_keeps_everything_else_as_it_is_stored(
    annotator: Annotator, rich_cells: ad.AnnData, tmp_path: Path
) -> None:
    path, out = tmp_path / "in.h5ad", tmp_path / "out.h5ad"
    rich_cells.write_h5ad(path, compression="gzip")
    frame, _ = annotate_file(annotator, path, out, ReadingOptions(layer="counts"))

    before, after = ({name: rest for name, *rest in elements(file)} for file in (path, out))
    added = [name for name in after if name not in before]
    own = (*(f"obs/{column}" for column in REQUIRED_COLUMNS), f"uns/{UNS_KEY}")
    assert added
    assert all(name.startswith(own) for name in added)
    for name, (content, attributes) in before.items():
        np.testing.assert_equal(after[name][0], content, err_msg=name)
        if name != "obs":
            np.testing.assert_equal(after[name][1], attributes, err_msg=name)

    read = ad.read_h5ad(out)
    assert list(read.obs.columns) == [*rich_cells.obs.columns, *REQUIRED_COLUMNS]
    for column in REQUIRED_COLUMNS:
        np.testing.assert_equal(read.obs[column].tolist(), frame[column].tolist())
    assert read.uns[UNS_KEY]["bundle_digest"] == annotator.bundle.digest
    assert read.uns[UNS_KEY]["library_size_source"] == "summed"
    assert read.uns[UNS_KEY]["counts_from"] == "layers['counts']"
    assert_equal(read.raw.X, rich_cells.raw.X)
    read.obs = read.obs[list(rich_cells.obs.columns)]
    read.uns = without_calls(read)
    assert_equal(read, ad.read_h5ad(path))


def test_old_calls_in_an_h5ad_are_replaced_where_they_stand(
    annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = new_cells.copy()
    cells.obs.insert(0, "cellmark_confidence", "old")
    cells.obs["cellmark_cell_type"] = pd.Categorical(["an old type"] * cells.n_obs)
    cells.obs["last"] = 1
    cells.uns["cellmark"] = {"old": 1}
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    frame, _ = annotate_file(annotator, path, path, force=True)
    read = ad.read_h5ad(path)
    assert list(read.obs.columns)[:1] == ["cellmark_confidence"]
    assert sorted(read.obs.columns) == sorted({*cells.obs.columns, *REQUIRED_COLUMNS})
    assert list(read.obs["cellmark_cell_type"]) == list(frame["cellmark_cell_type"])
    np.testing.assert_array_equal(read.obs["cellmark_confidence"], frame["cellmark_confidence"])
    assert "old" not in read.uns["cellmark"]
    assert_equal(read.X, new_cells.X)


def test_columns_of_anndata_0_7_stay_and_can_be_read(
    annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    """In that layout a categorical is a dataset of codes with a reference to `obs/__categories`."""
    path, out = tmp_path / "old.h5ad", tmp_path / "out.h5ad"
    cells = new_cells.copy()
    labels = pd.Categorical(cells.obs["cell_type"])
    cells.obs = pd.DataFrame(index=cells.obs_names)
    cells.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        obs = file["obs"]
        stored = obs.create_dataset("__categories/cell_type", data=list(labels.categories), dtype=h5py.string_dtype())
        obs["cell_type"] = labels.codes
        obs["cell_type"].attrs["categories"] = stored.ref
        obs.attrs["encoding-version"] = "0.1.0"
        obs.attrs["column-order"] = np.array(["cell_type"], dtype=h5py.string_dtype())
    frame, _ = annotate_file(annotator, path, out)
    read = ad.read_h5ad(out)
    assert list(read.obs.columns) == ["cell_type", *REQUIRED_COLUMNS]
    assert list(read.obs["cell_type"]) == list(labels)
    assert list(read.obs["cellmark_cell_type"]) == list(frame["cellmark_cell_type"])


@pytest.mark.filterwarnings("ignore")
def test_a_file_from_before_anndata_0_7_keeps_embeddings_and_graphs(
    annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    """scanpy ships one: `obs` is a table of records there. Its genes are renamed to the model's."""
    spec = find_spec("scanpy")
    if spec is None:
        pytest.skip("scanpy ships the file")
    shipped = Path(str(spec.origin)).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"
    path, out = tmp_path / "old.h5ad", tmp_path / "out.h5ad"
    shutil.copyfile(shipped, path)
    n_genes = new_cells.n_vars
    with h5py.File(path, "r+") as file:
        if not isinstance(file["obs"], h5py.Dataset):
            pytest.skip("this scanpy ships the file in a newer form")
        var = file["var"][()]
        var["index"][:n_genes] = [name.encode() for name in new_cells.var_names]
        file["var"][...] = var
        counts = np.random.default_rng(0).poisson(2, file["X"].shape).astype(np.float32)
        file["X"][...] = counts
    frame, _ = annotate_file(annotator, path, out)
    before, after = ad.read_h5ad(path), ad.read_h5ad(out)
    assert before.obsm
    assert before.raw is not None
    assert list(after.obs.columns) == [*before.obs.columns, *REQUIRED_COLUMNS]
    assert list(after.obs["cellmark_cell_type"]) == list(frame["cellmark_cell_type"])
    for part in ("X", "layers", "obsm", "varm", "obsp", "var"):
        assert_equal(getattr(after, part), getattr(before, part))
    assert_equal(after.raw.X, before.raw.X)
    assert set(before.uns) < set(after.uns)


def test_the_h5ad_of_a_zarr_store_holds_all_of_it(annotator: Annotator, rich_cells: ad.AnnData, tmp_path: Path) -> None:
    path, out = tmp_path / "in.zarr", tmp_path / "out.h5ad"
    rich_cells.write_zarr(path)
    annotate_file(annotator, path, out, ReadingOptions(layer="counts"))
    read = ad.read_h5ad(out)
    assert list(read.obs.columns) == [*rich_cells.obs.columns, *REQUIRED_COLUMNS]
    read.obs = read.obs[list(rich_cells.obs.columns)]
    read.uns = without_calls(read)
    assert_equal(read, ad.read_zarr(path))


def test_the_h5ad_of_a_table_holds_its_counts(annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.h5ad"
    new_cells.to_df().to_csv(path, index_label="cell_id")
    frame, _ = annotate_file(annotator, path, out)
    read = ad.read_h5ad(out)
    assert_equal(sp.csr_matrix(read.X).toarray(), new_cells.X.toarray())
    assert list(read.obs_names) == list(new_cells.obs_names)
    assert list(read.var_names) == list(new_cells.var_names)
    assert list(read.obs["cellmark_cell_type"]) == list(frame["cellmark_cell_type"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_holds_the_frame_and_facts_lie_beside_it(
    annotator: Annotator, new_file: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"calls{suffix}"
    frame, _ = annotate_file(annotator, new_file, out, calls=CallOptions(probabilities=True))
    read = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    types = annotator.cell_types
    assert list(read.columns) == ["cell_id", *REQUIRED_COLUMNS, *(f"probability:{name}" for name in types)]
    assert list(read["cell_id"]) == list(frame.index)
    assert list(read["cellmark_cell_type"]) == list(frame["cellmark_cell_type"])
    np.testing.assert_allclose(read["cellmark_confidence"], frame["cellmark_confidence"], rtol=1e-6)
    probabilities = read[[f"probability:{name}" for name in types]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    ordered = np.sort(probabilities, axis=1)
    np.testing.assert_allclose(read["cellmark_margin"], ordered[:, -1] - ordered[:, -2], atol=1e-6)
    facts = json.loads((tmp_path / "calls.json").read_text())
    assert facts["bundle_digest"] == annotator.bundle.digest
    assert facts["model"] == annotator.bundle.manifest.name
    assert facts["library_size_source"] == "summed"
    assert facts["genes_matched"] + facts["genes_missing"] == len(annotator.bundle.panel)
    assert facts["n_cells"] == len(frame)


def test_facts_of_another_table_are_not_replaced(annotator: Annotator, new_file: Path, tmp_path: Path) -> None:
    (tmp_path / "calls.json").write_text("mine")
    with pytest.raises(OutputError, match=r"calls\.json") as caught:
        annotate_file(annotator, new_file, tmp_path / "calls.csv")
    assert caught.value.code == "OUTPUT_EXISTS"
    assert [path.name for path in tmp_path.iterdir()] == ["calls.json"]


def test_calls_never_take_the_place_of_the_counts(annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    new_cells.to_df().to_csv(path, index_label="cell_id")
    content = path.read_bytes()
    (tmp_path / "link.csv").symlink_to(path)
    for out in (path, tmp_path / "link.csv"):
        with pytest.raises(OutputError, match="would be lost"):
            annotate_file(annotator, path, out, force=True)
    assert path.read_bytes() == content


def test_room_that_is_reserved_is_given_back_when_hdf5_closes_the_file(new_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "cells.h5ad"
    shutil.copyfile(new_file, path)
    size = path.stat().st_size
    reserve_space(path, 10_000_000)
    assert path.stat().st_size > size + 10_000_000
    with h5py.File(path, "r+") as file:
        file.attrs["note"] = 1
    assert path.stat().st_size < size + 10_000
    assert_equal(ad.read_h5ad(path), ad.read_h5ad(new_file))


@pytest.mark.parametrize("source", ["cells.h5ad", "cells.csv"])
def test_a_disk_that_fills_up_is_an_error_of_ours_and_leaves_nothing(
    tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path, source: str
) -> None:
    """A limit on the size of files stands in for the disk; without room reserved libhdf5 crashes in the same place."""
    path, folder = tmp_path / source, tmp_path / "out"
    folder.mkdir()
    new_cells.write_h5ad(path) if path.suffix == ".h5ad" else new_cells.to_df().to_csv(path, index_label="cell_id")
    limit = (tmp_path / "cells.h5ad").stat().st_size + 1000 if source == "cells.h5ad" else 4096
    command = [sys.executable, "-m", "cellmark.serving.commands.cli", "annotate", path, "-m", tiny_bundle.folder, "-o"]
    ended = subprocess.run(
        [*command, folder / "out.h5ad"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert ended.returncode == 1, ended.stderr
    assert "[OUTPUT_UNWRITABLE]" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(folder.iterdir()) == []
