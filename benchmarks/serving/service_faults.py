"""A service of two workers under load, while faults are made on purpose: `python benchmarks/serving/service_faults.py`.

    python benchmarks/serving/service_faults.py --model tests/archives/v1 --times 20

Faults: SIGTERM of the service; SIGKILL of a worker, of readers, of the main process; a full TMPDIR; an audit log whose
disk is full; a registry that goes away; clocks that jump. Each is made `--times` times while eight clients send cells
as JSON and as `.h5ad`.
It holds each time, or the program ends with status 1:

- an answer 200 has exactly the calls that the same cells have without a fault;
- a refusal is one that fits the fault, with Retry-After, and no file is blamed (`FILE_UNREADABLE`);
- connections are lost only where a process was killed;
- a service that goes on is as it was within 20 s, and one that ends leaves no process and no byte of a body on disk.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from own_service import OwnService, h5ad_body, json_body, own_service, some_cells

from cellmark.schemas.bundle import Bundle
from cellmark.serving.limits.shared_page import SharedPage

LATER = frozenset(("SERVICE_STOPPING", "SERVICE_BUSY", "SERVICE_NOT_READY"))
CLIENTS = 8
RECOVERY_SECONDS = 20
DRAIN = {"CELLMARK_DRAIN_SECONDS": "0.5", "CELLMARK_SHUTDOWN_SECONDS": "20"}


@dataclass(frozen=True)
class Body:
    content: bytes
    media_type: str


@dataclass
class Load:
    """What clients got. `expected`: the calls of each body. `wrong`: what must not happen, in words."""

    url: str
    bodies: list[Body]
    expected: list[list[str]]
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    wrong: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, number: int, client: httpx.Client) -> None:
        body = self.bodies[number]
        try:
            answer = client.post("/annotate", content=body.content, headers={"Content-Type": body.media_type})
        except httpx.TransportError:
            with self.lock:
                self.lost += 1
            time.sleep(0.02)
            return
        with self.lock:
            self._note(number, answer)

    def _note(self, number: int, answer: httpx.Response) -> None:
        if answer.status_code == 200:
            self.answered += 1
            if calls_of(answer) != self.expected[number]:
                self.wrong.append("an answer with other calls")
            return
        code = str(answer.json().get("code"))
        self.refused[code] += 1
        if answer.status_code in (429, 503, 507) and "retry-after" not in answer.headers:
            self.wrong.append(f"{code} without Retry-After")

    def _client(self, first: int) -> None:
        number = first
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while not self.stop.is_set():
                self.ask(number % len(self.bodies), client)
                number += 1

    @contextmanager
    def running(self, n_clients: int = CLIENTS) -> Iterator[None]:
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(n_clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()


def calls_of(answer: httpx.Response) -> list[str]:
    return [cell["cellmark_cell_type"] for cell in answer.json()["cells"]]


class Faults:
    """Each method makes one fault and returns what was wrong, which is nothing where all holds."""

    def __init__(self, model: Path) -> None:
        self.model = model
        bundle = Bundle.open(model)
        one, many = some_cells(bundle, 1), some_cells(bundle, 300, seed=1, n_genes=2000)
        with tempfile.TemporaryDirectory() as folder:
            file = h5ad_body(many, Path(folder))
        self.bodies = [Body(json_body(one), "application/json"), Body(file, "application/x-hdf5")]
        self.expected: list[list[str]] = []
        self.seen: Load | None = None

    def registry(self) -> list[str]:
        """The registry that is followed goes away and comes back, and no request sees it; a service that starts while
        it is away serves what it had last time.
        """
        with tempfile.TemporaryDirectory(prefix="cellmark-faults-") as name:
            store = Path(name)
            registry = Registry(store)
            environment = {"MLFLOW_TRACKING_URI": registry.uri, "CELLMARK_CACHE": str(store / "cache")}
            environment |= {"CELLMARK_FOLLOW_SECONDS": "0.5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
            with registry.running():
                register(self.model, environment)
                with self.loaded(model="models:/faults@champion", environment=environment) as (service, load):
                    registry.kill()
                    time.sleep(3)
                    wrong = [] if service.is_ready() else ["not ready without the registry"]
                    registry.start()
                    wrong += self._recovers(service, load)
                    registry.kill()
                wrong += self._allowed(load, LATER)
                try:
                    with self.loaded(model="models:/faults@champion", environment=environment) as (_, load):
                        pass
                except TimeoutError as error:
                    return [*wrong, f"no start without the registry: {str(error)[-300:]}"]
        return [*wrong, *self._allowed(load, LATER)]

    @contextmanager
    def loaded(self, **settings: Any) -> Iterator[tuple[OwnService, Load]]:
        """A service under load, which has answered for a moment."""
        with tempfile.TemporaryDirectory(prefix="cellmark-faults-") as name:
            environment = {"CELLMARK_WORKERS": "2", **DRAIN, **settings.pop("environment", {})}
            model = settings.pop("model", self.model)
            with own_service(model, Path(name), **settings, **environment) as service:
                service.wait_until_ready(workers=2)
                if not self.expected:
                    self.expected = [self._calls(service, body) for body in self.bodies]
                self.seen = load = Load(service.url, self.bodies, self.expected)
                with load.running():
                    time.sleep(1.0)
                    yield service, load

    def _calls(self, service: OwnService, body: Body) -> list[str]:
        headers = {"Content-Type": body.media_type}
        answer = httpx.post(f"{service.url}/annotate", content=body.content, headers=headers, timeout=60)
        return calls_of(answer.raise_for_status())

    def sigterm(self) -> list[str]:
        """All that were taken on before are answered, readers included; then the service is gone."""
        with self.loaded() as (service, load):
            pids = [process.pid for process in service.tree()]
            # One request that is under way for certain, and must be answered.
            waits = threading.Thread(target=lambda: self._must_answer(service, load))
            waits.start()
            time.sleep(0.2)
            service.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            wrong = [] if self._says_not_ready(service) else ["/readyz did not say no while draining"]
            waits.join()
            left = service.wait_for_end(pids, 30)
            wrong += [f"{len(left)} processes left"] if left else []
            wrong += [f"{service.named_bytes()} bytes left"] if service.named_bytes() else []
            wrong += ["the folder is left"] if list(service.folder.iterdir()) else []
        return [*wrong, *self._allowed(load, LATER, may_lose=True)]

    def _must_answer(self, service: OwnService, load: Load) -> None:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            before = load.lost
            load.ask(1, client)
            if load.lost > before and service.process.poll() is not None:
                load.wrong.append("a request that was under way was lost")

    def _says_not_ready(self, service: OwnService) -> bool:
        """Whether /readyz says no before connections are refused: workers learn of the signal one after the other."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{service.url}/readyz", timeout=5).status_code == 503:
                    return True
            except httpx.ConnectError:
                return False
            except httpx.TransportError:
                continue  # a kept connection that was closed says nothing
            time.sleep(0.02)
        return False

    def worker(self) -> list[str]:
        """The other worker answers on, and a new one comes."""
        with self.loaded() as (service, load):
            killed = random.choice(service.workers())
            pids = [killed.pid, *(process.pid for process in killed.children(recursive=True))]
            killed.kill()
            wrong = self._recovers(service, load)
            wrong += ["a worker answered before it could"] if load.refused["SERVICE_NOT_READY"] else []
            wrong += ["readers of a killed worker live on"] if service.wait_for_end(pids, 10) else []
            wrong += [f"{service.named_bytes()} bytes left"] if service.named_bytes() else []
        return [*wrong, *self._allowed(load, LATER, may_lose=True)]

    def reader(self) -> list[str]:
        """Nobody's file is blamed, and nearly all are read by a second reader."""
        with self.loaded() as (service, load):
            killed = 0
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                for process in service.readers():
                    with suppress(psutil.Error):
                        process.kill()
                        killed += 1
                time.sleep(0.1)
            wrong = self._recovers(service, load)
            wrong += [] if killed else ["no reader was there to be killed"]
        return [*wrong, *self._allowed(load, LATER | {"READER_KILLED"})]

    def main(self) -> list[str]:
        """No worker outlives the process that started it, and the next service removes what it left."""
        with self.loaded() as (service, load):
            pids = [process.pid for process in service.tree()]
            service.process.kill()
            left = service.wait_for_end(pids, 30)
            wrong = [f"{len(left)} processes left"] if left else []
            wrong += [f"{service.named_bytes()} bytes left"] if service.named_bytes() else []
            load.stop.set()
            with (
                tempfile.TemporaryDirectory() as name,
                own_service(self.model, Path(name), temporary=service.folder, **DRAIN),
            ):
                folders = list(service.folder.iterdir())
            wrong += [] if len(folders) == 1 else ["the folder of a killed service is left"]
        return [*wrong, *self._allowed(load, LATER, may_lose=True)]

    def disk(self) -> list[str]:
        """Files are refused, JSON is answered, and a disk with room again is used again."""
        with small_disk() as place:
            if place is None:
                return skipped("a small disk cannot be mounted here")
            with self.loaded(temporary=place) as (service, load):
                full = place / "full"
                with suppress(OSError), full.open("wb") as file:
                    while True:
                        file.write(bytes(1024**2))
                ready = service.is_ready()
                time.sleep(2)
                full.unlink()
                wrong = self._recovers(service, load)
                wrong += ["/readyz says yes on a full disk"] if ready else []
                wrong += [] if load.refused["DISK_FULL"] else ["no body was refused"]
            return [*wrong, *self._allowed(load, LATER | {"DISK_FULL"})]

    def audit(self) -> list[str]:
        """Nothing is answered that could not be written down."""
        with tempfile.TemporaryDirectory() as name:
            log = Path(name) / "audit.sqlite"
            with self.loaded(environment={"CELLMARK_AUDIT": str(log), "CELLMARK_AUDIT_MAX_BYTES": "131072"}) as pair:
                _, load = pair
                deadline = time.monotonic() + 60
                while not load.refused["AUDIT_UNAVAILABLE"] and time.monotonic() < deadline:
                    time.sleep(0.1)
                time.sleep(1)
            wrong = [] if load.refused["AUDIT_UNAVAILABLE"] else ["a full disk refused nothing"]
            verified = subprocess.run(
                [sys.executable, "-P", "-c", "from cellmark.serving.commands.cli import main; main()",
                 "audit", "verify", str(log)], capture_output=True, text=True,
            )  # fmt: skip
            wrong += [] if verified.returncode == 0 else [f"the log does not verify: {verified.stdout[-300:]}"]
        return [*wrong, *self._allowed(load, LATER | {"AUDIT_UNAVAILABLE"})]

    def clock(self) -> list[str]:
        """A clock that jumps, forwards or back, neither opens a rate nor closes it for longer than a bucket lasts."""
        page, now, wrong = SharedPage(), 1000.0, []
        for _ in range(100):
            now += random.choice((-1, 1)) * random.uniform(0, 1e6)
            given = 0
            while page.take("key", rate=1.0, burst=5, now=now) == 0:
                given += 1
            wrong += [f"{given} at once"] if given > 5 else []
            wrong += [] if page.take("key", rate=1.0, burst=5, now=now + 1.001) == 0 else ["closed for longer"]
            now += 1.001
        return wrong

    def _recovers(self, service: OwnService, load: Load) -> list[str]:
        """Wait until both workers answer; what is wrong with that."""
        try:
            seconds = service.wait_until_ready(RECOVERY_SECONDS, workers=2)
        except TimeoutError:
            return [f"not as before after {RECOVERY_SECONDS} s"]
        before = load.answered
        time.sleep(1)
        return [] if load.answered > before else [f"ready after {seconds:.1f} s, but nothing was answered"]

    def _allowed(self, load: Load, codes: frozenset[str] | set[str], *, may_lose: bool = False) -> list[str]:
        wrong = list(dict.fromkeys(load.wrong))
        wrong += [f"{load.refused[code]} times {code}" for code in load.refused if code not in codes]
        wrong += [f"{load.lost} connections lost"] if load.lost and not may_lose else []
        wrong += [] if load.answered else ["nothing was answered"]
        return wrong


