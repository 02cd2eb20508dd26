"""Starts BentoML's server for the model that the environment names, and cleans up behind it.

Each server has one temporary folder of its own below `TMPDIR` (`owned_folder.py`), in which its workers and readers
have theirs, with `CELLMARK_STATE`, where workers share what they must agree on. BentoML keeps its files in
`BENTOML_HOME`, by default a folder in the user's home that all its servers share: two of them would mix their metrics.
Here it lies in the server's folder too, unless the variable is set.
"""

import argparse
import contextlib
import errno
import ipaddress
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cellmark.schemas.errors import SetupError
from cellmark.schemas.telemetry import refuse_telemetry

from ..access.exposure import refuse_exposure
from ..access.settings import AccessSettings
from ..limits.ending import SERVER_PID
from ..limits.owned_folder import FOLDER, owned_folder
from ..limits.settings import STATE, LimitSettings, default_workers
from .supervise import supervise_closely

PORTS_TRIED = 50
LOOPBACK_NAMES = "localhost,127.0.0.1,[::1]"


def free_address(host: str, port: int) -> str:
    """The IP address of `host`, where `port` is free. Raises `SetupError` (`SERVICE_FAILED`)."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise SetupError.of(
            "SERVICE_FAILED",
            where=f"{host}:{port}",
            expected="an address of this machine whose port is free",
            found=error.strerror or str(error),
            remedy=_other_address(host, port, error),
        ) from error
    return str(address[0])


def _other_address(host: str, port: int, error: OSError) -> str:
    """What to name instead: the next port that is free, or this machine's own address."""
    if error.errno not in (errno.EADDRINUSE, errno.EACCES):
        return "Name an address of this machine: --host 127.0.0.1 (or --host 0.0.0.0 for all of them)."
    for other in range(max(port, 3000) + 1, min(max(port, 3000) + PORTS_TRIED, 65535)):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, other))
            return f"Name a port that is free: --port {other}. Or stop what listens there."
    return "Name another --port, or stop what listens there."


SERVICE = "cellmark.serving.service:CellmarkService"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m cellmark.serving.http.start_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3000)
    chosen = parser.parse_args(arguments)
    access = AccessSettings.from_environment()
    refuse_exposure(chosen.host, access)
    os.environ.update(access.to_environment())
    limits = LimitSettings.from_environment()
    # Until the supervisor has handlers of its own: without one the folder would stay.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with owned_folder() as folder:
        os.environ.update(environment_of(folder, chosen.host))
        tempfile.tempdir = os.environ["TMPDIR"]
        refuse_telemetry()
        import bentoml

        supervise_closely(limits.drain_seconds)
        bentoml.serve(
            SERVICE,
            host=chosen.host,
            port=chosen.port,
            working_dir=str(folder),
            ssl_certfile=access.ssl_certfile,
            ssl_keyfile=access.ssl_keyfile,
            blocking=True,
        )


def environment_of(folder: Path, host: str) -> dict[str, str]:
    """Variables of a server whose temporary folder is `folder`: read when BentoML is imported, here and in its workers.

    A web page can make a browser ask a loopback address under the page's own name (DNS rebinding), so a server that
    listens there answers to loopback names alone, unless `CELLMARK_ALLOWED_HOSTS` says otherwise.
    """
    places = {"TMPDIR": folder / "tmp", STATE: folder / "state", "BENTOML_HOME": folder / "bentoml"}
    kept = {name: os.path.abspath(os.environ[name]) for name in (STATE, "BENTOML_HOME") if os.environ.get(name)}
    chosen = {name: kept.get(name, str(place)) for name, place in places.items()}
    for place in chosen.values():
        Path(place).mkdir(mode=0o700, parents=True, exist_ok=True)
    hosts = os.environ.get("CELLMARK_ALLOWED_HOSTS", "") or (LOOPBACK_NAMES if is_loopback(host) else "*")
    workers = os.environ.get("CELLMARK_WORKERS", "") or str(default_workers())
    names = {"CELLMARK_ALLOWED_HOSTS": hosts, "CELLMARK_WORKERS": workers}
    return {**chosen, **names, SERVER_PID: str(os.getpid()), FOLDER: str(folder)}


def is_loopback(host: str) -> bool:
    """Whether an IP address is one of this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    main()
