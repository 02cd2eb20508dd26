"""Some rows of a stored `obs`, HDF5 or zarr: read by slices, so that memory does not grow with the file.

AnnData's encodings: https://anndata.readthedocs.io/en/stable/fileformat-prose.html
"""

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
import pandas as pd

from .check_hdf5 import text_attribute
from .row_range import RowRange

MOST_CATEGORIES = 100_000
"""Categories, which are read whole: a column of more is one of ids, and is left out."""
VALUES = {
    "categorical": "codes",
    "nullable-integer": "values",
    "nullable-boolean": "values",
    "nullable-string-array": "values",
}
"""Encodings of a column in several arrays, and the one that has a value for each row."""
VERSIONS = {"array": "0.2.0", "string-array": "0.2.0", "categorical": "0.2.0"}
VERSION_OF_OTHERS = "0.1.0"


def frame_length(frame: Any) -> int:
    """Rows of a stored frame. Raises `ValueError` where that does not show."""
    return _length(frame[_index_name(frame)])


def frame_rows(frame: Any, rows: RowRange) -> pd.DataFrame:
    """Rows of a stored frame, as `read_elem` gives them. Columns in unknown encodings are left out.

    Raises `ParameterError` for rows beyond the last, `ValueError` for columns of different lengths, `KeyError` for one
    that is not there.
    """
    index_name, n_rows = _index_name(frame), frame_length(frame)
    rows.require_within(n_rows)
    columns = {}
    for name in _texts(frame.attrs["column-order"]):
        column = frame[name]
        if not _is_known(frame, column):
            continue
        if _length(column) != n_rows:
            raise ValueError(f"{_length(column)} values of {name} where there are {n_rows} ids")
        columns[name] = _column(frame, column, rows.slice)
    read = pd.DataFrame(columns, index=frame_ids(frame, rows.slice), columns=list(columns) or None)
    if index_name != "_index":
        read.index.name = index_name
    return read


def frame_ids(frame: Any, rows: slice) -> Any:
    """The index of these rows. Raises `ValueError` for one in an unknown encoding."""
    index = frame[_index_name(frame)]
    if not _is_known(frame, index):
        raise ValueError("ids in an encoding that is not known")
    return _column(frame, index, rows)


def read_rows(stored: Any, rows: slice) -> np.ndarray:
    """Some values of an HDF5 or zarr array, text as such."""
    is_text = isinstance(stored, h5py.Dataset) and h5py.check_string_dtype(stored.dtype) is not None
    values: np.ndarray = (stored.asstr() if is_text else stored)[rows]
    return values


def _index_name(frame: Any) -> str:
    return text_attribute(frame, "_index") or "_index"


def _texts(listed: Any) -> Sequence[str]:
    return [text.decode() if isinstance(text, bytes) else str(text) for text in listed]


def _length(column: Any) -> int:
    inside = VALUES.get(text_attribute(column, "encoding-type") or "")
    shape = (column if inside is None else column[inside]).shape
    if len(shape) != 1:
        raise ValueError(f"a column of {len(shape)} dimensions")
    return int(shape[0])


def _is_known(frame: Any, column: Any) -> bool:
    """Whether some values of a column can be read without all others."""
    kind, version = text_attribute(column, "encoding-type"), text_attribute(column, "encoding-version")
    if kind is not None and version != VERSIONS.get(kind, VERSION_OF_OTHERS):
        return False
    categories = _categories(frame, column)
    if categories is not None and not (_is_known(frame, categories) and _length(categories) <= MOST_CATEGORIES):
        return False
    if kind in VALUES:
        return True
    # Columns of before AnnData 0.8 say nothing of themselves.
    if kind not in (None, "array", "string-array") or not hasattr(column, "dtype"):
        return False
    if isinstance(column, h5py.Dataset):
        return h5py.check_string_dtype(column.dtype) is not None or column.dtype.kind in "fiubSU"
    return column.dtype.kind in "fiubSUOT"


def _column(frame: Any, column: Any, rows: slice) -> Any:
    kind = text_attribute(column, "encoding-type")
    if (stored := _categories(frame, column)) is not None:
        codes = read_rows(column["codes"] if kind == "categorical" else column, rows)
        ordered = bool((column if kind == "categorical" else stored).attrs.get("ordered", False))
        return pd.Categorical.from_codes(codes, _column(frame, stored, slice(None)), ordered=ordered)
    if kind not in VALUES:
        return read_rows(column, rows)
    values, mask = read_rows(column["values"], rows), read_rows(column["mask"], rows)
    if kind == "nullable-string-array":
        # Newer AnnData says of which of pandas' two kinds the text is; the older kind has NaN for nothing.
        nothing = np.nan if text_attribute(column, "na-value") == "NaN" else pd.NA
        text = pd.array(values.astype(object), dtype=_text_type(nothing))
        text[mask] = nothing
        return text
    return (pd.arrays.IntegerArray if kind == "nullable-integer" else pd.arrays.BooleanArray)(values, mask=mask)


def _text_type(nothing: Any) -> Any:
    return pd.StringDtype() if nothing is pd.NA else pd.StringDtype(na_value=nothing)


def _categories(frame: Any, column: Any) -> Any:
    """The categories of a column, which lie beside it in files of AnnData 0.7; None where it has none."""
    if text_attribute(column, "encoding-type") == "categorical":
        return column["categories"]
    beside = column.attrs.get("categories")
    return None if beside is None else frame[beside]
