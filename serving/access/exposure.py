"""Where a service without keys may listen: on this machine's loopback addresses, and nowhere else unless asked."""

import ipaddress

from cellmark.schemas.errors import RequestError, SetupError

from .access import fixed_keys
from .key_file import read_key_file
from .settings import AccessSettings


def refuse_exposure(address: str, settings: AccessSettings) -> None:
    """Raise `SetupError` unless a service may start on this IP address: with keys that can be read, on loopback, or
    where everybody may ask (`insecure`). Raises `ParameterError` for keys in the environment that cannot be read.
    """
    if settings.path is not None:
        read_key_file(settings.path)
    fixed_keys(settings)
    if settings.is_guarded or settings.insecure or is_loopback(address):
        return
    raise SetupError.of(
        "KEYS_NEEDED",
        where=f"--host {address}",
        expected="a file of keys, since others can reach this address",
        found="none, so that everybody could ask",
        remedy="Make one: cellmark keys create --key-file keys.jsonl; then start with --key-file keys.jsonl. "
        "With --insecure everybody is answered.",
    )


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def refuse_from_elsewhere(server: tuple[str, int | None] | None) -> None:
    """Raise `RequestError` (`KEYS_NEEDED`) for a connection of a service without keys that did not come by loopback.

    `server`: the connection's own address here, which no header can change. A service that was started without
    `cellmark serve` is held to the rule by this.
    """
    if server is not None and server[1] is not None and not is_loopback(server[0]):
        raise RequestError.of(
            "KEYS_NEEDED",
            where="service",
            expected="a service with keys, since others can reach this address",
            found="one without, which answers on loopback alone",
            remedy="Its operator makes keys (cellmark keys create --key-file keys.jsonl) and sets CELLMARK_KEY_FILE.",
        )
