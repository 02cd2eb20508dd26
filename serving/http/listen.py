"""The address that a server is to listen on."""

import socket

from cellmark.schemas.errors import SetupError


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
