"""Requests that fail are sent again when that may help, no sooner than asked, and not for ever."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from cellmark.schemas.errors import CellmarkError, RequestError, SetupError
from cellmark.serving.client.connection import Connection, Sent, open_http
from cellmark.serving.client.refusals import kind_of, refusal
from cellmark.serving.client.retry import NO_RETRY, Retry, retry_after
from cellmark.serving.http.problems import problem

OK = {"answer": 1}


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def connection(outcomes: list[Any], clock: Clock, retry: Retry | None = None) -> tuple[Connection, list[httpx.Request]]:
    """A service that answers with `outcomes`, one after the other; an error is raised instead."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        asked.append(request)
        outcome = outcomes[len(asked) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    http = open_http("http://service/part", None, timeout=5, transport=httpx.MockTransport(answer))
    return Connection(http, retry or Retry(), clock.sleep, lambda: clock.now), asked


def busy(seconds: str | None = None, code: str = "SERVICE_NOT_READY") -> httpx.Response:
    error = RequestError.of(code, where="model", expected="a model", found="none", remedy="Wait.")
    answer = problem(error, None if seconds is None else {"Retry-After": seconds})
    return httpx.Response(answer.status_code, headers=dict(answer.headers), content=bytes(answer.body))


def test_a_busy_service_is_asked_again_after_the_time_that_it_names() -> None:
    clock = Clock()
    service, asked = connection(
        [busy("7"), httpx.ConnectError("refused"), httpx.Response(429, headers={"Retry-After": "3"}),
         httpx.Response(502, text="<html>"), httpx.Response(200, json=OK)], clock
    )  # fmt: skip
    assert service.ask("POST", "/annotate", query={"a": "1"}, sent=Sent("text/plain", b"body")) == OK
    assert clock.slept[0] == 7
    assert 0.5 <= clock.slept[1] <= 1
    assert clock.slept[2] == 3
    assert 2 <= clock.slept[3] <= 4
    assert {str(request.url) for request in asked} == {"http://service/part/annotate?a=1"}
    assert {request.read() for request in asked} == {b"body"}
    assert len({request.headers["idempotency-key"] for request in asked}) == 1
    assert len({request.headers["x-request-id"] for request in asked}) == 1


def test_patience_ends_with_the_last_refusal() -> None:
    clock = Clock()
    service, asked = connection([busy("50")] * 9, clock)
    with pytest.raises(CellmarkError) as caught:
        service.ask("GET", "/model")
    assert caught.value.code == "SERVICE_NOT_READY"
    assert clock.slept == [50, 50]
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (busy(code="REQUEST_INVALID"), "REQUEST_INVALID"),
        (httpx.Response(401, text="who?"), "SERVICE_UNREACHABLE"),
        (httpx.Response(404, text="nginx"), "SERVICE_UNREACHABLE"),
        (httpx.ReadTimeout("slow"), "SERVICE_UNREACHABLE"),
        (httpx.Response(200, text="<html>"), "SERVICE_UNREACHABLE"),
        (httpx.Response(200, json=[1]), "SERVICE_UNREACHABLE"),
    ],
)
def test_what_another_try_would_not_change_is_final(outcome: Any, code: str) -> None:
    clock = Clock()
    service, asked = connection([outcome], clock)
    with pytest.raises(CellmarkError) as caught:
        service.ask("GET", "/model")
    assert caught.value.code == code
    assert len(asked) == 1
    assert clock.slept == []


def test_without_patience_nothing_is_sent_again() -> None:
    service, asked = connection([busy("0")] * 2, Clock(), NO_RETRY)
    with pytest.raises(CellmarkError):
        service.ask("GET", "/model")
    assert len(asked) == 1


def test_waits_double_up_to_a_limit_and_are_drawn() -> None:
    retry = Retry(first=1, longest=8, patience=1000)
    assert [retry.wait(number, 0, draw=lambda: 1.0) for number in range(1, 7)] == [1, 2, 4, 8, 8, 8]
    assert retry.wait(4, 0, draw=lambda: 0.0) == 4
    assert retry.wait(1, 0, 30, draw=lambda: 0.0) == 30
    assert retry.wait(1, 990, 30) is None
    assert retry.wait(10_000, 0, draw=lambda: 1.0) == 8


def test_retry_after_is_a_number_or_a_date() -> None:
    now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after("12") == 12
    assert retry_after("Thu, 01 Jan 2026 12:01:00 GMT", now=now) == 60
    assert retry_after("Thu, 01 Jan 2026 11:00:00 GMT", now=now) == 0
    assert retry_after("soon") is None
    assert retry_after(None) is None


def test_a_code_of_a_later_version_is_still_told() -> None:
    told = {"findings": [{"code": "NEWER_CODE", "where": "w", "expected": "e", "found": "f", "remedy": "r"}]}
    error = refusal(422, "application/problem+json", httpx.Response(422, json=told).content, "http://service")
    assert error.code == "REQUEST_INVALID"
    assert error.findings[0].found == "f (NEWER_CODE)"


def test_every_code_has_a_class_whose_group_is_its_own() -> None:
    assert kind_of("COUNTS_NEGATIVE").__name__ == "CountsError"
    assert kind_of("TOO_FEW_GENES").__name__ == "GeneOverlapError"
    assert kind_of("FILE_UNREADABLE").__name__ == "ReadError"
    assert kind_of("BUNDLE_FILE_MISSING").__name__ == "BundleError"
    assert kind_of("CELL_ID_DUPLICATE").__name__ == "InputError"
    assert kind_of("SERVICE_NOT_READY") is RequestError
    assert kind_of("DEVICE_UNAVAILABLE") is SetupError
