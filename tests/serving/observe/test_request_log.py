"""One line a request, as JSON or text, that holds nothing of anybody's cells."""

import json
import logging
from datetime import datetime

import numpy as np
import pytest

from cellmark.serving.context import Outcome, RequestContext
from cellmark.serving.observe.json_log import JsonFormatter, TextFormatter
from cellmark.serving.observe.request_log import log_request

FIELDS = {
    "time", "level", "logger", "request_id", "key_id", "method", "route", "status", "code", "model", "model_version",
    "bundle_digest", "cells", "seconds", "stages", "trace_id",
}  # fmt: skip


@pytest.fixture
def context() -> RequestContext:
    outcome = Outcome(n_cells=3, types={"B cell": 3}, confidence=np.array([0.1234], dtype=np.float32))
    return RequestContext(
        request_id="abc", key_id="team-1", stages={"infer": 0.25}, model="pbmc", model_version="3",
        bundle_digest="d1", outcome=outcome,
    )  # fmt: skip


def test_json_has_one_object_with_these_fields(context: RequestContext, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cellmark.requests"):
        log_request(context, "POST", "/annotate", 200, 0.5, trace_id="1f")
    line = JsonFormatter().format(caplog.records[0])
    fields = json.loads(line)
    assert "\n" not in line
    assert set(fields) == FIELDS
    assert datetime.fromisoformat(fields["time"]).tzinfo is not None
    assert (fields["level"], fields["request_id"], fields["key_id"], fields["cells"]) == ("info", "abc", "team-1", 3)
    assert (fields["seconds"], fields["stages"]) == (0.5, {"infer": 0.25})
    assert "B cell" not in line
    assert "0.1234" not in line


def test_text_is_for_people(context: RequestContext, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cellmark.requests"):
        log_request(context, "POST", "/annotate", 200, 0.5)
    text = TextFormatter().format(caplog.records[0])
    assert text.endswith("POST /annotate 200 500.0 ms 3 cells request_id=abc key_id=team-1")


@pytest.mark.parametrize(("status", "level"), [(200, "INFO"), (422, "INFO"), (500, "ERROR"), (503, "WARNING")])
def test_faults_stand_out(status: int, level: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cellmark.requests"):
        log_request(RequestContext(code="INTERNAL_ERROR"), "GET", "/model", status, 0.1)
    assert [record.levelname for record in caplog.records] == [level]


def test_an_exception_is_one_line_of_json_too() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("cellmark.serving", logging.ERROR, "", 0, "no %s", ("luck",), info)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "no luck"
    assert "ValueError" in json.loads(line)["traceback"]
