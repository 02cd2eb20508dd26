"""The page in a real browser: a file is dropped, refused or called, looked into and taken away, also with a key."""

import base64
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from starlette.middleware import Middleware

from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator
from cellmark.serving.access.access import Access
from cellmark.serving.access.api_key import ApiKey, KeyRecord
from cellmark.serving.access.key_file import add_key
from cellmark.serving.access.key_ring import KeyRing
from cellmark.serving.access.scopes import RouteNeeds
from cellmark.serving.app import make_app
from cellmark.serving.http.guard import AccessGuard
from cellmark.serving.http.parts import ServiceParts
from cellmark.serving.http.settings import ServiceSettings
from fixtures.chromium import browser
from fixtures.listening import listening
from fixtures.page_checks import CONTRAST, SMALL, UNNAMED
from fixtures.service_page import DROP, called, drop, opened
from fixtures.synthetic_cells import draw_cells

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.chromium
__all__ = ["browser"]


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture(scope="module")
def url(annotator: Annotator) -> Iterator[str]:
    with listening(make_app(annotator, ServiceSettings(max_upload_bytes=20_000_000))) as url:
        yield url


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    path = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    made = {}
    for name, scopes in (("all", {"annotate", "explain"}), ("calls", {"annotate"})):
        key = ApiKey.new()
        add_key(path, KeyRecord.of(key, frozenset(scopes), created=datetime.now(UTC), expires=None))
        made[name] = str(key)
    return path, made


