"""A running service beside `mlflow models serve`: `python benchmarks/serving/service.py --model MLFLOW_MODEL`.

`MLFLOW_MODEL`: the folder of a registered model (with `bundle/` and `tensor/` in it), as MLflow downloads it. Both
servers have one worker and answer on 127.0.0.1, in turns, to the same client, which keeps its connection:

- one cell of `../shared/data/pancreas_baron_human.h5ad` (the panel's genes and a library size) as JSON, one client;
- the same with eight clients;
- 100 cells as `.npz` and as JSON in CSR form; MLflow gets the dense tensor as JSON;
- explanations of one and of 100 cells, ten genes each.

Each number is over all rounds; ratios are between medians of the same run.
"""

import argparse
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import anndata as ad
import httpx
import numpy as np
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle

START_SECONDS = 120


class Connection:
    """Sends one prepared request again and again over one connection, at little cost of its own."""

    def __init__(self, url: str, body: bytes, media_type: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Type: {media_type}"]
        lines += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in headers.items())]
        self._request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        self._socket = socket.create_connection((parts.hostname, parts.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def ask(self) -> float:
        """Seconds until the whole answer is there. Raises when it is not 200."""
        begun = time.perf_counter()
        self._socket.sendall(self._request)
        status = self._file.readline()
        length = 0
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        answer = self._file.read(length)
        seconds = time.perf_counter() - begun
        if b" 200 " not in status:
            raise RuntimeError(f"{status!r} {answer[:1000]!r}")
        return seconds

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(command: list[str], ready: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A program until it answers at `ready`, ended with all its processes."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    with (folder / f"{Path(command[2]).name}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            until = time.monotonic() + START_SECONDS
            while True:
                with suppress(httpx.TransportError):
                    if httpx.get(ready, trust_env=False).status_code == 200:
                        break
                if time.monotonic() > until or process.poll() is not None:
                    raise RuntimeError(f"{command} did not start; see {log.name}: {Path(log.name).read_text()[-2000:]}")
                time.sleep(0.1)
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


class Bodies:
    """The same cells in every form. `X`: CSR, float32, cells x panel genes."""

    def __init__(self, bundle: Bundle, data: Path, n_cells: int) -> None:
        adata = ad.read_h5ad(data)
        rows = np.linspace(0, adata.n_obs - 1, n_cells).astype(int)
        counts = sp.csr_matrix(adata.X, dtype=np.float32)[rows]
        self.sizes = np.asarray(counts.sum(axis=1)).ravel()
        self.genes = list(bundle.panel.symbols)
        self.X = counts[:, adata.var_names.get_indexer(self.genes)].sorted_indices()
        self.ids = [f"cell-{number}" for number in range(n_cells)]

    @property
    def cells(self) -> bytes:
        listed = []
        for number, cell_id in enumerate(self.ids):
            row = self.X[number]
            counts = dict(zip([self.genes[i] for i in row.indices], row.data.astype(int).tolist(), strict=True))
            listed.append({"cell_id": cell_id, "counts": counts, "library_size": float(self.sizes[number])})
        return json.dumps({"genes": self.genes, "cells": listed}).encode()

    @property
    def csr(self) -> bytes:
        X = self.X
        parts = {"indptr": X.indptr, "indices": X.indices, "data": X.data.astype(int), "library_sizes": self.sizes}
        lists = {name: values.tolist() for name, values in parts.items()}
        return json.dumps({"genes": self.genes, "cell_ids": self.ids, **lists}).encode()

    @property
    def npz(self) -> bytes:
        content = io.BytesIO()
        np.savez(
            content, genes=np.array(self.genes), cell_ids=np.array(self.ids), indptr=self.X.indptr,
            indices=self.X.indices, data=self.X.data, library_sizes=self.sizes,
        )  # fmt: skip
        return content.getvalue()

    @property
    def tensor(self) -> bytes:
        inputs = {"counts": self.X.toarray().tolist(), "library_size": self.sizes.reshape(-1, 1).tolist()}
        return json.dumps({"inputs": inputs}).encode()


def percentile(seconds: list[float], share: float) -> float:
    return float(np.percentile(seconds, share * 100))


def together(url: str, body: bytes, kind: str, headers: dict[str, str], *, clients: int, seconds: float) -> float:
    """Requests a second that so many clients get answered at once."""
    done = [0] * clients
    until = time.perf_counter() + seconds

    def work(number: int) -> None:
        connection = Connection(url, body, kind, headers)
        while time.perf_counter() < until:
            connection.ask()
            done[number] += 1
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    parser.add_argument("--rounds", type=int, default=300, help="Requests of one cell for each server.")
    parser.add_argument("--key", help="API key to send; start the service's settings through the environment.")
    arguments = parser.parse_args()
    bundle = Bundle.open(arguments.model / "bundle")
    data = arguments.shared / "pancreas_baron_human.h5ad"
    one, many = Bodies(bundle, data, 1), Bodies(bundle, data, 100)
    headers = {"Authorization": f"Bearer {arguments.key}"} if arguments.key else {}
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = free_port(), free_port()
        start = time.perf_counter()
        command = [sys.executable, "-P", "-c", "from cellmark.serving.commands.cli import main; main()", "serve"]
        command += ["--model", str((arguments.model / "bundle").resolve()), "--port", str(ours), "--workers", "1"]
        with server(command, f"http://127.0.0.1:{ours}/readyz", Path(folder)):
            print(f"ready after {time.perf_counter() - start:.1f} s")
            command = [
                sys.executable,
                "-m",
                "mlflow",
                "models",
                "serve",
                "-m",
                str((arguments.model / "tensor").resolve()),
            ]
            command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(theirs)]
            with server(command, f"http://127.0.0.1:{theirs}/ping", Path(folder)):
                measure(
                    f"http://127.0.0.1:{ours}",
                    f"http://127.0.0.1:{theirs}/invocations",
                    one,
                    many,
                    headers,
                    arguments.rounds,
                )


def measure(ours: str, theirs: str, one: Bodies, many: Bodies, headers: dict[str, str], rounds: int) -> None:
    """Print all comparisons."""
    kinds = {
        "one cell, MLflow": (theirs, one.tensor, "application/json", rounds),
        "one cell, JSON": (f"{ours}/annotate", one.cells, "application/json", rounds),
        "one cell, explained": (f"{ours}/attribute?top=10", one.cells, "application/json", rounds),
        "100 cells, MLflow": (theirs, many.tensor, "application/json", rounds // 4),
        "100 cells, CSR": (f"{ours}/annotate", many.csr, "application/json", rounds // 4),
        "100 cells, .npz": (f"{ours}/annotate", many.npz, "application/x-npz", rounds // 4),
        "100 cells, explained": (f"{ours}/attribute?top=10", many.csr, "application/json", rounds // 4),
    }
    connections = {name: Connection(url, body, kind, headers) for name, (url, body, kind, _) in kinds.items()}
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(rounds + 10):
        for name, (_, _, _, n_rounds) in kinds.items():
            if number < n_rounds + 10:
                seconds = connections[name].ask()
                if number >= 10:
                    times[name].append(seconds)
    for connection in connections.values():
        connection.close()
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in times.items():
        beside = medians[name.split(",")[0] + ", MLflow"]
        print(
            f"{name:22s} p50 {1e3 * medians[name]:7.2f} ms, p99 {1e3 * percentile(seconds, 0.99):7.2f} ms; "
            f"{medians[name] / beside:.2f} x MLflow's p50"
        )
    for n_clients in (1, 8):
        each = {
            name: together(url, body, kind, headers, clients=n_clients, seconds=5)
            for name, (url, body, kind, _) in kinds.items()
            if name in ("one cell, MLflow", "one cell, JSON")
        }
        print(f"{n_clients} clients: " + "; ".join(f"{name} {rate:.0f} a second" for name, rate in each.items()))


if __name__ == "__main__":
    main()