class SkippedError(Exception):
    """A fault that cannot be made on this machine."""


def skipped(why: str) -> list[str]:
    raise SkippedError(why)


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A file system of 96 MiB, None where this process may not mount one."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True).returncode:
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


class Registry:
    """An MLflow server with a store of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.uri = f"http://127.0.0.1:{port}"
        self._log = folder / "mlflow.log"
        self._command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        self._command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
        self._command += ["--artifacts-destination", str(folder / "artifacts")]
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        self.start()
        try:
            yield
        finally:
            self.kill()

    def start(self) -> None:
        with self._log.open("ab") as output:
            # Without the processes that MLflow starts for jobs of its own: nothing here asks for one.
            environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
            self._process = subprocess.Popen(
                self._command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.uri}/health", timeout=5).status_code == 200:
                    return
            time.sleep(0.2)
        raise TimeoutError(self._log.read_text()[-2000:])

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            for process in psutil.Process(self._process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    process.kill()
            self._process.kill()
            self._process.wait()


def register(model: Path, environment: dict[str, str]) -> None:
    """Make the bundle version 1 and champion of the registered model `faults`."""
    program = "from cellmark.serving.commands.cli import main; main()"
    command = [sys.executable, "-P", "-c", program, "bundle", "register", str(model), "--name", "faults"]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])


NAMES = ("sigterm", "worker", "reader", "main", "disk", "audit", "registry", "clock")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("tests/archives/v1"))
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--faults", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    random.seed(chosen.seed)
    faults = Faults(chosen.model)
    failed = False
    for name in chosen.faults:
        make: Callable[[], list[str]] = getattr(faults, name)
        for turn in range(chosen.times):
            faults.seen = None
            began = time.monotonic()
            try:
                wrong = make()
            except SkippedError as error:
                print(f"{name}: skipped, {error}", flush=True)
                break
            failed |= bool(wrong)
            load = faults.seen
            seen = {} if load is None else {"answered": load.answered, "lost": load.lost, "refused": dict(load.refused)}
            row = {"fault": name, "turn": turn + 1, "seconds": round(time.monotonic() - began, 1), **seen}
            print(json.dumps({**row, "wrong": wrong}), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
