"""`report.html` of a job: what to look at first, every sample, times, receipts. One page that loads nothing."""

import shlex
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup

from cellmark.schemas.columns import UNASSIGNED
from cellmark.schemas.errors import Finding
from cellmark.schemas.report.render import render_page

from ..outputs.type_colors import UNASSIGNED_COLOR, type_colors
from .job_charts import composition_bar, density, most_common
from .job_facts import JobFacts, SampleFacts
from .look_first import look_first
from .report_words import number, share
from .slow_shards import LEAST_CELLS, slow_shards

MOST_ITEMS = 6
"""Items of a point that are shown before a click shows the others."""
MOST_SHARDS = 20


def render_job(facts: JobFacts) -> str:
    """The page. Everything that a job, a sheet or an input says in it is escaped."""
    return render_page(
        "job.html", make_view(facts), styles=("report.css", "figure.css", "job.css"), scripts=("job.js", "tip.js")
    )


def make_view(facts: JobFacts) -> dict[str, Any]:
    """Names of the template and what they stand for."""
    order = type_order(facts)
    points = look_first(facts)
    flags: dict[int, list[str]] = defaultdict(list)
    for point in points:
        for item in point.items:
            if item.sample is not None and point.flag not in flags[item.sample]:
                flags[item.sample].append(point.flag)
    return {
        "facts": facts,
        "lede": lede(facts),
        "tiles": tiles(facts),
        "points": [
            {"point": point, "shown": point.items[:MOST_ITEMS], "more": point.items[MOST_ITEMS:]} for point in points
        ],
        "judged": sum(one.cells >= LEAST_CELLS for one in facts.good),
        "rows": [_row(one, place, order, flags[place]) for place, one in enumerate(facts.samples)],
        "types": _types(facts, order),
        "type_style": _type_style(facts, order),
        "has_drift": any(one.drift is not None for one in facts.samples),
        "metadata": list(dict.fromkeys(name for one in facts.samples for name in one.metadata)),
        "findings": _findings(facts),
        "times": _times(facts),
        "receipts": _receipts(facts),
        "number": number,
        "share": share,
    }


def type_order(facts: JobFacts) -> dict[str, int]:
    """Place of each type that some cell has, in the model's order, unassigned last."""
    called = {name for one in facts.good for name, cells in one.types.items() if cells}
    known = [*facts.cell_types, *sorted(called - {*facts.cell_types, UNASSIGNED}), UNASSIGNED]
    return {name: place for place, name in enumerate(name for name in known if name in called)}


def _type_style(facts: JobFacts, order: dict[str, int]) -> Markup:
    """The colours that the types have in every `.h5ad` of the same model."""
    colors = type_colors(facts.cell_types)
    css = "".join(f".t{place}{{fill:{colors.get(name, UNASSIGNED_COLOR)}}}" for name, place in order.items())
    return Markup(css)  # noqa: S704  # numbers and colours alone


def lede(facts: JobFacts) -> str:
    """The job in one sentence."""
    version = f" version {facts.model_version}" if facts.model_version else ""
    n_cells = sum(one.cells for one in facts.good)
    return (
        f"{number(n_cells, 'cell')} of {number(len(facts.good), 'sample')} were called by {facts.model}{version}, "
        f"which knows {number(len(facts.cell_types), 'cell type')}."
    )


def tiles(facts: JobFacts) -> list[dict[str, str]]:
    """Title, value and one line of each headline."""
    n_cells = sum(one.cells for one in facts.good)
    n_unassigned = sum(one.n_unassigned for one in facts.good)
    n_unsure = sum(one.n_unsure for one in facts.good)
    counted = Counter(one.status for one in facts.samples)
    others = ", ".join(f"{n} {status}" for status, n in counted.items() if status != "ok")
    found = [
        ("Samples with calls", f"{len(facts.good):,} of {len(facts.samples):,}", others or "none was refused"),
        ("Cells", f"{n_cells:,}", _sizes(facts.good)),
        (
            "Unassigned",
            share(n_unassigned, n_cells),
            f"{number(n_unassigned, 'cell')} unlike all that the model learned",
        ),
        ("Low confidence", share(n_unsure, n_cells), f"{number(n_unsure, 'cell')} with a confidence below 0.5"),
    ]
    if (busy := _busy(facts)) > 0:
        scored = sum(shard.n_cells for one in facts.samples for shard in one.shards if shard.state == "scored")
        found.append(("Time", duration(busy), f"{number(round(scored / busy), 'cell')} per second; pauses left out"))
    if n_cells < LEAST_CELLS:
        found = [one for one in found if one[0] not in ("Unassigned", "Low confidence")]
    return [{"title": title, "value": value, "detail": detail} for title, value, detail in found]


def _sizes(samples: Sequence[SampleFacts]) -> str:
    sizes = sorted(one.cells for one in samples)
    if len(sizes) < 2:
        return "in one sample" if sizes else "no sample has calls"
    if sizes[0] == sizes[-1]:
        return f"{sizes[0]:,} in each sample"
    return f"{sizes[0]:,} to {sizes[-1]:,} in a sample, median {statistics.median(sizes):,.0f}"


