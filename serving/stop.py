"""Ending work that nobody waits for any more: whoever works for long asks between two chunks whether to go on."""

from collections.abc import Callable

from cellmark.schemas.errors import CellmarkError


class Stop:
    """Is asked for once; the first reason counts. `asked_for`: the reason, raised by `check`."""

    __slots__ = ("_wake", "asked_for")

    def __init__(self) -> None:
        self.asked_for: CellmarkError | None = None
        self._wake: Callable[[], None] | None = None

    def ask(self, reason: CellmarkError) -> None:
        """Let the work end with `reason`. To be called by the event loop's thread."""
        if self.asked_for is None:
            self.asked_for = reason
            if self._wake is not None:
                self._wake()

    def check(self) -> None:
        """Raise the reason once the work is to stop. Safe in any thread."""
        if self.asked_for is not None:
            raise self.asked_for

    def wakes(self, wake: Callable[[], None] | None) -> None:
        """Call `wake` when stopping is asked for, at most one at a time; None to call nothing any more."""
        self._wake = wake
