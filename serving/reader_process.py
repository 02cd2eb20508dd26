"""The process that asks: it starts a reader for a file, watches its time and memory, and ends it in any case."""

import atexit
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellmark.schemas.errors import Finding, ReadError, SetupError

from .reader_messages import BrokenMessageError, Message, is_count, pack, receive_message, unpack_error

PROGRAM = "cellmark.serving.reader_program"
LOOK_EVERY = 0.05
"""Seconds between two looks at a reader that is waited for."""
WALL_FACTOR = 4
"""Times the processor's seconds that a reader may be waited for: a disk may be slow, and processors shared."""
START_SECONDS = 120
LAST_WORD_SECONDS = 2


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


class ReaderServer:
    """The waiting program of `reader_program.py`. Safe to use from many threads; it starts again when it was killed.

    `program`: arguments of Python that run it, before the number of its socket.
    """

    def __init__(self, *program: str) -> None:
        self._program = program or ("-m", PROGRAM)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = False
        self._readers: dict[int, Reader] = {}
        self._owner = os.getpid()

    def start(self) -> None:
        """Start the program, without waiting for it: its imports take a second, in which other things can be done."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        if self._owner != os.getpid():  # a fork has no right to another process's program
            self._process, self._control, self._owner = None, None, os.getpid()
            self._readers.clear()
        if self._process is not None and self._process.poll() is None:
            return
        self._stop()
        ours, theirs = socket.socketpair()
        # One thread, without which a fork is not safe: libraries would start more.
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        threads["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                # With a safe path, files in the working folder cannot stand in for modules of the same name.
                [sys.executable, "-P", *self._program, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                process_group=0,  # the keyboard's interrupt goes to a whole group; the one that asks decides what ends
                env={**os.environ, **threads},
            )
        ours.settimeout(START_SECONDS)
        self._control, self._ready = ours, False

    def _ask(self, order: dict[str, Any], descriptor: int | None = None) -> dict[str, Any]:
        """Send an order and wait for its answer. Raises `OSError` when the program is gone."""
        assert self._control is not None  # noqa: S101
        # A descriptor needs a byte to travel with.
        socket.send_fds(self._control, [b"."], [] if descriptor is None else [descriptor])
        for part in pack(Message(order)):
            self._control.sendall(part)
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        assert self._control is not None  # noqa: S101
        control = self._control

        def fill(view: memoryview) -> None:
            while len(view):
                received = control.recv_into(view)
                if not received:
                    raise ConnectionResetError("the program of readers has ended")
                view = view[received:]

        return receive_message(fill, most_bytes=0).facts

    def fork(self, budget: ReaderBudget, *, name: str, n_bytes: int, may_write: bool = False) -> "Reader":
        """A new reader, for the file `name` of `n_bytes`. Raises `SetupError` when none can be started."""
        ours, theirs = socket.socketpair()
        seconds = budget.seconds_for(n_bytes)
        with theirs, self._lock:
            for attempt in (1, 2):
                try:
                    self._start()
                    if not self._ready:
                        self._receive()
                        self._ready = True
                    assert self._process is not None  # noqa: S101
                    order = {"server": self._process.pid, "memory": budget.memory_bytes}
                    order |= {"seconds": int(seconds) + 2, "may_write": may_write}
                    answer = self._ask(order, theirs.fileno())
                    if not answer.get("pid"):  # the program goes on
                        ours.close()
                        raise _not_started(str(answer.get("text")), "Ask again in a moment.")
                    reader = Reader(self, ours, answer["pid"], name, budget, seconds)
                    self._readers[reader.pid] = reader
                    return reader
                except (OSError, BrokenMessageError) as error:
                    self._stop()
                    if attempt == 2:
                        ours.close()
                        raise _not_started(str(error), "Look at the log for its message.") from error
        raise AssertionError

    def readers(self) -> list[int]:
        """Readers that were started and not ended yet, whatever became of them."""
        return sorted(self._readers)

    def end(self, reader: "Reader") -> dict[str, Any]:
        """Kill a reader and tell how it ended; empty when that is not known."""
        with self._lock:
            if self._readers.get(reader.pid) is not reader:
                return {}  # ended with the program that it was forked from
            del self._readers[reader.pid]
            try:
                return self._ask({"end": reader.pid})
            except (OSError, BrokenMessageError):
                self._stop()
                return {}

    def stop(self) -> None:
        """End the program and its readers."""
        with self._lock:
            if self._owner == os.getpid():
                self._stop()

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            # It ends when nobody asks any more, with a last word if there was a fault; its readers end with it.
            try:
                self._process.wait(timeout=LAST_WORD_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process, self._control, self._ready = None, None, False
        self._readers.clear()


class Reader:
    """One reader process. Any answer may be the end of it: `ReadError` (`FILE_UNREADABLE`) then says why."""

    def __init__(
        self,
        server: ReaderServer,
        connection: socket.socket,
        pid: int,
        name: str,
        budget: ReaderBudget,
        seconds: float,
    ) -> None:
        self.pid, self.name = pid, name
        self.budget, self.seconds = budget, seconds
        self._server, self._connection = server, connection
        connection.setblocking(False)
        self._waited = 0.0
        self._looked = 0.0
        self._base = _memory_of(pid) or 0
        self._ended: ReadError | None = None
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
                raise self._over_memory()
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
        if error is None:
            signalled, used = how.get("signal"), how.get("cpu")
            if isinstance(used, float) and used >= self.seconds:
                error = self._over_time()
            else:
                found = f"a reader that ended by signal {signalled}" if signalled else "a reader that ended"
                error = ReadError(_unreadable(self.name, "a file that its library can read", found))
        self._ended = error
        raise error

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
        """Raise `_OverrunError` when the reader has used up its time or its memory."""
        self._looked = time.monotonic()
        memory = _memory_of(self.pid)
        if memory is not None and memory - self._base > self.budget.memory_bytes:
            raise _OverrunError(self._over_memory())
        used = _seconds_of(self.pid)
        if self._waited > self.seconds * WALL_FACTOR or (used is not None and used > self.seconds):
            raise _OverrunError(self._over_time())

    def _over_time(self) -> ReadError:
        return ReadError(
            _unreadable(self.name, f"a file that is read within {self.seconds:.0f} s", "a reader that had not finished",
                        "If the file is sound, raise CELLMARK_READ_SECONDS")
        )  # fmt: skip

    def _over_memory(self) -> ReadError:
        most = f"{self.budget.memory_bytes / 1024**2:,.0f} MiB"
        return ReadError(
            _unreadable(self.name, f"a file that is read with {most} of memory", "one that takes more",
                        "If the file is sound, raise CELLMARK_READER_MEMORY_BYTES")
        )  # fmt: skip

    def close(self) -> dict[str, Any]:
        """Kill the reader; tell how it ended the first time."""
        if self._closed:
            return {}
        self._closed = True
        self._connection.close()
        return self._server.end(self)


class _OverrunError(Exception):
    def __init__(self, error: ReadError) -> None:
        super().__init__()
        self.error = error


def _not_started(found: str, remedy: str) -> SetupError:
    expected = "a process that reads files"
    return SetupError(Finding("SERVICE_FAILED", "reader", expected, f"one that does not start ({found})", remedy))


def _unreadable(name: str, expected: str, found: str, instead: str = "") -> Finding:
    remedy = "Check that the file is complete, and write it again from its source."
    if instead:
        remedy += f" {instead}, or on the command line read it with --trusted."
    return Finding("FILE_UNREADABLE", name, expected, found, remedy)


def _memory_of(pid: int) -> int | None:
    """Resident bytes of a process, None where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return None


def _seconds_of(pid: int) -> float | None:
    """Processor time of a process, None where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None


_server = ReaderServer()
atexit.register(_server.stop)


def reader_server() -> ReaderServer:
    """The program of this process's readers."""
    return _server


def start_reader() -> None:
    """Start the program of readers, so that it is ready when a file is to be read."""
    _server.start()
