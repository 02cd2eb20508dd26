"""What a workflow engine takes beside the calls: names of columns, a list of them, versions of what made them."""

import csv
import io
import json
import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from cellmark.schemas.atomic_output import refuse_existing, whole_file
from cellmark.schemas.columns import UNS_KEY

from .column_names import aggregatable, check_prefix, column_name
from .pipeline_options import PipelineOptions
from .write_calls import TABLES, written_columns

LIBRARIES = ("cellmark", "onnxruntime", "onnxruntime-gpu")


def check_pipeline(asked: PipelineOptions, *, force: bool) -> None:
    """Raise `ParameterError` and `OutputError` before any work."""
    if asked.columns_prefix is not None:
        check_prefix(asked.columns_prefix)
    for path in (asked.annotation_columns, asked.versions):
        if path is not None:
            refuse_existing(path, force=force)


def write_pipeline(asked: PipelineOptions, frame: pd.DataFrame, out: Path, *, local: bool, force: bool) -> None:
    """Write the files that are asked for, of calls that were written to `out`. `local`: whether this machine made
    them, or a service.
    """
    facts = frame.attrs[UNS_KEY]
    columns = list(map(str, frame.columns)) if out.suffix in TABLES else written_columns(frame)
    for path, text in (
        (asked.annotation_columns, columns_text(columns, facts.get("columns_prefix"))),
        (asked.versions, versions_text(facts, key=asked.versions_key, local=local)),
    ):
        if path is not None:
            with whole_file(path, force=force) as draft:
                draft.write_text(text, encoding="utf-8", newline="\n")


def columns_text(columns: Iterable[str], prefix: str | None) -> str:
    """The columns that calls have on disk, and which of them may be counted over the cells of a cluster, as CSV."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("obs_column", "aggregatable"))
    for column in columns:
        rows.writerow((column_name(column, prefix), str(aggregatable(column)).lower()))
    return out.getvalue()


def versions_text(facts: dict[str, Any], *, key: str, local: bool) -> str:
    """Versions as YAML. Values are quoted: of some digests YAML would make numbers. `facts`: beside the calls."""
    lines = [f"    {name}: {json.dumps(value)}" for name, value in _versions(facts, local=local)]
    return "\n".join((f"{json.dumps(key)}:", *lines, ""))


def _versions(facts: dict[str, Any], *, local: bool) -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    for library in LIBRARIES if local else LIBRARIES[:1]:
        try:
            yield library, version(library)
        except PackageNotFoundError:
            continue
    yield "model", facts["model"]
    if facts["model_version"] is not None:
        yield "model_version", str(facts["model_version"])
    yield "model_digest", facts["bundle_digest"]
