"""What a body has wrong in its form, in our words: one finding for each kind of mistake, however often it was made."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import Finding

MOST_FINDINGS = 20
N_EXAMPLES = 5
LONGEST_PLACE = 80

EXPECTED = {
    "missing": "a value",
    "extra_forbidden": "only documented fields",
    "float_type": "a number",
    "int_type": "a whole number",
    "finite_number": "a finite number",
    "greater_than_equal": "a number of at least 0",
    "less_than": "a number below 2^63",
    "string_type": "a string",
    "string_too_short": "at least one character",
    "string_too_long": "at most 256 characters",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}


def request_findings(errors: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Findings of pydantic's `errors()`. Values of the request are not repeated, only of which kind they are."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for error in errors:
        place = tuple(error["loc"])
        found = "nothing" if error["type"] == "missing" else kind_of(error.get("input"))
        grouped.setdefault((pattern_of(place), error["type"], found), []).append(place_of(place))
    findings = [
        Finding(
            "REQUEST_INVALID",
            where=places[0] if len(places) == 1 else pattern,
            expected=EXPECTED.get(kind, "a value as documented"),
            found=found if len(places) == 1 else f"{found}, in {len(places)} places",
            remedy="Omit the field." if kind == "extra_forbidden" else "GET /openapi.json describes the body.",
            examples=() if len(places) == 1 else tuple(places[:N_EXAMPLES]),
        )
        for (pattern, kind, found), places in grouped.items()
    ]
    if len(findings) > MOST_FINDINGS:
        rest = len(findings) - MOST_FINDINGS
        last = Finding(
            "REQUEST_INVALID",
            where="body",
            expected="a body as documented",
            found=f"{rest} more kinds of mistakes",
            remedy="Fix the others first.",
        )
        findings = [*findings[:MOST_FINDINGS], last]
    return findings


def place_of(loc: Sequence[str | int]) -> str:
    """Such as `cells[3].counts.MS4A1`; long and unprintable names are cut and escaped."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")
    return printable(text) or "body"


def pattern_of(loc: Sequence[str | int]) -> str:
    """The same place in any cell and of any gene: `cells[*].counts.*`."""
    parts = [part for part in loc if part != "[key]"]
    if len(parts) == 4 and parts[0] == "cells" and parts[2] == "counts":
        return "cells[*].counts.*"
    return re.sub(r"\[\d+\]", "[*]", place_of(loc))


def printable(text: str, *, longest: int = LONGEST_PLACE) -> str:
    """Text from a request that may be shown: no control characters, and not long."""
    safe = text[:longest].encode("unicode_escape").decode("ascii")
    return safe + "…" if len(text) > longest else safe


def kind_of(value: Any) -> str:
    """What a value is, as JSON calls it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "something else"
