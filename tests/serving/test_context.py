"""A request's stages take what their blocks took, from threads too, and nothing happens outside of a request."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import anyio.to_thread
import pytest

from cellmark.serving.context import Entering, RequestContext, context_of, current, stage


@contextmanager
def opened() -> Iterator[str]:
    yield "cells"


@asynccontextmanager
async def received() -> AsyncIterator[str]:
    yield "body"


def test_stages_are_summed_and_spans_kept_apart_from_the_clock() -> None:
    async def answer() -> RequestContext:
        context = context_of({})
        async with Entering[str]("read", received()) as body, anyio.create_task_group() as group:
            assert body == "body"
            group.start_soon(anyio.to_thread.run_sync, work)
        return context

    def work() -> None:
        with Entering[str]("read", opened()) as cells, stage("infer"):
            assert cells == "cells"

    context = anyio.run(answer)
    assert [name for name, _, _ in context.spans] == ["read", "read", "infer"]
    taken = sum(ended - began for name, began, ended in context.spans if name == "read")
    assert set(context.stages) == {"read", "infer"}
    assert abs(context.stages["read"] * 1e9 - taken) < 1000


def test_an_error_on_entering_and_in_the_block_goes_through() -> None:
    @contextmanager
    def refusing() -> Iterator[None]:
        raise ValueError("at once")
        yield

    with pytest.raises(ValueError, match="at once"), Entering[None]("read", refusing()):
        pass
    with pytest.raises(KeyError, match="in the block"), Entering[str]("read", opened()):
        raise KeyError("in the block")


def test_outside_of_a_request_stages_only_run() -> None:
    with stage("infer"):
        assert current() is None
