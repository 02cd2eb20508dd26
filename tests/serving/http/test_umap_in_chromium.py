"""The page's own UMAP, run by a browser, beside what umap-learn makes of the same embedding."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from starlette.applications import Starlette

from cellmark.serving.http.page_routes import page_routes
from cellmark.serving.http.settings import ServiceSettings
from fixtures.chromium import browser
from fixtures.listening import listening
from fixtures.umap_learn import D, K, N, distances_of, drawn_embedding, expected, kept

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.chromium
__all__ = ["browser"]

LAYOUT = """const [X, n, d, start, seed] = a;
return [...m.umap(Float32Array.from(X), n, d, Float32Array.from(start), { seed })];"""


@pytest.fixture(scope="module")
def page(browser: "Browser") -> Iterator["Page"]:
    with listening(Starlette(routes=page_routes(ServiceSettings()))) as url:
        page = browser.new_context(bypass_csp=True).new_page()
        page.goto(f"{url}/page/icon.svg")
        yield page


def run(page: "Page", body: str, *arguments: Any) -> Any:
    return page.evaluate(f"async (a) => {{ const m = await import('/page/umap.js'); {body} }}", list(arguments))


def test_neighbours_and_the_graph_are_those_of_umap_learn(page: "Page") -> None:
    embedding, theirs = drawn_embedding(), expected()
    found = run(
        page,
        """const [X, n, d, k] = a; const near = m.nearest(Float32Array.from(X), n, d, k);
        const g = m.fuzzyGraph(near, n, k);
        return [[...near.indices], [...near.distances], [...g.heads], [...g.tails], [...g.weights]];""",
        embedding.ravel().tolist(), N, D, K,
    )  # fmt: skip
    indices, distances = np.reshape(found[0], (N, K)), np.reshape(found[1], (N, K))
    apart = distances_of(embedding)
    np.testing.assert_allclose(distances, np.sort(apart, axis=1)[:, :K], atol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(apart, indices, axis=1), distances, atol=1e-4)
    ours, graph = np.zeros((N, N)), np.zeros((N, N))
    ours[found[2], found[3]] = found[4]
    graph[theirs["heads"], theirs["tails"]] = theirs["weights"]
    np.testing.assert_allclose(ours, graph + graph.T, atol=2e-3)


def test_the_curve_is_that_of_umap_learn(page: "Page") -> None:
    assert run(page, "return [m.A, m.B]") == pytest.approx(expected()["curve"], rel=2e-3)


def test_a_map_keeps_neighbours_as_umap_learn_does_and_is_the_same_each_time(page: "Page") -> None:
    embedding = drawn_embedding()
    centred = embedding - embedding.mean(axis=0)
    start = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    arguments = embedding.ravel().tolist(), N, D, start.ravel().tolist()
    found = np.reshape(run(page, LAYOUT, *arguments, 0), (N, 2))
    np.testing.assert_array_equal(found, np.reshape(run(page, LAYOUT, *arguments, 0), (N, 2)))
    other = np.reshape(run(page, LAYOUT, *arguments, 1), (N, 2))
    theirs = min(expected()["kept"])
    for place in (found, other):
        assert np.isfinite(place).all()
        assert kept(embedding, place) > theirs - 0.05
        assert kept(embedding, place) > kept(embedding, start) + 0.05


@pytest.mark.parametrize("n", [1, 3, 10])
def test_few_or_equal_cells_have_a_map_too(page: "Page", n: int) -> None:
    found = run(page, LAYOUT, [1.0] * (n * D), n, D, [0.0] * (2 * n), 0)
    assert len(found) == 2 * n
    assert np.isfinite(found).all()
