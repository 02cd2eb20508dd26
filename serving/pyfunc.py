"""A registered model as MLflow's pyfunc: cells in, the frame of `Annotator.annotate` out, through the same gate.

The loader that `training/tracking/register.py` puts beside a registered bundle calls `load_model`, so that name stays.
MLflow itself is not imported here.
"""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.api.listed_cells import is_listed, listed_cells
from cellmark.schemas.api.request_cells import RequestCells, csr_cells, memory_source
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.reading_options import ONCE_OPEN, ReadingOptions
from cellmark.schemas.errors import ReadError, RequestError

from .annotator import Annotator
from .reader.open_apart import open_source

if TYPE_CHECKING:
    from anndata import AnnData

CSR = ("indptr", "indices", "data")
FORMS = "a data frame (cells x genes), an AnnData, named arrays, or the path of a file of cells"
ARRAYS = 'Pass {"genes": names, "counts": cells x genes}, or one array for each gene by its name.'


def load_model(path: str | os.PathLike[str]) -> "GatedModel":
    """The model of a bundle folder. Raises as `Annotator.load`.

    Answers name the registered version where MLflow noted one beside the folder as it fetched it.
    """
    annotator = Annotator.load(path)
    noted = Path(path).parent / "registered_model_meta"
    if noted.is_file():
        found = dict(
            re.findall(r"^model_(name|version): '?([^'\n]+)'?$", noted.read_text(encoding="utf-8"), re.MULTILINE)
        )
        annotator.source = replace(annotator.source, **found)
    return GatedModel(annotator)


