"""What the readers share: how a library's exception becomes ours, and which features of a file are genes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import CellmarkError, Finding, ReadError

TABLES = (".csv", ".tsv", ".txt")
READ = ".h5ad, .zarr, .h5 (10x), a 10x matrix folder, " + ", ".join(TABLES) + " (also .gz)"
GENE_EXPRESSION = "Gene Expression"
BESIDE_GENES = (
    "Antibody Capture",
    "Antigen Capture",
    "CRISPR Guide Capture",
    "Custom",
    "Multiplexing Capture",
    "Peaks",
)
"""What 10x's Cell Ranger calls the other features that it counts."""


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever a library raises into `ReadError` (`FILE_UNREADABLE`); our own errors pass.

    `expected`: what the file should be, such as `an AnnData file (.h5ad)`.
    """
    try:
        yield
    except CellmarkError:
        raise
    except Exception as error:
        # h5py, zarr, anndata and pandas raise OSError, KeyError, ValueError, TypeError, RuntimeError and types of
        # their own for a damaged file; whichever it is, the file cannot be read.
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=str(path),
            expected=expected,
            found=f"something that cannot be read ({cause})",
            remedy="Check that the file is complete, and write it again from its source.",
        ) from error


def unknown_layer(layer: str, there: list[str]) -> ReadError:
    """The error of a layer that a file does not have. `there`: those that it has."""
    listed = ", ".join(there) or "none"
    return ReadError.of(
        "LAYER_UNKNOWN",
        where="layer",
        expected=f"a layer of the input (there are: {listed})",
        found=repr(layer),
        remedy="Name one of them with --layer (layer= in Python), or omit it to use X.",
    )


def not_anndata(path: Path, found: str) -> ReadError:
    """The error of a store that holds something else."""
    return ReadError.of(
        "NOT_ANNDATA",
        where=str(path),
        expected="an AnnData (X, obs and var)",
        found=found,
        remedy="Write one with adata.write_h5ad(...), or give the file the extension of what it is.",
    )


def gene_features(var: pd.DataFrame) -> tuple[np.ndarray | None, tuple[Finding, ...]]:
    """Rows of `var` that are genes, bool [features], by the column `feature_types` of 10x and CELLxGENE files.

    None when all are, or the file does not say; otherwise with a note that counts what is left out. Raises `ReadError`
    when all are of a kind that is measured beside genes.
    """
    if "feature_types" not in var.columns:
        return None, ()
    types = var["feature_types"].astype(object)
    # A missing type, as joining files leaves it, is no sign of another kind of feature.
    is_gene = (types.isna() | (types == GENE_EXPRESSION)).to_numpy()
    if len(types) and types.isin(BESIDE_GENES).all():
        counted = ", ".join(f"{number} {name}" for name, number in types.value_counts().items())
        raise ReadError.of(
            "FEATURES_NOT_GENES",
            where="var['feature_types']",
            expected=GENE_EXPRESSION,
            found=counted,
            remedy="Provide the part of the experiment that counted genes.",
        )
    if is_gene.all() or not (types == GENE_EXPRESSION).any():
        return None, ()
    counted = ", ".join(f"{number} {name}" for name, number in types[~is_gene].value_counts().items())
    note = Finding(
        "FEATURES_DROPPED",
        where="var['feature_types']",
        expected=GENE_EXPRESSION,
        found=counted,
        remedy="They were ignored.",
        severity="info",
    )
    return is_gene, (note,)
