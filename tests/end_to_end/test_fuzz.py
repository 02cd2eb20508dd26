"""Mutated files and bodies against the running service: a short run, and a harness that sees what must not be.

`make fuzz` runs 20,000 cases, and schemathesis for longer; CI one minute of them.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import fuzz_outcome
import mutate
import numpy as np
import pytest
from fuzz_case import make_case
from fuzz_outcome import fault_of_answer
from run import READER_SHARE
from running_service import Usage
from sound_inputs import sound_inputs

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.error_codes import CODES
from cellmark.serving.http.openapi import openapi_document
from cellmark.serving.http.settings import ServiceSettings
from fixtures.places import TESTS

FUZZ = TESTS / "fuzz"
MIB = 1024**2
FINDING = {"code": "FILE_UNREADABLE", "where": "X", "expected": "a", "found": "b", "remedy": "c", "examples": []}


@pytest.mark.fuzz
@pytest.mark.timeout(180)
def test_two_hundred_mutations_find_no_fault(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    command = [sys.executable, str(FUZZ / "run.py"), "--cases", "200", "--seed", "7"]
    command += ["--json", str(numbers), "--keep", str(tmp_path / "kept")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert run.returncode == 0, run.stdout + run.stderr
    facts = json.loads(numbers.read_text())
    assert facts["requests"] == 200
    assert facts["faults"] == []
    assert facts["slowest"] <= facts["limit"]
    # Some mutations change nothing that matters, most are seen: a service that refused everything would prove little.
    assert {"200", "400", "422", "reader"} <= set(facts["by_status"])
    assert len(facts["by_code"]) >= 5


@pytest.mark.fuzz
@pytest.mark.timeout(240)
def test_every_answer_is_one_that_the_openapi_document_promises(tiny_bundle: Bundle) -> None:
    pytest.importorskip("schemathesis")
    command = [sys.executable, str(FUZZ / "ask_openapi.py"), "--examples", "5", "--model", str(tiny_bundle.folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=230)
    assert run.returncode == 0, run.stdout + run.stderr
    known = sum(len(methods) for methods in openapi_document(ServiceSettings())["paths"].values())
    tested = re.search(r"Tested: (\d+)", run.stdout)
    # All but the document itself, and the routes that parts of the service add.
    assert tested is not None
    assert int(tested[1]) >= known - 1


def test_a_case_is_the_same_each_time(tmp_path: Path) -> None:
    genes = tuple(f"GENE{number}" for number in range(20))
    inputs = sound_inputs(genes, tmp_path)
    assert [one.kind for one in inputs].count("h5ad") == 5
    first = [make_case(inputs, number, seed=3) for number in range(60)]
    assert [make_case(inputs, number, seed=3) for number in range(60)] == first
    assert len({case.content for case in first}) == 60
    assert not {case.content for case in first} & {one.content for one in inputs}


def test_files_of_every_kind_are_read_without_the_service_too(tmp_path: Path) -> None:
    inputs = sound_inputs(("GENE0", "GENE1"), tmp_path)
    assert {number % len(inputs) for number in range(0, 2000, READER_SHARE)} == set(range(len(inputs)))


def test_every_mutation_of_bytes_changes_something_within_bounds() -> None:
    content = bytes(range(256)) * 8
    for how in set(mutate.BYTES):
        made = [how(content, np.random.default_rng(number)) for number in range(30)]
        assert any(one != content for one in made), how.__name__
        assert all(len(one) <= 2 * len(content) + 2000 for one in made), how.__name__


@pytest.mark.parametrize(
    ("status", "media_type", "body", "fault"),
    [
        (500, "application/problem+json", {}, "status 500"),
        (503, "text/plain", {}, "status 503"),
        (302, "text/plain", {}, "status 302"),
        (422, "application/json", {}, "a refusal as application/json"),
        (422, "application/problem+json", {"status": 422, "findings": []}, "without findings"),
        (422, "application/problem+json", {"status": 400, "findings": [FINDING]}, "of another status"),
        (422, "application/problem+json", {"status": 422, "findings": [{**FINDING, "code": "X"}]}, "unknown codes"),
        (422, "application/problem+json", {"status": 422, "findings": [{**FINDING, "found": ""}]}, "an empty text"),
        (422, "application/problem+json", {"status": 422, "findings": [{**FINDING, "found": "/tmp/x"}]}, "a path"),
        (422, "application/problem+json", {"status": 422, "findings": [FINDING]}, None),
        (200, "application/json", {"cells": [], "n_cells": 0}, "another number of rows"),
        (200, "application/json", {"cells": [{"cell_id": "a"}], "n_cells": 2}, "another number of rows"),
        (200, "application/json", {"cells": [{"cell_id": "a"}] * 2, "n_cells": 2}, "answered for twice"),
        (200, "application/json", {"cells": [{"cell_id": "a", "cellmark_confidence": 2}], "n_cells": 1}, "confidence"),
        (200, "application/json", {"cells": [{"cell_id": "a", "cellmark_confidence": 0.5}], "n_cells": 1}, None),
    ],
)  # fmt: skip
def test_answers_that_must_not_be_are_seen(
    status: int, media_type: str, body: dict[str, Any], fault: str | None
) -> None:
    found = fault_of_answer("/annotate", status, media_type, json.dumps(body).encode(), frozenset(CODES))
    assert found is None if fault is None else fault in found


def test_an_answer_with_nan_in_it_is_seen() -> None:
    assert "NaN" in fault_of_answer("/annotate", 200, "application/json", b'{"cells": NaN}', frozenset(CODES))


def test_a_run_is_judged_by_time_memory_files_and_processes() -> None:

    def judge(*outcomes: Any, growth: float = 0.0, files: int = 0, **more: Any) -> tuple[str, ...]:
        used = [Usage(n, int(500 * MIB * (1 + growth * n / 99)), 40 + files * n // 99, 3) for n in range(100)]
        faults: tuple[str, ...] = fuzz_outcome.judge(
            outcomes, used, limit=25, **{"crashed": [], "left": [], **more}
        ).faults
        return faults

    good = fuzz_outcome.Outcome(1, "h5ad", "flip_bits", "422", ("FILE_UNREADABLE",), 0.1, None)
    assert judge(good, growth=0.05) == ()
    assert "took 30.0 s" in judge(good, fuzz_outcome.Outcome(2, "h5", "repeat", "200", (), 30.0, None))[0]
    assert "status 500" in judge(fuzz_outcome.Outcome(2, "h5", "repeat", "500", (), 1.0, "status 500"))[0]
    assert "memory grew" in judge(good, growth=0.4)[0]
    assert "open files grew" in judge(good, files=100)[0]
    assert "are gone" in judge(good, crashed=[17])[0]
    assert "cellmark-x" in judge(good, left=["cellmark-x"])[0]
