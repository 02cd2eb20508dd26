"""Alias moves under load: requests that fail, answers that differ from the version that they name, time of a swap.

    python benchmarks/serving/service_versions.py                          # 4 moves in 40 s
    python benchmarks/serving/service_versions.py --moves 20 --seconds 600

A registry in a SQLite file has two versions of one model, of different panels, weights and digests. A service of two
workers follows its champion while clients send the same cells over and over. Every answer is compared with what Python
gives for exactly the version that the answer names.
"""

import argparse
import itertools
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.tracking.tracking_uri import artifact_root, sqlite_uri
from cellmark.serving import Annotator
from fixtures.registered_versions import Service, following_service
from fixtures.synthetic_cells import draw_cells

ARCHIVES = Path(__file__).resolve().parents[2] / "tests" / "archives"
N_CELLS = 10
TOLERANCE = 1e-4


@dataclass
class Load:
    """What the clients saw. `slowest`: seconds, by request."""

    answers: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    inconsistent: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


def registry(folder: Path) -> tuple[str, Any]:
    """A registry with the archives `tiny` and `v1` as versions 1 and 2 of `model`."""
    from cellmark.training.tracking.open_run import open_client
    from cellmark.training.tracking.register import register_bundle

    uri = sqlite_uri(folder / "mlflow.db")
    client = open_client(uri)
    experiment = client.create_experiment("benchmark", artifact_location=str(artifact_root(uri)))
    for name in ("tiny", "v1"):
        shutil.copytree(ARCHIVES / name, folder / name)
        run = client.create_run(experiment)
        register_bundle(Bundle.open(folder / name), name="model", run_id=run.info.run_id, client=client)
    client.set_registered_model_alias("model", "champion", "1")
    return uri, client


def body_and_expected(folder: Path) -> tuple[dict[str, Any], dict[str, tuple[str, np.ndarray]]]:
    """Cells that both versions take, and digest and confidences that Python gives for each."""
    cells = draw_cells(seed=5)[:N_CELLS].copy()
    models = {version: Annotator.load(folder / name) for version, name in (("1", "tiny"), ("2", "v1"))}
    expected = {
        version: (model.bundle.digest, model.annotate(cells)["cellmark_confidence"].to_numpy())
        for version, model in models.items()
    }
    X = cells.X
    rows = [
        {"cell_id": name, "counts": dict(zip(cells.var_names[X[row].indices], X[row].data.tolist(), strict=True))}
        for row, name in enumerate(cells.obs_names)
    ]
    return {"genes": cells.var_names.tolist(), "cells": rows}, expected


def ask(service: Service, body: dict[str, Any], expected: dict[str, tuple[str, np.ndarray]], load: Load) -> None:
    """One client: the same request until the load ends."""
    with httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as client:
        while not load.ended.is_set():
            started = time.perf_counter()
            try:
                response = client.post("/annotate", json=body)
            except httpx.HTTPError as error:
                load.failed.append(repr(error))
                continue
            load.seconds.append(time.perf_counter() - started)
            if response.status_code != 200:
                load.failed.append(response.text[:300])
                continue
            answer = response.json()
            digest, confidence = expected[answer["model_version"]]
            found = np.array([cell["cellmark_confidence"] for cell in answer["cells"]])
            if answer["bundle_digest"] != digest or np.abs(found - confidence).max() > TOLERANCE:
                load.inconsistent.append(f"version {answer['model_version']}, digest {answer['bundle_digest'][:12]}")
            load.answers[answer["model_version"]] += 1


def until_all_serve(service: Service, version: str) -> float:
    """Seconds until twelve answers on new connections all come from this version."""
    started = time.monotonic()
    service.wait_for(version, seconds=120)
    return time.monotonic() - started


def memory(service: Service) -> float:
    """MiB of all processes of the service; pages that they share count once in each."""
    found = 0
    for pid in service.pids():
        try:
            found += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
    return found * os.sysconf("SC_PAGE_SIZE") / 1024**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shadow", action="store_true", help="version 2 scores every request too, unseen")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cellmark-versions-") as name:
        folder = Path(name)
        uri, client = registry(folder)
        body, expected = body_and_expected(folder)
        settings = {"MLFLOW_TRACKING_URI": uri, "CELLMARK_CACHE": str(folder / "cache"), "CELLMARK_FOLLOW_SECONDS": "1"}
        settings["CELLMARK_DEBUG"] = ""
        if chosen.shadow:
            settings |= {"CELLMARK_SHADOW": "models:/model/2", "CELLMARK_SHADOW_SHARE": "1"}
        started = time.monotonic()
        options = ("--workers", str(chosen.workers))
        with following_service(["models:/model@champion"], folder / "service", *options, **settings) as service:
            print(f"ready after {time.monotonic() - started:.1f} s, {memory(service):.0f} MiB")
            load = Load()
            clients = [
                threading.Thread(target=ask, args=(service, body, expected, load)) for _ in range(chosen.clients)
            ]
            for thread in clients:
                thread.start()
            swaps = []
            begun = time.monotonic()
            versions = itertools.cycle(["2", "1"])
            for number in range(chosen.moves):
                time.sleep(max(0.0, begun + chosen.seconds * (number + 0.5) / chosen.moves - time.monotonic()))
                version = next(versions)
                client.set_registered_model_alias("model", "champion", version)
                swaps.append(until_all_serve(service, version))
            time.sleep(max(0.0, begun + chosen.seconds - time.monotonic()))
            load.ended.set()
            for thread in clients:
                thread.join()
            seconds = np.array(load.seconds) * 1000
            print(f"{len(seconds)} requests of {N_CELLS} cells, {chosen.moves} moves in {chosen.seconds:.0f} s")
            print(f"failed: {len(load.failed)}, answers unlike their version: {len(load.inconsistent)}")
            print(f"answers by version: {dict(sorted(load.answers.items()))}")
            print(f"from the move to the last worker: {np.median(swaps):.1f} s (longest {max(swaps):.1f})")
            print("ms: " + ", ".join(f"p{level} {np.percentile(seconds, level):.1f}" for level in (50, 99, 100)))
            print(f"memory at the end: {memory(service):.0f} MiB")
            if chosen.shadow:
                for pair in service.get("/admin/shadow")["pairs"]:
                    print({key: value for key, value in pair.items() if key != "differences"})
            for text in (*load.failed[:3], *load.inconsistent[:3]):
                print(text)
        sys.exit(bool(load.failed or load.inconsistent))


if __name__ == "__main__":
    main()
