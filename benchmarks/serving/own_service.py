"""A service of one's own on 127.0.0.1 for the benchmarks beside this file: its processes, its disk, requests for it."""

import io
import json
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

import anndata as ad
import httpx
import numpy as np
import pandas as pd
import psutil
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle

START_SECONDS = 120
COMMAND = [sys.executable, "-P", "-c", "from cellmark.serving.commands.cli import main; main()", "serve"]


@dataclass
class OwnService:
    """A running service. `folder`: its TMPDIR. `named`: processes by pid, since those that ended have no name."""

    url: str
    process: "subprocess.Popen[bytes]"
    folder: Path
    log: Path
    named: dict[int, str] = field(default_factory=dict)

    def tree(self) -> list[psutil.Process]:
        """The service's processes that live, itself first."""
        try:
            root = psutil.Process(self.process.pid)
            return [each for each in (root, *root.children(recursive=True)) if each.status() != psutil.STATUS_ZOMBIE]
        except psutil.Error:
            return []

    def workers(self) -> list[psutil.Process]:
        try:
            children = psutil.Process(self.process.pid).children()
            return [each for each in children if each.status() != psutil.STATUS_ZOMBIE]
        except psutil.Error:
            return []

    def readers(self) -> list[psutil.Process]:
        """Processes that read a file at the moment: the children of each worker's program of readers."""
        found = []
        for worker in self.workers():
            try:
                for program in worker.children():
                    found += program.children()
            except psutil.Error:
                continue
        return found

    def rss(self) -> int:
        """Resident bytes of all processes; pages that several share count once (`pss`) where the system says."""
        total = 0
        for process in self.tree():
            try:
                memory = process.memory_full_info()
                total += getattr(memory, "pss", memory.rss)
            except psutil.Error:
                continue
        return total

    def open_files(self) -> int:
        total = 0
        for process in self.tree():
            try:
                total += process.num_fds()
            except psutil.Error:
                continue
        return total

    def named_bytes(self) -> int:
        """Bytes of files in the temporary folder that a kill would leave, but for what BentoML and the limits count."""
        total = 0
        for place in self.folder.glob("*/tmp"):
            for folder, _, names in os.walk(place):  # one that is gone meanwhile is passed over
                for name in names:
                    with suppress(OSError):
                        path = Path(folder, name)
                        total += 0 if path.is_symlink() else path.stat().st_size
        return total

    def is_ready(self) -> bool:
        try:
            # `verify=False`: no certificates are read for an address of http, which takes longer than the answer.
            return httpx.get(f"{self.url}/readyz", timeout=5, verify=False).status_code == 200
        except httpx.TransportError:
            return False

    def wait_until_ready(self, seconds: float = START_SECONDS, workers: int = 1) -> float:
        """Seconds until it answers with so many workers. Raises `TimeoutError`.

        Each question goes to any of the workers, so several in a row must be answered with yes.
        """
        began = time.monotonic()
        in_a_row = 0
        while in_a_row < (1 if workers == 1 else 8 * workers):
            in_a_row = in_a_row + 1 if len(self.workers()) >= workers and self.is_ready() else 0
            if in_a_row:
                continue
            if time.monotonic() - began > seconds or self.process.poll() is not None:
                raise TimeoutError(self.log.read_text()[-3000:])
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_for_end(self, pids: list[int], seconds: float) -> list[int]:
        """Those of the processes that still live after so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := [pid for pid in pids if _lives(pid)]) and time.monotonic() < deadline:
            self.process.poll()
            time.sleep(0.05)
        return left


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@contextmanager
def own_service(
    model: Path | str, folder: Path, *, temporary: Path | None = None, **environment: str
) -> Iterator[OwnService]:
    """The service of a bundle or of an MLflow URI, ended with all its processes after the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    place = temporary or folder / "tmp"
    place.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CELLMARK_", "BENTOML"))}
    log = folder / "service.log"
    named = str(model.resolve() if isinstance(model, Path) else model)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "--model", named, "--port", str(port)],
            env={**kept, "OMP_NUM_THREADS": "1", **environment, "TMPDIR": str(place)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    service = OwnService(f"http://127.0.0.1:{port}", process, place, log)
    try:
        service.wait_until_ready()
        yield service
    finally:
        pids = [each.pid for each in service.tree()]
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        for pid in service.wait_for_end(pids, 40):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def some_cells(bundle: Bundle, n_obs: int, *, seed: int = 0, density: float = 0.3, n_genes: int = 0) -> ad.AnnData:
    """Counts of the bundle's panel, drawn at random, with `n_genes` others beside."""
    generator = np.random.default_rng(seed)
    names = [*bundle.panel.symbols, *(f"OTHER{number}" for number in range(n_genes))]
    X = sp.random(n_obs, len(names), density=density, format="csr", random_state=generator, dtype=np.float32)
    X.data = generator.integers(1, 20, len(X.data)).astype(np.float32)
    names_of_cells = [f"cell-{number}" for number in range(n_obs)]
    return ad.AnnData(X, obs=pd.DataFrame(index=names_of_cells), var=pd.DataFrame(index=pd.Index(names)))


def json_body(cells: ad.AnnData) -> bytes:
    """The cells as JSON by rows."""
    X = cells.X
    parts = {"indptr": X.indptr.tolist(), "indices": X.indices.tolist(), "data": X.data.tolist()}
    names = {"genes": cells.var_names.tolist(), "cell_ids": cells.obs_names.tolist()}
    return json.dumps({**names, **parts}).encode()


def npz_body(cells: ad.AnnData, *, compressed: bool = True) -> bytes:
    content = io.BytesIO()
    X = cells.X
    save = np.savez_compressed if compressed else np.savez
    genes, ids = np.array(cells.var_names.tolist()), np.array(cells.obs_names.tolist())
    save(content, genes=genes, cell_ids=ids, indptr=X.indptr, indices=X.indices, data=X.data)
    return content.getvalue()


def h5ad_body(cells: ad.AnnData, folder: Path) -> bytes:
    path = folder / "body.h5ad"
    cells.write_h5ad(path)
    try:
        return path.read_bytes()
    finally:
        path.unlink()
