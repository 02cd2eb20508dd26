"""The keys that count now: those of the environment, and those of the file as it is at this moment."""

import logging
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cellmark.schemas.errors import CellmarkError, RequestError

from .api_key import SALT_BYTES, ApiKey, KeyRecord
from .key_file import read_key_file

logger = logging.getLogger("cellmark.serving")
NOBODY = KeyRecord("", bytes(SALT_BYTES), bytes(32), frozenset(), datetime.fromtimestamp(0, UTC))
"""Is compared with keys whose id is not known."""
Stamp = tuple[int, int, int, int]
"""Device, inode, size and time of change of a file: another one after every change that cellmark makes."""


class KeyRing:
    """Looks at the file's stamp for every request (a microsecond), so that a change counts at once in all workers.

    A file that cannot be read any more lets nobody in: a key that was revoked in it must not work again.
    """

    def __init__(self, path: Path | None, fixed: Iterable[KeyRecord] = ()) -> None:
        self._path = path
        self._fixed = {record.key_id: record for record in fixed}
        self._records = self._fixed
        self._stamp: Stamp | None = None
        self._broken = False

    def find(self, key: ApiKey) -> KeyRecord | None:
        """The record of a key whose secret is right, else None. Raises `RequestError` (`KEY_FILE_INVALID`)."""
        if self._path is not None:
            self._refresh(self._path)
        record = self._records.get(key.key_id)
        # An id that is not known takes as long as one that is.
        right = (record or NOBODY).matches(key)
        return record if right else None

    def _refresh(self, path: Path) -> None:
        try:
            facts = os.stat(path)
            stamp = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_ctime_ns)
        except OSError:
            stamp = None
        if stamp is None or stamp != self._stamp:
            self._read(path, stamp)
        if self._broken:
            raise RequestError.of(
                "KEY_FILE_INVALID",
                where="keys",
                expected="a file of keys that the service can read",
                found="one that it cannot",
                remedy="Nothing is wrong with the request. The service's operator finds the reason in its log.",
            )

    def _read(self, path: Path, stamp: Stamp | None) -> None:
        try:
            self._records = {**self._fixed, **{record.key_id: record for record in read_key_file(path)}}
            self._broken = False
        except CellmarkError as error:
            if not self._broken:
                logger.error("Requests with a key are refused: %s", error)
            self._broken = True
        self._stamp = stamp
