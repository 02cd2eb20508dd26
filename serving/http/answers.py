"""What each route answers: cells in, JSON bytes out. Rows are encoded in blocks, so that memory holds little twice."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from cellmark.schemas.api.request_cells import RequestCells
from cellmark.schemas.cells.cell_source import RowChunk
from cellmark.schemas.cells.reading_options import NOT_KNOWN
from cellmark.schemas.checks.checked_cells import ROWS_TO_REFUSE, CheckedCells, PreparedChunk
from cellmark.schemas.checks.counts_of_genes import counts_of_genes
from cellmark.schemas.checks.likely_columns import possible_totals
from cellmark.schemas.columns import UNASSIGNED
from cellmark.schemas.errors import Finding, InputError
from cellmark.schemas.genes.fit_genes import fit_genes

from ..annotator import Annotator
from ..context import Outcome, current, stage
from ..files.validate import ValidationReport, validate_cells
from ..scoring.as_source import orthologs_of
from ..scoring.attribute import EXPLAIN_VALUES, Question, attribute_cells
from ..scoring.call_options import NO_FLOORS, PLAIN_CALLS, CallOptions, Floors
from ..scoring.call_rules import CallRules
from ..scoring.calls_frame import final_calls
from ..scoring.cell_map import CellMap
from ..scoring.judge_as_sample import judge_samples
from ..scoring.markers import select_markers
from ..scoring.score import Calls, in_order, score
from ..versions.shadow import Offer, offer_to_nobody
from .problems import without_path
from .receipts import make_receipt
from .rows import ExplanationRow, call_rows, encoded, explanation_rows, with_rows

DEBUG = "CELLMARK_DEBUG"


def checked(model: type[BaseModel], answer: bytes) -> bytes:
    """The same JSON. Where the environment sets `CELLMARK_DEBUG`, raises pydantic's `ValidationError` for an answer
    that is not as `/openapi.json` says, which the service answers with `INTERNAL_ERROR`.
    """
    if os.environ.get(DEBUG, ""):
        model.model_validate_json(answer, strict=True)
    return answer


MOST_MISSING = 50
"""Names of genes that were not measured which an answer gives; their number is always given."""


def annotate(
    annotator: Annotator,
    cells: RequestCells,
    options: CallOptions = PLAIN_CALLS,
    *,
    floors: Floors = NO_FLOORS,
    shadow: Offer = offer_to_nobody,
    beside: CellMap | None = None,
) -> bytes:
    """The answer of `POST /annotate`. Raises `InputError` with all problems of the input, and `ParameterError` for an
    error rate that the model was not calibrated for. `floors`: the request's. `shadow`: gets the calls as well.
    `beside`: what else is to be said of the cells, before the calls.
    """
    started = time.perf_counter()
    rules = annotator.rules(options.label_set_error)
    with stage("check"):
        checked = check(annotator, cells, floors)
    calls = score(
        checked,
        annotator.session,
        rules=rules,
        keep_probabilities=options.probabilities,
        observe=None if beside is None else beside.observe,
        observe_outputs=None if beside is None else beside.observe_outputs,
    )
    shadow(annotator, cells, calls, time.perf_counter() - started)
    with stage("encode"):
        rules, sample = judged(annotator, rules, calls, options)
        called, _ = final_calls(calls, rules, len(annotator.cell_types))
        note_outcome(annotator, checked, calls, called, sample.notes)
        facts = {
            **input_facts(annotator, checked, cells, sample.notes),
            "novelty_threshold": rules.novelty_threshold,
            "label_set_error": rules.error_rate,
            "sample_shift": sample.facts,
            "receipt": make_receipt(
                annotator, np.where(called < len(annotator.cell_types), called, -1), sample_shift=sample.state
            ),
        }
        members = {} if beside is None else beside.members(checked)
        return with_rows(facts, "cells", call_rows(calls, checked.cell_ids, annotator.cell_types, rules), members)


@dataclass(frozen=True)
class AsSample:
    """What an answer says of its cells as one sample; nothing where each was judged by itself."""

    facts: dict[str, Any] | None = None
    state: str | None = None
    notes: Sequence[Finding] = ()


def judged(annotator: Annotator, rules: CallRules, calls: Calls, options: CallOptions) -> tuple[CallRules, AsSample]:
    """The rules by which the cells of a request are called: with thresholds of the whole sample, where that is asked
    for and the model knows it.
    """
    found = judge_samples(rules, calls, options, None)
    if found is None:
        return rules, AsSample()
    return found.rules, AsSample(found.facts(annotator.cell_types), found.state, found.notes(annotator.cell_types))


def attribute(annotator: Annotator, cells: RequestCells, question: Question, *, floors: Floors = NO_FLOORS) -> bytes:
    """The answer of `POST /attribute`. Raises as `annotate`, and `ModelError` or `ParameterError` for the question."""
    question.check(annotator.session)
    with stage("check"):
        checked = check(annotator, cells, floors)
    code = {name: number for number, name in enumerate(annotator.cell_types)}
    blocks: list[bytes] = []
    called: list[int] = []
    for rows in _explanations(annotator, checked, question):
        blocks.append(encoded(rows))
        called += [code[row.cell_type] for row in rows]
    note_outcome(annotator, checked)
    receipt = make_receipt(annotator, np.array(called, dtype=np.int64))
    return with_rows({**input_facts(annotator, checked, cells), "receipt": receipt}, "cells", blocks)


def validate(
    annotator: Annotator, cells: RequestCells, *, folder: str = "", floors: Floors = NO_FLOORS
) -> dict[str, Any]:
    """The answer of `POST /validate`. The first one imports Great Expectations, which takes seconds.

    `folder`: where an upload lies, to be taken out of the findings.
    """
    source = cells.source
    report = validate_cells(
        annotator.bundle,
        source,
        cells.reading,
        floors=floors.or_else(annotator.floors),
    )
    findings = (*cells.findings, *without_path(report.findings, folder))
    quality = None if cells.findings else report.quality
    report = ValidationReport(source.n_obs, report.n_genes, findings, quality=quality)
    normalised = any(finding.code == "COUNTS_NORMALISED" for finding in report.findings)
    genes = counts_of_genes(source, rule=annotator.bundle.manifest.feature_rule)
    fitted = fit_genes(annotator.bundle.panel, genes, orthologs=orthologs_of(cells.reading))
    match, evidence = fitted.match, annotator.bundle.panel.evidence
    return {
        **model_name(annotator),
        **_without_profile(report),
        "library_size_source": NOT_KNOWN if normalised else "summed" if cells.library_size is None else "given",
        "genes_source": cells.genes_source,
        "genes_matched": match.n_matched,
        "genes_missing": len(match.missing),
        "missing_genes": list(match.missing[:MOST_MISSING]),
        "attribution_share": evidence.mass(match.measured) if evidence is not None else None,
        "library_size_columns": possible_totals(source.obs),
    }


def unreadable(annotator: Annotator, error: InputError) -> dict[str, Any]:
    """The answer of `POST /validate` for an input that cannot be read as cells."""
    unknown = (
        "library_size_source",
        "genes_source",
        "genes_matched",
        "genes_missing",
        "missing_genes",
        "attribution_share",
        "library_size_columns",
    )
    report = ValidationReport(None, None, error.findings)
    return {**model_name(annotator), **_without_profile(report), **dict.fromkeys(unknown)}


def _without_profile(report: ValidationReport) -> dict[str, Any]:
    """The service checks cells to annotate and nothing else."""
    return {name: value for name, value in report.to_dict().items() if name != "profile"}


def describe_model(annotator: Annotator, *, genes: bool) -> dict[str, Any]:
    """The answer of `GET /model`."""
    manifest = annotator.bundle.manifest
    told = {"manifest_digest", "format_version", "created", "organism", "cell_types", "n_genes_measured", "panel"}
    told |= {"normalization", "levels", "baseline_kind", "temperature", "training_data", "split", "metrics", "parity"}
    told |= {"imported"}
    answer = {
        **model_name(annotator),
        **manifest.model_dump(include=told),
        "cellmark_version": version("cellmark"),
        "device": annotator.session.device,
        "coarse_cell_types": list(annotator.rules().coarse_names),
        "whole_samples": annotator.rules().sample_shift is not None,
    }
    return {**answer, "genes": list(annotator.bundle.panel.symbols)} if genes else answer


def markers(annotator: Annotator, cell_type: str | None, top: int | None) -> pd.DataFrame:
    """The rows of `GET /markers`. Raises `ModelError` for a cell type that the model does not have."""
    return select_markers(annotator.bundle, cell_type, top=top)


def markers_json(annotator: Annotator, table: pd.DataFrame) -> dict[str, Any]:
    """The answer of `GET /markers` as JSON."""
    plain = table.astype(object).where(table.notna(), None)
    return {**model_name(annotator), "markers": plain.to_dict(orient="records")}


def check(annotator: Annotator, cells: RequestCells, floors: Floors = NO_FLOORS) -> CheckedCells:
    """The input, aligned. Raises `InputError` with what was wrong in the request, its cells and their values."""
    findings = list(cells.findings)
    try:
        checked = annotator.check(cells.source, cells.reading, floors=floors)
        if findings:
            for _ in checked.chunks(ROWS_TO_REFUSE):
                pass
    except InputError as error:
        findings += error.findings
    if findings:
        raise InputError(*findings)
    return checked


def model_name(annotator: Annotator) -> dict[str, Any]:
    """What every answer says of the model."""
    source = annotator.source
    return {"model": source.name, "model_version": source.version, "bundle_digest": annotator.bundle.digest}


def input_facts(
    annotator: Annotator, checked: CheckedCells, cells: RequestCells, notes: Sequence[Finding] = ()
) -> dict[str, Any]:
    """What every answer on cells says of the model and of how the input fitted it. `notes`: beside those on it."""
    facts = annotator.facts(checked).to_dict()
    facts["notes"] += [note.to_dict() for note in notes]
    return {**facts, "missing_genes": facts["missing_genes"][:MOST_MISSING], "genes_source": cells.genes_source}


def note_outcome(
    annotator: Annotator,
    checked: CheckedCells,
    calls: Calls | None = None,
    called: np.ndarray | None = None,
    notes: Sequence[Finding] = (),
) -> None:
    """Leave what was answered with the request, for metrics, logs and receipts. `called`: as `final_calls` says."""
    context = current()
    if context is None:
        return
    types: dict[str, int] = {}
    if called is not None:
        names = [*annotator.cell_types, UNASSIGNED]
        numbers = np.bincount(called, minlength=len(names)).tolist()
        types = {name: number for name, number in zip(names, numbers, strict=True) if number}
    context.outcome = Outcome(
        checked.source.n_obs,
        types,
        None if calls is None else calls.confidence,
        None if calls is None else calls.novelty,
        checked.match.share,
        tuple(note.code for note in (*checked.notes, *notes)),
    )


def _explanations(annotator: Annotator, checked: CheckedCells, question: Question) -> Iterator[list[ExplanationRow]]:
    """Explanations chunk by chunk; raises `InputError` at the end when any chunk had a problem."""
    baselines = annotator.baselines

    def work(chunk: RowChunk) -> tuple[PreparedChunk, list[ExplanationRow]]:
        prepared = checked.prepare(chunk)
        if prepared.cells is None:
            return prepared, []
        ids = checked.cell_ids[chunk.start : chunk.start + chunk.X.shape[0]]
        explained = attribute_cells(annotator.session, prepared.cells, question)
        return prepared, explanation_rows(
            annotator.session, explained, ids, baselines, top=question.top, normalised=checked.normalised
        )

    n_rows = max(16, EXPLAIN_VALUES // max(len(annotator.bundle.panel), 1))
    workers = 1 if checked.source.n_obs <= n_rows else None
    for prepared, rows in in_order(work, checked.source.chunks(n_rows), workers=workers):
        checked.record(prepared)
        yield rows
    checked.finish()
