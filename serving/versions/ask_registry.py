"""Which version an alias names, asked without MLflow: its import costs seconds and 150 MB, for a frequent question.

A tracking server is asked over its REST API, a SQLite file by SQL. For all other stores, and for credentials that this
file does not know, the answer is None: then `fetch_version.py` has MLflow ask, in a process of its own.
"""

import base64
import json
import os
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellmark.schemas.tracking.tracking_uri import check_reachable, is_server, sqlite_path, tracking_uri, unreachable

from ..models.find_version import VersionUri

SECONDS = 5.0
ROUTE = "/api/2.0/mlflow/registered-models/alias"
LONGEST_ANSWER = 4 * 1024**2
OTHER_CREDENTIALS = (
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_WORKSPACE",
)
"""Variables that MLflow's own client understands and this file does not."""
QUERY = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"


def registry_uri(environ: Mapping[str, str] | None = None) -> str:
    """Where the registry is."""
    given = os.environ if environ is None else environ
    return given.get("MLFLOW_REGISTRY_URI") or tracking_uri(environ=given)


def alias_version(wanted: VersionUri, *, environ: Mapping[str, str] | None = None) -> str | None:
    """The number of the version that has the alias; None where MLflow must be asked, or the alias is not there.

    Raises `RegistryError` (`REGISTRY_UNREACHABLE`) when nothing answers.
    """
    given = os.environ if environ is None else environ
    uri = registry_uri(given)
    if wanted.alias is None:
        return wanted.version
    path = sqlite_path(uri)
    if any(given.get(name) for name in OTHER_CREDENTIALS):
        return None
    if path is not None:
        check_reachable(uri, create=False)
        return _ask_file(path, wanted.name, wanted.alias)
    return _ask_server(uri, wanted.name, wanted.alias, given) if is_server(uri) else None


def _ask_file(path: Path, name: str, alias: str) -> str | None:
    try:
        address = f"file:{urllib.parse.quote(str(path.absolute()))}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=SECONDS)
        try:
            rows = connection.execute(QUERY, (name, alias)).fetchall()
        finally:
            connection.close()
    except sqlite3.Error:
        return None  # another layout than this file knows, or a busy one: MLflow will say
    return str(rows[0][0]) if len(rows) == 1 else None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Credentials go to the server that is named, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _ask_server(uri: str, name: str, alias: str, given: Mapping[str, str]) -> str | None:
    parts = urllib.parse.urlsplit(uri)
    query = urllib.parse.urlencode({"name": name, "alias": alias})
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}{ROUTE}?{query}"
    request = urllib.request.Request(address, headers=_credentials(parts, given))  # noqa: S310  (http or https)
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=SECONDS) as answer:
            return str(json.loads(answer.read(LONGEST_ANSWER))["model_version"]["version"])
    except urllib.error.HTTPError as error:
        error.close()
        if error.code >= 500:
            raise unreachable(uri, f"HTTP status {error.code}", remedy="Ask whoever runs the server.") from error
        return None
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        raise unreachable(uri, f"no answer ({reason})") from error
    except (ValueError, KeyError, TypeError):
        return None


def _credentials(parts: urllib.parse.SplitResult, given: Mapping[str, str]) -> dict[str, str]:
    """Those that MLflow would send: of the URI, else of its variables."""
    user, password = parts.username, parts.password
    if user is None:
        user, password = given.get("MLFLOW_TRACKING_USERNAME"), given.get("MLFLOW_TRACKING_PASSWORD")
    if user:
        pair = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password or '')}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")}
    token = given.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}
