"""How a worker ends: unready first, then without new connections, then with what is in flight stopped, then dead."""

import asyncio
import ctypes
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from ..stop import Stop
from .refusals import stopping
from .settings import LimitSettings

SERVER_PID = "CELLMARK_SERVER_PID"
"""Variable that names the process whose workers these are."""
PR_SET_PDEATHSIG = 1
GRACE = 3
"""Seconds that stopped requests have for their refusals before connections are cut; twice that ends the process."""

logger = logging.getLogger("cellmark.serving")


class Ending:
    """Whether this process has been asked to end. `in_flight`: what the requests of this moment are stopped by."""

    def __init__(self) -> None:
        self.begun = False
        self.in_flight: set[Stop] = set()

    def begin(self) -> None:
        """From here on /readyz says no, and answers ask for their connection to be closed."""
        self.begun = True

    def stop_requests(self) -> None:
        """Let the work in flight end with `SERVICE_STOPPING`."""
        if self.in_flight:
            logger.warning("Stopping %d requests that did not end in time", len(self.in_flight))
        for stop in list(self.in_flight):
            stop.ask(stopping())


def end_gently(ending: Ending, settings: LimitSettings, *, exit_now: Callable[[int], Any] = os._exit) -> bool:
    """Let SIGTERM end this worker in steps; False where it has no say, as in a test's thread.

    The server has set its own handler of SIGTERM by now, which refuses connections and waits for requests. This one
    comes before it. To be called in the event loop's thread.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        return False
    loop = asyncio.get_running_loop()
    server: Any = getattr(before, "__self__", None)
    if server is not None and hasattr(server, "config"):
        server.config.timeout_graceful_shutdown = math.ceil(settings.shutdown_seconds) + GRACE

    def refuse() -> None:
        before(signal.SIGTERM, None)

    def on_signal(number: int, frame: object) -> None:
        if ending.begun:
            return
        ending.begin()
        # Nobody is told any more that a worker is not ready whose server is gone.
        wait = 0.0 if is_orphan() else settings.drain_seconds
        last = threading.Timer(wait + settings.shutdown_seconds + 2 * GRACE, exit_now, [1])
        last.daemon = True
        last.start()
        loop.call_soon_threadsafe(loop.call_later, wait, refuse)
        loop.call_soon_threadsafe(loop.call_later, wait + settings.shutdown_seconds, ending.stop_requests)

    signal.signal(signal.SIGTERM, on_signal)
    return True


def end_with_server() -> None:
    """Let this worker get SIGTERM when the process that started it is gone, however that ended."""
    if sys.platform == "linux" and SERVER_PID in os.environ:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if is_orphan():  # it ended before it was asked for
            os.kill(os.getpid(), signal.SIGTERM)


def is_orphan() -> bool:
    """Whether the server that this worker belongs to is gone."""
    server = os.environ.get(SERVER_PID, "")
    return server.isdigit() and os.getppid() != int(server)
