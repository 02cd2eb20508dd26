"""The end of a job: the summary, the receipt. Made of what is recorded alone, by whichever process comes last."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.columns import UNASSIGNED

from ..annotator import Annotator
from ..files.batch_inputs import SUMMARY, sheet_columns
from .job_folder import JobFolder, write_record, written
from .job_records import JobInput, JobManifest, Outcome, plain
from .sample_outputs import output_path
from .score_shard import utc_now

PACKAGES = (
    "cellmark",
    "onnxruntime",
    "onnxruntime-gpu",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "anndata",
    "h5py",
    "zarr",
)
"""Whose versions a receipt names."""
SUMMARY_COLUMNS = (
    "sample",
    "input",
    "output",
    "status",
    "n_cells",
    "most_common_cell_type",
    "composition",
    "median_confidence",
    "n_unassigned",
    "share_unassigned",
    "sample_shift",
    "genes_matched",
    "genes_missing",
    "attribution_share",
    "library_size_source",
    "quality",
    "drift",
    "codes",
    "message",
    "n_shards",
    "seconds",
    "data_docs",
)


def finish_job(job: JobFolder, annotator: Annotator) -> JobManifest:
    """Write `summary.csv` and `manifest.json`; to be called by who has the claim, when every sample has an outcome."""
    shutil.rmtree(job.turned, ignore_errors=True)
    summary = summary_table(job)
    place = summary_path(job)
    with whole_file(place, force=True, drafts=job.folder) as draft:
        summary.to_csv(draft, index=False)
    outcomes = {sample.name: job.outcome(sample.name) for sample in job.spec.inputs}
    found = [outcome for outcome in outcomes.values() if outcome is not None]
    manifest = JobManifest(
        created=utc_now(),
        cellmark=version("cellmark"),
        versions=versions(),
        model=job.spec.model,
        inputs={name: one.input_digest for name, one in outcomes.items() if one is not None and one.input_digest},
        n_cells=sum(one.n_cells for one in found),
        files={path: written(job.folder / path) for path in files_of(job)},
        outputs={name: file for one in found for name, file in one.outputs.items()} | {place.name: written(place)},
    )
    manifest = replace(manifest, digest=manifest_digest(manifest))
    write_record(job.folder / "manifest.json", manifest, force=True)
    return manifest


def manifest_digest(manifest: JobManifest) -> str:
    """SHA-256 of a manifest as canonical JSON, without its own digest."""
    content = plain(replace(manifest, digest=""))
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def summary_path(job: JobFolder) -> Path:
    return (job.outputs or job.folder) / SUMMARY


def files_of(job: JobFolder) -> Iterator[str]:
    """Every file that calls rest on, by its path in the folder, sorted."""
    yield "job.json"
    for part in ("inputs", "model"):
        for path in sorted((job.folder / part).rglob("*")):
            if path.is_file():
                yield path.relative_to(job.folder).as_posix()


def versions() -> dict[str, str]:
    """Versions of what calls depend on."""
    found = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def summary_table(job: JobFolder) -> pd.DataFrame:
    """One row for each sample, in the job's order; what a sheet says of samples stands behind the other columns."""
    rows = summary_rows(job)
    columns = dict.fromkeys((*SUMMARY_COLUMNS, *(name for row in rows for name in row)))
    table = pd.DataFrame(rows, columns=list(columns))
    counts = ("n_cells", "n_unassigned", "genes_matched", "genes_missing", "n_shards")
    return table.astype(dict.fromkeys(counts, "Int64"))


def summary_rows(job: JobFolder) -> list[dict[str, Any]]:
    """Rows of the samples that have come to an end."""
    return [summary_row(job, sample, outcome) for sample in job.spec.inputs if (outcome := job.outcome(sample.name))]


def summary_row(job: JobFolder, sample: JobInput, outcome: Outcome) -> dict[str, Any]:
    """What the summary says of one sample."""
    row: dict[str, Any] = {"sample": sample.name, "input": sample.path, "status": outcome.status}
    row |= {"n_shards": outcome.n_shards, **sheet_columns(sample.donor, sample.metadata, SUMMARY_COLUMNS)}
    if outcome.status != "ok":
        return {
            **row,
            "codes": ";".join(finding.code for finding in outcome.findings),
            "message": " | ".join(map(str, outcome.findings)),
        }
    n_unassigned = outcome.types.get(UNASSIGNED, 0)
    facts, place = outcome.facts, output_path(job, sample)
    return {
        **row,
        "output": str(place or job.input_folder(sample.name)),
        "n_cells": outcome.n_cells,
        "most_common_cell_type": max(outcome.types, key=lambda name: outcome.types[name]),
        "composition": composition(outcome),
        "median_confidence": outcome.median_confidence,
        "n_unassigned": n_unassigned,
        "share_unassigned": round(n_unassigned / max(outcome.n_cells, 1), 4),
        "sample_shift": shift_in_words(outcome),
        **{key: facts[key] for key in ("genes_matched", "genes_missing", "attribution_share", "library_size_source")},
        "quality": outcome.quality,
        "drift": outcome.drift,
        "codes": ";".join(note["code"] for note in facts["notes"]),
        "seconds": outcome.seconds,
        "data_docs": None if outcome.data_docs is None else str(Path(outcome.data_docs) / "index.html"),
    }


def shift_in_words(outcome: Outcome) -> str | None:
    """Such as `shifted by 0.50` for an input that is one sample, or `beyond, NK foreign` where most cells called NK are
    unlike it. Where it holds several, each is named, with the share of its cells that stay unassigned:
    `a 2.5 % unassigned, shifted by 0.50; b 3.0 % unassigned, few`. None where each cell is judged by itself.
    """
    shift = outcome.facts.get("sample_shift")
    if shift is None:
        return None
    if "samples" not in shift:
        return _state_in_words(shift)
    shares = {name: n / max(n_cells, 1) for name, (n_cells, n) in outcome.samples.items()}
    return "; ".join(
        f"{name} {100 * shares[name]:.1f} % unassigned, {_state_in_words(one)}"
        for name, one in shift["samples"].items()
    )


def _state_in_words(shift: dict[str, Any]) -> str:
    known = f"shifted by {shift['shift']:.2f}" if shift["state"] == "shifted" else shift["state"].replace("_", " ")
    foreign = shift.get("foreign_types", [])
    return str(known) + (f", {', '.join(foreign)} foreign" if foreign else "")


def composition(outcome: Outcome) -> str:
    """Shares of the types that cells are called, the largest first: `B 45.0 %; NK 20.1 %`."""
    shares = sorted(outcome.types.items(), key=lambda item: -item[1])
    return "; ".join(f"{name} {number / outcome.n_cells:.1%}".replace("%", " %") for name, number in shares)
