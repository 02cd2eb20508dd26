import shutil
import threading
from pathlib import Path

import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import BundleError, OutputError
from cellmark.serving.models.bundle_cache import cache_folder, cached_bundle


def copy_of(bundle: Bundle, calls: list[Path] | None = None) -> "Download":
    return Download(bundle.folder, [] if calls is None else calls)


class Download:
    """Copies a bundle where it is told, and remembers where."""

    def __init__(self, folder: Path, calls: list[Path]) -> None:
        self.folder, self.calls = folder, calls

    def __call__(self, draft: Path) -> None:
        self.calls.append(draft)
        shutil.copytree(self.folder, draft, dirs_exist_ok=True)


def entries(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "bundles").iterdir())


def test_a_bundle_is_fetched_once(tiny_bundle: Bundle, tmp_path: Path) -> None:
    digest, calls = tiny_bundle.manifest.manifest_digest, []  # type: tuple[str, list[Path]]
    download = copy_of(tiny_bundle, calls)
    first = cached_bundle(digest, download, folder=tmp_path)
    second = cached_bundle(digest, download, folder=tmp_path)
    assert first == second == tmp_path / "bundles" / digest
    assert len(calls) == 1
    assert Bundle.open(first).manifest == tiny_bundle.manifest
    assert entries(tmp_path) == [digest]


def test_a_damaged_copy_is_fetched_anew(tiny_bundle: Bundle, tmp_path: Path) -> None:
    digest, calls = tiny_bundle.manifest.manifest_digest, []  # type: tuple[str, list[Path]]
    place = cached_bundle(digest, copy_of(tiny_bundle, calls), folder=tmp_path)
    graph = place / "annotator.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    assert cached_bundle(digest, copy_of(tiny_bundle, calls), folder=tmp_path) == place
    assert len(calls) == 2
    assert Bundle.open(place).manifest == tiny_bundle.manifest
    assert entries(tmp_path) == [digest]


def test_many_threads_that_want_the_same_bundle_all_get_it_whole(tiny_bundle: Bundle, tmp_path: Path) -> None:
    digest = tiny_bundle.manifest.manifest_digest
    together = threading.Barrier(6)
    copy = copy_of(tiny_bundle)
    found: list[Path] = []

    def download(draft: Path) -> None:
        together.wait(timeout=20)  # all of them are past the question whether it is there
        copy(draft)

    def fetch() -> None:
        found.append(cached_bundle(digest, download, folder=tmp_path))
        Bundle.open(found[-1])

    threads = [threading.Thread(target=fetch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert entries(tmp_path) == [digest]


def test_a_download_that_fails_leaves_nothing(tiny_bundle: Bundle, tmp_path: Path) -> None:
    def fail(draft: Path) -> None:
        (draft / "manifest.json").write_text("half")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        cached_bundle(tiny_bundle.manifest.manifest_digest, fail, folder=tmp_path)
    assert entries(tmp_path) == []


def test_what_arrives_must_be_whole(tiny_bundle: Bundle, tmp_path: Path) -> None:
    def lose(draft: Path) -> None:
        copy_of(tiny_bundle)(draft)
        (draft / "explainer.onnx").unlink()

    with pytest.raises(BundleError) as caught:
        cached_bundle(tiny_bundle.manifest.manifest_digest, lose, folder=tmp_path)
    assert caught.value.code == "BUNDLE_FILE_MISSING"
    assert entries(tmp_path) == []


def test_what_arrives_must_be_the_bundle_that_was_asked_for(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        cached_bundle("0" * 64, copy_of(tiny_bundle), folder=tmp_path)
    assert caught.value.code == "BUNDLE_DIGEST_MISMATCH"
    assert entries(tmp_path) == []


@pytest.mark.parametrize("digest", ["../../etc", "", "0" * 63, "G" * 64, "0" * 64 + "\n"])
def test_a_digest_that_is_none_names_no_folder(digest: str, tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        cached_bundle(digest, copy_of(tiny_bundle), folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_made_is_told_with_the_setting_that_moves_it(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="CELLMARK_CACHE"):
        cached_bundle(tiny_bundle.manifest.manifest_digest, copy_of(tiny_bundle), folder=tmp_path / "file")


def test_the_cache_is_where_the_setting_says_else_with_the_users_other_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder({"CELLMARK_CACHE": "/data/cache"}) == Path("/data/cache")
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "cellmark"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder({}) == tmp_path / ".cache" / "cellmark"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder({}) == tmp_path / "Library" / "Caches" / "cellmark"
