"""Golden cells: a few cells with the outputs expected of them, the self-test of every load."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from .bundle import Bundle
from .errors import BundleError, Finding, ModelError
from .manifest.bundle_files import GOLDEN_CELLS
from .manifest.manifest import MANIFEST_NAME

N_EXAMPLES = 5
PROBABILITY_TOLERANCE = 1e-4
ATTRIBUTION_TOLERANCE = 1e-3
"""Relative to a cell's largest attribution. Wider than the proofs at export: devices and builds differ in rounding."""


@dataclass(frozen=True)
class GoldenCells:
    """`counts`: CSR, float32, cells x panel genes; `library_size`: float32 [cells]; `probabilities`: float32, cells x
    types; `attributions`: float32, cells x panel genes, for the type with the largest probability. `cell_types`: the
    names of the graph's outputs in their order; None in bundles made before they were stored.
    """

    counts: sp.csr_matrix
    library_size: np.ndarray
    probabilities: np.ndarray
    attributions: np.ndarray
    cell_types: tuple[str, ...] | None = None


def write_golden(path: Path, golden: GoldenCells) -> None:
    """Plain arrays in an `.npz`; nothing in it is pickled, and the same cells give the same bytes."""
    names: dict[str, Any] = (
        {} if golden.cell_types is None else {"cell_types": np.array(golden.cell_types, dtype=np.str_)}
    )
    np.savez(
        path,
        **names,
        indptr=golden.counts.indptr.astype(np.int64),
        indices=golden.counts.indices.astype(np.int32),
        data=golden.counts.data.astype(np.float32),
        shape=np.array(golden.counts.shape, dtype=np.int64),
        library_size=golden.library_size.astype(np.float32),
        probabilities=golden.probabilities.astype(np.float32),
        attributions=golden.attributions.astype(np.float32),
    )


def read_golden(bundle: Bundle) -> GoldenCells:
    """The golden cells of a bundle. Raises `BundleError` (`BUNDLE_CONTENT_INVALID`) when they cannot be read."""
    try:
        with np.load(bundle.path(GOLDEN_CELLS), allow_pickle=False) as arrays:
            counts = sp.csr_matrix(
                (arrays["data"], arrays["indices"], arrays["indptr"]), shape=tuple(arrays["shape"].tolist())
            )
            # SciPy does not look at column numbers by itself, and would write outside its arrays.
            counts.check_format(full_check=True)
            names = tuple(map(str, arrays["cell_types"].reshape(-1))) if "cell_types" in arrays else None
            golden = GoldenCells(counts, arrays["library_size"], arrays["probabilities"], arrays["attributions"], names)
    except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError.of(
            "BUNDLE_CONTENT_INVALID",
            where=GOLDEN_CELLS,
            expected="golden cells as plain arrays",
            found=str(error),
            remedy="Fetch or export the bundle again.",
        ) from error
    shapes = (len(golden.library_size), len(bundle.panel)), (len(golden.library_size), len(bundle.manifest.cell_types))
    if golden.counts.shape != shapes[0] or golden.attributions.shape != shapes[0]:
        raise _unfit()
    if golden.probabilities.shape != shapes[1] or len(golden.library_size) == 0:
        raise _unfit()
    if golden.cell_types is not None and len(golden.cell_types) != shapes[1][1]:
        raise _unfit()
    return golden


def compare_golden(golden: GoldenCells, probabilities: np.ndarray, attributions: np.ndarray) -> None:
    """Raise `ModelError` (`GOLDEN_CELLS_MISMATCH`) unless a model's answers are those that were stored at export."""
    off = float(np.abs(probabilities - golden.probabilities).max())
    largest = np.maximum(np.abs(golden.attributions).max(axis=1, keepdims=True), 1e-6)
    attribution_off = float((np.abs(attributions - golden.attributions) / largest).max())
    # Written so that NaN fails.
    if off <= PROBABILITY_TOLERANCE and attribution_off <= ATTRIBUTION_TOLERANCE:
        return
    raise ModelError.of(
        "GOLDEN_CELLS_MISMATCH",
        where=GOLDEN_CELLS,
        expected=f"probabilities within {PROBABILITY_TOLERANCE} and attributions within {ATTRIBUTION_TOLERANCE}",
        found=f"differences of {off:.3g} and {attribution_off:.3g}",
        remedy="Use the onnxruntime that the bundle names, or another device. "
        "This machine's computes the model differently.",
    )


def compare_names(golden: GoldenCells, cell_types: list[str]) -> None:
    """Raise `ModelError` (`GOLDEN_CELLS_MISMATCH`) when a manifest gives the graph's outputs other names than training
    did: numbers alone would pass, and every call of these types would be wrong.
    """
    if golden.cell_types is None or list(golden.cell_types) == cell_types:
        return
    wrong = [pair for pair in zip(golden.cell_types, cell_types, strict=True) if pair[0] != pair[1]]
    raise ModelError(
        Finding(
            code="GOLDEN_CELLS_MISMATCH",
            where=MANIFEST_NAME,
            expected="the cell types that the model was trained on, in the graph's order",
            found=f"{len(wrong)} with another name",
            remedy="The names were changed after training. Fetch or export the bundle again.",
            examples=tuple(f"{name!r} in place of {trained!r}" for trained, name in wrong[:N_EXAMPLES]),
        )
    )


def _unfit() -> BundleError:
    return BundleError.of(
        "BUNDLE_CONTENT_INVALID",
        where=GOLDEN_CELLS,
        expected="arrays that fit the panel and the types",
        found="other shapes",
        remedy="Fetch or export the bundle again.",
    )
