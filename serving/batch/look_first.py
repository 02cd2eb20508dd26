"""What to look at first in a finished job, in words. No statement rests on fewer than ten cells."""

import shlex
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .job_facts import OPEN, JobFacts, SampleFacts
from .report_words import number, share
from .slow_shards import LEAST_CELLS, LEAST_OTHERS, slow_shards

TIMES, POINTS = 2.0, 0.05
"""A share stands out when it is this many times the median of the others, and by so much larger, beyond chance."""
MUCH = 0.25
"""A share that is named whatever the others are."""
THIN = 0.9
"""Share of the evidence below which a sample's genes are thin."""
THIN_TYPES = "GENES_THIN_FOR_TYPES"
"""The check's own word for it, type by type."""
Z = 1.96


@dataclass(frozen=True)
class Item:
    """One sample of a point. `sample`: its place in the job, from 0, None for a sentence on no single one."""

    sample: int | None
    text: str


@dataclass(frozen=True)
class Point:
    """`flag`: a word for the samples of it, in the table of samples. `command`: what follows the advice."""

    grade: Literal["bad", "warn", "note"]
    flag: str
    title: str
    advice: str
    items: tuple[Item, ...]
    command: str = ""


def look_first(facts: JobFacts) -> list[Point]:
    """The points that there are, the gravest first."""
    steps: tuple[Callable[[JobFacts], Iterator[Point]], ...] = (
        _without_calls,
        _unfinished,
        _unassigned,
        _unsure,
        _drifted,
        _thin,
        _unlike,
        _warned,
        _twins,
        _slow,
        _small,
    )
    found = [point for step in steps for point in step(facts)]
    return sorted(found, key=lambda point: ("bad", "warn", "note").index(point.grade))


def _numbered(facts: JobFacts, *, judged: bool = True) -> list[tuple[int, SampleFacts]]:
    """Samples with calls and their places. `judged`: those of enough cells."""
    least = LEAST_CELLS if judged else 0
    return [(place, one) for place, one in enumerate(facts.samples) if one.is_ok and one.cells >= least]


def _without_calls(facts: JobFacts) -> Iterator[Point]:
    again = f"cellmark batch run {shlex.quote(facts.place)} --retry-failed"
    for status, advice in (
        ("refused", "The table of findings says what to correct. Then:"),
        ("failed", "Their cells were not refused: the work on them ended early. Try again:"),
    ):
        items = []
        for place, one in enumerate(facts.samples):
            if one.status == status:
                counted = "cells not counted" if not one.n_cells else number(one.n_cells, "cell")
                first = f"{one.findings[0].found} [{one.findings[0].code}]" if one.findings else "no reason recorded"
                items.append(Item(place, f"{counted}; {first}"))
        if items:
            verb = {"refused": "was refused" if len(items) == 1 else "were refused", "failed": "failed"}[status]
            title = f"{len(items):,} of {number(len(facts.samples), 'sample')} {verb}"
            yield Point("bad", status, title, advice, tuple(items), again)


def _unfinished(facts: JobFacts) -> Iterator[Point]:
    items = tuple(
        Item(place, f"{len(one.shards):,} of {number(one.n_shards, 'shard')} recorded")
        for place, one in enumerate(facts.samples)
        if one.status == OPEN
    )
    if items:
        title = f"{number(len(items), 'sample')} not finished yet"
        yield Point("bad", OPEN, title, "To go on:", items, f"cellmark batch run {shlex.quote(facts.place)}")


def _outstanding(
    facts: JobFacts, part: Callable[[SampleFacts], int]
) -> Iterator[tuple[int, SampleFacts, float | None]]:
    """Samples in which the share of a part of the cells stands out, the largest first, with the others' median."""
    samples = _numbered(facts)
    shares = {place: part(one) / one.cells for place, one in samples}
    for place, one in sorted(samples, key=lambda item: -shares[item[0]]):
        others = [value for other, value in shares.items() if other != place]
        usual = statistics.median(others) if len(others) >= LEAST_OTHERS else None
        low = wilson_low(part(one), one.cells)
        stands_out = usual is not None and low > max(TIMES * usual, usual + POINTS)
        if part(one) >= LEAST_CELLS and (stands_out or low > MUCH):
            yield place, one, usual


def wilson_low(successes: int, n: int) -> float:
    """The lower end of Wilson's 95 % interval of a share (Wilson 1927)."""
    p = successes / n
    middle = p + Z * Z / (2 * n)
    return float((middle - Z * (p * (1 - p) / n + Z * Z / (4 * n * n)) ** 0.5) / (1 + Z * Z / n))


def _unassigned(facts: JobFacts) -> Iterator[Point]:
    items = tuple(
        Item(
            place,
            f"{_part(one.n_unassigned, one)}{_beside(usual)}",
        )
        for place, one, usual in _outstanding(facts, lambda one: one.n_unassigned)
    )
    if items:
        yield Point(
            "warn",
            "unassigned",
            f"{number(len(items), 'sample')} with many unassigned cells",
            "These cells are unlike all that the model learned: other types, other tissue, or damaged cells.",
            items,
        )


def _unsure(facts: JobFacts) -> Iterator[Point]:
    items = tuple(
        Item(
            place,
            f"{_part(one.n_unsure, one)} with a confidence below 0.5{_beside(usual)}",
        )
        for place, one, usual in _outstanding(facts, lambda one: one.n_unsure)
    )
    if items:
        yield Point(
            "warn",
            "low confidence",
            f"{number(len(items), 'sample')} with low confidence",
            "Their calls are often wrong: look at the second-best type and at the coarse calls.",
            items,
        )


