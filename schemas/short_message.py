"""A finding in three lines for a terminal: the problem, what was found, what to do. `--verbose` says all of it."""

import re
from collections.abc import Callable
from contextvars import ContextVar

from .error_codes import CODES
from .errors import Finding
from .spoken import in_flags

WIDTH = 100
"""Columns of a terminal that the three lines are made for."""
INDENT = "  "
MORE = " (more: --verbose)"
VERBOSE: ContextVar[bool] = ContextVar("verbose", default=False)
"""Whether messages are to say all that they know. The command line sets it."""
UNSPECIFIC = ("PARAMETER_INVALID", "REQUEST_INVALID")
"""Codes of many problems; what was expected says more than their meaning."""
SEVERITY_OF_CODE = re.compile(r"(?:: an error|: one per cell| \(an? (?:note|warning)).*$")
SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z`-])")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")


def message_lines(finding: Finding, words: Callable[[str], str] = in_flags) -> list[str]:
    """The finding as it is printed: three lines of `WIDTH` columns, or all of it after `--verbose`.

    Commands to paste are never cut: one that is longer takes the place of what was found. `words`: flags or keywords
    (`spoken.py`).
    """
    return long_message(finding, words) if VERBOSE.get() else short_message(finding, words)


def long_message(finding: Finding, words: Callable[[str], str] = in_flags) -> list[str]:
    """All that the finding says, a line for each part."""
    lines = [
        f"{_head(finding, words)} [{finding.code}]",
        *([] if finding.code in UNSPECIFIC else [f"{INDENT}expected {_flat(words(finding.expected))}"]),
        f"{INDENT}found {_flat(words(finding.found))}",
        *(INDENT + sentence for sentence in SENTENCE.split(_flat(words(finding.remedy)))),
    ]
    return lines + ([f"{INDENT}for example: {_flat(', '.join(finding.examples))}"] if finding.examples else [])


def short_message(finding: Finding, words: Callable[[str], str] = in_flags) -> list[str]:
    """The finding in three rows of `WIDTH` columns, as far as its command to paste allows."""
    room = WIDTH - len(INDENT)
    head, code = _head(finding, words), f" [{finding.code}]"
    remedy, is_whole = _first_sentences(_flat(words(finding.remedy)), room)
    alone = found = f"found {_flat(words(finding.found))}"
    if finding.code not in UNSPECIFIC:
        both = f"expected {_flat(words(finding.expected))}; {found}"
        is_whole &= len(both) <= room
        found = both if len(both) <= room else found
    hides = bool(finding.examples) or not is_whole or len(found) > room
    if len(remedy) > room:
        # Two rows of its own: what was found has room beside the problem only.
        beside = next((row for row in (f"{head}: {found}", f"{head}: {alone}") if len(row + code) <= WIDTH), head)
        hides |= beside == head
        rows = [beside]
    else:
        rows = [head, INDENT + cut(found, room)]
    if hides and len(rows) == 2 and len(rows[1] + MORE) <= WIDTH:
        rows[1] += MORE
    elif hides and len(rows[0] + MORE + code) <= WIDTH:
        code = MORE + code
    return [_fitted(rows[0], code), *rows[1:], INDENT + remedy]


def _head(finding: Finding, words: Callable[[str], str]) -> str:
    problem = SEVERITY_OF_CODE.sub("", CODES[finding.code].meaning)
    if finding.code in UNSPECIFIC:
        problem = f"expected {_flat(words(finding.expected))}"
    return f"{finding.severity}: {_flat(finding.where)}: {problem}"


def _flat(text: str) -> str:
    """A name with a line break in it must not look like another message."""
    return re.sub(r"\s*[\r\n]\s*", " ", text)


def _fitted(head: str, tail: str) -> str:
    """`head` and `tail` in one row. A long path at the head's start loses its first folders."""
    room = WIDTH - len(tail)
    if len(head) <= room:
        return head + tail
    severity, where, problem = head.split(": ", 2)
    kept = max(room - len(severity) - len(problem) - len(": …: "), 20)
    if len(where) > kept + 1:
        where = f"…{where[-kept:]}"
    return cut(f"{severity}: {where}: {problem}", room) + tail


def cut(text: str, room: int) -> str:
    """The text, or its beginning up to the end of a clause or a word."""
    if len(text) <= room:
        return text
    kept = text[: room - 1]
    places = [kept.rfind(mark) for mark in ("; ", ", ", ": ", " ")]
    place = next((place for place in places if place > room / 2), max(places[-1], 0) or len(kept))
    return f"{kept[:place]} …"[:room]


def _first_sentences(remedy: str, room: int) -> tuple[str, bool]:
    """As many sentences as fit, at least one, and whether these are all. Of a sentence that is too long, its first
    clause; what is quoted is never cut.
    """
    sentences = SENTENCE.split(remedy)
    kept = sentences[0]
    if len(kept) > room:
        masked = QUOTED.sub(lambda found: "x" * len(found[0]), kept)
        if 0 < (place := masked.find("; ")) < room:
            return f"{kept[:place]}.", False
    for n_sentences in range(len(sentences), 0, -1):
        joined = " ".join(sentences[:n_sentences])
        if len(joined) <= room:
            return joined, n_sentences == len(sentences)
    return kept, len(sentences) == 1
