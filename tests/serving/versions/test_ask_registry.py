import base64
from pathlib import Path

import pytest
from mlflow import MlflowClient

from cellmark.schemas.errors import RegistryError
from cellmark.serving.models.find_version import VersionUri
from cellmark.serving.versions.ask_registry import OTHER_CREDENTIALS, alias_version, registry_uri
from fixtures.mlflow_server import mlflow_server

CHAMPION = VersionUri("tiny", alias="champion")


def asked(uri: str, wanted: VersionUri = CHAMPION, **environ: str) -> str | None:
    return alias_version(wanted, environ={"MLFLOW_TRACKING_URI": uri, **environ})


def test_a_sqlite_file_says_what_mlflow_says(registry: str) -> None:
    assert asked(registry) == str(
        MlflowClient(tracking_uri=registry).get_model_version_by_alias("tiny", "champion").version
    )


def test_what_is_not_there_and_what_only_mlflow_understands_is_left_to_mlflow(registry: str, tmp_path: Path) -> None:
    assert asked(registry, VersionUri("tiny", alias="nobody")) is None
    assert asked(registry, VersionUri("other", alias="champion")) is None
    assert asked("postgresql://host/mlflow") is None
    assert [asked(registry, **{name: "x"}) for name in OTHER_CREDENTIALS] == [None] * len(OTHER_CREDENTIALS)
    (tmp_path / "other.db").touch()
    assert asked(f"sqlite:///{tmp_path}/other.db") is None  # no table of aliases


def test_a_server_is_asked_and_its_absence_is_said(registry: str, registered_database: Path, tmp_path: Path) -> None:
    database = tmp_path / "served.db"
    database.write_bytes(registered_database.read_bytes())
    with mlflow_server(database, tmp_path / "artifacts") as server:
        assert asked(server.uri) == "1"
        assert asked("sqlite:///nowhere.db", MLFLOW_REGISTRY_URI=server.uri) == "1"
        assert asked(server.uri, VersionUri("tiny", alias="nobody")) is None
        server.go_away()
        with pytest.raises(RegistryError) as caught:
            asked(server.uri)
    assert caught.value.code == "REGISTRY_UNREACHABLE"


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        asked(f"sqlite:///{tmp_path}/gone.db")
    assert caught.value.code == "REGISTRY_UNREACHABLE"


@pytest.mark.parametrize(
    ("uri", "variables", "header"),
    [
        ("http://mara:p%40ss@{host}", {}, "Basic " + base64.b64encode(b"mara:p@ss").decode()),
        (
            "http://{host}",
            {"MLFLOW_TRACKING_USERNAME": "mara", "MLFLOW_TRACKING_PASSWORD": "x"},
            "Basic " + base64.b64encode(b"mara:x").decode(),
        ),
        ("http://{host}", {"MLFLOW_TRACKING_TOKEN": "t"}, "Bearer t"),
        ("http://{host}", {}, None),
    ],
)
def test_credentials_are_those_that_mlflow_would_send_and_go_to_no_other_server(
    uri: str, variables: dict[str, str], header: str | None
) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    seen: list[tuple[str, str | None]] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Authorization")))
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            assert asked(uri.format(host=f"127.0.0.1:{server.server_port}"), **variables) is None
        finally:
            server.shutdown()
            thread.join()
    ((path, sent),) = seen
    assert path == "/api/2.0/mlflow/registered-models/alias?name=tiny&alias=champion"
    assert sent == header


def test_the_registry_may_be_elsewhere_than_the_runs() -> None:
    assert registry_uri({"MLFLOW_TRACKING_URI": "http://a", "MLFLOW_REGISTRY_URI": "http://b"}) == "http://b"
