"""Hosts, lengths, deadlines, slow bodies and clients that leave, told by the messages of ASGI alone."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from cellmark.schemas.errors import CellmarkError
from cellmark.serving.context import check_stop, context_of
from cellmark.serving.http import request_guard
from cellmark.serving.http.problems import problem
from cellmark.serving.http.request_guard import RequestGuard, host_name
from cellmark.serving.limits.ending import Ending
from cellmark.serving.limits.settings import LimitSettings

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Client:
    """Sends the messages of a body, each after some seconds; leaves where one is `http.disconnect`."""

    def __init__(self, *messages: tuple[float, Message], **headers: str) -> None:
        self.messages, self.sent = list(messages), []  # type: ignore[var-annotated]
        named = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        self.headers = [(name.encode(), value.encode()) for name, value in named.items()]

    async def receive(self) -> Message:
        if not self.messages:
            await asyncio.sleep(1000)
        seconds, message = self.messages.pop(0)
        await asyncio.sleep(seconds)
        return message

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def ask(self, app: App, *, path: str = "/annotate", method: str = "POST", **settings: Any) -> "Client":
        self.ending = Ending()
        guard = RequestGuard(app, LimitSettings(**settings), self.ending)
        scope = {"type": "http", "path": path, "method": method, "headers": self.headers}
        asyncio.run(asyncio.wait_for(guard(scope, self.receive, self.send), 30))
        assert not self.ending.in_flight
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def code(self) -> str:
        return str(json.loads(self.sent[1]["body"])["code"])


def piece(content: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.request", "body": content, "more_body": more}


async def works(scope: Scope, receive: Receive, send: Send) -> None:
    """Receives the body, then computes for two seconds unless told to stop; answers with 200 or a problem."""
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if not message["more_body"]:
                break
        for _ in range(200):
            await asyncio.sleep(0.01)
            check_stop()
    except CellmarkError as error:
        await problem(error)(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:3000", 200), ("127.0.0.1:3000", 200), ("[::1]:3000", 200), ("[::1]", 200),
        ("localhost.", 200), ("evil.example", 421), ("localhost.evil.example", 421), ("evil.example:localhost", 421),
        ("", 421), ("localhost@evil.example", 421), ("\xff", 421),
    ],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_refused(host: str, status: int) -> None:
    client = Client(host=host)
    client.headers = [(b"host", host.encode("latin-1"))]
    client.ask(answers, allowed_hosts="localhost, 127.0.0.1,[::1]")
    assert client.status == status
    assert status == 200 or client.code == "HOST_NOT_ALLOWED"


def test_a_request_without_a_host_is_refused_and_any_host_is_answered_where_the_setting_says_so() -> None:
    client = Client()
    client.headers = []
    assert client.ask(answers, allowed_hosts="localhost").status == 421
    assert Client(host="any.example").ask(answers).status == 200
    assert Client(host="10.0.0.7").ask(answers, path="/readyz", method="GET", allowed_hosts="a.example").status == 200
    assert host_name(b"[FE80::1%eth0]:80") == "[fe80::1%eth0]"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"2"), (b"content-length", b"2")],
        [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"identity")],
    ],
)
def test_a_body_whose_end_is_not_clear_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    client = Client()
    client.headers += headers
    client.ask(answers)
    assert (client.status, client.code) == (400, "REQUEST_INVALID")


def test_work_is_stopped_when_its_time_is_over() -> None:
    client = Client((0, piece(b"{}"))).ask(works, request_seconds=0.1)
    assert (client.status, client.code) == (504, "DEADLINE_EXCEEDED")


def test_a_client_may_ask_for_less_time_but_not_for_more() -> None:
    client = Client((0, piece(b"{}")), x_request_timeout="1").ask(works, request_seconds=100)
    assert (client.status, client.code) == (504, "DEADLINE_EXCEEDED")
    client = Client((0, piece(b"{}")), x_request_timeout="100").ask(works, request_seconds=0.1)
    assert client.code == "DEADLINE_EXCEEDED"
    for value in ("0", "0.99", "-1", "nan", "inf", "soon"):
        client = Client(x_request_timeout=value).ask(answers)
        assert (client.status, client.code) == (400, "REQUEST_INVALID")


def test_the_work_of_a_client_that_leaves_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_guard, "WATCH_AFTER", 0.01)
    client = Client((0, piece(b"{}")), (0.05, {"type": "http.disconnect"})).ask(works)
    assert client.code == "CLIENT_GONE"


def test_a_client_that_leaves_while_it_sends_is_noticed() -> None:
    stopped: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await works(scope, receive, send)
        reason = context_of(scope).stop.asked_for
        stopped.append(reason.code if reason else "")

    assert Client((0, piece(b"{", more=True)), (0, {"type": "http.disconnect"})).ask(app).sent == []
    assert stopped == ["CLIENT_GONE"]


def test_whoever_asks_for_more_after_the_body_waits_for_the_client_to_leave() -> None:
    received: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        received.extend([(await receive())["type"] for _ in range(3)])

    Client((0, piece(b"{}")), (0.02, {"type": "http.disconnect"})).ask(app)
    assert received == ["http.request", "http.disconnect", "http.disconnect"]


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    client = Client((0, piece(b"{", more=True))).ask(works, body_seconds=0.1)
    assert (client.status, client.code) == (408, "REQUEST_TIMEOUT")


def test_a_body_that_drips_is_not_waited_for() -> None:
    drops = [(0.02, piece(b"x", more=True)) for _ in range(1000)]
    client = Client(*drops).ask(works, body_seconds=0.2)
    assert (client.status, client.code) == (408, "REQUEST_TIMEOUT")
    assert len(client.messages) > 900


def test_answers_close_their_connection_once_the_service_ends() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answers(scope, receive, send)

    client = Client()
    ending = Ending()
    guard = RequestGuard(app, LimitSettings(), ending)
    scope = {"type": "http", "path": "/model", "method": "GET", "headers": client.headers}
    asyncio.run(guard(dict(scope), client.receive, client.send))
    ending.begin()
    asyncio.run(guard(dict(scope), client.receive, client.send))
    closed = [(b"connection", b"close") in message["headers"] for message in client.sent if "headers" in message]
    assert closed == [False, True]


def test_other_protocols_pass() -> None:
    passed: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope["type"])

    client = Client()
    asyncio.run(RequestGuard(app, LimitSettings(), Ending())({"type": "lifespan"}, client.receive, client.send))
    assert passed == ["lifespan"]
