"""Rates by key, or by address where there are no keys."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from cellmark.serving.context import context_of
from cellmark.serving.http.rate_guard import RateGuard
from cellmark.serving.limits.settings import LimitSettings
from cellmark.serving.limits.shared_page import SharedPage


class Keys:
    """Stands where access stands, and takes every header `key` for a good one."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        context_of(scope).key_id = headers[b"key"].decode() if b"key" in headers else None
        await self.app(scope, receive, send)


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def statuses(app: Any, *keys: str | None, path: str = "/annotate", address: str = "10.0.0.1") -> list[int]:
    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            headers: list[dict[str, str]] = [{} if key is None else {"key": key} for key in keys]
            return [(await client.get(path, headers=each)).status_code for each in headers]

    return asyncio.run(ask())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(clock: Clock) -> Any:
    return Keys(RateGuard(answers, LimitSettings(rate=0.5, rate_burst=2), SharedPage(), clock))


def test_each_key_has_its_own_rate(app: Any, clock: Clock) -> None:
    assert statuses(app, "a", "a", "a", "b", "a") == [200, 200, 429, 200, 429]
    clock.now += 2
    assert statuses(app, "a", "a", "b", "b") == [200, 429, 200, 200]


def test_without_keys_addresses_count(app: Any) -> None:
    assert statuses(app, None, None, None) == [200, 200, 429]
    assert statuses(app, None, address="10.0.0.2") == [200]


def test_probes_and_metrics_are_not_counted(app: Any) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert statuses(app, *["a"] * 5, path=path) == [200] * 5


def test_a_refusal_says_when_to_ask_again(app: Any) -> None:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            for _ in range(3):
                response = await client.get("/annotate", headers={"key": "a"})
            return response

    response = asyncio.run(ask())
    assert response.json()["code"] == "RATE_EXCEEDED"
    assert response.headers["retry-after"] == "2"


def test_there_is_no_rate_by_default(clock: Clock) -> None:
    app = Keys(RateGuard(answers, LimitSettings(), SharedPage(), clock))
    assert statuses(app, *["a"] * 50) == [200] * 50
