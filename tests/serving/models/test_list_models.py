import json
from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import RegistryError
from cellmark.serving.models.list_models import list_models, show_model
from cellmark.training.tracking.register import register_bundle


def test_an_empty_registry_has_no_models(mlflow_store: str) -> None:
    found = list_models()
    assert found.models == ()
    assert found.uri == mlflow_store


def test_models_are_listed_by_name_with_champion_and_measures(registry: str, tiny_bundle: Bundle) -> None:
    client = MlflowClient(tracking_uri=registry)
    run_id = client.get_model_version("tiny", "1").run_id
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    register_bundle(tiny_bundle, name="O'Brien", run_id=run_id, client=client)
    client.create_registered_model("zz without versions")
    first, second, third = list_models().models
    assert (first.name, second.name, third.name) == ("O'Brien", "tiny", "zz without versions")
    assert second.champion is not None
    assert second.champion.version == "1"
    assert second.champion.measure("test_accuracy") == tiny_bundle.manifest.metrics["test"]["accuracy"]
    assert second.champion.measure("no such measure") is None
    assert [entry.version for entry in second.versions] == ["1", "2"]
    assert third.champion is None


def test_versions_are_listed_oldest_first_with_their_aliases(registry: str, tiny_bundle: Bundle) -> None:
    client = MlflowClient(tracking_uri=registry)
    run_id = client.get_model_version("tiny", "1").run_id
    for _ in range(10):
        register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    entry = show_model("tiny")
    assert [version.version for version in entry.versions] == [str(number) for number in range(1, 12)]
    assert entry.versions[0].aliases == ("champion",)
    assert entry.versions[-1].aliases == ("challenger",)
    assert entry.versions[0].run_id == run_id
    created = datetime.strptime(entry.versions[-1].created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=5)


def test_an_entry_is_plain_values(registry: str) -> None:
    entry = json.loads(json.dumps(show_model("tiny").to_dict()))
    assert entry["aliases"] == {"challenger": "1", "champion": "1"}
    assert entry["versions"][0]["aliases"] == ["challenger", "champion"]


def test_a_name_that_is_not_registered_is_told_with_those_that_are(registry: str) -> None:
    with pytest.raises(RegistryError, match="registered are: tiny") as caught:
        show_model("tinny")
    assert caught.value.code == "MODEL_UNKNOWN"
