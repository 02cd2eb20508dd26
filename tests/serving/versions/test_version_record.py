import pytest

from cellmark.schemas.errors import BundleError, RegistryError
from cellmark.serving.versions.version_record import ModelRecord, ServedVersion

KEY = "models:/pbmc@champion"


def version(number: int) -> ServedVersion:
    return ServedVersion("pbmc", str(number), f"/bundles/{number}", f"{number:064x}")


@pytest.fixture
def second() -> ModelRecord:
    """A model that was moved from version 1 to 2."""
    return ModelRecord(KEY).moved_to(version(1)).moved_to(version(2))


def damaged() -> BundleError:
    return BundleError.of("BUNDLE_DIGEST_MISMATCH", where="x", expected="x", found="x", remedy="x")


def unreachable() -> RegistryError:
    return RegistryError.of("REGISTRY_UNREACHABLE", where="x", expected="x", found="x", remedy="x")


def test_a_record_survives_the_way_to_json(second: ModelRecord) -> None:
    for record in (ModelRecord(KEY), second, second.rolled_back("2"), second.failed(damaged(), "3")):
        assert ModelRecord.from_json(record.to_json()) == record


def test_each_change_of_the_served_version_is_a_generation(second: ModelRecord) -> None:
    assert (second.generation, second.current, second.earlier) == (2, version(2), (version(1),))
    assert second.moved_to(version(2)).generation == 2


def test_going_back_holds_until_the_alias_names_another_version(second: ModelRecord) -> None:
    back = second.rolled_back("2")
    assert (back.current, back.generation, back.update.state) == (version(1), 3, "pinned")
    assert not back.wants("2")
    assert back.settled("2").update.state == "pinned"
    assert back.wants("3")
    # The alias follows the operator, and moves on to the version that was gone back from: now it is wanted.
    assert not back.wants("1")
    free = back.settled("1")
    assert free.pinned_against is None
    assert free.wants("2")


def test_a_damaged_version_is_not_tried_again_and_another_is(second: ModelRecord) -> None:
    failed = second.failed(damaged(), "3")
    assert (failed.current, failed.update.state, failed.update.wanted_version) == (version(2), "failed", "3")
    assert failed.update.error[0]["code"] == "BUNDLE_DIGEST_MISMATCH"
    assert not failed.wants("3")
    assert failed.wants("4")


def test_a_failure_is_over_when_the_alias_names_the_served_version_again(second: ModelRecord) -> None:
    failed = second.failed(damaged(), "3")
    assert not failed.wants("2")
    assert failed.settled("2").update.state == "current"
    assert failed.settled("3").update.state == "failed"


def test_a_failure_that_may_pass_is_tried_again(second: ModelRecord) -> None:
    error = RegistryError.of("REGISTRY_REFUSED", where="x", expected="x", found="x", remedy="x")
    assert second.failed(error, "3").wants("3")


def test_a_registry_that_is_away_leaves_the_version(second: ModelRecord) -> None:
    away = second.failed(unreachable(), None)
    assert (away.current, away.update.state) == (version(2), "registry_unreachable")
    assert away.settled("2").update.state == "current"
    cached = ModelRecord(KEY).moved_to(version(1), cached=True)
    assert cached.update.state == "cached"
    assert cached.failed(unreachable(), None).update.state == "cached"
    assert cached.settled("1").update.state == "current"


def test_few_earlier_versions_are_kept() -> None:
    record = ModelRecord(KEY)
    for number in range(1, 20):
        record = record.moved_to(version(number))
    assert [entry.version for entry in record.earlier] == ["18", "17", "16", "15", "14"]
