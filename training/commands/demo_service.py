"""The service as a subprocess, for the demo: started, waited for, asked over HTTP, ended."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from cellmark.schemas.errors import SetupError

START_SECONDS = 120
STOP_SECONDS = 20


@contextmanager
def running_service(model: str, *, tracking_uri: str, log: Path) -> Iterator[str]:
    """Start `cellmark serve` on a free loopback port and yield its address once it is ready.

    `log`: where its output goes. Raises `SetupError` (`SERVICE_FAILED`) when it ends or is not ready in time. The
    process and its children are ended when the block ends.
    """
    port = free_port()
    command = [
        sys.executable,
        "-P",
        "-m",
        "cellmark.serving.commands.cli",
        "serve",
        "--model",
        model,
        "--port",
        str(port),
    ]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, address, log)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def post_file(address: str, route: str, path: Path, **parameters: str | int) -> dict[str, Any]:
    """Send a file of cells and return the answer. Raises `SetupError` with the service's own words when it refuses."""
    try:
        with path.open("rb") as handle:
            file = {"file": (path.name, handle)}
            answer = httpx.post(f"{address}/{route}", files=file, data={**parameters}, timeout=120, trust_env=False)
    except httpx.TransportError as error:
        raise SetupError.of(
            "SERVICE_FAILED",
            where=route,
            expected="an answer",
            found=f"none ({error!r})",
            remedy="See the log of the service.",
        ) from error
    if answer.status_code != httpx.codes.OK:
        raise SetupError.of(
            "SERVICE_FAILED",
            where=route,
            expected="an answer",
            found=f"{answer.status_code}: {answer.text[:500]}",
            remedy="See the log.",
        )
    body: dict[str, Any] = answer.json()
    return body


def free_port() -> int:
    """A loopback port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            # Without the environment's proxies, which know nothing of this machine's loopback address.
            if httpx.get(f"{address}/readyz", timeout=5, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    tail = log.read_text(errors="replace")[-800:]
    raise SetupError.of(
        "SERVICE_FAILED",
        where="service",
        expected=f"ready within {START_SECONDS} s",
        found=f"not ready; its log ends: {tail}",
        remedy=f"See {log}.",
    )
