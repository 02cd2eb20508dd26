import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModel

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import BundleError, OutputError, RegistryError, SetupError
from cellmark.schemas.tracking.tracking_uri import sqlite_uri
from cellmark.serving import Annotator
from cellmark.serving.batch.make_job import job_model
from cellmark.serving.models.model_source import (
    FetchedBundle,
    cache_folder,
    cached_bundle,
    fetch_bundle,
    local_folder,
)
from cellmark.training.tracking.register import register_bundle
from fixtures.mlflow_process import free_port, mlflow_process


@pytest.fixture(scope="module")
def server(empty_mlflow_database: Path, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking server that keeps artifacts itself, with `tiny` version 1."""
    with mlflow_process(empty_mlflow_database, tmp_path_factory.mktemp("server")) as uri:
        client = MlflowClient(tracking_uri=uri)
        run = client.create_run(client.create_experiment("served"))
        register_bundle(tiny_bundle, name="tiny", run_id=run.info.run_id, client=client)
        yield uri


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CELLMARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    "uri", ["models:/tiny@champion", "models:/tiny@challenger", "models:/tiny/1", "models:/tiny/latest"]
)
def test_artifacts_on_this_machine_are_used_where_they_lie(
    uri: str, registry: str, cache: Path, tiny_bundle: Bundle
) -> None:
    fetched = fetch_bundle(uri)
    assert (fetched.name, fetched.version) == ("tiny", "1")
    assert Bundle.open(fetched.folder).manifest == tiny_bundle.manifest
    assert fetched.folder.name == "bundle"
    assert not cache.exists()


def test_latest_is_the_largest_number(registry: str, tiny_bundle: Bundle) -> None:
    client = MlflowClient(tracking_uri=registry)
    run_id = client.get_model_version("tiny", "1").run_id
    for _ in range(10):
        register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    assert fetch_bundle("models:/tiny/latest").version == "11"


@pytest.mark.parametrize("path", ["model", "model/bundle"])
def test_a_bundle_may_be_named_by_its_run(path: str, registry: str, tiny_bundle: Bundle) -> None:
    run_id = MlflowClient(tracking_uri=registry).get_model_version("tiny", "1").run_id
    fetched = fetch_bundle(f"runs:/{run_id}/{path}")
    assert (fetched.name, fetched.version) == (None, None)
    assert Bundle.open(fetched.folder).manifest == tiny_bundle.manifest


def logged_model(registry: str) -> LoggedModel:
    """The model that version 1 of `tiny` is of."""
    client = MlflowClient(tracking_uri=registry)
    run = client.get_run(client.get_model_version("tiny", "1").run_id)
    return client.get_logged_model(run.outputs.model_outputs[0].model_id)


def test_a_model_may_be_named_by_its_id(registry: str, tiny_bundle: Bundle) -> None:
    uri = f"models:/{logged_model(registry).model_id}"
    fetched = fetch_bundle(uri)
    assert (fetched.name, fetched.version) == (None, None)
    assert Bundle.open(fetched.folder).manifest == tiny_bundle.manifest
    annotator = Annotator.load(uri)
    assert (annotator.source.name, annotator.source.version, annotator.source.uri) == ("tiny", None, uri)
    # A job keeps the id, by which other machines find the model too.
    assert job_model(annotator.source, uri).uri == uri


def test_another_bundle_in_its_place_or_half_of_one_is_refused(registry: str) -> None:
    client, model = MlflowClient(tracking_uri=registry), logged_model(registry)
    client.set_logged_model_tags(model.model_id, {"manifest_digest": "0" * 64})
    with pytest.raises(BundleError) as caught:
        fetch_bundle(f"models:/{model.model_id}")
    assert caught.value.code == "BUNDLE_DIGEST_MISMATCH"
    half = client.create_logged_model(model.experiment_id, name="half")
    with pytest.raises(RegistryError, match="never logged to its end") as unfinished:
        fetch_bundle(f"models:/{half.model_id}")
    assert unfinished.value.code == "MODEL_UNKNOWN"


@pytest.mark.parametrize("path", ["nothing", "model/bundle/figures"])
def test_a_place_without_a_bundle_is_told(path: str, registry: str) -> None:
    run_id = MlflowClient(tracking_uri=registry).get_model_version("tiny", "1").run_id
    with pytest.raises(RegistryError) as caught:
        fetch_bundle(f"runs:/{run_id}/{path}")
    assert caught.value.code == "MODEL_UNKNOWN"


@pytest.mark.parametrize(
    ("uri", "code", "listed"),
    [
        ("models:/tinny@champion", "MODEL_UNKNOWN", "tiny"),
        ("models:/tiny/7", "MODEL_UNKNOWN", "its versions are: 1"),
        (f"models:/m-{'0' * 32}", "MODEL_UNKNOWN", "none of that id"),
        ("models:/tiny@best", "ALIAS_MISSING", "challenger (version 1), champion (version 1)"),
        ("runs:/0123456789abcdef0123456789abcdef/model", "RUN_UNKNOWN", "none of that id"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(uri: str, code: str, listed: str, registry: str) -> None:
    with pytest.raises(RegistryError) as caught:
        fetch_bundle(uri)
    assert caught.value.code == code
    assert listed in str(caught.value)


def test_a_name_without_versions_has_no_latest(registry: str) -> None:
    MlflowClient(tracking_uri=registry).create_registered_model("empty")
    with pytest.raises(RegistryError, match="its versions are: none"):
        fetch_bundle("models:/empty/latest")


def test_a_version_of_another_maker_has_no_bundle(registry: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    client = MlflowClient(tracking_uri=registry)
    client.create_registered_model("other")
    client.create_model_version("other", str(tmp_path / "other"))
    with pytest.raises(RegistryError, match="a model without one"):
        fetch_bundle("models:/other/1")


def test_artifacts_that_were_exchanged_are_refused(registry: str, tmp_path: Path) -> None:
    client = MlflowClient(tracking_uri=registry)
    client.set_model_version_tag("tiny", "1", "manifest_digest", "0" * 64)
    with pytest.raises(BundleError) as caught:
        fetch_bundle("models:/tiny/1")
    assert caught.value.code == "BUNDLE_DIGEST_MISMATCH"


def test_no_database_is_made_by_looking_for_a_model(
    no_mlflow_settings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CELLMARK_HOME", str(tmp_path / "home"))
    with pytest.raises(RegistryError) as caught:
        fetch_bundle("models:/tiny@champion")
    assert caught.value.code == "REGISTRY_UNREACHABLE"
    assert f"{tmp_path}/home/mlflow.db" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_dead_registry_is_told_within_seconds_and_without_the_password(
    no_mlflow_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:secret@127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "*")
    began = time.monotonic()
    with pytest.raises(RegistryError) as caught:
        fetch_bundle("models:/tiny@champion")
    assert time.monotonic() - began < 10
    assert caught.value.code == "REGISTRY_UNREACHABLE"
    assert caught.value.status == 503
    assert "secret" not in str(caught.value)


def test_a_registry_of_its_own_is_honoured(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           empty_mlflow_database: Path) -> None:  # fmt: skip
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_uri(empty_mlflow_database))
    with pytest.raises(RegistryError, match="MODEL_UNKNOWN"):
        fetch_bundle("models:/tiny/1")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry)
    assert fetch_bundle("models:/tiny/1").version == "1"


@pytest.mark.parametrize(
    ("location", "folder"),
    [
        ("/data/art/model", Path("/data/art/model")),
        ("file:///data/two%20words/model", Path("/data/two words/model")),
        ("mlflow-artifacts:/1/model", None),
        ("s3://bucket/model", None),
    ],
)
def test_only_paths_and_file_uris_are_on_this_machine(location: str, folder: Path | None) -> None:
    assert local_folder(location) == folder


@pytest.mark.skipif(find_spec("botocore") is not None, reason="boto3 is installed here")
def test_an_artifact_store_without_its_client_names_what_to_install(registry: str) -> None:
    client = MlflowClient(tracking_uri=registry)
    client.create_registered_model("far")
    client.create_model_version("far", "s3://bucket/model")
    with pytest.raises(SetupError, match="pip install boto3"):
        fetch_bundle("models:/far/1")


def test_a_server_hands_out_the_bundle_once(
    server: str, no_mlflow_settings: None, cache: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    fetched = fetch_bundle("models:/tiny@champion")
    digest = tiny_bundle.manifest.manifest_digest
    assert fetched == FetchedBundle(cache / "bundles" / digest, "tiny", "1")
    assert Bundle.open(fetched.folder).manifest == tiny_bundle.manifest
    written = (fetched.folder / "annotator.onnx").stat()
    assert fetch_bundle("models:/tiny/1") == fetched
    run_id = MlflowClient(tracking_uri=server).get_model_version("tiny", "1").run_id
    assert fetch_bundle(f"runs:/{run_id}/model").folder == fetched.folder
    assert fetch_bundle(f"models:/{logged_model(server).model_id}").folder == fetched.folder
    assert (fetched.folder / "annotator.onnx").stat().st_mtime_ns == written.st_mtime_ns


def test_processes_that_fetch_at_once_all_get_it(
    server: str, no_mlflow_settings: None, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    script = (
        "from cellmark.serving.models.model_source import fetch_bundle; from cellmark.schemas.bundle import Bundle\n"
        "Bundle.open(fetch_bundle('models:/tiny@champion').folder)\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert len(list((cache / "bundles").iterdir())) == 1


def test_a_server_tells_what_is_not_there(
    server: str, no_mlflow_settings: None, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    for uri, code in [("models:/tinny/1", "MODEL_UNKNOWN"), ("models:/tiny/7", "MODEL_UNKNOWN"),
                      ("models:/tiny@best", "ALIAS_MISSING"), (f"models:/m-{'0' * 32}", "MODEL_UNKNOWN"),
                      (f"runs:/{'0' * 32}/model", "RUN_UNKNOWN")]:  # fmt: skip
        with pytest.raises(RegistryError) as caught:
            fetch_bundle(uri)
        assert caught.value.code == code
    run_id = MlflowClient(tracking_uri=server).get_model_version("tiny", "1").run_id
    with pytest.raises(RegistryError) as caught:
        fetch_bundle(f"runs:/{run_id}/elsewhere")
    assert caught.value.code == "MODEL_UNKNOWN"


def test_an_annotator_loads_from_the_registry(registry: str) -> None:
    annotator = Annotator.load("models:/tiny@champion")
    assert (annotator.source.name, annotator.source.version) == ("tiny", "1")


def test_a_folder_needs_no_mlflow(tiny_bundle: Bundle) -> None:
    script = (
        "import sys; from cellmark.serving.models.model_source import open_model\n"
        f"open_model({str(tiny_bundle.folder)!r}); assert 'mlflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


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
