"""Rows of many requests written together: one thread, one transaction and one fsync for all that wait."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from cellmark.schemas.audit.audit_log import AuditLog
from cellmark.schemas.audit.chain import ChainRow, Head
from cellmark.schemas.audit.entry import AuditEntry, timestamp
from cellmark.schemas.errors import RequestError

from ..observe.audit_counts import audit_rows

MOST_TOGETHER = 1000
SECONDS_BETWEEN_HEADS = 60.0
RETRY_SECONDS = 1.0
logger = logging.getLogger("cellmark.audit")


@dataclass(slots=True)
class _Waiting:
    body: str
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[ChainRow]"


class GroupCommit:
    """Writes rows from an event loop. `open_log` is called in the thread that writes.

    While the log cannot be written every row is refused; it is tried again every `retry_seconds`, and the first row
    then says from when on, and how many answers were refused. `seconds`: that a row may wait. The head goes to the
    service's log once a minute, for whoever keeps that log elsewhere.
    """

    def __init__(
        self, open_log: Callable[[], AuditLog], *, seconds: float = 15.0, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._open_log = open_log
        self._seconds = seconds
        self._retry_seconds = retry_seconds
        self._log: AuditLog | None = None
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._broken = False
        self._since = ""
        self._n_refused = 0
        self._shown = float("-inf")
        self._pending: Head | None = None

    def why_not_ready(self) -> RequestError | None:
        """For /readyz: nothing can be answered while nothing can be recorded."""
        return refusal() if self._broken else None

    @property
    def is_broken(self) -> bool:
        """Whether the last attempt to write failed."""
        return self._broken

    def refuse_if_broken(self) -> None:
        """Raise (`AUDIT_UNAVAILABLE`) when the last attempt to write failed: what is computed could not be answered."""
        if self._broken:
            self._n_refused += 1
            audit_rows("failed", 1)
            raise refusal()

    async def write(self, body: str) -> ChainRow:
        """Write a row; it is on disk when this returns. Raises `RequestError` (`AUDIT_UNAVAILABLE`)."""
        self.start()
        loop = asyncio.get_running_loop()
        waiting = _Waiting(body, loop, loop.create_future())
        self._queue.put(waiting)
        try:
            async with asyncio.timeout(self._seconds):
                return await waiting.future
        except TimeoutError:
            raise refusal(f"no answer from it within {self._seconds:g} s") from None

    def start(self) -> None:
        """Start the thread that writes, if it does not run. While there is no traffic, nothing else would find out
        whether a log that was broken is whole again.
        """
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cellmark-audit", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Write what waits, then close the log."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(self._seconds)

    def _run(self) -> None:
        self._append([])  # whether rows could be written, before there is one
        ended = False
        while not ended:
            try:
                first = self._queue.get(timeout=self._patience())
            except queue.Empty:
                self._resume()
                self._show_pending()
                continue
            batch = [] if first is None else [first]
            ended = first is None
            while not ended and len(batch) < MOST_TOGETHER:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                ended = item is None
                if item is not None:
                    batch.append(item)
            if batch and self._resume():
                self._write(batch)
            elif batch:
                self._refuse(batch)
        self._show_pending(at_once=True)
        if self._log is not None:
            self._log.close()
            self._log = None

    def _patience(self) -> float | None:
        """Seconds to wait for the next row: until a log that was broken is tried, or a head is to be shown."""
        if self._broken:
            return self._retry_seconds
        return None if self._pending is None else SECONDS_BETWEEN_HEADS

    def _write(self, batch: list[_Waiting]) -> None:
        rows = self._append([waiting.body for waiting in batch])
        if rows is None:
            self._refuse(batch)
            return
        audit_rows("written", len(rows))
        self._pending = rows[-1].head
        self._show_pending()
        for loop in {waiting.loop for waiting in batch}:
            pairs = [(waiting.future, row) for waiting, row in zip(batch, rows, strict=True) if waiting.loop is loop]
            _call(loop, partial(_give, pairs))

    def _refuse(self, batch: list[_Waiting]) -> None:
        self._n_refused += len(batch)
        audit_rows("failed", len(batch))
        for waiting in batch:
            _call(waiting.loop, partial(_fail, waiting.future, refusal()))

    def _append(self, bodies: list[str]) -> list[ChainRow] | None:
        """The rows written, None when they could not be."""
        try:
            if self._log is None:
                self._log = self._open_log()
            rows = self._log.append(bodies)
        except Exception as error:  # whatever it was, the thread has to live on
            if not self._broken:
                self._since, self._n_refused = timestamp(), 0
                logger.error("The audit log cannot be written, nothing is answered: %s", error)
            self._broken = True
            return None
        return rows

    def _resume(self) -> bool:
        """Whether rows can be written, which is tried with a row of its own after a time when they could not."""
        if not self._broken:
            return True
        details = {"since": self._since, "refused": str(self._n_refused)}
        entry = AuditEntry(time=timestamp(), who=None, action="audit.resumed", details=details)
        if self._append([entry.body()]) is None:
            return False
        self._broken = False
        logger.warning("The audit log is written again; %s answers were refused", self._n_refused)
        return True

    def _show_pending(self, *, at_once: bool = False) -> None:
        """Tell the service's log the last head, at most once a minute, and at the end."""
        now = time.monotonic()
        if self._pending is not None and (at_once or now - self._shown >= SECONDS_BETWEEN_HEADS):
            logger.info("audit head %s", self._pending)
            self._shown, self._pending = now, None


def refusal(found: str = "one that cannot be written at the moment") -> RequestError:
    """The answer in place of one that could not be recorded. Paths and hosts stay in the service's log."""
    return RequestError.of(
        "AUDIT_UNAVAILABLE",
        where="audit",
        expected="an audit log that can be written",
        found=found,
        remedy="Ask again in a few seconds; nothing is wrong with the request.",
    ).with_headers(Retry_After="5")


def _call(loop: asyncio.AbstractEventLoop, step: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
        loop.call_soon_threadsafe(step)


def _give(pairs: list[tuple["asyncio.Future[ChainRow]", ChainRow]]) -> None:
    for future, row in pairs:
        if not future.done():
            future.set_result(row)


def _fail(future: "asyncio.Future[ChainRow]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
