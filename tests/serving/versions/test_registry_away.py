"""A service of two models and a challenger, at a real tracking server that goes away."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from mlflow import MlflowClient

from cellmark.schemas.bundle import Bundle
from cellmark.training.tracking.register import register_bundle
from fixtures.mlflow_server import MlflowServer, mlflow_server
from fixtures.places import ARCHIVES
from fixtures.registered_versions import Service, copy_bundle, following_service
from fixtures.synthetic_cells import draw_cells

SECRET = "correct horse battery staple"
CHAMPION, CHALLENGER = "models:/tiny@champion", "models:/tiny@challenger"


@pytest.fixture
def registry(empty_mlflow_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowServer]:
    """A tracking server that keeps artifacts itself, with two versions of `tiny`: champion and challenger."""
    # MLflow refuses loopback addresses of webhooks, and keeps their secrets encrypted.
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http")
    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", Fernet.generate_key().decode())
    # It keeps its list of webhooks for a minute.
    monkeypatch.setenv("MLFLOW_WEBHOOK_CACHE_TTL", "0")
    monkeypatch.setattr("mlflow.webhooks.delivery._webhook_cache", None)
    database = tmp_path / "mlflow.db"
    database.write_bytes(empty_mlflow_database.read_bytes())
    with mlflow_server(database, tmp_path / "artifacts") as server:
        # The server is a thread of this process, and looks up a version's LoggedModel where the process would.
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        client = MlflowClient(tracking_uri=server.uri)
        experiment = client.create_experiment("followed")
        for number, temperature in enumerate((1.5, 2.5)):
            run = client.create_run(experiment)
            bundle = copy_bundle(tmp_path / str(number), temperature=temperature)
            register_bundle(bundle, name="tiny", run_id=run.info.run_id, client=client)
        client.set_registered_model_alias("tiny", "champion", "1")
        client.set_registered_model_alias("tiny", "challenger", "2")
        yield server


def one_cell() -> dict[str, Any]:
    cells = draw_cells(seed=5)
    X = cells.X[0]
    counts = dict(zip(cells.var_names[X.indices], X.data.tolist(), strict=True))
    return {"genes": cells.var_names.tolist(), "cells": [{"cell_id": "one", "counts": counts}]}


def wait(service: Service, path: str, reached: Any) -> Any:
    deadline = time.monotonic() + 90
    while not reached(found := service.get(path)):
        assert time.monotonic() < deadline, (found, service.log.read_text())
        time.sleep(0.2)
    return found


def test_webhook_challenger_several_models_and_a_registry_that_goes_away(
    registry: MlflowServer, tmp_path: Path
) -> None:
    settings = {
        "MLFLOW_TRACKING_URI": registry.uri,
        "CELLMARK_CACHE": str(tmp_path / "cache"),
        "CELLMARK_FOLLOW_SECONDS": "0",  # nothing but webhooks and operators
        "CELLMARK_WEBHOOK_SECRET": SECRET,
        "CELLMARK_SHADOW": CHALLENGER,
        "CELLMARK_SHADOW_SHARE": "1",
    }
    archived = str(ARCHIVES / "v1")
    client = MlflowClient(tracking_uri=registry.uri)
    with following_service([CHAMPION, archived], tmp_path / "first", "--workers", "2", **settings) as service:
        listed = service.get("/models")["models"]
        assert [(entry["model"], entry["model_version"]) for entry in listed] == [("tiny", "1"), ("archived", None)]
        body = one_cell()
        answer = service.post("/models/archived/annotate", json=body)
        assert answer.json()["bundle_digest"] == Bundle.open(archived).digest, answer.text

        wait(service, "/admin/shadow", lambda found: found["challenger_version"] == "2")
        time.sleep(1)  # both workers take it up
        for _ in range(10):
            assert service.post("/annotate", json=body).json()["model_version"] == "1"
        found = wait(service, "/admin/shadow", lambda found: sum(pair["cells"] for pair in found["pairs"]) == 10)
        assert [(pair["agreement"], pair["confidence_shift"]) for pair in found["pairs"]] == [(1.0, 0.0)]

        client.create_webhook(
            "cellmark", f"{service.url}/admin/webhook", ["model_version_alias.created"], secret=SECRET
        )
        client.set_registered_model_alias("tiny", "champion", "2")
        service.wait_for("2")

        registry.go_away()
        told = service.post("/admin/reload").json()["models"][0]
        assert (told["state"], told["after"]["model_version"]) == ("registry_unreachable", "2")
        assert told["error"][0]["code"] == "REGISTRY_UNREACHABLE"
        assert service.post("/annotate", json=body).json()["model_version"] == "2"

    with following_service([CHAMPION], tmp_path / "second", "--workers", "1", **settings) as service:
        assert "the last good version" in service.log.read_text()
        described = service.get("/model")
        assert (described["model_version"], described["update"]["state"]) == ("2", "cached")
        registry.come_back()
        assert service.post("/admin/reload").json()["models"][0]["state"] == "current"
