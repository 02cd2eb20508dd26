"""Every query of the dashboard and of the alerts, asked of a real Prometheus that scrapes a running service."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from running_service import free_port, serve

from cellmark.schemas.bundle import Bundle
from fixtures.places import ROOT

PROMETHEUS = shutil.which("prometheus")
pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="needs the package prometheus")
SECONDS = 60
FOLDER = ROOT / "docs/dashboards"
WITHOUT_DATA = {"Challenger", "Audit log", "Jobs"}
"""Beginnings of the titles of panels that a service without a challenger, an audit log or jobs leaves empty."""


@pytest.fixture(scope="module")
def prometheus(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has seen a service answer, refuse and fail to find."""
    assert PROMETHEUS is not None
    folder = tmp_path_factory.mktemp("prometheus")
    with serve(tiny_bundle.folder, folder, "--workers", "2") as service:
        port = free_port()
        target = service.url.removeprefix("http://")
        scrape = {"job_name": "cellmark", "static_configs": [{"targets": [target]}]}
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [scrape],
            "rule_files": [str(FOLDER / "alerts.yml")],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = [PROMETHEUS, f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address=127.0.0.1:{port}"]
        command += [f"--storage.tsdb.path={folder / 'data'}"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for_both(service.url)
            ask_for_cells(service.url, tiny_bundle)
            wait_for_scrapes(url)
            ask_for_cells(service.url, tiny_bundle)
            wait_for_scrapes(url)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def wait_for_both(url: str) -> None:
    """Until each worker has its model: /readyz speaks for the one that it reaches."""
    deadline = time.monotonic() + SECONDS
    while 'cellmark_model_workers{model="tiny",version=""} 2.0' not in httpx.get(url + "/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def ask_for_cells(url: str, bundle: Bundle) -> None:
    genes = list(bundle.panel.symbols)
    drawn = np.random.default_rng(0).poisson(3, size=(8, len(genes))).tolist()
    cells = [{"cell_id": str(n), "counts": dict(zip(genes, row, strict=True))} for n, row in enumerate(drawn)]
    body = {"genes": genes, "cells": cells}
    for _ in range(6):
        answer = httpx.post(url + "/annotate", json=body, timeout=SECONDS)
        assert answer.status_code == 200, answer.text
        assert httpx.post(url + "/annotate", json={"cells": []}, timeout=SECONDS).status_code == 422
    assert httpx.post(url + "/attribute", json=body, timeout=SECONDS).status_code == 200
    assert httpx.get(url + "/model", timeout=SECONDS).status_code == 200


def ask(url: str, query: str) -> list[Any]:
    answer = httpx.get(url + "/api/v1/query", params={"query": query}, timeout=SECONDS)
    assert answer.status_code == 200, f"{query}: {answer.text}"
    found: list[Any] = answer.json()["data"]["result"]
    return found


def wait_for_scrapes(url: str, n_scrapes: int = 3) -> None:
    """Until the service was scraped so many times from now on."""
    deadline, begun = time.monotonic() + SECONDS, time.time()
    while True:
        try:
            times = ask(url, "timestamp(up == 1)[2m:1s]")
            if times and len({value for _, value in times[0]["values"] if float(value) > begun}) >= n_scrapes:
                return
        except (httpx.TransportError, AssertionError):
            pass
        assert time.monotonic() < deadline, "Prometheus did not scrape the service"
        time.sleep(0.2)


def filled(query: str) -> str:
    """A query as Grafana sends it with all servers and models."""
    return query.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$model", ".*")


def test_every_panel_shows_what_the_service_did(prometheus: str) -> None:
    empty = set()
    for panel in json.loads((FOLDER / "cellmark.json").read_text())["panels"]:
        found = [ask(prometheus, filled(target["expr"])) for target in panel.get("targets", [])]
        if found and not any(found):
            empty.add(panel["title"])
    assert {title for title in empty if not title.startswith(tuple(WITHOUT_DATA))} == set()


def test_shares_are_shares(prometheus: str) -> None:
    panels = json.loads((FOLDER / "cellmark.json").read_text())["panels"]
    shares = next(panel for panel in panels if panel["title"] == "Share of calls by type")
    values = [float(row["value"][1]) for row in ask(prometheus, filled(shares["targets"][0]["expr"]))]
    assert sum(values) == pytest.approx(1)
    refused = ask(prometheus, 'cellmark_refusals_total{code="NO_CELLS"}')
    assert sum(float(row["value"][1]) for row in refused) == 12


def test_the_rules_are_evaluated_without_an_error(prometheus: str) -> None:
    groups = httpx.get(prometheus + "/api/v1/rules", timeout=SECONDS).json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    names = [rule["alert"] for rule in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]]
    assert [rule["name"] for rule in rules] == names
    assert {rule["health"] for rule in rules} == {"ok"}
    assert {rule["name"] for rule in rules if rule["state"] != "inactive"} <= {"CellmarkDown"}
