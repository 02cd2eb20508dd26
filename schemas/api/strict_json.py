"""JSON as the standard has it: no NaN, no Infinity, no name twice in one object; and what a body has wrong in its form.

One finding for each kind of mistake, however often it was made.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import Finding, RequestError

N_EXAMPLES = 5
LONGEST_INTEGER = 400
"""Characters of a whole number. No float64 has more digits; Python itself would stop at 4,300 and advise on Python."""


def parse_json(body: bytes) -> Any:
    """The value of a UTF-8 JSON text. Raises `RequestError` (`REQUEST_INVALID`)."""
    repeated: dict[str, None] = {}

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            seen: set[str] = set()
            for name, _ in pairs:
                if name in seen:
                    repeated[name] = None
                seen.add(name)
        return made

    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=unique, parse_constant=_no_constant, parse_int=_short_int
        )
    except RecursionError:
        raise invalid_json("JSON that is nested a few levels deep", "hundreds of levels") from None
    except UnicodeDecodeError as error:
        raise invalid_json("UTF-8 text", f"other bytes at position {error.start}") from None
    except json.JSONDecodeError as error:
        found = "nothing" if not body.strip() else f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise invalid_json("one JSON value", found) from None
    except _NumberError as error:
        raise invalid_json("finite JSON numbers", str(error)) from None
    if repeated:
        raise RequestError.of(
            "REQUEST_INVALID",
            where="body",
            expected="each name once in an object",
            found=f"{len(repeated)} names more than once",
            remedy="Add the counts up, or rename one.",
            examples=tuple(repeated)[:N_EXAMPLES],
        )
    return value


def write_json(value: Any) -> bytes:
    """Compact JSON, in ASCII so that no text can fail to encode. Raises `ValueError` for NaN and infinities."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


class _NumberError(ValueError):
    """A number that no count, size or id can be."""


def _no_constant(name: str) -> Any:
    raise _NumberError(f"{name}, which JSON does not have")


def _short_int(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise _NumberError(f"a whole number of {len(digits.removeprefix('-')):,} digits")
    return int(digits)


def invalid_json(expected: str, found: str) -> RequestError:
    """The error of a body that is not JSON as it has to be."""
    return RequestError.of(
        "REQUEST_INVALID",
        where="body",
        expected=expected,
        found=found,
        remedy="See the examples in /openapi.json, or the README.",
    )


MOST_FINDINGS = 20

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
