"""Turns: a few at a time, in order, small ones not behind large ones, none kept by somebody who left."""

import asyncio

import pytest

from cellmark.schemas.errors import RequestError
from cellmark.serving.limits.refusals import gone
from cellmark.serving.limits.turns import LONGEST_ADVICE, Turns
from cellmark.serving.stop import Stop


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_large_requests_take_half_and_small_ones_pass_them() -> None:
    async def run() -> None:
        turns, order = Turns(4, 10), []

        async def ask(name: str, small: bool) -> None:
            began = await turns.enter(Stop(), small=small)
            order.append(name)
            await done[name].wait()
            turns.leave(began, small=small)

        names = [("large", number) for number in range(4)] + [("small", number) for number in range(3)]
        done = {f"{size} {number}": asyncio.Event() for size, number in names}
        tasks = [asyncio.create_task(ask(f"{size} {number}", size == "small")) for size, number in names]
        await settle()
        # Two of four places are for large ones; one is kept free of small ones only while no large one runs.
        assert order == ["large 0", "large 1", "small 0", "small 1"]
        assert turns.n_waiting == 3
        done["small 0"].set()
        await settle()
        assert order[-1] == "small 2"
        done["large 0"].set()
        await settle()
        assert order[-1] == "large 2"
        for event in done.values():
            event.set()
        await asyncio.gather(*tasks)
        assert order[-1] == "large 3"
        assert turns.n_waiting == 0

    asyncio.run(run())


def test_many_small_requests_leave_a_place_for_a_large_one() -> None:
    async def run() -> None:
        turns = Turns(2, 10)
        begun = [await turns.enter(Stop(), small=True) for _ in range(2)]
        large = asyncio.create_task(turns.enter(Stop(), small=False))
        small = asyncio.create_task(turns.enter(Stop(), small=True))
        await settle()
        turns.leave(begun[0], small=True)
        await settle()
        assert large.done()
        assert not small.done()
        turns.leave(begun[1], small=True)
        await small

    asyncio.run(run())


def test_one_place_serves_both_sizes() -> None:
    async def run() -> None:
        turns = Turns(1, 10)
        for small in (True, False, True):
            turns.leave(await turns.enter(Stop(), small=small), small=small)

    asyncio.run(run())


def test_too_many_are_told_when_to_ask_again() -> None:
    async def run() -> None:
        clock = Clock()
        turns = Turns(1, 2, clock)
        began = await turns.enter(Stop(), small=True)
        waiting = [asyncio.create_task(turns.enter(Stop(), small=True)) for _ in range(2)]
        await settle()
        for _ in range(2):
            with pytest.raises(RequestError) as raised:
                await turns.enter(Stop(), small=True)
            assert (raised.value.code, raised.value.status) == ("SERVICE_BUSY", 503)
            assert 1 <= int(raised.value.headers["Retry-After"]) <= LONGEST_ADVICE
            clock.now += 3.0
        assert turns.full_for() == 6.0
        clock.now = 1000.0
        turns.leave(began, small=True)
        assert turns.full_for() == 0
        await waiting[0]
        assert turns.retry_after(small=True) > 60 or turns.retry_after(small=True) == LONGEST_ADVICE
        waiting[1].cancel()

    asyncio.run(run())


def test_who_left_frees_the_place_in_the_queue_and_a_turn_is_never_lost() -> None:
    async def run() -> None:
        turns, stop = Turns(1, 10), Stop()
        began = await turns.enter(Stop(), small=True)
        first = asyncio.create_task(turns.enter(stop, small=True))
        second = asyncio.create_task(turns.enter(Stop(), small=True))
        third = asyncio.create_task(turns.enter(Stop(), small=True))
        await settle()
        stop.ask(gone())
        with pytest.raises(RequestError, match="CLIENT_GONE"):
            await first
        assert turns.n_waiting == 2
        turns.leave(began, small=True)
        second.cancel()  # at the moment that its turn came
        with pytest.raises(asyncio.CancelledError):
            await second
        assert await asyncio.wait_for(third, 1) >= 0
        assert not turns.is_free(small=True)

    asyncio.run(run())


def test_whose_time_is_over_does_not_wait() -> None:
    async def run() -> None:
        turns, stop = Turns(1, 10), Stop()
        await turns.enter(Stop(), small=True)
        stop.ask(gone())
        with pytest.raises(RequestError):
            await turns.enter(stop, small=True)
        assert turns.n_waiting == 0

    asyncio.run(run())
