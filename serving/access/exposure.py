"""Where a service without keys may listen: on this machine's loopback addresses, and nowhere else unless asked."""

import ipaddress
import ssl

from cellmark.schemas.errors import ParameterError, RequestError, SetupError

from .access import fixed_keys
from .key_file import read_key_file
from .settings import AccessSettings


def refuse_exposure(address: str, settings: AccessSettings) -> None:
    """Raise `SetupError` unless a service may start on this IP address: with keys that can be read, on loopback, or
    where everybody may ask (`insecure`). Raises `ParameterError` for keys in the environment, or a certificate, that
    cannot be read.
    """
    if settings.path is not None:
        read_key_file(settings.path)
    fixed_keys(settings)
    _refuse_certificate(settings)
    if settings.is_guarded or settings.insecure or is_loopback(address):
        return
    raise SetupError.of(
        "KEYS_NEEDED",
        where=f"--host {address}",
        expected="a file of keys, since others can reach this address",
        found="none, so that everybody could ask",
        remedy="Make one with `cellmark keys create --key-file keys.jsonl`, and start with --key-file keys.jsonl. "
        "--insecure answers everybody.",
    )


def _refuse_certificate(settings: AccessSettings) -> None:
    if settings.ssl_certfile is None or settings.ssl_keyfile is None:
        return
    try:
        # A key that asks for a passphrase would wait for one in every worker.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            settings.ssl_certfile, settings.ssl_keyfile, password=lambda: ""
        )
    except (OSError, ValueError) as error:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where=settings.ssl_certfile,
            expected="a certificate and its private key as PEM files, without a passphrase",
            found=getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error),
            remedy="Check both with openssl: openssl x509 -noout -subject -in FILE, openssl pkey -noout -in FILE.",
        ) from None


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
