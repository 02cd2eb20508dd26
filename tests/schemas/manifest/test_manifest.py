"""The manifest's digests: what they cover and what they leave out."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.manifest.manifest import MANIFEST_NAME, Manifest, bundle_digest, manifest_digest, seal

if TYPE_CHECKING:
    from cellmark.training.run import TrainedModel


@pytest.fixture
def raw(tiny_bundle: Bundle) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(tiny_bundle.path(MANIFEST_NAME).read_bytes())
    return loaded


def test_the_bundle_digest_is_sha256_of_the_canonical_form_without_date_environment_and_digests(
    raw: dict[str, Any],
) -> None:
    kept = {
        key: value for key, value in raw.items()
        if key not in ("bundle_digest", "manifest_digest", "created", "environment")
    }  # fmt: skip
    form = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    assert raw["bundle_digest"] == bundle_digest(raw) == hashlib.sha256(form.encode()).hexdigest()


@pytest.mark.parametrize("name", ["created", "environment"])
def test_date_and_environment_change_the_manifest_digest_only(raw: dict[str, Any], name: str) -> None:
    other = {**raw, name: {"python": "0"} if name == "environment" else "1999-01-01T00:00:00Z"}
    assert bundle_digest(other) == bundle_digest(raw)
    assert manifest_digest(other) != manifest_digest(raw)


def test_every_other_field_changes_both_digests(raw: dict[str, Any]) -> None:
    for name in set(raw) - {"created", "environment", "bundle_digest", "manifest_digest"}:
        other = {**raw, name: "changed"}
        assert bundle_digest(other) != bundle_digest(raw), name
        assert manifest_digest(other) != manifest_digest(raw), name


def test_sealing_again_changes_nothing_and_ignores_old_digests(raw: dict[str, Any], tiny_bundle: Bundle) -> None:
    content = tiny_bundle.path(MANIFEST_NAME).read_bytes()
    assert seal(raw) == content
    assert seal({**raw, "bundle_digest": "x", "manifest_digest": "y"}) == content


def test_the_model_keeps_all_that_is_written(trained: "TrainedModel") -> None:
    raw = json.loads(trained.bundle.path(MANIFEST_NAME).read_bytes())
    assert Manifest.model_validate(raw).model_dump(mode="json") == raw


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("files", {"a": {"sha256": "ABC", "size": 1}}),
        ("files", {"a": {"sha256": "0" * 64, "size": -1}}),
        ("cell_types", [{"name": ""}]),
        ("golden_cells", "borrowed"),
        ("split", {"strategy": "chance"}),
        ("metrics", None),
    ],
)
def test_values_outside_the_format_are_refused(raw: dict[str, Any], place: str, value: object) -> None:
    with pytest.raises(ValidationError, match=place):
        Manifest.model_validate({**raw, place: value})


def test_what_is_not_measured_is_null(raw: dict[str, Any]) -> None:
    assert raw["thresholds"] is None
    assert raw["organism"] is None
    nothing = dict.fromkeys(("ontology_id", "ancestors", "ontology_name", "ancestor_names"))
    assert raw["cell_types"][0] == {"name": "B cell", **nothing}


def test_a_manifest_cannot_be_changed_in_memory(tiny_bundle: Bundle) -> None:
    with pytest.raises(ValidationError):
        tiny_bundle.manifest.name = "other"  # type: ignore[misc]
