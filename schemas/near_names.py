"""What somebody who wrote a name that is not there may have meant."""

import difflib
import re
from collections.abc import Iterable

N_NEAR = 3
CLOSE = 0.6


def near_names(name: str, among: Iterable[str], *, n: int = N_NEAR, cutoff: float = CLOSE) -> tuple[str, ...]:
    """At most `n` names that are written almost the same, begin the same or hold the same word, nearest first.

    Case and all that is neither letter nor digit do not matter. `cutoff`: as of `difflib.get_close_matches`.
    """
    plain: dict[str, list[str]] = {}
    for one in among:
        plain.setdefault(plain_name(one), []).append(one)
    asked = plain_name(name)
    found = [key for key in (asked,) if key in plain]
    found += [key for key in difflib.get_close_matches(asked, plain, n=n, cutoff=cutoff) if key not in found]
    if len(asked) > 1:
        found += [key for key in plain if key not in found and (key.startswith(asked) or f"_{asked}_" in f"_{key}_")]
    return tuple(one for key in found for one in plain[key])[:n]


def plain_name(name: str) -> str:
    """The name in small letters, its words divided by `_`: `CD14+ Monocyte` and `cd14.monocyte` are one."""
    return re.sub(r"[^\w]+|_+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()).strip("_")


def given_as(flag: str, names: Iterable[str]) -> str:
    """`--label 'a' or --label 'b'`, as is written behind a command."""
    return " or ".join(f"{flag} {name!r}" for name in names)


def in_quotes(names: Iterable[str]) -> str:
    """`'a'`, `'a' or 'b'`, `'a', 'b' or 'c'`."""
    *first, last = map(repr, names)
    return f"{', '.join(first)} or {last}" if first else last
