"""JSON as the standard has it: no NaN, no Infinity, no name twice in one object; and finite numbers only, back."""

import json
from typing import Any

from ..errors import RequestError

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
        raise _invalid("JSON that is nested a few levels deep", "hundreds of levels") from None
    except UnicodeDecodeError as error:
        raise _invalid("UTF-8 text", f"other bytes at position {error.start}") from None
    except json.JSONDecodeError as error:
        found = "nothing" if not body.strip() else f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise _invalid("one JSON value", found) from None
    except _NumberError as error:
        raise _invalid("finite JSON numbers", str(error)) from None
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


def _invalid(expected: str, found: str) -> RequestError:
    return RequestError.of(
        "REQUEST_INVALID",
        where="body",
        expected=expected,
        found=found,
        remedy="See the examples in /openapi.json, or the README.",
    )