def _part(cells: int, one: SampleFacts) -> str:
    return f"{cells:,} of {number(one.cells, 'cell')} ({share(cells, one.cells)})"


def _beside(usual: float | None) -> str:
    return "" if usual is None else f"; median of the other samples {share(usual, 1)}"


def _drifted(facts: JobFacts) -> Iterator[Point]:
    for start, grade, words in (("Far", "warn", "far from the training data"), ("Moved", "note", "moved")):
        items = tuple(
            Item(place, f"{number(one.cells, 'cell')}; {shortened(one.drift)}")
            for place, one in _numbered(facts)
            if one.drift is not None and one.drift.startswith(start)
        )
        if items:
            yield Point(
                grade,  # type: ignore[arg-type]
                "drift",
                f"{number(len(items), 'sample')} {words}",
                "Their cells differ from those that the model was tested on: its error rates may not hold.",
                items,
            )


def shortened(verdict: str, most: int = 3) -> str:
    """The gravest of what a verdict on drift names; the whole stands in the table of samples."""
    opening, _, faults = verdict.partition(": ")
    parts = faults.partition(". ")[0].removesuffix(".").split(", ")
    more = f" and {len(parts) - most} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more if faults else opening


def _thin(facts: JobFacts) -> Iterator[Point]:
    thin: list[tuple[int, SampleFacts, list[str]]] = []
    for place, one in _numbered(facts):
        types = [note.found.removeprefix("less for ") for note in one.notes if note.code == THIN_TYPES]
        if types or (one.attribution_share is not None and one.attribution_share < THIN):
            thin.append((place, one, types))
    items = tuple(
        Item(
            place,
            f"{one.genes_missing or 0:,} of {(one.genes_matched or 0) + (one.genes_missing or 0):,} genes missing"
            + ("" if one.attribution_share is None else f", {share(one.attribution_share, 1)} of the evidence is there")
            + "".join(f", little of it for {text}" for text in types)
            + f"; {number(one.cells, 'cell')}",
        )
        for place, one, types in sorted(thin, key=lambda item: item[1].attribution_share or 0)
    )
    if items:
        yield Point(
            "warn",
            "thin genes",
            f"{number(len(items), 'sample')} without some of the model's genes",
            "Missing genes count as average. The model's report shows how much accuracy that costs.",
            items,
        )


def _unlike(facts: JobFacts) -> Iterator[Point]:
    items = tuple(
        Item(place, f"{number(one.cells, 'cell')}; {one.quality.replace('cells.', '').replace('_', ' ')}")
        for place, one in _numbered(facts)
        if one.quality is not None and one.quality.startswith("unlike training")
    )
    if items:
        yield Point(
            "note",
            "quality",
            f"{number(len(items), 'sample')} with a quality unlike the training data",
            "Look at depth and mitochondrial share before you compare these samples with others.",
            items,
        )


def _warned(facts: JobFacts) -> Iterator[Point]:
    codes: dict[str, list[tuple[int, SampleFacts]]] = defaultdict(list)
    for place, one in _numbered(facts):
        for code in dict.fromkeys(
            note.code for note in one.notes if note.severity == "warning" and note.code != THIN_TYPES
        ):
            codes[code].append((place, one))
    items = tuple(
        Item(
            found[0][0] if len(found) == 1 else None,
            code
            + ("; " if len(found) == 1 else f" in {number(len(found), 'sample')} of ")
            + number(sum(one.cells for _, one in found), "cell"),
        )
        for code, found in sorted(codes.items(), key=lambda item: -len(item[1]))
    )
    if items:
        title = f"{number(len(items), 'warning')} by the checks of the input"
        yield Point("note", "warning", title, "The table of findings says what each means.", items)


def _twins(facts: JobFacts) -> Iterator[Point]:
    alike: dict[str, list[tuple[int, SampleFacts]]] = defaultdict(list)
    for place, one in _numbered(facts):
        if one.input_digest is not None:
            alike[one.input_digest].append((place, one))
    items = tuple(
        Item(found[0][0], f"the same {number(found[0][1].cells, 'cell')} as {_names([one for _, one in found[1:]])}")
        for found in alike.values()
        if len(found) > 1
    )
    if items:
        yield Point(
            "warn",
            "same input",
            f"{number(len(items), 'input')} given more than once",
            "Files of the same content: check the paths in the sheet of samples.",
            items,
        )


def _slow(facts: JobFacts) -> Iterator[Point]:
    found = slow_shards(facts)
    items = tuple(
        Item(place, f"shard {shard}: {number(n_cells, 'cell')} in {seconds:,.0f} s, {ratio:.0f} times the median")
        for place, shard, n_cells, seconds, ratio in found
    )
    if items:
        title = f"{number(len(items), 'slow shard')}"
        yield Point("note", "slow", title, "A slow disk or a busy machine: the table of timings names the host.", items)


def _small(facts: JobFacts) -> Iterator[Point]:
    items = tuple(
        Item(place, number(one.cells, "cell"))
        for place, one in _numbered(facts, judged=False)
        if one.cells < LEAST_CELLS
    )
    if items:
        title = f"{number(len(items), 'sample')} of fewer than {LEAST_CELLS} cells"
        yield Point("note", "few cells", title, "They have calls, and are not compared with the others.", items)


def _names(samples: Sequence[SampleFacts], most: int = 4) -> str:
    names = ", ".join(one.name for one in samples[:most])
    return names if len(samples) <= most else f"{names} and {len(samples) - most} more"
