"""`reference_plane.json`: a flat view of a model's embedding, and where held-out cells of each type lie in it.

Optional. `cellmark drift` draws new cells there. It holds no cell: two axes, and of each type an ellipse. NumPy only.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Self

import numpy as np
from pydantic import model_validator

from ..bundle import Bundle
from ..manifest.bundle_files import REFERENCE_PLANE, content_error
from ..manifest.manifest_section import Section, canonical_json
from ..reference_profile import FEWEST_CELLS

SHRINKAGE = 0.1
"""How far the spread within types is drawn to its median over directions, since few cells tell little of one."""
OTHER_SPREAD = 1e-3
"""Weight of the spread of all cells, which decides where types leave an axis open: two types lie on one line."""
DIGITS = 6


class TypeInPlane(Section):
    """An ellipse around the held-out cells of a type that were called right. `covariance`: of x, of both, of y;
    `radius_50`, `radius_95`: in standard deviations, the ellipses that hold half of them and 95 %.
    """

    n_cells: int
    centre: tuple[float, float]
    covariance: tuple[float, float, float]
    radius_50: float
    radius_95: float

    @model_validator(mode="after")
    def _is_an_ellipse(self) -> Self:
        xx, xy, yy = self.covariance
        numbers = (*self.centre, *self.covariance, self.radius_50, self.radius_95)
        if not np.isfinite(numbers).all() or xx <= 0 or yy <= 0 or xx * yy - xy * xy <= 0 or self.radius_95 <= 0:
            raise ValueError("not an ellipse")
        return self

    def distances(self, places: np.ndarray) -> np.ndarray:
        """How far cells are from the centre, in standard deviations, [cells]. `places`: [cells, 2]."""
        xx, xy, yy = self.covariance
        inverse = np.array([[yy, -xy], [-xy, xx]]) / (xx * yy - xy * xy)
        away = places - np.asarray(self.centre)
        found: np.ndarray = np.sqrt(np.einsum("ij,jk,ik->i", away, inverse, away))
        return found


class ReferencePlane(Section):
    """`axes`: what the two coordinates are of the embedding's, after `centre` is taken away. `cell_types`: those with
    enough held-out cells. `inside`: share of these cells that lie in the 95 % ellipse of any type.
    """

    format_version: Literal[1] = 1
    centre: list[float]
    axes: tuple[list[float], list[float]]
    cell_types: dict[str, TypeInPlane]
    inside: float

    @model_validator(mode="after")
    def _axes_fit(self) -> Self:
        if any(len(axis) != len(self.centre) for axis in self.axes) or not self.cell_types:
            raise ValueError("axes of another length than the centre, or no types")
        if not np.isfinite([*self.centre, *self.axes[0], *self.axes[1], self.inside]).all():
            raise ValueError("numbers that are not finite")
        return self

    def places(self, embedding: np.ndarray) -> np.ndarray:
        """Coordinates of cells, float64 [cells, 2]. `embedding`: the annotator's output, [cells, d]."""
        return _places(embedding, np.asarray(self.centre), np.asarray(self.axes))

    def is_inside(self, places: np.ndarray) -> np.ndarray:
        """Whether each cell lies in the 95 % ellipse of any type, bool [cells]."""
        return _is_inside(self.cell_types, places)

    def to_bytes(self) -> bytes:
        """As it lies in the bundle."""
        return canonical_json(self.model_dump(mode="json"))


