"""What is left of a registration that was killed before its aliases were set, and how it is put right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.tracking.registry_tags import restore_champion
from cellmark.training.tracking.register import register_bundle, version_tags
from fixtures.places import ARCHIVES

ARCHIVED = ARCHIVES / "v1"


@pytest.fixture
def client(mlflow_store: str) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_store)


@pytest.fixture
def run_id(client: MlflowClient, tmp_path: Path) -> str:
    return client.create_run(client.create_experiment("cellmark", artifact_location=str(tmp_path / "art"))).info.run_id


@pytest.fixture
def killed(client: MlflowClient, run_id: str) -> MlflowClient:
    """A name whose first version was created by a process that was killed at that point."""
    client.create_registered_model("tiny")
    tags = version_tags(Bundle.open(ARCHIVED).manifest)
    client.create_model_version("tiny", str(ARCHIVED), run_id=run_id, tags=tags)
    return client


def aliases(client: MlflowClient) -> dict[str, str]:
    return {alias: str(number) for alias, number in client.get_registered_model("tiny").aliases.items()}


def test_the_next_registration_gives_the_first_version_its_alias_and_says_so(killed: MlflowClient, run_id: str) -> None:
    second = register_bundle(Bundle.open(ARCHIVED), name="tiny", run_id=run_id, client=killed)
    assert (second.version, second.aliases) == ("2", ("challenger",))
    assert aliases(killed) == {"champion": "1", "challenger": "2"}
    assert [note.code for note in second.notes] == ["ALIAS_RESTORED"]


@pytest.mark.parametrize("arguments", [["list"], ["show", "tiny"], ["promote", "tiny"], ["list", "--json"]])
def test_each_models_command_does_so_too(
    arguments: list[str], killed: MlflowClient, cellmark: Callable[..., Any]
) -> None:
    ran = cellmark("models", *arguments)
    assert (ran.status, "[ALIAS_RESTORED]" in ran.err) == (0, True), ran.err
    assert aliases(killed) == {"champion": "1", "challenger": "1"}
    assert "ALIAS_RESTORED" not in cellmark("models", *arguments).err


def test_a_first_version_whose_predecessor_was_deleted_becomes_the_champion(killed: MlflowClient, run_id: str) -> None:
    killed.delete_model_version("tiny", "1")
    second = register_bundle(Bundle.open(ARCHIVED), name="tiny", run_id=run_id, client=killed)
    assert (second.version, second.aliases, second.notes) == ("2", ("challenger", "champion"), ())


def test_a_champion_that_someone_took_away_stays_away(client: MlflowClient, run_id: str) -> None:
    register_bundle(Bundle.open(ARCHIVED), name="tiny", run_id=run_id, client=client)
    client.delete_registered_model_alias("tiny", "champion")
    assert restore_champion(client, "tiny") is None
    register_bundle(Bundle.open(ARCHIVED), name="tiny", run_id=run_id, client=client)
    assert aliases(client) == {"challenger": "2"}


def test_models_of_others_in_a_shared_registry_are_left_alone(client: MlflowClient, run_id: str) -> None:
    client.create_registered_model("theirs")
    client.create_model_version("theirs", str(ARCHIVED), run_id=run_id)
    assert restore_champion(client, "theirs") is None
    assert client.get_registered_model("theirs").aliases == {}


def test_a_name_with_spaces_is_promoted_by_the_command_named(client: MlflowClient, run_id: str) -> None:
    client.create_registered_model("my blood")
    tags = version_tags(Bundle.open(ARCHIVED).manifest)
    client.create_model_version("my blood", str(ARCHIVED), run_id=run_id, tags=tags)
    note = restore_champion(client, "my blood")
    assert note is not None
    assert "cellmark models promote 'my blood' --version" in note.remedy
