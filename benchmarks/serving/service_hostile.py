"""JSON made to hurt, inside the size limit: `python benchmarks/serving/service_hostile.py --model BUNDLE`.

Each body is as large as a JSON body may be and is sent four times at once to a service with one worker, while another
client asks /livez every 20 ms. Bounds: refused or answered within 3 s, /livez within 100 ms, the worker below 1 GB.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import httpx
import psutil
from service import free_port, server

MIB = 1024**2
SIZE = 64 * MIB - 1024
AT_ONCE = 4


def filled(start: bytes, unit: bytes, end: bytes) -> bytes:
    return start + unit * ((SIZE - len(start) - len(end)) // len(unit)) + end


def numbered(start: bytes, end: bytes, template: str) -> bytes:
    """`template` with as many different numbers as have room."""
    length = len(template.format(10**7))
    parts = "".join(template.format(10**7 + number) for number in range((SIZE - len(start) - len(end)) // length))
    return start + parts.encode() + end


def bodies() -> dict[str, bytes]:
    cell = b'{"cell_id":"a","counts":{}},'
    csr = b'{"genes":["a"],"cell_ids":["c"],"indptr":[0,1],"indices":[0],"data":['
    return {
        "empty lists": filled(b'{"cells":[', b"[],", b"[]]}"),
        "gene names": numbered(b'{"genes":[', b'"a"],"cells":[]}', '"gene{}",'),
        "short names": filled(b'{"genes":[', b'"a",', b'"b"],"cells":[]}'),
        "keys of one cell": numbered(b'{"cells":[{"cell_id":"a","counts":{', b'"b":1}}]}', '"{}":1,'),
        "tiny cells": filled(b'{"cells":[', cell, cell[:-1] + b"]}"),
        "deep lists": filled(b"", b"[", b""),
        "deep lists in a field": filled(b'{"data":', b"[", b""),
        "ones": filled(csr, b"1,", b"1]}"),
        "long numbers": filled(csr, b"0.1234567890123456789,", b"1]}"),
        "one digit string": filled(csr, b"1", b"]}"),
        "one text": filled(b'{"genes":["', b"a", b'"],"cells":[]}'),
        "escapes": filled(b'{"genes":["', b"\\u0041", b'"],"cells":[]}'),
        "blanks": filled(b'{"cells":', b" ", b"[]}"),
        "no JSON": filled(b"", b"\xff", b""),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--only", help="One of the bodies.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [sys.executable, "-P", "-c", "from cellmark.serving.commands.cli import main; main()", "serve"]
        command += ["--model", str(arguments.model.resolve()), "--port", str(port), "--workers", "1"]
        url = f"http://127.0.0.1:{port}"
        with server(command, f"{url}/readyz", Path(folder)) as process:
            worst = [0.0, 0.0, 0.0]
            for name, body in bodies().items():
                if arguments.only in (None, name):
                    found = attack(url, body, process.pid, name)
                    worst = [max(pair) for pair in zip(worst, found, strict=True)]
            print(f"worst: {worst[0]:.2f} s, /livez {worst[1]:.0f} ms, worker {worst[2]:.0f} MB")


def watch(url: str, workers: list[int], over: Event, told: Connection) -> None:
    """Tell the slowest /livez (ms) and the largest worker (MB) until it is over."""
    alive, memory = 0.0, 0.0
    with httpx.Client(trust_env=False, timeout=30) as client:
        client.get(f"{url}/livez")
        told.send("ready")
        while not over.is_set():
            begun = time.perf_counter()
            client.get(f"{url}/livez")
            alive = max(alive, 1e3 * (time.perf_counter() - begun))
            memory = max(memory, *(psutil.Process(pid).memory_info().rss / 1e6 for pid in workers))
            over.wait(0.02)
    told.send((alive, memory))


def attack(url: str, body: bytes, pid: int, name: str) -> tuple[float, float, float]:
    """Seconds of the slowest answer, milliseconds of the slowest /livez, megabytes of the largest worker."""
    children = psutil.Process(pid).children(recursive=True)
    workers = [process.pid for process in children if "service" in str(process.cmdline())]
    # A process of its own: threads that send a body would make each other wait, and that is not the service's time.
    context = multiprocessing.get_context("spawn")
    over, (ours, theirs) = context.Event(), context.Pipe()
    watching = context.Process(target=watch, args=(url, workers, over, theirs))
    watching.start()
    ours.recv()

    def ask(_: int) -> tuple[float, int, str]:
        begun = time.perf_counter()
        answer = httpx.post(
            f"{url}/annotate", content=body, headers={"Content-Type": "application/json"}, timeout=120, trust_env=False
        )
        code = json.loads(answer.content).get("code", "") if answer.content else ""
        return time.perf_counter() - begun, answer.status_code, code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(ask, range(AT_ONCE)))
    over.set()
    alive, memory = ours.recv()
    watching.join()
    said = ", ".join(sorted({f"{status} {code}".strip() for _, status, code in answers}))
    slowest = max(seconds for seconds, _, _ in answers)
    print(f"{name:22s} {slowest:6.2f} s, /livez {alive:5.0f} ms, worker {memory:5.0f} MB: {said}")
    return slowest, alive, memory


if __name__ == "__main__":
    main()