def plane_of_cells(
    embedding: np.ndarray, labels: np.ndarray, calls: np.ndarray, cell_types: Sequence[str]
) -> ReferencePlane | None:
    """The flat view that tells types apart best (linear discriminants), from held-out cells; None for too few cells.

    `embedding`: the annotator's output, [cells, d]; `labels`, `calls`: int [cells], numbers of `cell_types`. Types with
    fewer than `FEWEST_CELLS` cells that were called right have no ellipse, and no say in the axes.
    """
    right = [np.flatnonzero((labels == code) & (calls == code)) for code in range(len(cell_types))]
    enough = {name: rows for name, rows in zip(cell_types, right, strict=True) if len(rows) >= FEWEST_CELLS}
    cells = embedding.astype(np.float64)
    if not enough or cells.shape[1] < 2:
        return None
    groups = [cells[rows] for rows in enough.values()]
    centre = np.array([_rounded(value) for value in np.mean([group.mean(axis=0) for group in groups], axis=0)])
    axes = np.array([[_rounded(value) for value in axis] for axis in _axes(groups, centre)])
    found = {name: _ellipse(_places(group, centre, axes)) for name, group in zip(enough, groups, strict=True)}
    held_out = np.isin(labels, [cell_types.index(name) for name in enough])
    inside = float(_is_inside(found, _places(cells[held_out], centre, axes)).mean())
    return ReferencePlane(
        centre=centre.tolist(),
        axes=(axes[0].tolist(), axes[1].tolist()),
        cell_types=found,
        inside=_rounded(inside),
    )


def _places(embedding: np.ndarray, centre: np.ndarray, axes: np.ndarray) -> np.ndarray:
    found: np.ndarray = (embedding.astype(np.float64) - centre) @ axes.T
    return found


def _is_inside(cell_types: Mapping[str, TypeInPlane], places: np.ndarray) -> np.ndarray:
    found = np.zeros(len(places), dtype=bool)
    for one in cell_types.values():
        found |= one.distances(places) <= one.radius_95
    return found


def _axes(groups: Sequence[np.ndarray], centre: np.ndarray) -> np.ndarray:
    """Two directions of the embedding, [2, d], in which the groups' means lie apart most for the spread within them."""
    within = np.mean([np.cov(cells.T) for cells in groups], axis=0)
    values, vectors = np.linalg.eigh(within)
    usual = max(float(np.median(values)), 1e-3 * float(values.mean()), 1e-12)
    whitening = vectors / np.sqrt((1 - SHRINKAGE) * np.maximum(values, 0) + SHRINKAGE * usual)
    means = (np.stack([cells.mean(axis=0) for cells in groups]) - centre) @ whitening
    whole = np.mean([np.cov(((cells - centre) @ whitening).T) for cells in groups], axis=0)
    between = means.T @ means / len(groups) + OTHER_SPREAD * whole
    _, directions = np.linalg.eigh(between)
    axes = (whitening @ directions[:, [-1, -2]]).T
    # Either sign would do; the same data give the same one.
    strongest = np.abs(axes).argmax(axis=1)
    found: np.ndarray = axes * np.sign(axes[np.arange(2), strongest])[:, None]
    return found


def _ellipse(places: np.ndarray) -> TypeInPlane:
    middle = places.mean(axis=0)
    spread = np.cov(places.T) + 1e-6 * np.eye(2)
    draft = TypeInPlane(
        n_cells=len(places),
        centre=(_rounded(middle[0]), _rounded(middle[1])),
        covariance=(_rounded(spread[0, 0]), _rounded(spread[0, 1]), _rounded(spread[1, 1])),
        radius_50=1,
        radius_95=1,
    )
    half, most = np.quantile(draft.distances(places), [0.5, 0.95])
    return draft.model_copy(update={"radius_50": _rounded(half), "radius_95": _rounded(max(most, 1e-3))})


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def read_plane(bundle: Bundle, *, distilled: bool = False) -> ReferencePlane | None:
    """The plane of a bundle; None where it has none, and for the second annotator, whose embedding is another.

    Raises `BundleError` on another file.
    """
    if distilled or REFERENCE_PLANE not in bundle.manifest.files:
        return None
    try:
        return ReferencePlane.model_validate_json(bundle.path(REFERENCE_PLANE).read_bytes())
    except (OSError, ValueError) as error:
        raise content_error(REFERENCE_PLANE, "axes and ellipses", str(error).splitlines()[0]) from error
