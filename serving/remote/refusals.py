"""What storage elsewhere answers when it does not give an input, as ours: whatever library asks it, and without URLs of
its own, which may hold credentials.
"""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cellmark.schemas.errors import CellmarkError, ParameterError, ReadError, SetupError

from .urls import InputUrl

PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    **dict.fromkeys(("http", "https"), "aiohttp requests"),
    **dict.fromkeys(("ssh", "sftp"), "paramiko"),
    "hf": "huggingface_hub",
    "oss": "ossfs",
    "smb": "smbprotocol",
}
"""What fsspec needs for a scheme, to be installed by the user."""
NO_RIGHTS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "DefaultCredentialsError",
    "RefreshError",
    "ProfileNotFound",
}
UNREACHABLE = {
    "ClientConnectionError",
    "HTTPClientError",
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "FSTimeoutError",
    "TransportError",
}
CUT_SHORT = {"ClientPayloadError", "IncompleteReadError", "ResponseStreamingError"}
"""Classes of errors, or their bases, by name: the libraries are not imported for them."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def refusals(url: InputUrl, folder: Path) -> Iterator[None]:
    """Turn whatever a library raises while `url` is copied into `folder` into one of ours.

    The library's error is not chained: it may show credentials.
    """
    try:
        yield
    except CellmarkError:
        raise
    except Exception as error:
        links = [error]
        while (link := links[-1].__cause__ or links[-1].__context__) is not None and len(links) < 20:
            if not isinstance(link, Exception):
                break
            links.append(link)
        raise _refusal(url, folder, links) from None


def incomplete(url: InputUrl, expected: str, found: str) -> ReadError:
    """The error of a copy that is not what was announced."""
    return ReadError.of(
        "REMOTE_INCOMPLETE",
        where=url.shown,
        expected=expected,
        found=found,
        remedy="Run the command again. If it happens again, the object was changed meanwhile, or is incomplete where "
        "it lies.",
    )


def missing(url: InputUrl) -> ReadError:
    """The error of a URL with nothing behind it."""
    return ReadError.of(
        "FILE_NOT_FOUND",
        where=url.shown,
        expected="a file or folder of cells",
        found="nothing there, or a folder that cannot be listed",
        remedy="Check the URL. Servers of web pages seldom list folders: give a .zarr.zip there.",
    )


def no_room(url: InputUrl, folder: Path, found: str, n_bytes: int = 0) -> ReadError:
    """The error of a disk that the copy does not fit."""
    size = f"{n_bytes / 1024**3:,.2f} GiB of " if n_bytes else ""
    return ReadError.of(
        "SCRATCH_FULL",
        where=url.shown,
        expected=f"{size}room in {folder}, for a copy of the input",
        found=found,
        remedy="Name a folder of a larger disk: export CELLMARK_CACHE=/path/to/folder. Copies that are not needed any "
        "more can be removed from it.",
    )


def _refusal(url: InputUrl, folder: Path, links: list[Exception]) -> CellmarkError:
    kinds = {kind.__name__ for link in links for kind in type(link).__mro__}
    statuses = [status for link in links if (status := _status(link)) is not None]
    numbers = [link.errno for link in links if isinstance(link, OSError) and link.errno is not None]
    if any(number in NO_ROOM or number == errno.EROFS for number in numbers):
        return no_room(url, folder, str(links[0].args[-1] if links[0].args else "a full disk"))
    if any(isinstance(link, ImportError) for link in links):
        package = PACKAGES.get(url.scheme, f"the fsspec backend of {url.scheme}")
        return SetupError.of(
            "EXTRA_MISSING",
            where=url.shown,
            expected=f"the package that reads {url.scheme}:// addresses",
            found="it is not installed",
            remedy=f"Run pip install {package}" if url.scheme in PACKAGES else f"Install {package}.",
        )
    if any(isinstance(link, ValueError) and "rotocol" in str(link) for link in links):
        return ParameterError.of(
            "PARAMETER_INVALID",
            where=url.shown,
            expected="a path, or a URL whose scheme fsspec knows (https, s3, gs, az, hf, sftp ...)",
            found=f"the scheme {url.scheme!r}",
            remedy="Copy the input to this machine, and give its path.",
        )
    if {401, 403} & set(statuses) or any(isinstance(link, PermissionError) for link in links) or kinds & NO_RIGHTS:
        return ReadError.of(
            "REMOTE_FORBIDDEN",
            where=url.shown,
            expected="an input that you may read",
            found=f"storage that refuses it ({_in_words(statuses, links)})",
            remedy="Give this process the right to read it, as the storage's own tools take it: AWS_PROFILE, gcloud "
            "auth application-default login, .netrc, or a URL that was signed.",
        )
    if {404, 410} & set(statuses):
        return missing(url)
    if kinds & CUT_SHORT:
        return incomplete(url, "a whole copy", "a connection that ended early")
    unreachable = any(isinstance(link, ConnectionError | TimeoutError | socket.gaierror) for link in links)
    if not unreachable and not kinds & UNREACHABLE and not statuses and isinstance(links[0], FileNotFoundError):
        return missing(url)
    return ReadError.of(
        "REMOTE_UNREACHABLE",
        where=url.shown,
        expected="storage that answers",
        found=f"one that does not ({_in_words(statuses, links)})",
        remedy="Check the address and this machine's network (HTTPS_PROXY), and run the command again.",
    )


def _status(error: Exception) -> int | None:
    """The HTTP status of an answer, as aiohttp, gcsfs and botocore keep it."""
    answer = getattr(error, "response", None)
    metadata = answer.get("ResponseMetadata", {}) if isinstance(answer, dict) else {}
    found = getattr(error, "status", None) or getattr(error, "code", None) or metadata.get("HTTPStatusCode")
    return int(found) if isinstance(found, int | str) and str(found).isdigit() else None


def _in_words(statuses: list[int], links: list[Exception]) -> str:
    return f"HTTP status {statuses[-1]}" if statuses else type(links[-1]).__name__
