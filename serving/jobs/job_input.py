"""What a job is given: a received body, or a file below the configured root; both are copied into the job's folder."""

import hashlib
import os
import stat
from pathlib import Path
from typing import IO

from cellmark.schemas.api.strict_json import printable
from cellmark.schemas.errors import CellmarkError, ParameterError, ReadError

from ..http.open_body import ACCEPTED, EXTENSIONS, open_body
from ..http.options import InputOptions
from ..http.receive import Body, safe_name
from ..http.settings import ServiceSettings

BLOCK = 1024**2


def keep_body(body: Body, folder: Path, options: InputOptions, settings: ServiceSettings) -> str:
    """Copy what a request brought; the name of the file that holds it. JSON of another form is refused at once."""
    if body.json is not None:
        with open_body(body, options, settings):
            pass
        (folder / "body.json").write_bytes(body.json)
        return "body.json"
    assert body.path is not None  # noqa: S101
    if body.path.suffix and body.path.suffix.lower() not in EXTENSIONS:
        # Not least `.json`: of that name is what was received within the limits of JSON.
        raise ReadError.of(
            "FILE_FORMAT_UNKNOWN",
            where=body.path.name,
            expected=ACCEPTED,
            found=f"the extension {body.path.suffix!r}",
            remedy="Give the file the extension of what it is.",
        )
    with body.path.open("rb") as source:
        _copy(source, folder / body.path.name)
    return body.path.name


def keep_file(root: Path | None, path: str, folder: Path, *, most_bytes: int) -> tuple[str, str]:
    """Copy a file below `root`; its name and SHA-256. No link is followed, in any part of the path, and a file that is
    put in its place meanwhile is not read. Raises `ParameterError` and `ReadError`.
    """
    if root is None:
        raise _no_path(path, "a service with a folder of inputs (CELLMARK_JOBS_ROOT)", "none", "Upload the file.")
    parts = Path(path).parts
    if not parts or Path(path).is_absolute() or ".." in parts or "\0" in path:
        raise _no_path(path, "a path below the folder of inputs", "another path", "Name it relative to that folder.")
    if Path(path).suffix.lower() not in EXTENSIONS:
        raise _no_path(path, " or ".join(EXTENSIONS), "another extension", "Give the file the extension of what it is.")
    name = safe_name(parts[-1])
    with _open_below(root, parts, path) as source:
        size = os.fstat(source.fileno()).st_size
        if size > most_bytes:
            raise _no_path(path, f"at most {most_bytes:,} bytes", f"{size:,}", "Raise CELLMARK_JOBS_MAX_BYTES.")
        return name, _copy(source, folder / name)


def _open_below(root: Path, parts: tuple[str, ...], path: str) -> IO[bytes]:
    """A plain file, opened part by part, so that no link or rename leads out of the root between check and use."""
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        # Without waiting: a pipe would otherwise hold the request until somebody writes to it.
        descriptor = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError
        return os.fdopen(descriptor, "rb")
    except OSError:
        # One answer to all of them: what lies outside is nobody's business.
        raise ReadError.of(
            "FILE_NOT_FOUND",
            where=printable(path),
            expected="a plain file below the folder of inputs",
            found="none of that name, or a link",
            remedy="Check the path; links are not followed.",
        ) from None
    finally:
        os.close(at)


def _copy(source: IO[bytes], target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("wb") as file:
        while block := source.read(BLOCK):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _no_path(path: str, expected: str, found: str, remedy: str) -> CellmarkError:
    return ParameterError.of(
        "PARAMETER_INVALID", where=f"path {printable(path)!r}", expected=expected, found=found, remedy=remedy
    )
