"""The steps of a job. Each may run more than once, and leaves the same bytes each time."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.audit.receipt import calls_digest, options_digest
from cellmark.schemas.calls.sample_shift import SampleShift
from cellmark.schemas.cells.cell_source import RowChunk
from cellmark.schemas.checks.checked_cells import CheckedCells, PreparedChunk
from cellmark.schemas.columns import CELL_TYPE, UNS_KEY
from cellmark.schemas.errors import CellmarkError

from ..annotator import Annotator
from ..http.answers import check
from ..http.open_body import open_body
from ..http.options import AnnotateOptions, parse_options
from ..http.receive import Body
from ..http.settings import ServiceSettings
from ..scoring.calls_frame import calls_frame, mark_cross_species
from ..scoring.judge_as_sample import shift_facts, shift_notes
from ..scoring.score import rows_per_chunk, score
from .job_store import Job, JobRecord
from .whole_sample import rules_of_shard, settled

Facts = dict[str, Any]


def plan_job(job: Job, annotator: Annotator, settings: ServiceSettings, *, shard_cells: int) -> Facts:
    """Check the whole input, then divide it: `n_cells`, `shards` as pairs of row numbers, and `notes`. An input that is
    refused gives `findings` in their place. Both are kept in the job's folder.
    """
    try:
        with _opened(job, annotator, settings) as (checked, _):
            for chunk in checked.source.chunks(rows_per_chunk(len(annotator.bundle.panel))):
                checked.record(checked.prepare(chunk))
            checked.finish()
            n_cells = checked.source.n_obs
            notes = [note.to_dict() for note in checked.notes]
    except CellmarkError as error:
        if error.status >= 500:
            raise  # nothing is wrong with the input: the step is tried again
        refused: Facts = {"findings": [finding.to_dict() for finding in error.findings]}
        job.write("refused", refused)
        job.drop_cells()
        return refused
    starts = range(0, n_cells, shard_cells)
    plan: Facts = {
        "n_cells": n_cells,
        "shards": [[at, min(at + shard_cells, n_cells)] for at in starts],
        "notes": notes,
    }
    job.write("plan", plan)
    return plan


def score_shard(job: Job, annotator: Annotator, settings: ServiceSettings, number: int, start: int, stop: int) -> Facts:
    """Calls of the cells from `start` up to `stop`, as a Parquet file that appears whole."""
    with _opened(job, annotator, settings) as (checked, options):
        rules = rules_of_shard(annotator.rules(options.label_set_error), options.calls, stop - start)
        shard = _Shard(checked, start, stop)
        calls = score(shard, annotator.session, rules=rules, keep_probabilities=options.probabilities)  # type: ignore[arg-type]
        frame = calls_frame(calls, checked.cell_ids[start:stop], annotator.cell_types, rules)
        mark_cross_species(frame, checked.genes.across)
    if not job.is_cancelled:
        with whole_file(job.shard(number), force=True) as draft:
            pq.write_table(_table(frame), draft)
    return {"start": start, "stop": stop}


def finish_job(job: Job, annotator: Annotator, plan: Facts) -> Facts:
    """Join the shards into `result.parquet` and say in `manifest.json` what they are; then the cells are removed."""
    found = job.read("manifest")
    if found is None:
        record = job.record
        shards = [pq.read_table(job.shard(number)) for number in range(len(plan["shards"]))]
        facts = {"job": record.id, **_model(record), "input_digest": record.input_digest, "n_cells": plan["n_cells"]}
        options = parse_options(AnnotateOptions, record.options.items())
        rules = annotator.rules(options.label_set_error)
        table, shift = settled(pa.concat_tables(shards), rules, options.calls, annotator.cell_types)
        notes = plan["notes"]
        if shift is not None:
            facts["sample_shift"] = shift_facts(shift, annotator.cell_types)
            notes = [*notes, *(note.to_dict() for note in shift_notes({None: shift}, annotator.cell_types))]
        table = table.replace_schema_metadata({UNS_KEY: json.dumps(facts, sort_keys=True)})
        with whole_file(job.result, force=True) as draft:
            pq.write_table(table, draft)
        found = {**facts, "notes": notes, "receipt": _receipt(record, annotator, table, shift)}
        found["result"] = {"sha256": _digest(job.result), "bytes": job.result.stat().st_size}
        job.write("manifest", found)
    job.drop_cells()
    return {"n_cells": found["n_cells"], "result": found["result"]}


@contextmanager
def _opened(
    job: Job, annotator: Annotator, settings: ServiceSettings
) -> Iterator[tuple[CheckedCells, AnnotateOptions]]:
    record, path = job.record, job.input
    options = parse_options(AnnotateOptions, record.options.items())
    is_json = path.suffix == ".json"
    body = Body(json=path.read_bytes()) if is_json else Body(path=path, name=record.name)
    with open_body(body, options, settings) as cells:
        yield check(annotator, cells, options.floors), options


class _Shard:
    """Some rows of checked cells, as `score` takes them: chunks count from the first of these rows."""

    def __init__(self, checked: CheckedCells, start: int, stop: int) -> None:
        self._checked, self._start, self._stop = checked, start, stop
        self.match = checked.match
        self.source = self
        self.n_obs = stop - start

    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        for at in range(self._start, self._stop, n_rows):
            rows = np.arange(at, min(at + n_rows, self._stop))
            yield RowChunk(at - self._start, self._checked.source.take(rows))

    def prepare(self, chunk: RowChunk) -> PreparedChunk:
        return self._checked.prepare(RowChunk(self._start + chunk.start, chunk.X))

    def record(self, prepared: PreparedChunk) -> None:
        if prepared.cells is None:
            # The whole input has passed the checks of the first step.
            raise RuntimeError("the input has changed")

    def finish(self) -> None:
        return


def _table(frame: pd.DataFrame) -> pa.Table:
    """Types that no shard's own values change: names as text, numbers as they are."""
    flat = frame.reset_index()
    columns = {}
    for name in flat.columns:
        values = flat[name]
        text = isinstance(values.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(values.dtype)
        columns[name] = pa.array(values.astype(object), pa.string(), from_pandas=True) if text else pa.array(values)
    return pa.table(columns)


def _receipt(record: JobRecord, annotator: Annotator, table: pa.Table, shift: SampleShift | None) -> Facts:
    called = pd.Index(annotator.cell_types).get_indexer(pd.Index(table.column(CELL_TYPE).to_pylist()))
    return {
        "id": record.id,
        "route": "/annotate",
        **_model(record),
        "input_digest": record.input_digest,
        "options": record.options,
        "options_digest": options_digest(record.options),
        "calls_digest": calls_digest(called),
        "service_version": version("cellmark"),
        "time": record.created,
        **({} if shift is None else {"sample_shift": shift.state}),
    }


def _model(record: JobRecord) -> Facts:
    return {"model": record.model, "model_version": record.model_version, "bundle_digest": record.bundle_digest}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
