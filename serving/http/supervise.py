"""BentoML's supervisor of workers, with two changes: it refuses connections while it stops, and looks every second.

BentoML starts the class by its name in one of its modules, and offers no setting for either.
"""

import contextlib
import socket
from typing import Any

LOOK_EVERY = 1.0
"""Seconds between two looks at whether a worker has ended and needs another in its place; BentoML's own are 10."""
AFTER_WORKERS = 0.5
"""Seconds by which the workers are first: they close the listening socket at their end of draining."""


def supervise_closely(drain_seconds: float) -> None:
    """Change the supervisor of servers that are started in this process from now on."""
    from bentoml._internal.utils import circus

    class Supervisor(circus.Arbiter):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "check_delay": LOOK_EVERY})

        def stop(self) -> Any:
            # This process holds the listening socket as well. Left open, it would let clients connect and wait for
            # nobody until the last request of a worker has ended.
            self.loop.call_later(drain_seconds + AFTER_WORKERS, self.refuse_connections)
            return super().stop()

        def refuse_connections(self) -> None:
            for listening in self.sockets.values():
                with contextlib.suppress(OSError):
                    listening.shutdown(socket.SHUT_RDWR)

    circus.Arbiter = Supervisor
