"""The program of reader processes: one that is started early and waits, and a copy of it for every file.

`python -m cellmark.serving.reader.reader_program FD` imports what readers need, once. It never opens a file itself:
asked over the socket FD, it forks, and the copy reads one file, answers questions about it over a socket of its own,
and is killed afterwards. So a file cannot spoil the reading of the next one, and what it made the libraries do is over
with it. It has one thread, without which a fork is not safe.
"""

import ctypes
import gc
import os
import resource
import signal
import socket
import sys
import warnings
from contextlib import suppress
from typing import Any

from .reader_messages import BrokenMessageError, Message, pack, receive_message

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Wait for files until the process that asks is gone."""
    with socket.socket(fileno=int(sys.argv[1])) as control:
        _outlive_signals()
        _warm_up()
        _silence()
        _send(control, Message({"ready": os.getpid()}))
        children: set[int] = set()
        try:
            while True:
                _answer(control, children)
        except (EOFError, OSError):
            pass
        finally:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            os._exit(0)  # at once: there is nothing to clean up, and nobody left to wait for it


def _outlive_signals() -> None:
    """Who stops a service often signals its children too, and requests still being answered need their readers: they
    end with the process that asks, by its socket. SIGTERM was blocked from the start (`reader_server.py`).
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _warm_up() -> None:
    """Import all that reading takes, and read a few cells: what a library does once, a copy need not do again."""
    from . import read_apart

    warnings.simplefilter("ignore")
    read_apart.read_own_cells()
    # What is there now is never collected, so that copies share its pages.
    gc.collect()
    gc.freeze()


def _silence() -> None:
    """Libraries write to the standard streams; nobody reads them here."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)


def _answer(control: socket.socket, children: set[int]) -> None:
    """One order: `start` with a socket starts a reader, `end` kills one and tells how it ended."""
    byte, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if not byte:
        raise EOFError
    order = receive_message(_filler(control), most_bytes=0).facts
    if "end" in order:
        pid = order["end"]
        if pid not in children:
            raise BrokenMessageError("a reader that is not there")
        children.remove(pid)
        os.kill(pid, signal.SIGKILL)
        _, status, used = os.wait4(pid, 0)
        signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        _send(control, Message({"signal": signalled, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss}))
        return
    try:
        pid = os.fork()
    except OSError as error:  # no more processes, or no memory for them: the next one may be possible
        os.close(descriptors[0])
        _send(control, Message({"pid": 0, "text": str(error)}))
        return
    if pid == 0:
        _become_reader(control, descriptors[0], order)
    os.close(descriptors[0])
    children.add(pid)
    _send(control, Message({"pid": pid}))


def _become_reader(control: socket.socket, descriptor: int, order: dict[str, Any]) -> None:
    """Never returns: what the program does at its end is not for a copy to do."""
    status = 1
    try:
        control.close()
        _die_with_parent(order["server"])
        with suppress(OSError):  # then a relative path is not found, which is said
            os.chdir(order["folder"])
        disk = resource.RLIM_INFINITY if order["may_write"] else order["scratch"]
        _limit(memory=order["memory"], seconds=order["seconds"], disk=disk)
        from .read_apart import serve_file

        with socket.socket(fileno=descriptor) as asked:
            fill = _filler(asked)
            serve_file(lambda: receive_message(fill, most_bytes=order["memory"]), lambda message: _send(asked, message))
        status = 0
    except BaseException:  # noqa: S110
        # Whoever asked sees the socket close.
        pass
    finally:
        os._exit(status)


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _limit(*, memory: int, seconds: int, disk: int) -> None:
    """The system's own limits, in case that nobody watches. `memory`: bytes beyond what the program holds already.
    `disk`: bytes of a file that it writes.
    """
    for kind, most in (
        (resource.RLIMIT_DATA, _data_bytes() + memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        *(() if disk == resource.RLIM_INFINITY else ((resource.RLIMIT_FSIZE, disk),)),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(ValueError, OSError):  # not every system has every limit
            resource.setrlimit(kind, (most, most))


def _data_bytes() -> int:
    """What the process has of the memory that RLIMIT_DATA counts; 0 where the system does not say."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData")), 0)
    except OSError:
        return 0


def _filler(connection: socket.socket) -> Any:
    def fill(view: memoryview) -> None:
        while len(view):
            received = connection.recv_into(view)
            if not received:
                raise EOFError
            view = view[received:]

    return fill


def _send(connection: socket.socket, message: Message) -> None:
    for part in pack(message):
        connection.sendall(part)


if __name__ == "__main__":
    main()