class GatedModel:
    """What MLflow calls `predict` of. Safe to use from many threads."""

    def __init__(self, annotator: Annotator) -> None:
        self._annotator = annotator

    def predict(
        self,
        model_input: "pd.DataFrame | AnnData | dict[str, Any] | str | os.PathLike[str]",
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Call every cell; the frame is `Annotator.annotate`'s.

        `model_input`: a data frame of counts (index: cell ids, columns: genes); an AnnData; a path, read by a separate
        process (over HTTP text comes as an array and is refused: no request has the server open its files); or arrays:
        `genes` with `counts` (cells x genes) or with `indptr`, `indices` and `data` of their CSR form, `cell_ids` and
        `library_size` [cells] where wanted; or one array for each gene; or a data frame with `cell_id` and the lists
        `indices` and `counts` (`listed_cells`). `params`: `library_size` (a column of the frame or of obs), `layer`,
        `recover_counts`, `input`, `orthologs`, `as_sample`, and `genes` (JSON) for lists. Raises `InputError` with all
        problems of the input, and `RequestError` for another form of it.
        """
        given = {name: value for name, value in (params or {}).items() if value not in (None, "", False)}
        cells: Any = model_input
        genes, listed = given.pop("genes", None), isinstance(cells, pd.DataFrame) and is_listed(cells)
        if genes is not None and not listed:
            raise _refused("the parameter genes beside cells that name theirs", "Omit the parameter genes.")
        if isinstance(cells, (str, os.PathLike)):
            once_open = {name: given.pop(name) for name in (*ONCE_OPEN, "as_sample") if name in given}
            with open_source(Path(cells), ReadingOptions(**given)) as source:
                return self._annotator.annotate(source, **once_open)
        if isinstance(cells, dict):
            if CSR[0] in cells or "counts" in cells:
                request = _named_arrays(cells)
                cells = request.source
                given |= {} if request.library_size is None else {"library_size": request.library_size}
            else:
                cells = _columns(cells)
        elif listed:
            request = listed_cells(cells, genes, library_size=given.get("library_size"), name="input")
            cells, given["library_size"] = request.source, request.library_size
        elif not isinstance(cells, (pd.DataFrame, CellSource)) and not hasattr(cells, "obs"):
            raise _refused(f"a {type(cells).__name__}, which names no genes", ARRAYS)
        return self._annotator.annotate(cells, **given)


def _named_arrays(arrays: dict[str, Any]) -> RequestCells:
    """Cells of `genes` with `counts`, or with the parts of a CSR matrix."""
    matrix = CSR if CSR[0] in arrays else ("counts",)
    needed, optional = ("genes", *matrix), ("cell_ids", "library_size", "library_sizes")
    if "genes" not in arrays:
        raise _refused(
            f"{', '.join(map(str, arrays))}, without the genes' names",
            'Add "genes", the names in the order of the columns. Counts in the model\'s own order, without names, are '
            "taken by its tensor form: models:/NAME@ALIAS/tensor.",
        )
    if others := [name for name in arrays if name not in (*needed, *optional)]:
        raise _refused(f"also {', '.join(map(str, others[:5]))}", ARRAYS)
    if missing := [name for name in needed if name not in arrays]:
        raise _refused(f"no {', '.join(missing)}", ARRAYS)
    sizes = arrays.get("library_size", arrays.get("library_sizes"))
    sizes = None if sizes is None else _numbers(sizes, "library_size").reshape(-1)
    genes = [str(name) for name in np.asarray(arrays["genes"], dtype=object).reshape(-1)]
    if matrix == CSR:
        # A copy, since indices are sorted in place.
        parts = {name: _numbers(arrays[name], name).copy() for name in CSR}
        n_obs = len(parts["indptr"]) - 1
        return csr_cells(genes=genes, cell_ids=_ids(arrays, n_obs), **parts, library_sizes=sizes, name="input")
    counts = arrays["counts"]
    X = sp.csr_matrix(counts) if sp.issparse(counts) else sp.csr_matrix(_matrix(counts))
    ids = _ids(arrays, X.shape[0])
    wrong = [
        f"{size:,} {what} for {there:,}"
        for what, size, there in (
            ("genes", len(genes), X.shape[1]),
            ("cell_ids", len(ids), X.shape[0]),
            ("library_size", X.shape[0] if sizes is None else len(sizes), X.shape[0]),
        )
        if size != there
    ]
    if wrong:
        raise ReadError.of(
            "MATRIX_INVALID",
            where="counts",
            expected="a row for each cell and a column for each gene",
            found=f"{X.shape[0]:,} x {X.shape[1]:,} counts: {', '.join(wrong)}",
            remedy="Pass counts as cells x genes; transpose them if they are genes x cells.",
        )
    return RequestCells(memory_source(X, genes, ids, name="input", counts_from="counts"), sizes)


def _columns(arrays: dict[str, Any]) -> pd.DataFrame:
    """The frame of one array for each gene, [cells] or [cells, 1]."""
    columns = {str(name): np.asarray(values) for name, values in arrays.items()}
    shapes = {values.shape for values in columns.values()}
    if len(shapes) != 1 or not all(len(shape) == 1 or shape[1:] == (1,) for shape in shapes):
        raise _refused(f"arrays of the shapes {', '.join(map(str, sorted(shapes)[:5])) or 'none'}", ARRAYS)
    return pd.DataFrame({name: values.reshape(-1) for name, values in columns.items()})


def _ids(arrays: dict[str, Any], n_obs: int) -> list[str]:
    given = arrays.get("cell_ids")
    return [str(number) for number in (range(n_obs) if given is None else np.asarray(given, dtype=object).reshape(-1))]


def _numbers(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise _refused(f"{name} of {array.dtype}", f"Pass {name} as numbers.")
    return array


def _matrix(counts: Any) -> np.ndarray:
    array = _numbers(counts, "counts")
    if array.ndim != 2:
        raise _refused(f"counts of {array.ndim} dimensions", "Pass counts as cells x genes.")
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _refused(found: str, remedy: str) -> RequestError:
    return RequestError.of("REQUEST_INVALID", where="input", expected=FORMS, found=found, remedy=remedy)
