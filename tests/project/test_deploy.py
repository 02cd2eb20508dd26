"""The files of `deploy/`: valid by the schemas that others publish, and in step with the code that they start.

No container engine runs here: images are neither built nor pulled.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft7Validator

from cellmark.serving.access.settings import AccessSettings
from cellmark.serving.audit.settings import AuditSettings
from cellmark.serving.http.openapi import openapi_document
from cellmark.serving.http.settings import ServiceSettings
from cellmark.serving.limits.settings import LimitSettings
from cellmark.serving.versions.settings import FollowSettings
from fixtures.places import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
VERSIONS = ("1.31", "1.34")
SETTINGS = (ServiceSettings, AccessSettings, AuditSettings, LimitSettings, FollowSettings)
KNOWN = {f"CELLMARK_{field.name.upper()}" for kind in SETTINGS for field in fields(kind)} | {"CELLMARK_CACHE"}
PROGRAMS = sorted(path for path in DEPLOY.rglob("*.sh"))


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(KUBERNETES.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            for document in documents(path):
                yield path.name, document


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [document for _, document in manifests() if document["kind"] == kind]
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    (found,) = documents(DEPLOY / "compose.yaml")
    return found


def test_the_compose_file_is_as_the_specification_says(compose: dict[str, Any]) -> None:
    schemas = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    errors = list(Draft7Validator(json.loads(schemas.read_text())).iter_errors(compose))
    assert [error.message for error in errors] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_are_as_kubernetes_says(version: str) -> None:
    checked = [kubernetes_validate.validate(document, version, strict=True) for _, document in manifests()]
    assert len(checked) == 7


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifest_of_a_batch_is_as_kubernetes_says_and_its_pods_are_hardened(version: str) -> None:
    (job,) = documents(DEPLOY / "batch" / "kubernetes_job.yaml")
    kubernetes_validate.validate(job, version, strict=True)
    pod, served = job["spec"]["template"]["spec"], manifest("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"] == served["securityContext"]
    assert pod["containers"][0]["securityContext"] == served["containers"][0]["securityContext"]
    assert f"auto/{job['spec']['completions']}" in pod["containers"][0]["args"]


def test_every_manifest_is_applied() -> None:
    (kustomization,) = documents(KUBERNETES / "kustomization.yaml")
    assert set(kustomization["resources"]) == {name for name, _ in manifests()}
    if shutil.which("kubectl"):
        built = subprocess.run(["kubectl", "kustomize", KUBERNETES], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        assert "image: registry.example.org/cellmark:0.1.0" in built.stdout


def test_the_pod_cannot_do_more_than_serve() -> None:
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert f"USER {pod['securityContext']['runAsUser']}:" in (ROOT / "Dockerfile").read_text()
    assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}
    (tmp,) = [volume for volume in pod["volumes"] if volume["name"] == "tmp"]
    assert tmp["emptyDir"]["sizeLimit"]


def test_probes_ask_what_is_there_and_the_grace_period_covers_the_drain() -> None:
    pod, told = manifest("Deployment")["spec"]["template"]["spec"], manifest("ConfigMap")["data"]
    (container,) = pod["containers"]
    paths = openapi_document(ServiceSettings())["paths"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in paths
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    needed = float(told["CELLMARK_DRAIN_SECONDS"]) + float(told["CELLMARK_SHUTDOWN_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] >= needed + 5


def test_selectors_find_the_pods_that_the_deployment_makes() -> None:
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    for kind, place in (("Service", "selector"), ("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        selector = manifest(kind)["spec"][place]
        wanted = selector.get("matchLabels", selector)
        assert wanted.items() <= labels.items()
    assert (
        manifest("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"]
        == manifest("Deployment")["metadata"]["name"]
    )


def test_the_autoscaler_asks_for_a_metric_that_the_service_has() -> None:
    metrics = manifest("HorizontalPodAutoscaler")["spec"]["metrics"]
    (name,) = [metric["pods"]["metric"]["name"] for metric in metrics if metric["type"] == "Pods"]
    told = (ROOT / "serving" / "observe" / "metrics.py").read_text()
    assert f'"{name.removeprefix("cellmark_")}"' in told


def test_every_setting_that_is_set_exists_and_takes_its_value(compose: dict[str, Any]) -> None:
    of_compose = compose["services"]["cellmark"]["environment"]
    for environment in (manifest("ConfigMap")["data"], of_compose):
        ours = {name: str(value) for name, value in environment.items() if name.startswith("CELLMARK_")}
        assert ours.keys() - KNOWN == set()
        for kind in SETTINGS:
            kind.from_environment({name: text for name, text in ours.items() if "${" not in text})


def test_every_file_that_is_mounted_exists(compose: dict[str, Any]) -> None:
    mounted = [volume for service in compose["services"].values() for volume in service.get("volumes", ())]
    sources = [volume.split(":")[0] for volume in mounted if volume.startswith(".")]
    kept = [source for source in sources if not source.startswith("./local/")]
    assert kept
    for source in kept:
        assert (DEPLOY / source).exists()
    made = (DEPLOY / "make_secrets.sh").read_text()
    for secret in compose["secrets"].values():
        assert f"put {Path(secret['file']).name}" in made
    for source in set(sources) - set(kept):
        assert source.removeprefix("./") in made


def test_ports_are_published_on_this_machine_alone(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_service_of_compose_is_hardened_and_stops_in_time(compose: dict[str, Any]) -> None:
    service = compose["services"]["cellmark"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["user"].startswith("${CELLMARK_UID")
    told = service["environment"]
    needed = float(told["CELLMARK_DRAIN_SECONDS"]) + float(told["CELLMARK_SHUTDOWN_SECONDS"])
    assert int(service["stop_grace_period"].removesuffix("s")) >= needed + 5
    assert "/readyz" in service["healthcheck"]["test"][-1]


def test_images_have_a_release_and_mlflow_is_the_pinned_one(compose: dict[str, Any]) -> None:
    images = [service["image"] for service in compose["services"].values()]
    assert all(re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", image) for image in images)
    pin = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("mlflow=="))
    assert pin in (DEPLOY / "mlflow" / "Dockerfile").read_text()
    assert compose["services"]["mlflow"]["image"].endswith(pin.removeprefix("mlflow=="))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_programs_have_no_syntax_error(program: Path) -> None:
    assert subprocess.run(["bash", "-n", program], check=False).returncode == 0


def test_secrets_are_made_once_and_kept(tmp_path: Path, compose: dict[str, Any]) -> None:
    shutil.copy(DEPLOY / "make_secrets.sh", tmp_path)

    def made() -> dict[str, str]:
        subprocess.run(["bash", tmp_path / "make_secrets.sh"], check=True, stdout=subprocess.DEVNULL)
        return {path.name: path.read_text() for path in (tmp_path / "local" / "secrets").iterdir()}

    first = made()
    assert made() == first
    assert set(first) == {Path(secret["file"]).name for secret in compose["secrets"].values()}
    (identity,) = json.loads(first["s3_identities.json"])["identities"]
    assert identity["credentials"][0]["secretKey"] in first["s3_credentials"]
    assert (tmp_path / "local").stat().st_mode & 0o077 == 0
    assert re.fullmatch(r"CELLMARK_UID=[1-9]\d*\nCELLMARK_GID=[1-9]\d*\n", (tmp_path / ".env").read_text())


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    (told,) = documents(DEPLOY / "prometheus" / "prometheus.yml")
    assert told["scrape_configs"][0]["static_configs"][0]["targets"] == ["cellmark:3000"]
    if shutil.which("promtool"):
        shutil.copy(DEPLOY / "prometheus" / "prometheus.yml", tmp_path)
        shutil.copy(ROOT / "docs" / "dashboards" / "alerts.yml", tmp_path)
        ran = subprocess.run(
            ["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr


def test_grafana_finds_prometheus_and_the_dashboards(compose: dict[str, Any]) -> None:
    (sources,) = documents(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml")
    assert sources["datasources"][0]["url"] == "http://prometheus:9090"
    (providers,) = documents(DEPLOY / "grafana" / "provisioning" / "dashboards" / "cellmark.yml")
    path = providers["providers"][0]["options"]["path"]
    assert f"../docs/dashboards:{path}:ro" in compose["services"]["grafana"]["volumes"]
