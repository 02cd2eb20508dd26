"""JSON made to hurt, inside the size limit: `python benchmarks/service_hostile.py --model BUNDLE`.

Each body is as large as a JSON body may be and is sent four times at once to a service with one worker, while another
client asks /livez every 20 ms. Bounds: refused or answered within 3 s, /livez within 100 ms, the worker below 1 GB.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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


def attack(url: str, body: bytes, pid: int, name: str) -> tuple[float, float, float]:
    """Seconds of the slowest answer, milliseconds of the slowest /livez, megabytes of the largest worker."""
    alive, memory, over = [0.0], [0.0], threading.Event()
    processes = [
        process for process in psutil.Process(pid).children(recursive=True) if "service" in str(process.cmdline())
    ]

    def watch() -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not over.is_set():
                begun = time.perf_counter()
                client.get(f"{url}/livez")
                alive.append(1e3 * (time.perf_counter() - begun))
                memory.append(max(process.memory_info().rss / 1e6 for process in processes))
                over.wait(0.02)

    def ask(_: int) -> tuple[float, int, str]:
        begun = time.perf_counter()
        answer = httpx.post(
            f"{url}/annotate", content=body, headers={"Content-Type": "application/json"}, timeout=120, trust_env=False
        )
        code = json.loads(answer.content).get("code", "") if answer.content else ""
        return time.perf_counter() - begun, answer.status_code, code

    watching = threading.Thread(target=watch)
    watching.start()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(ask, range(AT_ONCE)))
    over.set()
    watching.join()
    said = ", ".join(sorted({f"{status} {code}".strip() for _, status, code in answers}))
    slowest = max(seconds for seconds, _, _ in answers)
    print(f"{name:22s} {slowest:6.2f} s, /livez {max(alive):5.0f} ms, worker {max(memory):5.0f} MB: {said}")
    return slowest, max(alive), max(memory)


if __name__ == "__main__":
    main()
