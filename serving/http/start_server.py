"""Starts BentoML's server for the model that the environment names, and cleans up behind it.

BentoML keeps its files in `BENTOML_HOME`, by default a folder in the user's home that all its servers share: two of
them would mix their metrics. Here each server gets a temporary folder of its own, below `TMPDIR`, unless the variable
is set.
"""

import argparse
import os
import socket
import tempfile
from collections.abc import Sequence

from cellmark.schemas.errors import SetupError
from cellmark.schemas.telemetry import refuse_telemetry

from ..access.exposure import refuse_exposure
from ..access.settings import AccessSettings


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
            remedy="Name another --host or --port, or stop what listens there.",
        ) from error
    return str(address[0])


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
    with tempfile.TemporaryDirectory(prefix="cellmark-bentoml-", ignore_cleanup_errors=True) as folder:
        # Read when BentoML is imported, here and in its workers.
        os.environ.setdefault("BENTOML_HOME", folder)
        refuse_telemetry()
        import bentoml

        bentoml.serve(
            SERVICE,
            host=chosen.host,
            port=chosen.port,
            working_dir=folder,
            ssl_certfile=access.ssl_certfile,
            ssl_keyfile=access.ssl_keyfile,
            blocking=True,
        )


if __name__ == "__main__":
    main()
