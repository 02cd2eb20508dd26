import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import BundleError, RegistryError, SetupError
from cellmark.serving.versions.fetch_version import Fetcher, numbered, verified
from cellmark.serving.versions.last_good import last_good, remember_good
from cellmark.serving.versions.loaded_models import memory_of
from cellmark.serving.versions.version_record import ServedVersion
from cellmark.serving.versions.version_state import VersionState

URI = "models:/tiny@champion"


def of(bundle: Bundle, version: str = "1") -> ServedVersion:
    return ServedVersion("tiny", version, str(bundle.folder), bundle.digest)


def program(text: str) -> Fetcher:
    return Fetcher("-c", text, seconds=30)


def test_a_folder_is_opened_where_it_lies(tiny_bundle: Bundle) -> None:
    found = Fetcher()(str(tiny_bundle.folder))
    assert (found.name, found.version, found.digest) == ("tiny", None, tiny_bundle.digest)


def test_what_the_program_says_is_the_version_or_the_error(tiny_bundle: Bundle) -> None:
    told = json.dumps({"name": "tiny", "version": "1", "folder": "/f", "digest": "d"})
    assert program(f"print('noise'); print({told!r})")(URI) == ServedVersion("tiny", "1", "/f", "d")
    finding = RegistryError.of("ALIAS_MISSING", where="w", expected="e", found="f", remedy="r").findings[0].to_dict()
    told = json.dumps({"kind": "RegistryError", "findings": [finding]})
    with pytest.raises(RegistryError) as caught:
        program(f"print({told!r})")(URI)
    assert caught.value.findings[0].to_dict() == finding
    for text in ("", "raise SystemExit(3)", "print('[')"):
        with pytest.raises(SetupError) as failed:
            program(text)(URI)
        assert failed.value.code == "SERVICE_FAILED"


def test_a_program_that_hangs_is_ended_by_time_and_by_stop() -> None:
    with pytest.raises(SetupError, match=r"nothing after 0\.2 s"):
        Fetcher("-c", "import time; time.sleep(60)", seconds=0.2)(URI)
    fetcher = program("import time; time.sleep(60)")
    caught: list[BaseException] = []

    def fetch() -> None:
        try:
            fetcher(URI)
        except SetupError as error:
            caught.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    while not fetcher._running:
        time.sleep(0.01)
    fetcher.stop()
    thread.join(timeout=30)
    assert len(caught) == 1
    with pytest.raises(SetupError, match="being stopped"):
        fetcher(URI)


def test_a_version_by_number_is_fetched_once_by_all_workers(tiny_bundle: Bundle, tmp_path: Path) -> None:
    states = [VersionState(tmp_path) for _ in range(4)]
    asked: list[str] = []

    def fetch(uri: str) -> ServedVersion:
        asked.append(uri)
        time.sleep(0.05)
        return of(tiny_bundle, "7")

    found: list[ServedVersion] = []
    threads = [
        threading.Thread(target=lambda state=state: found.append(numbered("tiny", "7", fetch, state)))  # type: ignore[misc]
        for state in states
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (asked, found) == (["models:/tiny/7"], [of(tiny_bundle, "7")] * 4)
    for state in states:
        state.close()


def test_a_bundle_that_was_exchanged_since_is_refused(tiny_bundle: Bundle) -> None:
    assert verified(of(tiny_bundle)).digest == tiny_bundle.digest
    with pytest.raises(BundleError) as caught:
        verified(ServedVersion("tiny", "1", str(tiny_bundle.folder), "0" * 64))
    assert caught.value.code == "BUNDLE_DIGEST_MISMATCH"


def test_the_last_good_version_outlives_its_artifacts_and_is_verified(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry.example.org")
    artifacts = tmp_path / "artifacts"
    shutil.copytree(tiny_bundle.folder, artifacts)
    assert last_good(URI) is None
    remember_good(URI, of(Bundle.open(artifacts), "3"))
    shutil.rmtree(artifacts)
    kept = last_good(URI)
    assert kept is not None
    assert (kept.version, Bundle.open(kept.folder).digest) == ("3", tiny_bundle.digest)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://another.example.org")
    assert last_good(URI) is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://registry.example.org")
    (Path(kept.folder) / "genes.parquet").write_bytes(b"damaged")
    assert last_good(URI) is None


def test_a_cache_that_cannot_be_written_is_no_error(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CELLMARK_CACHE", str(tmp_path / "file" / "cache"))
    remember_good(URI, of(tiny_bundle))
    assert "cannot be kept" in caplog.text


def test_memory_of_a_model_grows_with_its_graphs(tiny_bundle: Bundle) -> None:
    graphs = sum(tiny_bundle.path(name).stat().st_size for name in ("annotator.onnx", "explainer.onnx"))
    assert memory_of(tiny_bundle) >= 2 * graphs
