import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.distance import cdist
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.drift.reference_plane import ReferencePlane, TypeInPlane, plane_of_cells, read_plane
from cellmark.schemas.drift.spreads import N_BINS, cells_in_plane
from cellmark.schemas.errors import BundleError
from cellmark.schemas.manifest.bundle_files import write_manifest
from fixtures.places import ARCHIVES

TYPES = ["B cell", "T cell", "NK cell", "Monocyte"]


def drawn(n_cells: int = 800, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embedding in 8 dimensions, of which the widest tells no type, and numbers of types."""
    generator = np.random.default_rng(seed)
    codes = np.arange(n_cells) % len(TYPES)
    means = generator.normal(0, 4, (len(TYPES), 8))
    means[:, 0] = 0
    scale = np.array([30, 1, 1, 2, 1, 0.5, 1, 1])
    return (means[codes] + generator.normal(size=(n_cells, 8)) * scale).astype(np.float32), codes


def plane_of(n_cells: int = 800) -> ReferencePlane:
    embedding, codes = drawn(n_cells)
    plane = plane_of_cells(embedding, codes, codes, TYPES)
    assert plane is not None
    return plane


def separation(places: np.ndarray, codes: np.ndarray) -> float:
    """Spread of the types' means over the spread within types, as Fisher has it: trace of W^-1 B."""
    groups = [places[codes == code] for code in np.unique(codes)]
    within = np.mean([np.cov(group.T) for group in groups], axis=0)
    means = np.stack([group.mean(axis=0) for group in groups])
    return float(np.trace(np.linalg.solve(within, np.cov(means.T))))


def test_types_lie_as_far_apart_as_linear_discriminants_put_them() -> None:
    embedding, codes = drawn()
    plane = plane_of()
    best = LinearDiscriminantAnalysis(n_components=2).fit_transform(embedding, codes)
    ours = separation(plane.places(embedding), codes)
    assert ours > 0.85 * separation(best, codes)
    widest = embedding[:, [0, 3]]
    assert ours > 10 * separation(widest, codes)


def test_ellipses_hold_half_and_95_percent_of_their_cells() -> None:
    embedding, codes = drawn()
    plane = plane_of()
    places = plane.places(embedding)
    for code, (name, one) in enumerate(plane.cell_types.items()):
        assert name == TYPES[code]
        xx, xy, yy = one.covariance
        own = places[codes == code]
        inverse = np.linalg.inv(np.array([[xx, xy], [xy, yy]]))
        expected = cdist(own, np.array([one.centre]), "mahalanobis", VI=inverse).ravel()
        np.testing.assert_allclose(one.distances(own), expected, rtol=1e-4)
        assert (expected <= one.radius_50).mean() == pytest.approx(0.5, abs=0.01)
        assert (expected <= one.radius_95).mean() == pytest.approx(0.95, abs=0.01)
    assert plane.inside >= 0.95
    assert plane.inside == pytest.approx(plane.is_inside(places).mean(), abs=1e-4)


def test_types_of_few_cells_and_wrong_calls_have_no_ellipse() -> None:
    embedding, codes = drawn()
    calls = codes.copy()
    calls[np.flatnonzero(codes == 2)[19:]] = 0
    plane = plane_of_cells(embedding, codes, calls, TYPES)
    assert plane is not None
    assert list(plane.cell_types) == ["B cell", "T cell", "Monocyte"]
    assert plane_of_cells(embedding[:40], codes[:40], codes[:40], TYPES) is None


@pytest.mark.parametrize("n_types", [1, 2])
def test_one_or_two_types_have_a_plane_too(n_types: int) -> None:
    embedding, codes = drawn()
    rows = codes < n_types
    plane = plane_of_cells(embedding[rows], codes[rows], codes[rows], TYPES[:n_types])
    assert plane is not None
    assert np.linalg.matrix_rank(np.asarray(plane.axes)) == 2


def test_the_file_grows_with_types_and_not_with_cells() -> None:
    few, many = plane_of(400).to_bytes(), plane_of(4000).to_bytes()
    assert abs(len(few) - len(many)) < 0.1 * len(few)
    assert plane_of(400).to_bytes() == few
    numbers = json.loads(many)
    assert set(numbers) == {"format_version", "centre", "axes", "cell_types", "inside"}
    assert all(set(one) == set(TypeInPlane.model_fields) for one in numbers["cell_types"].values())


@pytest.mark.parametrize(
    "wrong",
    [{"axes": [[1.0], [2.0]]}, {"cell_types": {}}, {"inside": float("nan")},
     {"cell_types": {"T": {"n_cells": 30, "centre": [0, 0], "covariance": [1, 2, 1], "radius_50": 1, "radius_95": 2}}}],
)  # fmt: skip
def test_a_plane_of_another_form_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ReferencePlane.model_validate({**plane_of().model_dump(), **wrong})


def test_a_bundle_with_a_plane_opens_and_an_old_one_has_none(tmp_path: Path) -> None:
    assert read_plane(Bundle.open(ARCHIVES / "v1")) is None
    folder = shutil.copytree(ARCHIVES / "v1", tmp_path / "bundle")
    raw = json.loads((folder / "manifest.json").read_bytes())
    (folder / "reference_plane.json").write_bytes(plane_of().to_bytes())
    write_manifest(folder, {name: value for name, value in raw.items() if name != "files"})
    bundle = Bundle.open(folder)
    assert read_plane(bundle) == plane_of()
    assert read_plane(bundle, distilled=True) is None
    (folder / "reference_plane.json").write_text("{}")
    with pytest.raises(BundleError, match=r"reference_plane\.json"):
        read_plane(bundle)


def test_cells_are_counted_in_squares_wherever_they_lie() -> None:
    plane, generator = plane_of(), np.random.default_rng(1)
    places = generator.normal(0, 3, (500, 2))
    places[:7] = 1e6
    unassigned = np.arange(500) % 5 == 0
    found = cells_in_plane(plane, places, unassigned)
    assert sum(one.n_cells for one in found.bins) == 500
    assert sum(one.n_unassigned for one in found.bins) == 100
    assert found.n_beyond >= 7
    assert found.inside == plane.is_inside(places).mean()
    width, height = found.x_range[1] - found.x_range[0], found.y_range[1] - found.y_range[0]
    assert found.size == pytest.approx(max(width, height) / N_BINS)
    for one in found.bins:
        assert found.x_range[0] <= one.x <= found.x_range[1]
        assert found.y_range[0] <= one.y <= found.y_range[1]
