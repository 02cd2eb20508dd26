"""Which process runs which jobs: each holds a lock that the system takes from it when it dies, however it does.

The name of a slot is the executor's id: a process that starts takes the first free one, so that ids stay few and the
same, and what a dead one left unfinished is found by its name. Record locks, since those of `flock` would live on in
child processes.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SLOT = re.compile(r"slot-(\d+)")


class ExecutorSlot:
    """A slot that this process holds until `release` or its end. Its file is opened once: closing it anywhere in the
    process would give the lock back.
    """

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the slot back."""
        os.close(self._descriptor)


def take_slot(folder: Path) -> ExecutorSlot:
    """The first free slot of `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        name = f"slot-{number}"
        descriptor = _lock(folder / name)
        if descriptor is not None:
            return ExecutorSlot(name, descriptor)
        number += 1


@contextmanager
def dead_slot(folder: Path, name: str) -> Iterator[bool]:
    """Whether nobody holds the slot; if so, nobody can take it within the block."""
    descriptor = _lock(folder / name)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def other_slots(folder: Path, own: str) -> list[str]:
    """Names of all slots that were ever taken, but for one's own."""
    return sorted(path.name for path in folder.iterdir() if SLOT.fullmatch(path.name) and path.name != own)


def _lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with suppress(OSError):
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    os.close(descriptor)
    return None
