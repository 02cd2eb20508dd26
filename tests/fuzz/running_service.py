"""A `cellmark serve` of our own on 127.0.0.1, and what its processes take while it answers."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

SECONDS_TO_START = 120
MIB = 1024**2


@dataclass(frozen=True)
class Usage:
    """`rss`: resident bytes of all processes that stay, `files`: their open files, `processes`: how many they are."""

    n_done: int
    rss: int
    files: int
    processes: int


@dataclass
class Server:
    """A running service. `folder`: where its temporary files go; `lasting`, `files`: its processes and what lies in the
    folder before the first request.
    """

    url: str
    process: "subprocess.Popen[bytes]"
    folder: Path
    log: Path
    lasting: list[int] = field(default_factory=list)
    files: frozenset[str] = frozenset()

    def pids(self) -> list[int]:
        """The service's process and all below it, readers of this moment included."""
        found = [self.process.pid]
        for pid in found:
            found += children(pid)
        return found

    def is_whole(self) -> bool:
        """Whether every worker has its program of readers."""
        return all(children(worker) for worker in children(self.process.pid))

    def usage(self, n_done: int) -> Usage:
        """What the lasting processes take now; readers come and go and are watched by the service itself."""
        page = os.sysconf("SC_PAGE_SIZE")
        rss = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in self.lasting)
        files = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.lasting)
        return Usage(n_done, rss, files, len(self.pids()))

    def crashed(self) -> list[int]:
        """Lasting processes that are gone."""
        return [pid for pid in self.lasting if not Path(f"/proc/{pid}/cmdline").exists()]

    def left_behind(self) -> list[str]:
        """Uploads that are still there."""
        return sorted(self.uploads() - self.files)

    def uploads(self) -> frozenset[str]:
        """What lies in the folder, and in the temporary one that the service made there for itself, but for the empty
        folders of BentoML's workers.
        """
        places = [self.folder, *self.folder.glob("cellmark-server-*/tmp")]
        found = [path for place in places for path in place.iterdir()]
        return frozenset(str(path) for path in found if not path.name.startswith("bentoml-"))


def children(pid: int) -> list[int]:
    """Processes that a process has started, none when it is gone."""
    found: list[int] = []
    # A reader may end at any moment, and its folder with it.
    tasks: list[Path] = []
    with suppress(FileNotFoundError):
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
    for task in tasks:
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue  # a thread that has just ended
    return found


def end_with_sigterm() -> None:
    """Let SIGTERM end this program like an error, so that the service is ended too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve(model: Path, folder: Path, *arguments: str, **environment_changes: str) -> Iterator[Server]:
    """The service with its default settings, ended by SIGTERM. `arguments`: further ones of `cellmark serve`."""
    port = free_port()
    temporary, log = folder / "tmp", folder / "service.log"
    temporary.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CELLMARK_", "BENTOML"))}
    environment |= {"TMPDIR": str(temporary), "OMP_NUM_THREADS": "1", **environment_changes}
    command = [sys.executable, "-P", "-c", "from cellmark.serving.commands.cli import main; main()"]
    command += ["serve", "--model", str(model.resolve()), "--host", "127.0.0.1", "--port", str(port), *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    server = Server(f"http://127.0.0.1:{port}", process, temporary, log)
    try:
        _wait(server)
        server.lasting = _settled(server)
        server.files = server.uploads()
        yield server
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    finally:
        if process.poll() is None:
            for pid in reversed(server.pids()):
                os.kill(pid, signal.SIGKILL)
            process.wait()


def _settled(server: Server) -> list[int]:
    """The processes that are there a second later too: a reader of the start is not one that lasts."""
    first = set(server.pids())
    time.sleep(1)
    return [pid for pid in server.pids() if pid in first]


def _wait(server: Server) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the service did not start:\n{server.log.read_text()}")
        try:
            # The first worker may answer before the other one has started its program of readers.
            answer = httpx.get(server.url + "/readyz", timeout=5, verify=False)  # no certificates to read for http
            if answer.status_code == 200 and server.is_whole():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
