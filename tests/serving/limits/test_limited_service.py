"""A real service of two workers: deadlines and clients that leave end the work, and a rate is one for both workers."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from running_service import Server, serve

from fixtures.places import ARCHIVES

LOOPS = ARCHIVES / "damaged" / "loops.h5ad"
"""A file whose reading never ends."""
HDF5 = "application/x-hdf5"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = {"CELLMARK_RATE": "0.01", "CELLMARK_RATE_BURST": "15", "CELLMARK_READ_SECONDS": "60"}
    with serve(ARCHIVES / "tiny", tmp_path_factory.mktemp("limited"), CELLMARK_WORKERS="2", **limits) as it:
        yield it


def readers(server: Server) -> int:
    """Processes that came with a request."""
    return len(set(server.pids()) - set(server.lasting))


def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_a_deadline_stops_the_work_and_its_reader(server: Server) -> None:
    began = time.monotonic()
    headers = {"Content-Type": HDF5, "X-Request-Timeout": "1"}
    answer = httpx.post(f"{server.url}/annotate", content=LOOPS.read_bytes(), headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (504, "DEADLINE_EXCEEDED")
    assert time.monotonic() - began < 20
    assert until(lambda: readers(server) == 0)
    assert server.left_behind() == []


def test_the_work_of_a_client_that_leaves_ends_with_its_reader(server: Server) -> None:
    parts, content = urlsplit(server.url), LOOPS.read_bytes()
    head = f"POST /annotate HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: {HDF5}\r\n"
    with socket.create_connection((parts.hostname, parts.port or 80)) as connection:
        connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        assert until(lambda: readers(server) == 1)
    assert until(lambda: readers(server) == 0)
    assert until(lambda: server.left_behind() == [])


def test_a_rate_is_one_for_both_workers(server: Server) -> None:
    statuses: list[int] = []

    def ask() -> None:
        # A connection each, so that both workers are asked.
        statuses.extend(httpx.get(f"{server.url}/model", timeout=30).status_code for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Of fifteen the tests above have used two.
    assert sorted(statuses) == [200] * statuses.count(200) + [429] * statuses.count(429)
    assert 1 <= statuses.count(200) <= 15
    refused = httpx.get(f"{server.url}/model", timeout=30)
    assert refused.json()["code"] == "RATE_EXCEEDED"
    assert int(refused.headers["retry-after"]) >= 1
    assert httpx.get(f"{server.url}/readyz", timeout=30).status_code == 200
