"""The dashboard, the alert rules and their pages name metrics that exist, and each other."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from cellmark.serving.observe.metrics import ServiceMetrics
from cellmark.serving.observe.process_tree import ProcessTree
from fixtures.places import ROOT

FOLDER = ROOT / "docs/dashboards"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "cellmark.json").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
METRIC = re.compile(r"\bcellmark_\w+")
PROMTOOL = shutil.which("promtool")


def families() -> dict[str, str]:
    """Every metric as the page of metrics writes it, and its type."""
    registry = CollectorRegistry()
    ServiceMetrics(registry)
    registry.register(ProcessTree())
    return {family.name + ("_total" if family.type == "counter" else ""): family.type for family in registry.collect()}


def series() -> set[str]:
    """Every name that a query may ask for."""
    endings = {"histogram": ("_bucket", "_sum", "_count")}
    return {name + ending for name, kind in families().items() for ending in endings.get(kind, ("",))}


def queries() -> list[str]:
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]
    asked += [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]
    return [*asked, *(rule["expr"] for rule in RULES)]


def test_queries_ask_for_metrics_that_exist() -> None:
    assert queries()
    variables = [entry["definition"] for entry in DASHBOARD["templating"]["list"] if "definition" in entry]
    for query in [*queries(), *variables]:
        assert set(METRIC.findall(query)) <= series(), query


def test_every_metric_is_on_its_page_and_the_page_names_no_other() -> None:
    page = (ROOT / "docs/metrics.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| `(cellmark_\w+)` \| (\w+) \|", page, re.MULTILINE))
    assert listed == families()
    assert set(METRIC.findall(page)) <= series() | set(listed)


def test_every_metric_but_info_is_on_the_dashboard_or_in_an_alert() -> None:
    asked = {name for query in queries() for name in METRIC.findall(query)}
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    assert set(families()) - shown == {"cellmark_notes_total", "cellmark_shadow_requests_total"}


def test_every_alert_has_its_section_in_the_run_book() -> None:
    page = (ROOT / "docs/operate.md").read_text("utf-8")
    sections = re.findall(r"^### (Cellmark\w+)\n\*\*Means:\*\* .+?\n\n\*\*Do:\*\* ", page, re.MULTILINE)
    assert sections == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook_url"] == f"docs/operate.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_panels_are_complete_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        squares = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not squares & taken
        assert place["x"] + place["w"] <= 24
        taken |= squares
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEF"[: len(panel["targets"])])


def test_variables_that_queries_use_are_defined() -> None:
    defined = {entry["name"] for entry in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"])))
    assert used - {"__rate_interval"} <= defined


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of the package prometheus")
def test_prometheus_takes_the_rules() -> None:
    assert PROMTOOL is not None
    command = [PROMTOOL, "check", "rules", str(FOLDER / "alerts.yml")]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rules found" in checked.stdout
