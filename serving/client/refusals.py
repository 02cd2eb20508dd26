"""Answers that are refusals, as the errors that a model at hand would raise."""

import json
from collections.abc import Mapping
from typing import Any

from cellmark.schemas.api.strict_json import printable
from cellmark.schemas.error_codes import CODES
from cellmark.schemas.errors import (
    BundleError,
    CellmarkError,
    CountsError,
    Finding,
    GeneOverlapError,
    InputError,
    LibrarySizeError,
    ModelError,
    ParameterError,
    ReadError,
    RegistryError,
    RequestError,
    SetupError,
)

PROBLEM_JSON = "application/problem+json"
READING = ("INPUT_TOO_LARGE", "NOT_ANNDATA", "LAYER_UNKNOWN", "MATRIX_INVALID")
GENES = ("NO_GENES_SHARED", "TOO_FEW_GENES", "GENES_INSUFFICIENT", "ORGANISM_MISMATCH")
MODELS = ("MODEL_UNKNOWN", "CELL_TYPE_UNKNOWN", "NOVELTY_MISSING", "REPORT_MISSING", "GOLDEN_CELLS_MISMATCH")
MACHINE = ("DEVICE_UNAVAILABLE", "RUNTIME_MISSING", "RUNTIME_CONFLICT", "EXTRA_MISSING")
OF_CELLS = ("NO_CELLS", "NO_GENES", "CELL_", "MATRIX_", "FEATURES_", "FEATURE_", "GENE_", "GENES_")
LONGEST_TEXT = 2000


def kind_of(code: str) -> type[CellmarkError]:
    """The class of errors that a code belongs to."""
    if code in GENES:
        return GeneOverlapError
    if code in READING or code.startswith(("FILE_", "TABLE_")):
        return ReadError
    if code in MODELS:
        return ModelError
    if code in MACHINE:
        return SetupError
    if code.startswith(OF_CELLS):
        return InputError
    prefixes: tuple[tuple[str, type[CellmarkError]], ...] = (
        ("COUNTS_", CountsError),
        ("LIBRARY_SIZE_", LibrarySizeError),
        ("BUNDLE_", BundleError),
        ("REGISTRY_", RegistryError),
        ("ALIAS_", RegistryError),
        ("PARAMETER_", ParameterError),
    )
    return next((kind for prefix, kind in prefixes if code.startswith(prefix)), RequestError)


def refusal(status: int, media_type: str, body: bytes, url: str) -> CellmarkError:
    """The error of an answer with `status` 400 or above. What is no problem of cellmark's was written by something in
    between, and is a `SERVICE_UNREACHABLE`.
    """
    try:
        told = json.loads(body) if media_type.split(";")[0].strip().lower() == PROBLEM_JSON else None
        findings = tuple(finding_of(one, status) for one in told["findings"]) if isinstance(told, dict) else ()
    except (ValueError, KeyError, TypeError):
        findings = ()
    if findings:
        return kind_of(findings[0].code)(*findings)
    start = printable(body[:200].decode("utf-8", "replace"), longest=200)
    return unreachable(url, f"status {status} and {media_type or 'no media type'}: {start}")


def finding_of(told: Mapping[str, Any], status: int) -> Finding:
    """One finding of an answer. A code of a later version, which is unknown here, stands in `found`."""
    code = str(told["code"])
    texts = {name: str(told[name])[:LONGEST_TEXT] for name in ("where", "expected", "found", "remedy")}
    if code not in CODES:
        texts["found"] = f"{texts['found']} ({printable(code)})"
        code = "REQUEST_INVALID" if status < 500 else "SERVICE_FAILED"
    severity = told.get("severity", "error")
    return Finding(
        code,
        **texts,
        severity=severity if severity in ("warning", "info") else "error",
        examples=tuple(map(str, told.get("examples", ()))),
    )


def unreachable(url: str, found: str) -> RequestError:
    """The error of a service that does not answer, or of something else that does."""
    return RequestError.of(
        "SERVICE_UNREACHABLE",
        where=url,
        expected="an answer of a cellmark service",
        found=found,
        remedy="Check the URL, that the service runs, and what lies between: curl URL/readyz.",
    )
