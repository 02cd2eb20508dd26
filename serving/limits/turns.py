"""Who is computed when: a few at a time, with room kept for small requests and for large ones."""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic

from ..stop import Stop
from .refusals import busy

LONGEST_ADVICE = 60
"""Seconds that a refused client is asked to wait at most."""


class Turns:
    """`width`: requests at a time, of which large ones take at most half, and small ones all while no large one
    waits. `most_waiting`: of each size; further ones are refused. For one event loop.
    """

    def __init__(self, width: int, most_waiting: int, clock: Callable[[], float] = monotonic) -> None:
        self._width, self._most_waiting, self._clock = width, most_waiting, clock
        self._running = {True: 0, False: 0}
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}
        self._seconds = 0.5
        self._full_since: float | None = None

    @property
    def n_waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def full_for(self) -> float:
        """Seconds for which requests have been refused without a break; 0 when there is room."""
        return 0.0 if self._full_since is None else self._clock() - self._full_since

    def is_free(self, small: bool) -> bool:
        """Whether a request of this size need not wait."""
        return not self._waiting[small] and self._has_room(small)

    async def enter(self, stop: Stop, *, small: bool) -> float:
        """Wait for a turn, to be given back by `leave`: when it began. Raises `RequestError` (`SERVICE_BUSY`) when too
        many wait, and the reason of `stop`.
        """
        if self.is_free(small):
            self._running[small] += 1
        else:
            await self._wait(stop, small)
        return self._clock()

    def leave(self, began: float, *, small: bool) -> None:
        """The turn is over."""
        self._running[small] -= 1
        self._seconds += 0.1 * (self._clock() - began - self._seconds)
        self._start_next()

    async def _wait(self, stop: Stop, small: bool) -> None:
        queue = self._waiting[small]
        if len(queue) >= self._most_waiting:
            if self._full_since is None:
                self._full_since = self._clock()
            raise busy("queue", f"{len(queue)} that wait already", retry_after=self.retry_after(small))
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(mine)

        def give_up() -> None:
            if not mine.done() and stop.asked_for is not None:
                mine.set_exception(stop.asked_for)

        stop.wakes(give_up)
        try:
            stop.check()
            await mine
        except BaseException:
            if mine in queue:
                queue.remove(mine)
            elif mine.done() and not mine.cancelled() and mine.exception() is None:  # it was this one's turn
                self._running[small] -= 1
                self._start_next()
            raise
        finally:
            stop.wakes(None)

    def _has_room(self, small: bool) -> bool:
        """Whether one more of this size may be computed, whoever waits."""
        total = sum(self._running.values())
        if total >= self._width:
            return False
        if not small:
            return self._running[False] < max(self._width // 2, 1)
        kept = 1 if self._width > 1 and self._waiting[False] and not self._running[False] else 0
        return total < self._width - kept

    def _start_next(self) -> None:
        for small in (True, False):
            queue = self._waiting[small]
            while queue and self._has_room(small):
                mine = queue.popleft()
                if not mine.done():
                    self._running[small] += 1
                    mine.set_result(None)
        if all(len(queue) < self._most_waiting for queue in self._waiting.values()):
            self._full_since = None

    def retry_after(self, small: bool) -> int:
        """Seconds after which there is likely room."""
        width = self._width if small else max(self._width // 2, 1)
        return min(1 + int(len(self._waiting[small]) * self._seconds / width), LONGEST_ADVICE)
