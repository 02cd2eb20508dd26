"""The manifest: one byte form for one value, what its digests cover, and what they leave out."""

import hashlib
import json
from hashlib import sha256 as standard_sha256
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.manifest.manifest import MANIFEST_NAME, Manifest, bundle_digest, manifest_digest, seal
from cellmark.schemas.manifest.manifest_section import canonical_json, sha256

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


@pytest.mark.parametrize("stop", ["last_epoch", "validation_loss", None])
def test_validation_cells_count_as_learned_where_they_did_not_stop_the_networks(
    raw: dict[str, Any], stop: str | None
) -> None:
    """A bundle of before names no `stop` that it did not have."""
    raw["network"]["parameters"].pop("stop", None)
    if stop is not None:
        raw["network"]["parameters"]["stop"] = stop
    parts = [raw["split"]["train"]] + ([raw["split"]["validation"]] if stop == "last_epoch" else [])
    found = Manifest.model_validate(raw).learned_cells
    assert sum(found.values()) == sum(part["n_cells"] for part in parts)
    assert all(found[name] == sum(part["cells_per_type"][name] for part in parts) for name in found)


def test_what_is_not_measured_is_null(raw: dict[str, Any]) -> None:
    assert raw["thresholds"] is None
    assert raw["organism"] is None
    nothing = dict.fromkeys(("ontology_id", "ancestors", "ontology_name", "ancestor_names"))
    assert raw["cell_types"][0] == {"name": "B cell", **nothing}


def test_a_manifest_cannot_be_changed_in_memory(tiny_bundle: Bundle) -> None:
    with pytest.raises(ValidationError):
        tiny_bundle.manifest.name = "other"  # type: ignore[misc]


keys = st.text(max_size=5, alphabet='abé"\n')
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(values)
def test_canonical_form_is_its_own_canonical_form(value: object) -> None:
    form = canonical_json(value)
    assert canonical_json(json.loads(form)) == form
    assert json.loads(form) == value


def test_key_order_does_not_matter_and_is_sorted() -> None:
    assert canonical_json({"b": 1, "a": [1, 2]}) == canonical_json({"a": [1, 2], "b": 1}) == b'{"a":[1,2],"b":1}\n'


def test_text_is_utf8_as_it_is() -> None:
    assert canonical_json("γδ T") == '"γδ T"\n'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_lacks_are_refused(value: float) -> None:
    with pytest.raises(ValueError):
        canonical_json({"a": [value]})


def test_sha256_is_hexadecimal() -> None:
    assert sha256(b"abc") == standard_sha256(b"abc").hexdigest()
