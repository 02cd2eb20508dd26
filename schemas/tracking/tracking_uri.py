"""Where MLflow's runs and registry are: one rule for training and serving, without importing mlflow."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
VARIABLE = "MLFLOW_TRACKING_URI"
SQLITE = "sqlite:///"


def tracking_uri(
    uri: str | None = None, *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> str:
    """`uri` when given, else `MLFLOW_TRACKING_URI`, else the SQLite file `mlflow.db` in the working folder.

    `environ`, `folder`: instead of the process's own environment and working folder.
    """
    given = uri or (os.environ if environ is None else environ).get(VARIABLE)
    return given or sqlite_uri((folder or Path.cwd()) / DATABASE)


def sqlite_uri(path: Path) -> str:
    """The URI of a SQLite file, absolute, so that it means the same wherever a process goes."""
    # Only what a URI parser would take for syntax is quoted: mlflow makes folders of the text as it stands.
    text = path.absolute().as_posix().replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    return SQLITE + text


def sqlite_path(uri: str) -> Path | None:
    """The file behind a SQLite URI; None for other URIs and for databases in memory."""
    scheme, _, rest = uri.partition(":///")
    name = unquote(rest.split("?")[0])
    if scheme.split("+")[0] != "sqlite" or not name or name == ":memory:":
        return None
    return Path(name)


def artifact_root(uri: str) -> Path | None:
    """Where a new experiment of a SQLite store keeps its files: `mlartifacts` beside it. None for other stores."""
    database = sqlite_path(uri)
    return None if database is None else database.absolute().parent / ARTIFACTS


def public_uri(uri: str) -> str:
    """The same without user, password and query, for messages and logs."""
    bare = re.sub(r"://[^/]*@", "://", uri)
    return bare if sqlite_path(uri) is not None else bare.split("?")[0].split("#")[0]


def is_server(uri: str) -> bool:
    """Whether `uri` names a tracking server (HTTP) rather than a database."""
    return urlsplit(uri).scheme in ("http", "https")


def quiet_mlflow() -> None:
    """Before mlflow's first import: no usage reports, links and bars of its own, unless the user chose otherwise.

    Nor eight minutes of asking a server again that is no more.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
