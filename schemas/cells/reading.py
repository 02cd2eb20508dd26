"""What the readers share: how a library's exception becomes ours, and which features of a file are genes."""

import re
import shlex
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from ..errors import CellmarkError, Finding, ReadError
from ..near_names import given_as, near_names

TABLES = (".csv", ".tsv", ".txt")
READ = ".h5ad, .zarr (also .zarr.zip), .loom, .h5 (10x), .arrow, a 10x matrix folder, .csv, .tsv, .txt (also .gz)"
CUT_SHORT = re.compile(r"truncated|ended before|unexpected end|end of (file|stream)|not a zip", re.IGNORECASE)
"""How libraries say that a file ends too early."""
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
    except CellmarkError as error:
        _let_go(error)
        raise
    except Exception as error:
        _let_go(error)
        # h5py, zarr, anndata and pandas raise OSError, KeyError, ValueError, TypeError, RuntimeError and types of
        # their own for a damaged file; whichever it is, the file cannot be read.
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        if any(type(link).__name__ == "IORegistryError" for link in (error, error.__cause__)):
            raise unknown_encoding(path, f"something in an encoding that anndata does not know ({cause})") from error
        found, remedy = "something that cannot be read", "Write it again from its source."
        if isinstance(error, PermissionError):
            found, remedy = (
                "one that may not be read",
                f"Give yourself the right to read it: chmod u+r {shlex.quote(str(path))}",
            )
        elif isinstance(error, EOFError | BadZipFile) or CUT_SHORT.search(cause):
            found, remedy = "one that ends too early", "It is not complete: copy or download it again."
        raise ReadError.of(
            "FILE_UNREADABLE", where=str(path), expected=expected, found=f"{found} ({cause})", remedy=remedy
        ) from error


def _let_go(error: BaseException) -> None:
    """Clear what the frames behind an error still hold. h5py keeps its lock while a loop over a group's `items()` is
    suspended; in a comprehension that failed it is, for as long as the error lives. A thread that opens a file, or
    collects garbage, would wait for that lock without end.
    """
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        traceback.clear_frames(link.__traceback__)
        links.append(link)
        link = link.__cause__ or link.__context__


def unknown_layer(layer: str, there: list[str]) -> ReadError:
    """The error of a layer that a file does not have. `there`: those that it has."""
    listed = ", ".join(there) or "none"
    return ReadError.of(
        "LAYER_UNKNOWN",
        where="layer",
        expected=f"a layer of the input (there are: {listed})",
        found=repr(layer),
        remedy=_other_layer(layer, there),
    )


def _other_layer(layer: str, there: list[str]) -> str:
    near = near_names(layer, there)
    if not there:
        return "Omit --layer (layer= in Python) to use X."
    meant = f"Did you mean {given_as('--layer', near)}?" if near else f"Name one: {given_as('--layer', there[:3])}."
    return f"{meant} Or omit --layer to use X."


def unknown_encoding(path: Path, found: str) -> ReadError:
    """The error of something that an AnnData of another version, or another library, wrote."""
    return ReadError.of(
        "FILE_UNREADABLE",
        where=str(path),
        expected="encodings that the installed anndata reads",
        found=found,
        remedy="Try a newer one, pip install -U anndata, or write the file again with an older one.",
    )


def not_mudata(path: Path, modalities: list[str], opened: str) -> ReadError:
    """The error of a MuData, with the line that takes its RNA out. `opened`: Python that opens it, beginning with the
    library.
    """
    rna = rna_modality(modalities)
    library = opened.partition(".")[0]
    return ReadError.of(
        "NOT_ANNDATA",
        where=str(path),
        expected="an AnnData (X, obs and var)",
        found=f"a MuData of {', '.join(map(repr, modalities[:10]))}",
        remedy="Take the RNA modality out: "
        f'python -c "import anndata, {library}; '
        f"anndata.io.read_elem({opened}['mod/{rna}']).write_h5ad('{rna}.h5ad')\"",
    )


def rna_modality(modalities: list[str]) -> str:
    """The modality that holds gene expression, by its name."""
    words = ("rna", "gex", "gene", "expression")
    return next((name for word in words for name in modalities if word in name.lower()), (*modalities, "rna")[0])


def not_anndata(path: Path, found: str, remedy: str | None = None) -> ReadError:
    """The error of a store that holds something else."""
    return ReadError.of(
        "NOT_ANNDATA",
        where=str(path),
        expected="an AnnData (X, obs and var)",
        found=found,
        remedy=remedy or "Write one with adata.write_h5ad(...), or give the file the extension of what it is.",
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
