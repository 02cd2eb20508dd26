"""One reader process as the one that asks sees it: time and memory are watched, and it is ended in any case."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil

from cellmark.schemas.errors import Finding, ReadError, SetupError

from ..context import check_stop
from ..observe.reader_counts import reader_ended
from .reader_messages import BrokenMessageError, Message, is_count, pack, receive_message, unpack_error

LOOK_EVERY = 0.05
"""Seconds between two looks at a reader that is waited for."""
WALL_FACTOR = 4
"""Times the processor's seconds that a reader may be waited for: a disk may be slow, and processors shared."""
CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP", "SIGXCPU", "SIGXFSZ")
"""Signals that a process gets for what it did itself; any other was sent by somebody."""
Answer = TypeVar("Answer")


class ReaderKilledError(SetupError):
    """A reader was ended from outside: by an operator, by the system for want of memory. The file is not to blame."""


def try_twice(ask: Callable[[], Answer]) -> Answer:
    """What `ask` gives, with a second reader where the first was killed. Raises what `ask` raises."""
    try:
        return ask()
    except ReaderKilledError:
        return ask()


@dataclass(frozen=True, slots=True)
class ReaderBudget:
    """`seconds`: of processor time that a file may take, and `bytes_per_second`, of the file, that add to them.
    `memory_bytes`: beyond what the program itself takes.
    """

    seconds: float = 5
    bytes_per_second: int = 1024**2
    memory_bytes: int = 4 * 1024**3

    def seconds_for(self, n_bytes: int) -> float:
        return self.seconds + n_bytes / self.bytes_per_second


