"""Is MLflow's store there at all? Asked before mlflow is, whose own retries last for minutes."""

import http.client
import os
import socket
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import RegistryError
from .tracking_uri import VARIABLE, is_server, public_uri, sqlite_path

TIMEOUT = 5.0
"""Seconds that a server or database host has to answer."""

PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mssql": 1433}
SQLITE_HEADER = b"SQLite format 3\0"
SET_VARIABLE = f"Check {VARIABLE}, or go to the folder whose mlflow.db holds the models."


def check_reachable(uri: str, *, create: bool, timeout: float = TIMEOUT) -> None:
    """Raise `RegistryError` (`REGISTRY_UNREACHABLE`) when the store behind `uri` cannot answer.

    A tracking server must answer `/health`, a database host must take connections, a SQLite file must be one; `create`:
    whether a SQLite file that is not there yet is as good. Stores of other kinds are left to mlflow.
    """
    database = sqlite_path(uri)
    scheme = urlsplit(uri).scheme.split("+")[0]
    if database is not None:
        _check_file(database, uri, create=create)
    elif is_server(uri):
        _ask_server(uri, timeout)
    elif scheme in PORTS:
        _connect(uri, PORTS[scheme], timeout)
    elif scheme in ("", "file"):
        remedy = f"Set {VARIABLE} to a server or to a database such as sqlite:///mlflow.db."
        raise unreachable(uri, "a plain folder, which MLflow no longer takes as a store", remedy=remedy)


def unreachable(uri: str, found: str, *, remedy: str = SET_VARIABLE) -> RegistryError:
    """The error that names a store without the credentials in its URI."""
    expected = "an MLflow tracking server or database that answers"
    return RegistryError.of(
        "REGISTRY_UNREACHABLE", where=public_uri(uri), expected=expected, found=found, remedy=remedy
    )


def _check_file(path: Path, uri: str, *, create: bool) -> None:
    if not path.exists():
        if not create:
            raise unreachable(uri, "no such file: nothing was trained or registered here")
        # SQLite would be asked again and again for more than a minute before it gives up.
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not os.access(folder, os.W_OK):
            raise unreachable(uri, "a folder that may not be written", remedy=f"Check permissions, or set {VARIABLE}.")
        return
    if not os.access(path, os.R_OK):
        raise unreachable(uri, "a file that may not be read", remedy="Check its permissions.")
    if not path.is_file():
        raise unreachable(uri, "something that is not a file")
    with path.open("rb") as handle:
        if handle.read(len(SQLITE_HEADER)) not in (b"", SQLITE_HEADER):
            raise unreachable(uri, "a file that is not a SQLite database")


def _ask_server(uri: str, timeout: float) -> None:
    # No credentials are sent. Any answer below 500 will do: refusals and certificates are mlflow's to speak of.
    parts = urlsplit(uri)
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/health"
    try:
        with urllib.request.urlopen(address, timeout=timeout):  # noqa: S310  (the scheme is http or https)
            return
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise unreachable(uri, f"HTTP status {error.code}", remedy="Ask whoever runs the server.") from error
    except urllib.error.URLError as error:
        if "CERTIFICATE_VERIFY_FAILED" not in str(error.reason):
            raise unreachable(uri, f"no answer ({error.reason})") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise unreachable(uri, f"no answer within {timeout:g} s ({error})") from error


def _connect(uri: str, default_port: int, timeout: float) -> None:
    try:
        parts = urlsplit(uri)
        if parts.hostname is None:
            return  # a local socket
        with socket.create_connection((parts.hostname, parts.port or default_port), timeout=timeout):
            return
    except (OSError, ValueError) as error:
        raise unreachable(uri, f"no answer ({error})") from error
