"""A service of two workers that follows a real registry."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient
from mlflow.webhooks.constants import (
    WEBHOOK_DELIVERY_ID_HEADER,
    WEBHOOK_SIGNATURE_HEADER,
    WEBHOOK_TIMESTAMP_HEADER,
)
from mlflow.webhooks.delivery import _generate_hmac_signature

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.tracking.tracking_uri import sqlite_uri
from cellmark.training.tracking.register import register_bundle
from fixtures.registered_versions import Service, copy_bundle, following_service

SECRET = "correct horse battery staple"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """Version 2: another digest. Version 3: fails its self-test."""
    folder = tmp_path_factory.mktemp("bundles")
    return {"2": copy_bundle(folder / "2", temperature=1.5), "3": copy_bundle(folder / "3", broken=True)}


@pytest.fixture(scope="module")
def three_versions(
    registered_database: Path, bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A SQLite file in which `tiny` has three versions; copy it."""
    path = tmp_path_factory.mktemp("three") / "mlflow.db"
    shutil.copyfile(registered_database, path)
    client = MlflowClient(tracking_uri=sqlite_uri(path))
    experiment = client.get_experiment_by_name("cellmark").experiment_id
    for bundle in bundles.values():
        run = client.create_run(experiment)
        register_bundle(bundle, name="tiny", run_id=run.info.run_id, client=client)
    client.set_registered_model_alias("tiny", "champion", "1")
    return path


@pytest.fixture(scope="module")
def started(three_versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    settings = {
        "MLFLOW_TRACKING_URI": sqlite_uri(three_versions),
        "CELLMARK_CACHE": str(folder / "cache"),
        "CELLMARK_FOLLOW_SECONDS": "1",
        "CELLMARK_WEBHOOK_SECRET": SECRET,
    }
    with following_service(["models:/tiny@champion"], folder / "service", "--workers", "2", **settings) as service:
        yield service


@pytest.fixture
def client(three_versions: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=sqlite_uri(three_versions))


@pytest.fixture
def service(started: Service, client: MlflowClient) -> Service:
    """The service, which serves version 1, the champion."""
    client.set_registered_model_alias("tiny", "champion", "1")
    assert started.post("/admin/reload").json()["models"][0]["after"]["model_version"] == "1"
    return started


def test_one_move_of_the_alias_changes_all_workers_and_a_bad_version_stays_out(
    service: Service, client: MlflowClient, bundles: dict[str, Bundle]
) -> None:
    assert service.get("/model")["update"]["state"] == "current"
    client.set_registered_model_alias("tiny", "champion", "2")
    service.wait_for("2")
    assert service.get("/model")["bundle_digest"] == bundles["2"].digest

    client.set_registered_model_alias("tiny", "champion", "3")
    deadline = time.monotonic() + 60
    while (update := service.get("/model")["update"])["state"] != "failed":
        assert time.monotonic() < deadline, service.log.read_text()
        time.sleep(0.2)
    assert update["wanted_version"] == "3"
    assert update["error"][0]["code"] == "GOLDEN_CELLS_MISMATCH"
    service.wait_for("2")

    # Versions by their number, beside the served one; the bad one is refused there too.
    assert service.get("/models/tiny/versions/1/model")["model_version"] == "1"
    refused = service.ask("/models/tiny/versions/3/model")
    assert (refused.status_code, refused.json()["code"]) == (503, "GOLDEN_CELLS_MISMATCH")
    for path in ("/models/tiny/versions/99/model", "/models/other/model", "/models/tiny/versions/x/model"):
        response = service.ask(path)
        assert (response.status_code, response.json()["code"]) == (404, "MODEL_UNKNOWN"), path


def test_an_operator_goes_back_and_forth_in_all_workers(service: Service, client: MlflowClient) -> None:
    client.set_registered_model_alias("tiny", "champion", "2")
    answer = service.post("/admin/reload").json()
    assert answer["done"] is True
    assert [entry["after"]["model_version"] for entry in answer["models"]] == ["2"]
    # No waiting: what an administrator's route answers holds in every worker.
    assert {service.get("/model")["model_version"] for _ in range(12)} == {"2"}

    back = service.post("/admin/rollback").json()
    assert (back["models"][0]["before"]["model_version"], back["models"][0]["after"]["model_version"]) == ("2", "1")
    assert {service.get("/model")["model_version"] for _ in range(12)} == {"1"}
    time.sleep(2.5)  # the registry is asked twice meanwhile
    described = service.get("/model")
    assert (described["model_version"], described["update"]["state"], described["update"]["pinned"]) == (
        "1",
        "pinned",
        True,
    )
    assert service.post("/admin/reload").json()["models"][0]["after"]["model_version"] == "2"
    assert {service.get("/model")["model_version"] for _ in range(12)} == {"2"}


def test_a_signed_message_of_mlflow_makes_the_service_look_and_no_other_does(
    service: Service, client: MlflowClient
) -> None:
    client.set_registered_model_alias("tiny", "champion", "2")
    data = {"name": "tiny", "alias": "champion", "version": "2"}
    message = json.dumps({"entity": "model_version_alias", "action": "created", "timestamp": "now", "data": data})

    def send(secret: str, delivery: str) -> httpx.Response:
        now = str(int(time.time()))
        signature = _generate_hmac_signature(secret, delivery, now, message)  # MLflow's own
        headers = {
            WEBHOOK_SIGNATURE_HEADER: signature,
            WEBHOOK_TIMESTAMP_HEADER: now,
            WEBHOOK_DELIVERY_ID_HEADER: delivery,
        }
        return httpx.post(service.url + "/admin/webhook", content=message, headers=headers, timeout=30)

    refused = send("guessed", "a")
    assert (refused.status_code, refused.json()["code"]) == (403, "WEBHOOK_UNSIGNED")
    assert (send(SECRET, "b").status_code, send(SECRET, "b").json()) == (202, {"state": "known"})
    service.wait_for("2")


def test_a_killed_worker_comes_back_with_the_version_of_the_others(service: Service, client: MlflowClient) -> None:
    client.set_registered_model_alias("tiny", "champion", "2")
    service.wait_for("2")
    workers = [pid for pid in service.pids() if "_bentoml_impl.worker" in Path(f"/proc/{pid}/cmdline").read_text()]
    assert len(workers) == 2
    for pid in workers:  # the one that leads is among them
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    versions: set[str] = set()
    while len(versions) < 1 or time.monotonic() < deadline - 50:
        try:
            response = service.ask("/model")
            if response.status_code == 200:
                versions.add(response.json()["model_version"])
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert versions == {"2"}
    client.set_registered_model_alias("tiny", "champion", "1")
    service.wait_for("1")
