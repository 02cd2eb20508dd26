"""What came of one case, and the verdict on all of them. Arrays and numbers only: nothing here asks a service."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from running_service import MIB, Usage

PROBLEM = "application/problem+json"
GROWTH_SHARE = 0.10
GROWTH_BYTES = 30 * MIB
"""Memory may be this much above what it was after the first tenth of the requests: allocators keep some."""


@dataclass(frozen=True)
class Outcome:
    """`status`: of HTTP, or `reader` for a file read without the service. `codes`: of a refusal. `fault`: None where
    the answer is as it has to be. `seconds`: of waiting.
    """

    number: int
    kind: str
    how: str
    status: str
    codes: tuple[str, ...]
    seconds: float
    fault: str | None


def fault_of_answer(
    route: str, status: int, media_type: str, content: bytes, known_codes: frozenset[str]
) -> str | None:
    """What is wrong with an answer: a server's fault, no problem in place of a refusal, rows that cannot be."""
    if status >= 500:
        return f"status {status}"
    try:
        value = json.loads(content, parse_constant=_no_constant)
    except ValueError as error:
        return f"an answer that is no JSON ({error})"
    if status == 200:
        return _fault_of_rows(route, value)
    if not 400 <= status < 500:
        return f"status {status}"
    if media_type.split(";")[0] != PROBLEM:
        return f"a refusal as {media_type}"
    findings = value.get("findings") or []
    if not findings or value.get("status") != status:
        return "a refusal without findings, or of another status"
    unknown = {finding["code"] for finding in findings} - known_codes
    if unknown:
        return f"unknown codes {sorted(unknown)}"
    texts = [finding[key] for finding in findings for key in ("where", "expected", "found", "remedy")]
    if not all(texts) or any("Traceback" in text or "/tmp/" in text for text in texts):
        return "a finding with an empty text, a traceback or a path"
    return None


def _fault_of_rows(route: str, value: Any) -> str | None:
    if route == "/validate":
        return None if isinstance(value.get("valid"), bool) else "an answer that does not say whether it is valid"
    rows = value.get("cells")
    if not isinstance(rows, list) or len(rows) != value.get("n_cells") or not rows:
        return "another number of rows than cells"
    if len({row["cell_id"] for row in rows}) != len(rows):
        return "a cell that is answered for twice"
    if route == "/annotate":
        confidence = [row["cellmark_confidence"] for row in rows]
        if not all(isinstance(number, float) and 0 <= number <= 1 for number in confidence):
            return "a confidence that is none"
    return None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} in it")


@dataclass(frozen=True)
class Verdict:
    """What a whole run found. `faults`: what must not be, empty for a pass."""

    faults: tuple[str, ...]
    by_status: dict[str, int]
    by_code: dict[str, int]
    slowest: float
    memory_before: float
    memory_after: float


def judge(
    outcomes: Sequence[Outcome], usage: Sequence[Usage], *, limit: float, crashed: Sequence[int], left: Sequence[str]
) -> Verdict:
    """`usage`: over the run, in order. `limit`: seconds that an answer may take. `crashed`: processes of the service
    that are gone. `left`: uploads that are still there. Memory is in MiB, after the first tenth and in the last tenth.
    """
    faults = [f"case {one.number} ({one.kind}, {one.how}): {one.fault}" for one in outcomes if one.fault]
    late = [one for one in outcomes if one.seconds > limit]
    faults += [f"case {one.number} ({one.kind}, {one.how}): took {one.seconds:.1f} s" for one in late]
    if crashed:
        faults.append(f"{len(crashed)} processes of the service are gone")
    if left:
        faults.append(f"{len(left)} uploads were left behind: {', '.join(left[:5])}")
    before, after = memory_of(usage)
    if after > before * (1 + GROWTH_SHARE) and after - before > GROWTH_BYTES:
        faults.append(f"memory grew from {before / MIB:.0f} to {after / MIB:.0f} MiB")
    if usage and usage[-1].files > usage[0].files + 20:
        faults.append(f"open files grew from {usage[0].files} to {usage[-1].files}")
    codes = Counter(code for one in outcomes for code in one.codes)
    return Verdict(
        tuple(faults),
        dict(sorted(Counter(one.status for one in outcomes).items())),
        dict(codes.most_common()),
        max((one.seconds for one in outcomes), default=0.0),
        before / MIB,
        after / MIB,
    )


def memory_of(usage: Sequence[Usage]) -> tuple[float, float]:
    """Median bytes between a tenth and a fifth of the run, and in its last tenth."""
    if not usage:
        return 0.0, 0.0
    rss = np.array([one.rss for one in usage], dtype=np.float64)
    n = len(rss)
    early = rss[n // 10 : max(n // 5, n // 10 + 1)]
    return float(np.median(early)), float(np.median(rss[-max(n // 10, 1) :]))
