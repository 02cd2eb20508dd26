from pathlib import Path

import pytest

from cellmark.serving.remote.urls import shown_input, url_of


@pytest.mark.parametrize("given", ["cells.h5ad", "/data/cells.h5ad", "a:b", "C:/cells.h5ad", "./x:/y"])
def test_paths_are_no_urls(given: str) -> None:
    assert url_of(given) is None


@pytest.mark.parametrize("url", ["https://host/a/cells.h5ad", "s3://bucket/cells.h5ad", "memory://cells.h5ad"])
def test_a_path_of_a_url_is_the_url(url: str) -> None:
    assert url_of(url).whole == url_of(Path(url)).whole == url


def test_a_file_of_such_a_name_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "https:").mkdir()
    (tmp_path / "https:" / "cells.h5ad").touch()
    assert url_of("https:/cells.h5ad") is None


@pytest.mark.parametrize(
    ("url", "shown", "name"),
    [
        ("https://h/a/b.h5ad", "https://h/a/b.h5ad", "b.h5ad"),
        ("https://u:p@h/b.h5ad?X-Amz-Signature=s&X-Amz-Date=d#f", "https://h/b.h5ad", "b.h5ad"),
        ("https://h/get?acc=GSM1&file=b.h5&sv=1&sig=s", "https://h/get?acc=GSM1&file=b.h5", "b.h5"),
        ("https://h/get?file=..%2F..%2Fb.h5", "https://h/get?file=..%2F..%2Fb.h5", "b.h5"),
        ("s3://b/cells.zarr/", "s3://b/cells.zarr", "cells.zarr"),
        ("https://h/a%20b.h5ad", "https://h/a%20b.h5ad", "a b.h5ad"),
        ("https://h/..", "https://h/..", "input"),
    ],
)
def test_what_is_shown_and_the_name_of_the_copy(url: str, shown: str, name: str) -> None:
    found = url_of(url)
    assert (found.shown, found.name) == (shown, name)
    assert shown_input(Path(url)) == found.shown


def test_signatures_do_not_make_another_copy() -> None:
    first, second, other = (url_of(f"https://h/b.h5ad?{query}") for query in ("sig=1", "sig=2&se=3", "acc=2"))
    assert first.key == second.key != other.key
