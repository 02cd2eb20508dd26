import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ParameterError, RegistryError
from cellmark.schemas.manifest.verdict import verdict
from cellmark.serving.models.model_source import fetch_bundle
from cellmark.serving.models.promote import promote
from cellmark.training.tracking.register import register_bundle


@pytest.fixture
def client(registry: str, tiny_bundle: Bundle) -> MlflowClient:
    """A client of a registry in which `tiny` has three versions; the first is champion, the third is challenger."""
    client = MlflowClient(tracking_uri=registry)
    run_id = client.get_model_version("tiny", "1").run_id
    for _ in range(2):
        register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    return client


def aliases(client: MlflowClient) -> dict[str, str]:
    return {alias: str(number) for alias, number in client.get_registered_model("tiny").aliases.items()}


def tags(client: MlflowClient, version: str) -> dict[str, str]:
    return dict(client.get_model_version("tiny", version).tags)


def test_the_challenger_becomes_champion_and_both_versions_tell_so(client: MlflowClient, tiny_bundle: Bundle) -> None:
    promotion = promote("tiny", who="ann")
    assert (promotion.old, promotion.new, promotion.alias, promotion.moved) == ("1", "3", "champion", True)
    assert aliases(client) == {"champion": "3", "challenger": "3"}
    assert fetch_bundle("models:/tiny@champion").version == "3"
    new, old = tags(client, "3"), tags(client, "1")
    assert (new["promoted_by"], new["promoted_from"], new["promoted_to"]) == ("ann", "1", "champion")
    assert new["promoted_at"] == old["champion_until"] == promotion.when
    assert old["champion_replaced_by"] == "3"
    assert promotion.verdict == new["verdict"] == verdict(tiny_bundle.manifest)


def test_when_is_now_in_utc(client: MlflowClient) -> None:
    when = datetime.strptime(promote("tiny").when, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(0) <= datetime.now(UTC) - when < timedelta(seconds=30)


def test_who_is_the_user_of_the_process_unless_given(client: MlflowClient) -> None:
    expected = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert promote("tiny").who == expected


def test_a_version_may_be_named_by_its_number(client: MlflowClient) -> None:
    assert promote("tiny", version="2").new == "2"
    assert aliases(client) == {"champion": "2", "challenger": "3"}


def test_going_back_leaves_one_true_history(client: MlflowClient) -> None:
    promote("tiny")
    back = promote("tiny", version="1", who="bob")
    assert (back.old, back.new) == ("3", "1")
    restored, replaced = tags(client, "1"), tags(client, "3")
    assert restored["promoted_by"] == "bob"
    assert "champion_until" not in restored
    assert "champion_replaced_by" not in restored
    assert replaced["champion_replaced_by"] == "1"


def test_the_champion_itself_is_left_alone(client: MlflowClient) -> None:
    before = tags(client, "1")
    promotion = promote("tiny", version="1")
    assert not promotion.moved
    assert tags(client, "1") == before


def test_another_alias_can_be_given(client: MlflowClient) -> None:
    promotion = promote("tiny", alias="champion", to="frozen-2026")
    assert (promotion.old, promotion.new) == (None, "1")
    assert aliases(client) == {"champion": "1", "challenger": "3", "frozen-2026": "1"}
    moved = promote("tiny", version="2", to="frozen-2026")
    assert moved.old == "1"
    assert tags(client, "1")["frozen-2026_replaced_by"] == "2"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"name": "tinny"}, "MODEL_UNKNOWN"),
        ({"name": "tiny", "version": "9"}, "MODEL_UNKNOWN"),
        ({"name": "tiny", "alias": "best"}, "ALIAS_MISSING"),
    ],
)
def test_what_is_not_there_moves_nothing(arguments: dict[str, str], code: str, client: MlflowClient) -> None:
    before = aliases(client)
    with pytest.raises(RegistryError) as caught:
        promote(**arguments)
    assert caught.value.code == code
    assert aliases(client) == before


@pytest.mark.parametrize(
    "arguments",
    [{"version": "1", "alias": "challenger"}, {"version": "latest"}, {"version": "0"}, {"to": "v2"}, {"to": ""},
     {"to": "two words"}, {"to": "latest"}],
)  # fmt: skip
def test_arguments_that_mean_nothing_are_refused(arguments: dict[str, str]) -> None:
    with pytest.raises(ParameterError):
        promote("tiny", **arguments)


def test_all_problems_of_the_arguments_come_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        promote("tiny", version="x", alias="y", to="v1")
    assert [finding.where for finding in caught.value.findings] == ["version", "version", "to"]
