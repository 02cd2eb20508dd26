"""The program that readers are forked from, as the process that asks sees it: started early, once, and kept alive."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cellmark.schemas.errors import SetupError

from ..observe.reader_counts import readers_are
from .reader_messages import BrokenMessageError, Message, pack, receive_message
from .reader_process import Reader, ReaderBudget

PROGRAM = "cellmark.serving.reader.reader_program"
START_SECONDS = 120
LAST_WORD_SECONDS = 2


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
        with theirs, _without_sigterm():
            self._process = subprocess.Popen(  # noqa: S603
                # With a safe path, files in the working folder cannot stand in for modules of the same name.
                [sys.executable, "-P", *self._program, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a signal to a whole group is not for it; the one that asks decides what ends
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

    def fork(
        self, budget: ReaderBudget, *, name: str, n_bytes: int, may_write: bool = False, scratch: int = 0
    ) -> Reader:
        """A new reader, for the file `name` of `n_bytes`. `may_write`: files of any size; `scratch`: bytes of a file
        that it may write otherwise. Raises `SetupError` when none can be started.
        """
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
                    order: dict[str, Any] = {"server": self._process.pid, "memory": budget.memory_bytes}
                    order |= {"seconds": int(seconds) + 2, "folder": _working_folder()}
                    order |= {"may_write": may_write, "scratch": scratch}
                    answer = self._ask(order, theirs.fileno())
                    if not answer.get("pid"):  # the program goes on
                        ours.close()
                        raise _not_started(str(answer.get("text")), "Ask again in a moment.")
                    reader = Reader(ours, answer["pid"], name, budget, seconds, self.end)
                    self._readers[reader.pid] = reader
                    readers_are(len(self._readers))
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

    def end(self, reader: Reader) -> dict[str, Any]:
        """Kill a reader and tell how it ended; empty when that is not known."""
        with self._lock:
            if self._readers.get(reader.pid) is not reader:
                return {}  # ended with the program that it was forked from
            del self._readers[reader.pid]
            readers_are(len(self._readers))
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
        readers_are(0)


@contextmanager
def _without_sigterm() -> Iterator[None]:
    """A program that is started within has SIGTERM blocked, until it has said itself that it ignores it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _working_folder() -> str:
    """Where relative paths of this moment begin: the program keeps the folder that it was started in."""
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was deleted, and no relative path leads anywhere
        return os.sep


def _not_started(found: str, remedy: str) -> SetupError:
    expected = "a process that reads files"
    return SetupError.of(
        "SERVICE_FAILED", where="reader", expected=expected, found=f"one that does not start ({found})", remedy=remedy
    )


_server = ReaderServer()
atexit.register(_server.stop)


def reader_server() -> ReaderServer:
    """The program of this process's readers."""
    return _server


def start_reader() -> None:
    """Start the program of readers, so that it is ready when a file is to be read."""
    _server.start()
