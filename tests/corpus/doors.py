"""The doors of cellmark, each as a function from an input to the codes that it is refused with."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.error_codes import CODES
from cellmark.schemas.errors import CellmarkError
from cellmark.serving import Annotator
from cellmark.serving.files.validate import validate_path
from cellmark.serving.reader.open_apart import open_source

ACCEPTED = "accepted"
"""What a door says that did not refuse: never what an entry expects."""
BODIES = (".json", ".npz")
UPLOADS = (".h5ad", ".h5", *BODIES)
MEDIA_TYPES = {".json": "application/json", ".npz": "application/x-npz"}


def is_local(path: Path) -> bool:
    """Whether Python, the command line and batches read such an input."""
    return path.suffix not in BODIES


def is_upload(path: Path) -> bool:
    """Whether it can be sent at all: a folder or a pipe cannot."""
    return path.is_file()


def python_door(annotator: Annotator, path: Path, options: Mapping[str, str], *, trusted: bool) -> frozenset[str]:
    """`Annotator.annotate` of a source, opened directly (`trusted`) or apart."""
    reading = ReadingOptions(layer=options.get("layer"), recover_counts="recover_counts" in options)
    try:
        with open_source(path, reading, trusted=trusted) as source:
            annotator.annotate(source, library_size=options.get("library_size"))
    except CellmarkError as error:
        return of_findings([finding.to_dict() for finding in error.findings])
    return frozenset({ACCEPTED})


def validate_door(run: Callable[..., Any], model: Path, path: Path, options: Mapping[str, str]) -> frozenset[str]:
    """`cellmark validate --json`; `run`: the fixture `cellmark`."""
    ran = run("validate", path, "--model", model, "--json", *flags(options))
    if ran.status == 0:
        return frozenset({ACCEPTED})
    assert ran.status == 1, ran.err
    if not ran.out.strip():  # before it came to findings, such as a file that is not there
        return codes_in(ran.err)
    return of_findings([one for one in json.loads(ran.out)["findings"] if one["severity"] == "error"])


def report_door(model: Bundle, path: Path, options: Mapping[str, str]) -> frozenset[str]:
    """`validate_path`, which the command `validate` calls."""
    reading = ReadingOptions(
        layer=options.get("layer"),
        library_size=options.get("library_size"),
        recover_counts="recover_counts" in options,
    )
    try:
        report = validate_path(model, path, reading)
    except CellmarkError as error:  # what is wrong with the question, not with the file
        return of_findings([finding.to_dict() for finding in error.findings])
    if report.valid:
        return frozenset({ACCEPTED})
    return of_findings([one.to_dict() for one in report.findings if one.severity == "error"])


def http_door(client: httpx.Client, path: Path, options: Mapping[str, str]) -> frozenset[str]:
    """`POST /annotate`, a body as it is and a file in a form. Holds the answer to its status and its form."""
    if path.suffix in BODIES:
        headers = {"Content-Type": MEDIA_TYPES[path.suffix]}
        response = client.post("/annotate", content=path.read_bytes(), params=options, headers=headers)
    else:
        response = client.post("/annotate", files={"file": (path.name, path.read_bytes())}, params=options)
    if response.status_code == 200:
        return frozenset({ACCEPTED})
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem = response.json()
    assert response.status_code == problem["status"] == CODES[problem["code"]].status
    assert str(path.parent) not in response.text
    return of_findings(problem["findings"])


def of_findings(findings: list[dict[str, Any]]) -> frozenset[str]:
    """Codes of findings, each of which says where, what was expected, what came and what to do."""
    for finding in findings:
        assert all(finding[key].strip() for key in ("where", "expected", "found", "remedy")), finding
        assert "Traceback" not in finding["found"], finding
    return frozenset(finding["code"] for finding in findings)


def codes_in(text: str) -> frozenset[str]:
    """Codes at the end of messages of the command line."""
    assert "Traceback" not in text, text
    return frozenset(re.findall(r"\[([A-Z][A-Z_]+)\]", text)) & frozenset(CODES)


def flags(options: Mapping[str, str]) -> list[str]:
    given = [part for name in ("layer", "library_size") if name in options
             for part in (f"--{name.replace('_', '-')}", options[name])]  # fmt: skip
    return [*given, *(["--recover-counts"] if "recover_counts" in options else [])]
