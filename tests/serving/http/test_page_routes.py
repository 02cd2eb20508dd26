"""The files of the page: what they are sent with, that they fit together, and that they need nothing from elsewhere."""

import gzip
import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from cellmark.schemas.error_codes import CODES
from cellmark.serving.app import make_app
from cellmark.serving.http.page_routes import INDEX, page_files
from cellmark.serving.http.served_model import ServedModel
from cellmark.serving.http.settings import ServiceSettings

FILES = {name: content.decode() for name, content in page_files().items()}
SCRIPTS = sorted(name for name in FILES if name.endswith(".js"))


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """Asks a service whose model is not loaded yet: the page needs none."""
    with TestClient(make_app(ServedModel(), ServiceSettings(max_upload_bytes=12_345_678))) as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/", "/page/page.js", "/page/umap_worker.js", "/page/page.css", "/page/icon.svg", "/docs"]
)
def test_every_file_forbids_what_is_not_the_services_own(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    if path != "/docs":
        assert policy["style-src"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
    assert not re.search(r"https?:|\*|unsafe-eval", answer.headers["content-security-policy"])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers


def test_a_browser_that_has_a_file_is_not_sent_it_again(client: TestClient) -> None:
    first = client.get("/page/page.js")
    again = client.get("/page/page.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/page/page.js", headers={"If-None-Match": '"other"'}).text == first.text


def test_the_page_knows_the_limit_of_the_service(client: TestClient) -> None:
    assert 'data-max-upload-bytes="12345678"' in client.get("/").text


@pytest.mark.parametrize("path", ["/page/nothing.js", "/page/index.html", "/page/..%2fsettings.py", "/page/"])
def test_no_other_file_is_handed_out(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_every_file_is_named_by_another_and_every_name_is_a_file() -> None:
    named = set(re.findall(r'(?:href|src)="page/([\w.]+)"', FILES[INDEX])) | {"umap_worker.js"}
    for name in SCRIPTS:
        named |= set(re.findall(r'from "\./([\w.]+)";', FILES[name]))
    assert named == set(FILES) - {INDEX}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_names_no_other_site_and_makes_no_markup_of_text(name: str) -> None:
    text = FILES[name].replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//[a-z]+\.[a-z]|@import|url\(", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert not re.search(r"localStorage|sessionStorage|indexedDB|document\.cookie", text)
    assert "<style" not in text
    assert 'style="' not in text
    assert len(text.splitlines()) <= 300


def test_all_files_together_are_small() -> None:
    assert sum(map(len, FILES.values())) < 200_000
    assert sum(len(gzip.compress(text.encode(), 5)) for text in FILES.values()) < 60_000


def test_every_code_that_the_page_explains_is_one() -> None:
    block = FILES["findings.js"].split("const PLAIN = {")[1].split("};")[0]
    explained = re.findall(r"^  ([A-Z_]+): ", block, flags=re.MULTILINE)
    assert len(explained) > 30
    assert set(explained) <= set(CODES)
