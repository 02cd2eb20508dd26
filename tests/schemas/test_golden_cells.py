"""Golden cells on disk and their comparison."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import BundleError, ModelError
from cellmark.schemas.golden_cells import (
    ATTRIBUTION_TOLERANCE,
    PROBABILITY_TOLERANCE,
    GoldenCells,
    compare_golden,
    read_golden,
    write_golden,
)
from cellmark.schemas.manifest.bundle_files import GOLDEN_CELLS

if TYPE_CHECKING:
    from cellmark.training.run import TrainedModel


@pytest.fixture(scope="module")
def golden(tiny_bundle: Bundle) -> GoldenCells:
    return read_golden(tiny_bundle)


def stored_elsewhere(bundle: Bundle, folder: Path, **arrays: object) -> Bundle:
    """A bundle whose golden cells are those of `folder`, with some arrays changed; its digests are not looked at."""
    with np.load(bundle.path(GOLDEN_CELLS)) as stored:
        kept = {name: stored[name] for name in stored.files}
    for name, value in arrays.items():
        if value is None:
            del kept[name]
        else:
            kept[name] = value
    for name in bundle.manifest.files:
        (folder / name).write_bytes(bundle.path(name).read_bytes())
    np.savez(folder / GOLDEN_CELLS, **kept)
    return Bundle(folder, bundle.manifest)


def test_golden_cells_survive_writing_and_reading(golden: GoldenCells, tiny_bundle: Bundle) -> None:
    assert golden.cell_types == tuple(tiny_bundle.manifest.cell_type_names)
    assert golden.counts.shape == (len(golden.library_size), len(tiny_bundle.panel))
    np.testing.assert_allclose(golden.probabilities.sum(axis=1), 1, rtol=1e-5)
    arrays = (golden.library_size, golden.probabilities, golden.attributions, golden.counts.data)
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


def test_the_same_cells_give_the_same_bytes(golden: GoldenCells, tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        write_golden(tmp_path / name, golden)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_every_type_has_its_golden_cells(trained: "TrainedModel") -> None:
    golden = read_golden(trained.bundle)
    assert set(golden.probabilities.argmax(axis=1)) == set(range(len(trained.manifest.cell_types)))


def test_answers_within_tolerance_pass(golden: GoldenCells) -> None:
    largest = np.abs(golden.attributions).max(axis=1, keepdims=True)
    compare_golden(
        golden, golden.probabilities + 0.9 * PROBABILITY_TOLERANCE,
        golden.attributions + 0.9 * ATTRIBUTION_TOLERANCE * largest,
    )  # fmt: skip


@pytest.mark.parametrize("what", ["probabilities", "attributions"])
@pytest.mark.parametrize("value", [0.01, np.nan])
def test_one_number_that_is_off_is_refused(golden: GoldenCells, what: str, value: float) -> None:
    answers = {"probabilities": golden.probabilities.copy(), "attributions": golden.attributions.copy()}
    answers[what][1, 1] += value * np.abs(answers[what][1]).max()
    with pytest.raises(ModelError, match="GOLDEN_CELLS_MISMATCH"):
        compare_golden(golden, **answers)


@pytest.mark.parametrize(
    "changes",
    [
        {"probabilities": None},
        {"indptr": np.array([0, 3])},
        {"indices": np.array([10**6])},
        {"shape": np.array(5)},
        {"shape": np.array([2.5, 3.5])},
        {"data": np.array([{"a": 1}], dtype=object)},
        {"library_size": np.ones(3, np.float32)},
        {"attributions": np.ones((2, 2), np.float32)},
        {"probabilities": np.ones((6, 2), np.float32)},
        {"cell_types": np.array([{"a": 1}], dtype=object)},
        {"cell_types": np.array("B cell")},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_arrays_that_do_not_fit_are_refused(tiny_bundle: Bundle, tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="BUNDLE_CONTENT_INVALID"):
        read_golden(stored_elsewhere(tiny_bundle, tmp_path, **changes))


def test_a_gene_number_outside_the_panel_is_refused(tiny_bundle: Bundle, golden: GoldenCells, tmp_path: Path) -> None:
    indices = golden.counts.indices.copy()
    indices[0] = len(tiny_bundle.panel)
    with pytest.raises(BundleError, match="BUNDLE_CONTENT_INVALID"):
        read_golden(stored_elsewhere(tiny_bundle, tmp_path, indices=indices))


@pytest.mark.parametrize("kind", ["text", "empty", "zip of text", "pickle"])
def test_a_file_that_holds_no_plain_arrays_is_refused(tiny_bundle: Bundle, tmp_path: Path, kind: str) -> None:
    bundle = stored_elsewhere(tiny_bundle, tmp_path)
    stream = io.BytesIO()
    if kind == "text":
        stream.write(b"golden")
    elif kind == "pickle":
        np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif kind == "zip of text":
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("data", "text")
    bundle.path(GOLDEN_CELLS).write_bytes(stream.getvalue())
    with pytest.raises(BundleError, match="BUNDLE_CONTENT_INVALID"):
        read_golden(bundle)


def test_no_golden_cell_at_all_is_refused(tiny_bundle: Bundle, golden: GoldenCells, tmp_path: Path) -> None:
    bundle = stored_elsewhere(tiny_bundle, tmp_path)
    n_genes, n_types = golden.attributions.shape[1], golden.probabilities.shape[1]
    none = replace(
        golden, counts=sp.csr_matrix((0, n_genes), dtype=np.float32), library_size=np.zeros(0),
        probabilities=np.zeros((0, n_types)), attributions=np.zeros((0, n_genes)),
    )  # fmt: skip
    write_golden(bundle.path(GOLDEN_CELLS), none)
    with pytest.raises(BundleError, match="BUNDLE_CONTENT_INVALID"):
        read_golden(bundle)
