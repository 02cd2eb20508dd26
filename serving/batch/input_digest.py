"""What an input is: a look from outside, which costs nothing, and the digest of its content."""

import hashlib
import os
import threading
from pathlib import Path

from cellmark.schemas.cells.matrix_files import find_matrix_files, is_matrix
from cellmark.schemas.cells.reading import reading

from .job_records import Stamp


def stamp_input(path: Path) -> Stamp:
    """Size, newest time and number of the files of an input. Raises `ReadError` for one that may not be looked at."""
    with reading(path, "a file or folder of cells"):
        stats = [file.stat() for file in _files(path)]
        return Stamp(
            bytes=sum(stat.st_size for stat in stats),
            mtime_ns=max((stat.st_mtime_ns for stat in stats), default=0),
            files=len(stats),
        )


def digest_input(path: Path) -> str:
    """SHA-256 of a file. That of several covers names, sizes and digests of all of its files, sorted by name: the
    lines of `sha256sum`, hashed. Raises `OSError` where the input cannot be read any more.
    """
    files = _files(path)
    if files == [path]:
        return _digest(path)
    lines, root = hashlib.sha256(), path if path.is_dir() else path.parent
    for file in files:
        lines.update(f"{_digest(file)}  {file.relative_to(root).as_posix()}\n".encode("utf-8", "surrogateescape"))
    return lines.hexdigest()


class DigestAhead:
    """The digest of an input, made by a thread while its cells are scored."""

    def __init__(self, path: Path) -> None:
        self._path, self._digest = path, ""
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="cellmark-digest", daemon=True)
        self._thread.start()

    def result(self) -> str:
        """Waits for it. Raises as `digest_input`."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._digest

    def _work(self) -> None:
        try:
            self._digest = digest_input(self._path)
        except Exception as error:  # raised where the digest is asked for
            self._error = error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(path: Path) -> list[Path]:
    """All files of an input, sorted; of a Matrix Market file also those with the names."""
    if path.is_dir():
        return sorted(Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    if not is_matrix(path):
        return [path]
    found = find_matrix_files(path)
    return sorted(file for file in (path, found.genes, found.cells, found.symbols) if file is not None)
