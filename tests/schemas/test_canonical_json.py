"""One value, one byte form."""

import json
from hashlib import sha256 as standard_sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.canonical_json import canonical_json, sha256

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
