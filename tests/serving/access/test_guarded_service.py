"""The service as people start it, with two workers, keys and https; and how it refuses to start without keys."""

import os
import ssl
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from running_service import free_port, serve

from cellmark.schemas.bundle import Bundle

CELLMARK = [sys.executable, "-P", "-c", "from cellmark.serving.commands.cli import main; main()"]


def cellmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CELLMARK_")}
    return subprocess.run([*CELLMARK, *arguments], env=environment, capture_output=True, text=True, timeout=120)


def new_key(key_file: Path, *arguments: str) -> str:
    made = cellmark("keys", "create", "--key-file", str(key_file), *arguments)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def answers(url: str, key: str, times: int) -> Counter[tuple[int, str]]:
    """Status and code of requests, each over a connection of its own: so that both workers are asked."""
    counted: Counter[tuple[int, str]] = Counter()
    for _ in range(times):
        answer = httpx.get(url + "/model", headers={"Authorization": f"Bearer {key}"}, timeout=20)
        counted[answer.status_code, answer.json().get("code", "")] += 1
    return counted


def test_two_workers_follow_the_key_file(tiny_bundle: Bundle, tmp_path: Path) -> None:
    key_file = tmp_path / "keys.jsonl"
    key, admin = new_key(key_file), new_key(key_file, "--scope", "admin")
    with serve(tiny_bundle.folder, tmp_path, "--key-file", str(key_file), "--workers", "2") as server:
        assert answers(server.url, key, 12) == {(200, ""): 12}
        assert answers(server.url, admin, 6) == {(403, "SCOPE_MISSING"): 6}
        assert httpx.get(server.url + "/model").json()["code"] == "KEY_MISSING"
        for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/", "/schema.json"):
            assert httpx.get(server.url + path).status_code == 200
        assert cellmark("keys", "revoke", key.split("_")[1], "--key-file", str(key_file)).returncode == 0
        # Not one request more, by either worker.
        assert answers(server.url, key, 24) == {(401, "KEY_REVOKED"): 24}
        later = new_key(key_file)
        assert answers(server.url, later, 12) == {(200, ""): 12}
        assert key.split("_")[2] not in server.log.read_text()


def test_it_speaks_https(tiny_bundle: Bundle, tmp_path: Path) -> None:
    cert, private = certificate(tmp_path)
    key_file = tmp_path / "keys.jsonl"
    key = new_key(key_file)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("CELLMARK_", "BENTOML"))
    } | {"TMPDIR": str(tmp_path)}
    port = free_port()
    command = [*CELLMARK, "serve", "--model", str(tiny_bundle.folder), "--port", str(port), "--key-file", str(key_file)]
    command += ["--ssl-certfile", str(cert), "--ssl-keyfile", str(private), "--workers", "1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        with httpx.Client(
            base_url=f"https://127.0.0.1:{port}", verify=ssl.create_default_context(cafile=str(cert))
        ) as client:
            deadline = time.monotonic() + 90
            while True:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.2)
            assert client.get("/model", headers={"Authorization": f"Bearer {key}"}).status_code == 200
            assert client.get("/model").status_code == 401
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--host", "0.0.0.0"), "KEYS_NEEDED"),
        (("--key-file", "none.jsonl"), "KEY_FILE_INVALID"),
        (("--ssl-certfile", "cert.pem"), "PARAMETER_INVALID"),
    ],
)
def test_it_does_not_start_open_to_others(tiny_bundle: Bundle, arguments: tuple[str, ...], code: str) -> None:
    refused = cellmark("serve", "--model", str(tiny_bundle.folder), "--port", str(free_port()), *arguments)
    assert refused.returncode == 1
    assert f"[{code}]" in refused.stderr
    if code != "PARAMETER_INVALID":
        assert "cellmark keys create --key-file" in refused.stderr


def test_bentoml_and_the_starter_are_held_to_it_too(tiny_bundle: Bundle) -> None:
    environment = {**os.environ, "CELLMARK_MODEL": str(tiny_bundle.folder), "CELLMARK_KEY_FILE": ""}
    command = [sys.executable, "-P", "-m", "cellmark.serving.http.start_server", "--host", "0.0.0.0"]
    refused = subprocess.run(
        [*command, "--port", str(free_port())], env=environment, capture_output=True, text=True, timeout=120
    )
    assert refused.returncode != 0
    assert "KEYS_NEEDED" in refused.stderr