@pytest.fixture(scope="module")
def guarded(annotator: Annotator, keys: tuple[Path, dict[str, str]]) -> Iterator[str]:
    access = Access(RouteNeeds(), KeyRing(keys[0], ()))
    guard = Middleware(AccessGuard, access=access)
    with listening(make_app(annotator, parts=ServiceParts(middlewares=[guard]))) as url:
        yield url


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (390, "dark"), (1280, "light"), (1280, "dark")])
def test_it_opens_small_readable_and_without_a_word(browser: "Browser", url: str, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    asked: list[str] = []
    heard: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto(url, wait_until="networkidle")
    page.get_by_text("knows 3 cell types").wait_for()
    sizes = page.evaluate("performance.getEntries().map((entry) => entry.encodedBodySize ?? 0)")
    assert 20_000 < sum(sizes) < 200_000
    assert len(asked) >= 15
    assert [address for address in asked if not address.startswith(url)] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = page.evaluate(CONTRAST)
    assert found["seen"] > 12
    assert found["low"] == []
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate("document.documentElement.lang") == "en"
    assert heard == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")])
def test_every_view_is_readable_named_and_fits(
    browser: "Browser", url: str, new_cells: ad.AnnData, tmp_path: Path, width: int, scheme: str
) -> None:
    page, heard = opened(browser, url, width=width, scheme=scheme)
    called(page, new_cells, tmp_path)
    page.locator(".rows .row").nth(2).click()
    page.locator(".evidence li").first.wait_for()
    page.locator("details#options summary").click()

    def look() -> None:
        found = page.evaluate(CONTRAST)
        assert found["seen"] > 15
        assert found["low"] == []
        assert page.evaluate(UNNAMED) == []
        assert page.evaluate(SMALL) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    look()
    page.locator(".bar").first.click()
    page.get_by_text("Means over").wait_for()
    look()
    page.get_by_role("tab", name="Markers").click()
    page.locator("#markers td").first.wait_for()
    look()
    page.get_by_role("tab", name="Model").click()
    look()
    page.get_by_role("button", name="Key").click()
    look()
    assert heard == []


def test_a_dropped_file_is_called_as_by_annotate(
    browser: "Browser", url: str, annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    page, heard = opened(browser, url)
    called(page, new_cells, tmp_path)
    expected = annotator.annotate(new_cells, as_sample=True)
    assert page.locator("#veil").is_hidden()
    assert page.locator("#checklist li.ok").count() >= 3
    assert "The file was read: 120 cells." in page.locator("#checklist").inner_text()
    numbers = expected["cellmark_cell_type"].value_counts()
    for name, number in numbers[numbers > 0].items():
        bar = page.locator(".bar", has_text=str(name))
        assert f"{number} ·" in bar.inner_text()
    first = page.locator(".rows .row").first.locator("[role=gridcell]").all_inner_texts()
    assert first[0] == expected.index[0]
    assert first[1] == expected["cellmark_cell_type"].iloc[0]
    assert first[2] == new_cells.obs["cell_type"].iloc[0], "the file's own column, beside the call"
    assert float(first[3]) == pytest.approx(expected["cellmark_confidence"].iloc[0], abs=6e-4)
    assert heard == []


def test_the_table_sorts_finds_and_holds_few_rows(
    browser: "Browser", url: str, annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    page, _ = opened(browser, url)
    called(page, new_cells, tmp_path)
    expected = annotator.annotate(new_cells, as_sample=True)
    assert page.locator(".rows .row").count() < 50
    assert page.locator("[role=grid]").get_attribute("aria-rowcount") == "121"
    page.get_by_role("button", name="Confidence").click()
    ids = page.locator(".rows .row [role=gridcell]:first-child").all_inner_texts()
    order = expected["cellmark_confidence"].sort_values(kind="stable").index[: len(ids)]
    assert ids[:3] == order[:3].tolist()
    assert page.locator("[aria-sort=ascending]").inner_text().startswith("Confidence")
    page.get_by_label("Find").fill("cell-1-11")
    wanted = [name for name in expected.index if "cell-1-11" in name]
    assert page.locator("#table [role=status]").inner_text() == f"{len(wanted)} of 120 cells"
    page.get_by_label("Find").fill("")
    page.locator("#table select").first.select_option(label="T cell")
    number = (expected["cellmark_cell_type"] == "T cell").sum()
    assert page.locator("#table [role=status]").inner_text() == f"{number} of 120 cells"
    page.get_by_label("Find").fill("no such cell")
    assert page.locator(".rows .row").count() == 0


def shown_genes(page: "Page") -> dict[str, float]:
    names = page.locator(".evidence .gene").all_inner_texts()
    values = page.locator(".evidence .value").all_inner_texts()
    return dict(zip(names, map(float, values), strict=True))


def test_a_click_on_a_cell_or_a_type_shows_genes_for_and_against(
    browser: "Browser", url: str, annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    page, heard = opened(browser, url)
    called(page, new_cells, tmp_path)
    explained = annotator.explain(new_cells, against="second", top=24)
    page.locator(".rows .row").nth(4).click()
    page.locator(".evidence li").first.wait_for()
    of_cell = explained[explained["cell_id"] == new_cells.obs_names[4]].set_index("gene_symbol")["attribution"]
    found = shown_genes(page)
    assert found.keys() == set(of_cell.index)
    assert found == pytest.approx(of_cell.to_dict(), abs=6e-3)
    target, against = explained.loc[explained["cell_id"] == new_cells.obs_names[4], ["target", "against"]].iloc[0]
    assert page.locator("#why").get_by_text(f"For {target}", exact=True).is_visible()
    assert page.locator("#why").get_by_text(f"Against it, for {against}").is_visible()
    page.get_by_label("at all").check()
    page.get_by_text("Against it", exact=True).wait_for()
    alone = annotator.explain(new_cells[[4]], top=24).set_index("gene_symbol")["attribution"]
    assert shown_genes(page) == pytest.approx(alone.to_dict(), abs=6e-3)
    # A gene colours the map, which then says its scale.
    page.locator(".evidence .gene").first.click()
    assert "ln(1 + counts per 10,000)" in page.locator("#map .legend").inner_text()
    # A click on the map chooses the cell that lies there.
    page.get_by_label("PCA").check()
    page.locator("canvas").scroll_into_view_if_needed()
    box = page.locator("canvas").bounding_box()
    assert box is not None
    before = page.locator("#why code").inner_text()
    for x, y in np.ndindex(16, 9):
        page.mouse.click(box["x"] + box["width"] * (x + 0.5) / 16, box["y"] + box["height"] * (y + 0.5) / 9)
        if page.locator("#why code").inner_text() != before:
            break
    assert page.locator("#why code").inner_text() in set(new_cells.obs_names) - {before}
    page.locator(".bar", has_text="NK cell").click()
    page.get_by_text("Means over").wait_for()
    page.locator(".evidence li").first.wait_for()
    calls = annotator.annotate(new_cells, as_sample=True)
    of_type = calls[calls["cellmark_cell_type"] == "NK cell"]
    runner = of_type["cellmark_second_cell_type"].astype(str).mode()[0]
    assert f"{runner} is most often its runner-up. Means over all of them." in page.locator("#why").inner_text()
    of_cells = annotator.explain(new_cells[of_type.index], "NK cell", runner, top=new_cells.n_vars)
    means = of_cells.groupby("gene_symbol", observed=True)["attribution"].sum().sort_values() / len(of_type)
    strongest = means.iloc[[*range(-1, -13, -1), *range(12)]]
    assert shown_genes(page) == pytest.approx(strongest.to_dict(), abs=6e-3)
    assert heard == []


def test_a_refusal_is_explained_and_its_remedy_is_a_button(
    browser: "Browser", url: str, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    page, heard = opened(browser, url)
    cells = new_cells.copy()
    cells.layers["counts"] = cells.X.copy()
    cells.X = cells.X.toarray() - 1.5
    drop(page, cells, tmp_path)
    page.get_by_role("heading", name="new.h5ad was refused").wait_for()
    assert page.evaluate("document.activeElement.id") == "findings-head"
    assert "Some values are below zero" in page.locator("#checklist").inner_text()
    assert page.locator("#results").is_hidden()
    page.get_by_role("button", name="Read the counts in “counts”").first.click()
    page.locator(".rows .row").first.wait_for()
    assert "Values are raw counts, from layers['counts']." in page.locator("#checklist").inner_text()
    assert heard == []


def test_the_column_of_library_sizes_is_chosen_and_asked_again(
    browser: "Browser", url: str, annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = new_cells.copy()
    cells.obs["clusters"] = 3
    cells.obs["n_counts"] = np.asarray(cells.X.sum(axis=1)).ravel()
    part = cells[:, [name in FEW_GENES for name in cells.var_names]].copy()
    page, heard = opened(browser, url)
    drop(page, part, tmp_path)
    page.get_by_role("button", name="Ask again with it").wait_for()
    assert "each cell's total count over all genes has to come from a column" in page.locator("#checklist").inner_text()
    assert "--" not in page.locator("#checklist").inner_text(), "a button needs no words of a terminal"
    choice = page.get_by_label("Library sizes are in")
    assert choice.locator("option").all_inner_texts() == ["n_counts"]
    with page.expect_request("**/map") as sent:
        page.get_by_role("button", name="Ask again with it").click()
    assert sent.value.method == "POST"
    page.locator(".rows .row").first.wait_for()
    assert "Library sizes were given." in page.locator("#checklist").inner_text()
    expected = annotator.annotate(part, library_size="n_counts", as_sample=True)["cellmark_confidence"].iloc[0]
    assert float(page.locator(".rows .row .number").first.inner_text()) == pytest.approx(expected, abs=6e-4)
    assert heard == []


FEW_GENES = {f"GENE{number}" for number in range(59)}


def test_what_cannot_be_read_is_refused_without_being_sent(browser: "Browser", url: str) -> None:
    page, heard = opened(browser, url)
    page.get_by_text("knows 3 cell types").wait_for()
    page.wait_for_load_state("networkidle")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.evaluate(DROP, ["counts.csv", base64.b64encode(b"a,b\n1,2\n").decode()])
    page.get_by_text("This kind of file cannot be read here.").wait_for()
    assert "cellmark annotate" in page.locator("#checklist").inner_text()
    page.evaluate(DROP.replace("[bytes]", "[new Uint8Array(21_000_000)]"), ["large.h5ad", ""])
    page.get_by_text("larger than this service takes").wait_for()
    assert sent == []
    assert heard == []


def test_downloads_are_those_of_the_service(
    browser: "Browser", url: str, annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    page, heard = opened(browser, url)
    called(page, new_cells, tmp_path)
    expected = annotator.annotate(new_cells, as_sample=True)

    def downloaded(name: str) -> Path:
        with page.expect_download() as waiting:
            page.get_by_role("button", name=name).click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path

    table = downloaded("Table of calls (CSV)")
    assert table.name == "new.calls.csv"
    calls = pd.read_csv(table, index_col="cell_id")
    assert calls["cellmark_cell_type"].tolist() == expected["cellmark_cell_type"].tolist()
    copy = ad.read_h5ad(downloaded("Copy with the calls (.h5ad)"))
    assert copy.obs["cellmark_cell_type"].tolist() == expected["cellmark_cell_type"].tolist()
    np.testing.assert_array_equal(copy.X.toarray(), new_cells.X.toarray())
    genes = pd.read_csv(downloaded("Genes behind each call (CSV)"))
    assert set(genes["cell_id"]) == set(new_cells.obs_names)
    page.get_by_role("tab", name="Markers").click()
    page.locator("#markers td").first.wait_for()
    markers = pd.read_csv(io.StringIO(downloaded("All markers (CSV)").read_text()))
    assert markers["gene_symbol"].tolist() == annotator.markers()["gene_symbol"].tolist()
    page.get_by_label("Gene, in any type").fill("gene1")
    page.get_by_text("that start with GENE1").wait_for()
    page.get_by_role("tab", name="Model").click()
    report = downloaded("Download the report")
    assert report.read_bytes() == (annotator.bundle.folder / "report.html").read_bytes()
    assert heard == []


def test_the_key_is_asked_for_held_in_memory_and_in_no_address(
    browser: "Browser", guarded: str, keys: tuple[Path, dict[str, str]], new_cells: ad.AnnData, tmp_path: Path
) -> None:
    page, heard = opened(browser, guarded)
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.get_by_role("heading", name="This service needs a key").wait_for()
    page.get_by_label("Your key or token").fill("cm_aaaaaaaa_" + "a" * 52)
    page.get_by_role("button", name="Use it").click()
    page.get_by_text("The last one did not work").wait_for()
    page.get_by_label("Your key or token").fill(keys[1]["all"])
    page.keyboard.press("Enter")
    page.get_by_text("knows 3 cell types").wait_for()
    called(page, new_cells, tmp_path)
    page.locator(".rows .row").first.click()
    page.locator(".evidence li").first.wait_for()
    secret = keys[1]["all"].rpartition("_")[2]
    assert not any(secret in address for address in addresses)
    held = (
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, document.documentElement.outerHTML])"
    )
    assert secret not in page.evaluate(held)
    assert page.evaluate("document.getElementById('key').value") == ""
    page.get_by_role("button", name="Forget key").click()
    page.locator(".rows .row").nth(1).click()
    page.get_by_role("heading", name="This service needs a key").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.locator("#why").get_by_text("This service needs a key.").wait_for()
    page.reload()
    page.get_by_role("heading", name="This service needs a key").wait_for()
    assert heard == []


def test_a_key_that_may_not_explain_sees_calls_and_reads_why_no_genes(
    browser: "Browser", guarded: str, keys: tuple[Path, dict[str, str]], new_cells: ad.AnnData, tmp_path: Path
) -> None:
    page, _ = opened(browser, guarded)
    page.get_by_label("Your key or token").fill(keys[1]["calls"])
    page.keyboard.press("Enter")
    page.get_by_text("knows 3 cell types").wait_for()
    called(page, new_cells, tmp_path)
    page.locator(".rows .row").first.click()
    page.get_by_text("Your key may not ask for explanations").wait_for()
    assert "scope “explain”" in page.locator("#why").inner_text()


def test_a_keyboard_alone_reaches_all(browser: "Browser", url: str, new_cells: ad.AnnData, tmp_path: Path) -> None:
    page, _ = opened(browser, url)
    page.get_by_text("knows 3 cell types").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"version", "key-button", "theme", "API", "tab-cells", "file"} <= reached
    page.locator("#tab-cells").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-markers"
    assert page.locator("#view-markers").is_visible()
    page.keyboard.press("ArrowLeft")
    called(page, new_cells, tmp_path)
    page.locator("[role=grid]").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    page.locator(".evidence li").first.wait_for()
    assert page.locator("#why code").inner_text() == new_cells.obs_names[1]
    page.keyboard.press("End")
    active = page.locator("[role=grid]").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").inner_text().startswith(new_cells.obs_names[-1])
    assert page.locator(f"#{active}").is_visible()
    page.locator("canvas").focus()
    for key in ("+", "ArrowLeft", "0"):
        page.keyboard.press(key)


def test_three_thousand_cells_are_in_the_table_within_five_seconds(
    browser: "Browser", url: str, tmp_path: Path
) -> None:
    many = draw_cells(n_per_type=1000, seed=3)
    many.write_h5ad(tmp_path / "many.h5ad")
    page, heard = opened(browser, url)
    page.get_by_text("knows 3 cell types").wait_for()
    content = base64.b64encode((tmp_path / "many.h5ad").read_bytes()).decode()
    started = time.perf_counter()
    page.evaluate(DROP, ["many.h5ad", content])
    page.locator(".rows .row").first.wait_for()
    assert time.perf_counter() - started < 5
    assert page.locator(".rows .row").count() < 50
    page.locator("canvas[data-layout=umap]").wait_for(timeout=60_000)
    assert "UMAP of the model's embedding" in page.locator("#map-caption").inner_text()
    page.get_by_label("PCA").check()
    assert "not a UMAP" in page.locator("#map-caption").inner_text()
    assert heard == []


def test_the_documentation_of_routes_draws_itself_within_its_policy(browser: "Browser", annotator: Annotator) -> None:
    from importlib.util import find_spec

    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    bento = find_spec("bentoml")
    assert bento is not None
    assert bento.submodule_search_locations is not None
    folder = Path(bento.submodule_search_locations[0]) / "_internal" / "server" / "static_content"
    app = make_app(annotator)
    app.routes.append(Mount("/static_content", StaticFiles(directory=folder)))
    with listening(app) as url:
        page, heard = opened(browser, f"{url}/docs")
        page.locator(".opblock", has_text="/map").first.wait_for()
        assert [text for text in heard if not text.startswith(url)] == []
        assert json.loads(page.request.get(f"{url}/docs.json").text())["openapi"] == "3.1.0"


def test_it_works_below_a_path_of_a_proxy(
    browser: "Browser", annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    app = make_app(annotator)

    async def proxy(scope: Any, receive: Any, send: Any) -> None:
        assert scope["path"].startswith("/tools/cellmark/"), scope["path"]
        path = scope["path"].removeprefix("/tools/cellmark")
        await app({**scope, "path": path, "raw_path": path.encode()}, receive, send)

    with listening(proxy) as url:
        page, heard = opened(browser, f"{url}/tools/cellmark/")
        called(page, new_cells, tmp_path)
        page.locator(".rows .row").first.click()
        page.locator(".evidence li").first.wait_for()
        page.locator("canvas[data-layout=umap]").wait_for(timeout=60_000)
        assert heard == []


def test_another_version_of_the_model_is_asked_by_its_number(
    browser: "Browser", url: str, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    page, _ = opened(browser, url)
    called(page, new_cells, tmp_path)
    with page.expect_request("**/models/tiny/versions/7/model"):
        page.get_by_label("Version").fill("7")
        page.keyboard.press("Enter")
    page.get_by_text("The service has no such model or version.").wait_for()
