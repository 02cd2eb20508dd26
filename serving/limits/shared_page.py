"""What all workers of a server must agree on from one request to the next, in a page of memory that they share.

A file in `CELLMARK_STATE`, mapped into each worker and changed under a lock: a few microseconds, where a database takes
a hundred. What it holds is worth nothing to the next server. A worker's part of it counts only while the worker lives,
which a lock on a file of its own proves, so a kill gives its room back.
"""

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

WORKERS = 64
BUCKETS = 8192
PROBES = 8
"""Buckets that a key may be in, so that two keys rarely share one."""
HELD = struct.Struct("q")
BUCKET = struct.Struct("Qdd")
BUCKETS_AT = WORKERS * HELD.size
SIZE = BUCKETS_AT + BUCKETS * BUCKET.size


class SharedPage:
    """Bytes of bodies by worker, and tokens by key. `folder`: where it lies; None: of this process alone."""

    def __init__(self, folder: Path | None = None) -> None:
        self._thread_lock = threading.Lock()
        self._folder = folder
        self._worker = 0
        self._lock: int | None = None
        if folder is None:
            self._page = mmap.mmap(-1, SIZE)
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "limits", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, SIZE)
            if hasattr(os, "posix_fallocate"):
                # Of a hole the system makes a block when it is first written, and ends the process on a full disk.
                os.posix_fallocate(descriptor, 0, SIZE)
            self._page = mmap.mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)
        self._lock = os.open(folder / "limits.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._worker, self._life = self._take_place()
        self._set(self._worker, 0)

    def reserve(self, n_bytes: int, most: int) -> bool:
        """Whether there is room for so many bytes more, which then counts as taken. One body alone always has room."""
        with self._locked():
            held = self._held_by_all()
            if held and held + n_bytes > most:
                held = self._forget_dead()
                if held and held + n_bytes > most:
                    return False
            self._set(self._worker, self._get(self._worker) + n_bytes)
            return True

    def release(self, n_bytes: int) -> None:
        """Give back what `reserve` took."""
        with self._locked():
            self._set(self._worker, max(self._get(self._worker) - n_bytes, 0))

    def held(self) -> int:
        """Bytes that all workers hold, dead ones not counted."""
        with self._locked():
            return self._forget_dead()

    def take(self, key: str, *, rate: float, burst: int, now: float) -> float:
        """Take a token of the bucket of `key`, which gets `rate` a second and holds at most `burst`: 0 if there is one,
        else the seconds until there is. `now`: of a clock that all workers share, such as `time.monotonic`.
        """
        number = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") or 1
        with self._locked():
            at = self._bucket(number)
            owner, left, last = BUCKET.unpack_from(self._page, at)
            tokens = float(left)
            if owner != number:
                tokens, last = float(burst), now
            # A clock that jumps back gives nothing; one that jumps ahead no more than a full bucket.
            tokens = min(tokens + max(now - last, 0.0) * rate, float(burst))
            missing = 1.0 - tokens
            if missing <= 0:
                tokens -= 1.0
            BUCKET.pack_into(self._page, at, number, tokens, now)
        return float(max(missing, 0.0) / rate)

    def _bucket(self, number: int) -> int:
        """Where the key's bucket is; for a new one the place that was asked for the longest time ago."""
        places = [BUCKETS_AT + (number + step) % BUCKETS * BUCKET.size for step in range(PROBES)]
        oldest, since = places[0], float("inf")
        for at in places:
            owner, _, last = BUCKET.unpack_from(self._page, at)
            if owner == number:
                return at
            if (0.0 if not owner else last) < since:
                oldest, since = at, 0.0 if not owner else last
        return oldest

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._thread_lock:
            if self._lock is None:
                yield
                return
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _take_place(self) -> tuple[int, int]:
        """The number of a place that no living worker has, and the descriptor whose lock keeps it."""
        for number in range(WORKERS):
            descriptor = self._lock_of(number)
            if descriptor is not None:
                return number, descriptor
        raise RuntimeError(f"more than {WORKERS} workers share one folder")

    def _lock_of(self, number: int) -> int | None:
        """A descriptor that holds the lock of a worker's place, None when a living one has it."""
        assert self._folder is not None  # noqa: S101
        name = self._folder / f"worker-{number}.lock"
        descriptor = os.open(name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor

    def _held_by_all(self) -> int:
        return sum(held for (held,) in HELD.iter_unpack(self._page[:BUCKETS_AT]))

    def _forget_dead(self) -> int:
        for number in range(WORKERS):
            if self._folder is None or number == self._worker or not self._get(number):
                continue
            descriptor = self._lock_of(number)
            if descriptor is not None:
                self._set(number, 0)
                os.close(descriptor)
        return self._held_by_all()

    def _get(self, number: int) -> int:
        return int(HELD.unpack_from(self._page, number * HELD.size)[0])

    def _set(self, number: int, n_bytes: int) -> None:
        HELD.pack_into(self._page, number * HELD.size, n_bytes)
