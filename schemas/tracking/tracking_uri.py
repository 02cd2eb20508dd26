"""Where MLflow's runs and registry are, whether they can be reached, and which experiment runs go to.

One rule for training and serving, without importing mlflow, whose own retries last for minutes.
"""

import contextlib
import getpass
import http.client
import itertools
import os
import re
import shlex
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from ..errors import ParameterError, RegistryError
from .user_config import FILE, REGISTRY, home_folder, read_config

if TYPE_CHECKING:
    from mlflow import MlflowClient


DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
VARIABLE = "MLFLOW_TRACKING_URI"
REGISTRY_VARIABLE = "MLFLOW_REGISTRY_URI"
"""Another place for models alone, as MLflow has it."""
SQLITE = "sqlite:///"
UI_PORT = 5000
"""Where `mlflow ui` listens."""


class Registry(NamedTuple):
    """Where runs and models are, and what said so, in words."""

    uri: str
    chosen_by: str

    def __str__(self) -> str:
        return f"Registry: {public_uri(self.uri)} ({self.chosen_by})"


hears_of_registry: ContextVar[Callable[[Registry], None] | None] = ContextVar("hears_of_registry", default=None)
"""Who is to know which registry a command uses, such as its terminal."""


def find_registry(
    uri: str | None = None, *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Registry:
    """`uri` when given, else `MLFLOW_TRACKING_URI`, else what `cellmark config` has set, else the SQLite file
    `mlflow.db` of the working folder where it exists, else that of this user.

    `environ`, `folder`: instead of the process's own environment and working folder. Nothing is made. Raises
    `SetupError` (`CONFIG_INVALID`) for a broken file of settings.
    """
    given = os.environ if environ is None else environ
    if uri:
        return Registry(uri, "as asked")
    if given.get(VARIABLE):
        return Registry(given[VARIABLE], VARIABLE)
    home = home_folder(given)
    if configured := read_config(home).get(REGISTRY):
        return Registry(configured, f"{home}/{FILE}")
    here = (folder or Path.cwd()) / DATABASE
    if home is None or here.exists():
        return Registry(sqlite_uri(here), f"{DATABASE} of this folder")
    return Registry(sqlite_uri(home / DATABASE), f"the default; {VARIABLE} or `cellmark config` choose another")


def tracking_uri(
    uri: str | None = None, *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> str:
    """The URI alone, see `find_registry`."""
    return find_registry(uri, environ=environ, folder=folder).uri


def used_registry(uri: str | None = None) -> str:
    """The URI of the registry that is about to be used; `hears_of_registry` is called unless it was given."""
    found = find_registry(uri)
    hear = hears_of_registry.get()
    if hear is not None and not uri:
        hear(found)
    return found.uri


def registry_uri(text: str) -> str:
    """The URI of a registry that a person named: a URI, made absolute, or the path of a SQLite file. Raises
    `ParameterError` for anything else.
    """
    scheme = urlsplit(text).scheme.split("+")[0]
    path = sqlite_path(text) if scheme == "sqlite" else Path(text).expanduser() if text.endswith(".db") else None
    if path is not None:
        return sqlite_uri(path)
    if scheme in ("http", "https", "databricks", "uc", *PORTS):
        return text
    raise ParameterError.of(
        "PARAMETER_INVALID",
        where="registry",
        expected="the address of a tracking server, a database, or the path of a SQLite file (.db)",
        found=repr(text),
        remedy="For example: cellmark config set registry ~/models/mlflow.db",
    )


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


def registry_of(client: "MlflowClient") -> str:
    """Where the registry is that a client registers at and asks for versions."""
    return str(getattr(client, "_registry_uri", client.tracking_uri))


def quiet_mlflow() -> None:
    """Before mlflow's first import: no usage reports, links and bars of its own, unless the user chose otherwise.

    Nor eight minutes of asking a server again that is no more.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


TIMEOUT = 5.0
"""Seconds that a server or database host has to answer."""

PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mssql": 1433}
SQLITE_HEADER = b"SQLite format 3\0"
SET_VARIABLE = f"See where it is sought: cellmark config show. Check {VARIABLE}, and the folder that you are in."
MOST_LOOKED_AT = 200
"""Folders beside the working folder in which another registry is sought."""


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
            nearby = _nearby(Path.cwd())
            remedy = (
                f"There is one nearby: export {VARIABLE}={shlex.quote(sqlite_uri(nearby))}" if nearby else SET_VARIABLE
            )
            raise unreachable(uri, "no such file: nothing was trained or registered here", remedy=remedy)
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


def _nearby(folder: Path) -> Path | None:
    """A registry in this folder or one around it, in it, or beside it; the nearest."""
    with contextlib.suppress(OSError):
        around = [folder, *folder.parents]
        near = (child for place in around[:2] for child in itertools.islice(place.iterdir(), MOST_LOOKED_AT))
        return next((place / DATABASE for place in (*around, *near) if (place / DATABASE).is_file()), None)
    return None


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


KIND, MACHINE_LEARNING = "mlflow.experimentKind", "custom_model_development"
"""Tag of an experiment that says which of MLflow's views suits it; without it some versions open another."""


def find_experiment(client: "MlflowClient", name: str | None, *, default: str) -> str:
    """Id of the experiment: `name`, else `MLFLOW_EXPERIMENT_NAME`, else `MLFLOW_EXPERIMENT_ID`, else `default`.

    It is made when missing; of a SQLite store, its files then lie in `mlartifacts` beside the database. One without a
    kind is marked as one of machine learning.
    """
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME")
    if name is None and os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    name = name or default
    found = client.get_experiment_by_name(name)
    if found is not None:
        if KIND not in found.tags:
            client.set_experiment_tag(found.experiment_id, KIND, MACHINE_LEARNING)
        return str(found.experiment_id)
    root = artifact_root(client.tracking_uri)
    place = None if root is None else str(root)
    return str(client.create_experiment(name, artifact_location=place, tags={KIND: MACHINE_LEARNING}))


def pages_of(uri: str, experiment_id: str) -> tuple[str | None, str]:
    """The command that shows a store in a browser, None for a server, and the page of an experiment's runs there.

    MLflow 3 opens an experiment among its pages for language models unless the address says otherwise.
    """
    place = f"#/experiments/{experiment_id}/runs?workflowType=machine_learning"
    public = public_uri(uri)
    if is_server(uri):
        return None, f"{public.rstrip('/')}/{place}"
    return f"mlflow ui --backend-store-uri '{public}' --port {UI_PORT}", f"http://127.0.0.1:{UI_PORT}/{place}"


def current_user() -> str:
    """The user of this process; a container may have no name for it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
