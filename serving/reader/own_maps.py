"""Maps that an `.h5ad` brings with it: entries of `obsm` with two or three columns, such as `X_umap`."""

from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from cellmark.schemas.cells.check_hdf5 import check_hdf5, require_filters
from cellmark.schemas.errors import ReadError

from .reader_messages import BrokenMessageError, Message, pack_text, unpack_text

MOST_MAPS = 3
DIMENSIONS = (2, 3)
FIRST = ("umap", "tsne")
"""Parts of the names of those that people mean by a map, the likeliest first."""
LONGEST = 200


def own_maps(path: Path, n_cells: int) -> dict[str, np.ndarray]:
    """The maps of an `.h5ad` with a place for each of its cells, float32, cells x 2, by their names in `obsm`, the
    likeliest first, at most three. Of three columns the first two are taken. One that is damaged, or has a place that
    is not finite, is no reason to refuse the cells, and left out.
    """
    found: dict[str, np.ndarray] = {}
    with suppress(OSError, ValueError, RuntimeError, ReadError), h5py.File(path, "r") as file:
        check_hdf5(file, path)
        obsm = file.get("obsm")
        names = [name for name in obsm if _is_map(obsm[name], n_cells)] if isinstance(obsm, h5py.Group) else []
        for name in sorted(names, key=_order)[:MOST_MAPS]:
            with suppress(OSError, ValueError, RuntimeError, ReadError):
                require_filters(path, obsm[name])
                places = np.asarray(obsm[name][:, :2], dtype=np.float32)
                if np.isfinite(places).all():
                    found[name] = places
    return found


def _is_map(element: object, n_cells: int) -> bool:
    if not isinstance(element, h5py.Dataset) or element.dtype.kind not in "fiu":
        return False
    return len(element.shape) == 2 and element.shape[0] == n_cells and element.shape[1] in DIMENSIONS


def _order(name: str) -> tuple[int, str]:
    plain = "".join(letter for letter in name.lower() if letter.isalnum())
    return next((place for place, part in enumerate(FIRST) if part in plain), len(FIRST)), name


def pack_maps(maps: dict[str, np.ndarray]) -> Message:
    names = pack_text(pd.Series([name[:LONGEST] for name in maps], dtype=object))
    return Message({}, (*names, *(places.ravel() for places in maps.values())))


def unpack_maps(message: Message, n_cells: int) -> dict[str, np.ndarray]:
    """Raises `BrokenMessageError` unless there is a finite place for each cell."""
    arrays = list(message.arrays)
    names = [str(name) for name in unpack_text(arrays)]
    if len(names) != len(arrays) or len(set(names)) < len(names) or len(names) > MOST_MAPS:
        raise BrokenMessageError("maps without their names")
    if any(one.dtype != np.float32 or one.size != 2 * n_cells or not np.isfinite(one).all() for one in arrays):
        raise BrokenMessageError("a map of other cells")
    return {name: places.reshape(-1, 2) for name, places in zip(names, arrays, strict=True)}