def duration(seconds: float) -> str:
    """`12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def _row(one: SampleFacts, place: int, order: dict[str, int], flags: list[str]) -> dict[str, Any]:
    largest = most_common(one.types, 3)
    return {
        "id": f"sample-{place + 1}",
        "sample": one,
        "flags": [flag for flag in flags if flag != one.status],
        "bar": composition_bar(one.types, order, name=one.name) if one.cells else None,
        "largest": [f"{name} {share(cells, one.cells)}" for name, cells in largest],
        "density": density(one.histogram, name=one.name) if one.cells and any(one.histogram) else None,
        "counts": " ".join(str(one.types.get(name, 0)) for name in order) if one.cells else "",
        "sort_keys": {
            "name": one.name,
            "cells": _key(one.n_cells),
            "unassigned": _key(one.n_unassigned / one.cells if one.cells else None),
            "confidence": _key(one.median_confidence),
            "genes": _key(one.attribution_share),
            "time": _key(one.seconds if one.shards else None),
        },
        "duration": duration(one.seconds),
        "words": " ".join([one.name, one.path, one.donor or "", *one.metadata.values(), one.status, *flags]).lower(),
    }


def _key(value: float | None) -> str:
    """What rows are sorted by; empty where it is not known."""
    return "" if value is None else f"{value:.6g}"


def _types(facts: JobFacts, order: dict[str, int]) -> list[dict[str, Any]]:
    """Cells of each type, and the samples in which its share is smallest and largest, of those of enough cells."""
    total = sum(one.cells for one in facts.good)
    judged = [one for one in facts.good if one.cells >= LEAST_CELLS]
    rows = []
    for name, place in order.items():
        shares = sorted((one.types.get(name, 0) / one.cells, one.name) for one in judged)
        cells = sum(one.types.get(name, 0) for one in facts.good)
        spread = ""
        if len(shares) > 1:
            spread = f"{share(shares[0][0], 1)} to {share(shares[-1][0], 1)} ({shares[-1][1]})"
        n_with = sum(one.types.get(name, 0) > 0 for one in facts.good)
        rows.append(
            {
                "name": name,
                "place": place,
                "cells": cells,
                "share": share(cells, total),
                "n_with": n_with,
                "spread": spread,
            }
        )
    return rows


def _findings(facts: JobFacts) -> list[dict[str, Any]]:
    """Every finding, the same one of several samples once; the gravest first, then the one with most samples."""
    found: dict[tuple[str, str], list[tuple[int, SampleFacts, Finding]]] = defaultdict(list)
    for place, one in enumerate(facts.samples):
        for finding in (*one.findings, *one.notes):
            found[finding.severity, finding.code].append((place, one, finding))
    rank = ("error", "warning", "info")
    ordered = sorted(found.items(), key=lambda item: (rank.index(item[0][0]), -len(item[1]), item[0][1]))
    rows = []
    for (severity, code), several in ordered:
        samples = dict.fromkeys((place, one.name) for place, one, _ in several)
        rows.append(
            {
                "severity": severity,
                "code": code,
                "n_samples": len(samples),
                "n_cells": sum(one.n_cells or 0 for one in {place: one for place, one, _ in several}.values()),
                "example": several[0][2],
                "samples": [{"id": f"sample-{place + 1}", "name": name} for place, name in list(samples)[:40]],
                "more": max(len(samples) - 40, 0),
            }
        )
    return rows


def _busy(facts: JobFacts) -> float:
    """Seconds during which some process was at a shard: what a job took, pauses between runs left out."""
    spans = sorted(
        (datetime.fromisoformat(shard.started).timestamp(), datetime.fromisoformat(shard.finished).timestamp())
        for one in facts.samples
        for shard in one.shards
        if shard.started and shard.finished
    )
    busy, end = 0.0, float("-inf")
    for start, stop in spans:
        busy += max(stop - max(start, end), 0.0)
        end = max(end, stop)
    return busy


def _times(facts: JobFacts) -> dict[str, Any]:
    stages: Counter[str] = Counter()
    at_work: dict[str, dict[str, Any]] = {}
    for one in facts.samples:
        for shard in one.shards:
            stages.update(shard.seconds)
            row = at_work.setdefault(shard.host, {"processes": set(), "shards": 0, "cells": 0, "seconds": 0.0})
            row["processes"].add(shard.process)
            row["shards"] += 1
            row["cells"] += shard.n_cells
            row["seconds"] += shard.total_seconds
    total = sum(stages.values())
    slow = [
        {"id": f"sample-{place + 1}", "name": facts.samples[place].name, "shard": shard, "cells": n_cells,
         "seconds": duration(seconds), "ratio": f"{ratio:.1f}",
         "host": next(one.host for one in facts.samples[place].shards if one.number == shard)}
        for place, shard, n_cells, seconds, ratio in slow_shards(facts)
    ]  # fmt: skip
    lost = [
        {"id": f"sample-{place + 1}", "name": one.name, "shard": shard.number, "cells": shard.n_cells,
         "state": shard.state, "seconds": duration(shard.total_seconds), "host": shard.host}
        for place, one in enumerate(facts.samples) for shard in one.shards if shard.state != "scored"
    ]  # fmt: skip
    return {
        "stages": [(name, duration(seconds), seconds / total if total else 0) for name, seconds in stages.items()],
        "hosts": [
            {**row, "host": host, "processes": len(row["processes"]), "duration": duration(row["seconds"]),
             "rate": row["cells"] / row["seconds"] if row["seconds"] > 0 else None}
            for host, row in sorted(at_work.items())
        ],
        "slow": slow[:MOST_SHARDS],
        "lost": lost[:MOST_SHARDS],
        "n_shards": sum(len(one.shards) for one in facts.samples),
    }  # fmt: skip


def _receipts(facts: JobFacts) -> dict[str, Any]:
    job = shlex.quote(facts.place)
    scored = next((one for one in facts.good if one.shards), None)
    shard = f" --shard {shlex.quote(f'{scored.name}:0')}" if scored is not None else ""
    return {
        "commands": f"cellmark batch verify {job}\ncellmark batch reproduce {job}{shard}",
        "inputs": [(one.name, one.path, one.input_digest) for one in facts.samples if one.input_digest],
    }