class Reader:
    """A reader of the file `name`. Any answer may be the end of it: `ReadError` (`FILE_UNREADABLE`) then says why, or
    `ReaderKilledError` (`READER_KILLED`) where somebody else ended it.

    `seconds`: of processor time. `end` kills it and tells how it ended.
    """

    def __init__(
        self,
        connection: socket.socket,
        pid: int,
        name: str,
        budget: ReaderBudget,
        seconds: float,
        end: Callable[["Reader"], dict[str, Any]],
    ) -> None:
        self.pid, self.name = pid, name
        self.budget, self.seconds = budget, seconds
        self._connection, self._end = connection, end
        connection.setblocking(False)
        self._waited = 0.0
        self._looked = 0.0
        self._base = _memory_of(pid) or 0
        self._ended: ReadError | ReaderKilledError | None = None
        self._closed = False

    def ask(self, question: dict[str, Any], *arrays: Any, writes: bool = False) -> Message:
        """Send a question and wait for its answer. Raises the error that the reader answers with; `writes`: also the
        `OSError` of an output that cannot be written.
        """
        self.send(question, *arrays)
        return self.receive(writes=writes)

    def send(self, question: dict[str, Any], *arrays: Any) -> None:
        """Send a question whose answer is received later."""
        with self.watched():
            for part in pack(Message(question, arrays)):
                self._send_part(part)

    def receive(self, *, writes: bool = False) -> Message:
        """The answer of the first question that has none yet."""
        with self.watched():
            message = receive_message(self._fill, most_bytes=self.budget.memory_bytes)
            facts = message.facts
            if "error" in facts:
                raise unpack_error(facts)
            if facts.get("out_of_memory"):
                raise _OverrunError(self._over_memory())
            if writes and is_count(facts.get("os_error")) and facts["os_error"]:
                raise OSError(facts["os_error"], os.strerror(facts["os_error"] % 1000))
            if "fault" in facts or "os_error" in facts:
                cause = " ".join(str(facts.get("fault") or facts.get("text")).split())[:200]
                raise ReadError(_unreadable(self.name, "a file that can be read", f"a damaged one ({cause})"))
            return message

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turn an end of the reader, or an answer that does not fit, into our error, which later questions get too."""
        if self._ended is not None:
            raise self._ended
        try:
            yield
        except _OverrunError as overrun:
            self._fail(overrun.error)
        except BrokenMessageError as error:
            found = f"a reader that answered with {error}"
            self._fail(ReadError(_unreadable(self.name, "a file that can be read", found)))
        except (EOFError, ConnectionError):
            self._fail(None)

    def _fail(self, error: ReadError | None) -> None:
        how = self.close()
        self._ended = error or self._why_it_ended(how)
        reader_ended("killed" if isinstance(self._ended, ReaderKilledError) else "failed")
        raise self._ended

    def _why_it_ended(self, how: dict[str, Any]) -> ReadError | ReaderKilledError:
        """`how`: empty when the program that it was forked from is gone too, which no file can bring about."""
        signalled, used = how.get("signal"), how.get("cpu")
        if isinstance(used, float) and used >= self.seconds:
            return self._over_time()
        if not how or (is_count(signalled) and signalled and _signal_name(signalled) not in CRASHES):
            return ReaderKilledError.of(
                "READER_KILLED",
                where=self.name,
                expected="a process that reads the file to its end",
                found=f"one that was killed ({_signal_name(signalled)})" if signalled else "one that was killed",
                remedy="Send it again in a moment; nothing is known to be wrong with the file. If it happens again, "
                "look at the memory of the machine or container: CELLMARK_READER_MEMORY_BYTES is what a reader may "
                "take.",
            )
        found = f"a reader that ended by signal {signalled}" if signalled else "a reader that ended"
        return ReadError(_unreadable(self.name, "a file that its library can read", found))

    def _send_part(self, part: memoryview) -> None:
        while len(part):
            self._wait(select.POLLOUT)
            try:
                part = part[self._connection.send(part) :]
            except BlockingIOError:
                continue

    def _fill(self, view: memoryview) -> None:
        while len(view):
            try:
                received = self._connection.recv_into(view)
            except BlockingIOError:
                self._wait(select.POLLIN)
                continue
            if not received:
                raise EOFError
            view = view[received:]
            if time.monotonic() - self._looked > LOOK_EVERY:
                self._look()

    def _wait(self, event: int) -> None:
        """Wait until the connection is ready, and look at the reader now and then meanwhile."""
        poller = select.poll()
        poller.register(self._connection, event)
        while True:
            start = time.monotonic()
            ready = poller.poll(LOOK_EVERY * 1000)
            self._waited += time.monotonic() - start
            if ready:
                return
            self._look()

    def _look(self) -> None:
        """Raise `_OverrunError` when the reader has used up its time or its memory, and the reason when the request
        that it reads for is to stop.
        """
        check_stop()
        self._looked = time.monotonic()
        memory = _memory_of(self.pid)
        if memory is not None and memory - self._base > self.budget.memory_bytes:
            raise _OverrunError(self._over_memory())
        used = _seconds_of(self.pid)
        if self._waited > self.seconds * WALL_FACTOR or (used is not None and used > self.seconds):
            raise _OverrunError(self._over_time())

    def _over_time(self) -> ReadError:
        return ReadError(
            _unreadable(
                self.name,
                f"a file that is read within {self.seconds:.0f} s",
                "a reader that had not finished",
                "If the file is sound, raise CELLMARK_READ_SECONDS",
            )
        )

    def _over_memory(self) -> ReadError:
        most = f"{self.budget.memory_bytes / 1024**2:,.0f} MiB"
        return ReadError(
            _unreadable(
                self.name,
                f"a file that is read with {most} of memory",
                "one that takes more",
                "If the file is sound, raise CELLMARK_READER_MEMORY_BYTES",
            )
        )

    def close(self) -> dict[str, Any]:
        """Kill the reader; tell how it ended the first time."""
        if self._closed:
            return {}
        self._closed = True
        self._connection.close()
        return self._end(self)


class _OverrunError(Exception):
    def __init__(self, error: ReadError) -> None:
        super().__init__()
        self.error = error


def _unreadable(name: str, expected: str, found: str, instead: str = "") -> Finding:
    remedy = "Copy or download it again, or write it again from its source."
    if instead:
        remedy = f"{instead}, or on the command line read it with --trusted; else write it again from its source."
    return Finding("FILE_UNREADABLE", where=name, expected=expected, found=found, remedy=remedy)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _memory_of(pid: int) -> int | None:
    """Resident bytes of a process, None where the system does not say."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (psutil.Error, OSError):
        return None


def _seconds_of(pid: int) -> float | None:
    """Processor time of a process, None where the system does not say."""
    try:
        used = psutil.Process(pid).cpu_times()
    except (psutil.Error, OSError):
        return None
    return float(used.user + used.system)
