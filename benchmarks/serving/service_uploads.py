"""Many uploads at once, of clients that leave: `python benchmarks/serving/service_uploads.py --model MODEL`.

    python benchmarks/serving/service_uploads.py --model MODEL --clients 200 --mib 17 --leave 20

`--clients` clients send an `.h5ad` of `--mib` MiB each at the same moment, and leave after `--leave` seconds. Measured:
what they got, the memory of all processes and the bytes on disk meanwhile, how `/livez` answered, and 10 s after the
last one left the time of a one-cell request beside that before. It ends with status 1 when a client got neither an
answer nor word to wait within its time, though it was there, when a body is left on disk, or when one cell takes more
than twice its time before.
"""

import argparse
import json
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
from own_service import OwnService, h5ad_body, json_body, own_service, some_cells

from cellmark.schemas.bundle import Bundle

MIB = 1024**2
BLOCK = 64 * 1024
WIDTH = 20_000
"""Genes of an upload; its cells follow from the bytes."""


class Uploads:
    """Clients of plain sockets, which send as fast as they are taken from, and leave at their time."""

    def __init__(self, service: OwnService, content: bytes, leave_after: float) -> None:
        self._service, self._content, self._leave_after = service, content, leave_after
        self.got: Counter[str] = Counter()
        self.seconds: list[float] = []
        self._lock = threading.Lock()

    def run(self, n_clients: int) -> None:
        threads = [threading.Thread(target=self._upload) for _ in range(n_clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _upload(self) -> None:
        began = time.monotonic()
        outcome = self._outcome(began)
        with self._lock:
            self.got[outcome] += 1
            self.seconds.append(time.monotonic() - began)

    def _outcome(self, began: float) -> str:
        parts = urlsplit(self._service.url)
        head = f"POST /annotate HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/x-hdf5\r\n"
        head += f"Content-Length: {len(self._content)}\r\n\r\n"
        sent = 0
        try:
            with socket.create_connection((parts.hostname, parts.port or 80), timeout=self._leave_after) as connection:
                connection.sendall(head.encode())
                view = memoryview(self._content)
                while True:
                    left = self._leave_after - (time.monotonic() - began)
                    if left <= 0:
                        return "left while sending" if sent < len(view) else "left while waiting"
                    connection.settimeout(min(left, 0.2))
                    try:
                        if sent < len(view):
                            sent += connection.send(view[sent : sent + BLOCK])
                            connection.setblocking(False)
                        answer = connection.recv(BLOCK)
                        return answer.split(b"\r\n")[0].decode()[9:12] if answer else "closed"
                    except (TimeoutError, BlockingIOError):
                        continue
        except OSError as error:
            return type(error).__name__


class Watch:
    """Looks at the service until it is stopped."""

    def __init__(self, service: OwnService) -> None:
        self._service = service
        self.rss = self.disk = 0
        self.live: list[float] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._look), threading.Thread(target=self._ask)]

    def __enter__(self) -> "Watch":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _look(self) -> None:
        free = psutil.disk_usage(str(self._service.folder)).free
        while not self._stop.wait(0.25):
            self.rss = max(self.rss, self._service.rss())
            self.disk = max(self.disk, free - psutil.disk_usage(str(self._service.folder)).free)

    def _ask(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._stop.wait(0.1):
                began = time.monotonic()
                client.get(f"{self._service.url}/livez").raise_for_status()
                self.live.append(time.monotonic() - began)


def one_cell(service: OwnService, body: bytes, n: int = 50) -> float:
    """Median seconds of a one-cell request."""
    times = []
    with httpx.Client(base_url=service.url, timeout=60) as client:
        for _ in range(n):
            began = time.perf_counter()
            client.post("/annotate", content=body, headers={"Content-Type": "application/json"}).raise_for_status()
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def upload_of(bundle: Bundle, n_bytes: int, folder: Path) -> bytes:
    """An `.h5ad` of about so many bytes."""
    per_cell = 8 * 0.1 * WIDTH
    cells = some_cells(bundle, max(int(n_bytes / per_cell), 1), density=0.1, n_genes=WIDTH - len(bundle.panel))
    return h5ad_body(cells, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("tests/archives/v1"))
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--mib", type=float, default=4)
    parser.add_argument("--leave", type=float, default=5)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    bundle = Bundle.open(chosen.model)
    with tempfile.TemporaryDirectory(prefix="cellmark-uploads-") as name:
        folder = Path(name)
        content = upload_of(bundle, int(chosen.mib * MIB), folder)
        body = json_body(some_cells(bundle, 1))
        with own_service(chosen.model, folder, CELLMARK_WORKERS=str(chosen.workers)) as service:
            service.wait_until_ready(workers=chosen.workers)
            before = one_cell(service, body)
            uploads = Uploads(service, content, chosen.leave)
            with Watch(service) as watch:
                uploads.run(chosen.clients)
                left_on_disk = service.named_bytes()
                time.sleep(10)
                after = one_cell(service, body)
            readers = len(service.readers())
            wrong = []
            wrong += [f"{left_on_disk} bytes on disk"] if left_on_disk else []
            wrong += [f"one cell takes {after / before:.1f} times as long"] if after > 2 * before else []
            unexpected = set(uploads.got) - {"200", "503", "507", "left while sending", "left while waiting"}
            wrong += [f"unexpected: {sorted(unexpected)}"] if unexpected else []
            wrong += [f"{readers} readers still work"] if readers else []
    print(
        json.dumps(
            {
                "clients": chosen.clients,
                "bytes": len(content),
                "got": dict(uploads.got),
                "longest_wait_s": round(max(uploads.seconds), 1),
                "one_cell_ms": {"before": round(before * 1e3, 2), "after": round(after * 1e3, 2)},
                "livez_ms": {"median": round(statistics.median(watch.live) * 1e3, 1),
                             "longest": round(max(watch.live) * 1e3, 1)},
                "peak_memory_mib": round(watch.rss / MIB),
                "peak_disk_mib": round(watch.disk / MIB),
                "wrong": wrong,
            }
        )
    )  # fmt: skip
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
