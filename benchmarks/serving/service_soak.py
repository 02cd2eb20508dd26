"""A service under many mixed requests: does it grow? `python benchmarks/serving/service_soak.py --requests 24000`.

Eight clients send one cell as JSON, a hundred as `.npz`, some as `.h5ad`, read the model and the markers, and send what
is refused. Measured after a warm-up of a tenth of the requests, and in the end: memory of all processes that stay
(private and shared pages, `pss`), their open files, and what lies on disk. It ends with status 1 when memory grew by
more than `--growth` percent, when open files grew, or when an answer was not the one that its request should get.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import httpx
from own_service import OwnService, h5ad_body, json_body, npz_body, own_service, some_cells

from cellmark.schemas.bundle import Bundle

MIB = 1024**2
CLIENTS = 8


@dataclass(frozen=True)
class Asked:
    """A request and the status that its answer must have. `share`: of all requests, in twentieths."""

    name: str
    share: int
    status: int
    method: str
    path: str
    content: bytes = b""
    media_type: str = "application/json"


def questions(bundle: Bundle, folder: Path) -> list[Asked]:
    one, hundred = some_cells(bundle, 1), some_cells(bundle, 100, seed=1)
    asked = [
        Asked("one cell", 9, 200, "POST", "/annotate", json_body(one)),
        Asked("explained", 2, 200, "POST", "/attribute?top=5", json_body(one)),
        Asked("npz", 4, 200, "POST", "/annotate", npz_body(hundred), "application/x-npz"),
        Asked("h5ad", 1, 200, "POST", "/annotate", h5ad_body(hundred, folder), "application/x-hdf5"),
        Asked("model", 1, 200, "GET", "/model"),
        Asked("markers", 1, 200, "GET", "/markers?top=3"),
        Asked("damaged", 1, 422, "POST", "/annotate", h5ad_body(hundred, folder)[:4000], "application/x-hdf5"),
        Asked("no JSON", 1, 400, "POST", "/annotate", b'{"cells": ['),
    ]
    return [each for each in asked for _ in range(each.share)]


def send(service: OwnService, asked: list[Asked], n_requests: int, wrong: Counter[str], times: list[float]) -> None:
    """Let the clients send so many requests in all."""
    numbers = iter(range(n_requests))
    lock = threading.Lock()

    def client() -> None:
        with httpx.Client(base_url=service.url, timeout=60) as connection:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                each = asked[number % len(asked)]
                began = time.perf_counter()
                headers = {"Content-Type": each.media_type} if each.content else {}
                answer = connection.request(each.method, each.path, content=each.content, headers=headers)
                with lock:
                    times.append(time.perf_counter() - began)
                    if answer.status_code != each.status:
                        wrong[f"{each.name}: {answer.status_code}"] += 1

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def settled(service: OwnService) -> tuple[int, int]:
    """Memory and open files of the processes that stay, once nothing is worked on."""
    deadline = time.monotonic() + 10
    while service.readers() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(6)  # connections that are kept alive are closed after five seconds
    return service.rss(), service.open_files()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("tests/archives/v1"))
    parser.add_argument("--requests", type=int, default=24_000)
    parser.add_argument("--growth", type=float, default=5.0, help="percent")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    wrong: Counter[str] = Counter()
    times: list[float] = []
    with tempfile.TemporaryDirectory(prefix="cellmark-soak-") as name:
        asked = questions(Bundle.open(chosen.model), Path(name))
        with own_service(chosen.model, Path(name), CELLMARK_WORKERS=str(chosen.workers)) as service:
            service.wait_until_ready(workers=chosen.workers)
            send(service, asked, max(chosen.requests // 10, len(asked)), wrong, times)
            rss, files = settled(service)
            began = time.monotonic()
            send(service, asked, chosen.requests, wrong, times)
            seconds = time.monotonic() - began
            rss_after, files_after = settled(service)
            on_disk = service.named_bytes()
    growth = 100 * (rss_after / rss - 1)
    failures = dict(wrong)
    failures |= {"memory grew": 1} if growth > chosen.growth else {}
    failures |= {"open files grew": files_after - files} if files_after > files else {}
    failures |= {"bytes on disk": on_disk} if on_disk else {}
    result = {
        "requests": chosen.requests,
        "a_second": round(chosen.requests / seconds),
        "median_ms": round(statistics.median(times) * 1e3, 1),
        "memory_mib": [round(rss / MIB), round(rss_after / MIB)],
        "growth_percent": round(growth, 1),
        "open_files": [files, files_after],
        "wrong": failures,
    }
    print(json.dumps(result))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
