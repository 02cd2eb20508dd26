"""The caller's id is taken where no log, header or shell could take it for its own."""

import re

import pytest

from cellmark.serving.observe.request_id import request_id_of

MADE = re.compile(r"[0-9a-f]{32}")


@pytest.mark.parametrize("given", ["a", "0f3c9d1e-8b5a-4a52-9d7e-0a7f0c1d2e3f", "Root=1-67891233-abcdef", "x" * 128])
def test_a_sane_id_is_kept(given: str) -> None:
    assert request_id_of([(b"host", b"here"), (b"x-request-id", given.encode())]) == given


@pytest.mark.parametrize(
    "given", [b"", b"x" * 129, b"two words", b"line\nbreak", b"tab\t", b"caf\xc3\xa9", b'{"a":1}', b"$(id)"]
)
def test_any_other_is_replaced(given: bytes) -> None:
    assert MADE.fullmatch(request_id_of([(b"x-request-id", given)]))


def test_without_one_or_with_two_it_is_made() -> None:
    made = {request_id_of([]), request_id_of([(b"x-request-id", b"a"), (b"x-request-id", b"b")])}
    assert len(made) == 2
    assert all(MADE.fullmatch(text) for text in made)
