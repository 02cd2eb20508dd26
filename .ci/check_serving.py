"""What a user of a serving machine does: `PYTHON check_serving.py BUNDLE`, in an environment of install_serving.sh.

Run it with that environment's Python. It looks at what is installed, annotates with the command line, starts the
service with the variables that the Dockerfile sets, and sends it JSON and a file. The cells are the bundle's golden
cells, so the expected probabilities are those that training wrote down. Writes only to a temporary folder.
"""

import importlib
import importlib.metadata
import json
import os
import pkgutil
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

ENVIRONMENT = Path(sys.prefix)
CELLMARK = ENVIRONMENT / "bin" / "cellmark"
DOCKERFILE = Path(__file__).resolve().parents[1] / "Dockerfile"
NEVER = (
    "torch",
    "onnx",
    "mlflow",
    "optuna",
    "captum",
    "scanpy",
    "scikit-learn",
    "matplotlib",
    "pytest",
    "pip",
    "setuptools",
)
OF_EXTRAS = ("dbos", "psycopg")
"""What modules import that an extra brings; nothing else does."""
INSTALL_TRAINING = "pip install 'cellmark[train,cpu]'"
INSTALL_PLOT = "pip install 'cellmark[plot]'"
TOLERANCE = 1e-4
START_S = 120
STOP_S = 30


def main() -> None:
    bundle = Path(sys.argv[1]).resolve()
    look_at_what_is_installed()
    import_every_module()
    with tempfile.TemporaryDirectory(prefix="cellmark-serving-") as scratch:
        folder = Path(scratch)
        cells, expected = golden_cells(bundle)
        cells.write_h5ad(folder / "cells.h5ad")
        use_the_command_line(folder, bundle, expected)
        use_python(bundle, cells.copy(), expected)
        use_the_service(folder, bundle, cells, expected)


def look_at_what_is_installed() -> None:
    installed = {distribution.name.lower() for distribution in importlib.metadata.distributions()}
    unwanted = sorted(installed & set(NEVER))
    check(not unwanted, f"not in a serving environment: {unwanted}")
    runtimes = sorted(name for name in installed if name.startswith("onnxruntime"))
    check(len(runtimes) == 1, f"one onnxruntime, not {runtimes}")
    location = Path(importlib.metadata.distribution("cellmark").locate_file("cellmark/schemas/bundle.py"))
    check(location.is_relative_to(ENVIRONMENT), f"cellmark is installed, not linked to {location}")
    n_bytes = sum(file.stat(follow_symlinks=False).st_size for file in ENVIRONMENT.rglob("*") if file.is_file())
    say(f"no torch; {len(installed)} distributions, {n_bytes / 1e6:,.0f} MB installed, runtime {runtimes[0]}")


def import_every_module() -> None:
    """A room that pyproject.toml's `packages` lacks is missing from the wheel; an editable installation hides that."""
    walked = pkgutil.walk_packages(importlib.import_module("cellmark").__path__, "cellmark.")
    names = ["cellmark", *(module.name for module in walked if not module.name.startswith("cellmark.training"))]
    optional = []
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if str(error.name).split(".")[0] not in OF_EXTRAS:
                raise
            optional.append(name.removeprefix("cellmark."))
    wheel = importlib.metadata.files("cellmark") or []
    packed = {".".join(file.with_suffix("").parts) for file in wheel if file.suffix == ".py"}
    packed = {name.removesuffix(".__init__") for name in packed if not name.startswith("cellmark.training")}
    check(set(names) == packed, f"modules of the wheel that were not imported: {sorted(packed - set(names))}")
    say(f"imported all {len(names)} modules of all but training, except those of extras: {', '.join(optional)}")


def golden_cells(bundle: Path) -> tuple[ad.AnnData, pd.DataFrame]:
    """The bundle's golden cells as a file would hold them; the probabilities that training expects, cells x types."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    with np.load(bundle / "golden_cells.npz", allow_pickle=False) as stored:
        X = sp.csr_matrix((stored["data"], stored["indices"], stored["indptr"]), shape=tuple(stored["shape"]))
        obs = pd.DataFrame({"total": stored["library_size"].astype(np.float64)})
        probabilities = stored["probabilities"]
    obs.index = pd.Index([f"golden-{number}" for number in range(len(obs))])
    genes = pd.read_parquet(bundle / "genes.parquet")["gene_symbol"].astype(str)
    names = [entry["name"] for entry in manifest["cell_types"]]
    cells = ad.AnnData(X.astype(np.float32), obs=obs, var=pd.DataFrame(index=pd.Index(genes.to_numpy(dtype=object))))
    return cells, pd.DataFrame(probabilities, index=obs.index, columns=names)


def use_the_command_line(folder: Path, bundle: Path, expected: pd.DataFrame) -> None:
    started = time.monotonic()
    text = run("--help", folder=folder).stdout
    say(f"cellmark --help: {time.monotonic() - started:.2f} s")
    check("train" in text and "annotate" in text, "--help lists the commands of both worlds")
    spelled = " ".join(run("train", "--help", folder=folder).stdout.replace("│", " ").split())
    check(INSTALL_TRAINING in spelled, f"train --help names {INSTALL_TRAINING}")
    refused = run("train", "cells.h5ad", "--label", "cell_type", folder=folder, status=1)
    check(INSTALL_TRAINING in refused.stderr, f"train says {INSTALL_TRAINING}")
    refused = run("annotate", "missing.h5ad", "--model", str(bundle), "-o", "calls.csv", folder=folder, status=1)
    check("missing.h5ad" in refused.stderr and not (folder / "calls.csv").exists(), "a missing file is refused by name")

    run("bundle", "verify", str(bundle), folder=folder)
    model = ("--model", str(bundle), "--library-size", "total")
    run("report", "--model", str(bundle), "-o", "report.html", folder=folder)
    check("</html>" in (folder / "report.html").read_text(encoding="utf-8"), "a report is written without torch")
    run("annotate", "cells.h5ad", *model, "--probabilities", "-o", "calls.parquet", folder=folder)
    calls = pd.read_parquet(folder / "calls.parquet").set_index("cell_id")
    found = calls[[f"probability:{name}" for name in expected.columns]].to_numpy()
    check(list(calls.index) == list(expected.index), "one call for each cell, in order")
    check(np.abs(found - expected.to_numpy()).max() <= TOLERANCE, "the calls are those that training expects")
    run("explain", "cells.h5ad", *model, "--top", "5", "-o", "explanation.csv", folder=folder)
    check(len(pd.read_csv(folder / "explanation.csv")) == 5 * len(expected), "five genes for each cell")
    say(f"the command line called {len(calls)} cells as training expects, and explained them")


def use_python(bundle: Path, cells: ad.AnnData, expected: pd.DataFrame) -> None:
    import cellmark as cm

    calls = cm.load(bundle).annotate(cells, inplace=False, probabilities=True, library_size="total")
    found = calls[[f"probability:{name}" for name in expected.columns]].to_numpy()
    check(np.abs(found - expected.to_numpy()).max() <= TOLERANCE, "the calls in Python are those of training")
    cm.tl.annotate(cells, model=bundle, library_size="total")
    for ask, extra in ((partial(cm.train, cells), INSTALL_TRAINING), (partial(cm.pl.confidence, cells), INSTALL_PLOT)):
        try:
            ask()
            check(False, "what needs an extra is refused")
        except cm.CellmarkError as error:
            check(extra in str(error), f"the refusal says {extra}: {error}")
    say(f"Python called {len(calls)} cells as training expects; cm.train and cm.pl name their extras")


def use_the_service(folder: Path, bundle: Path, cells: ad.AnnData, expected: pd.DataFrame) -> None:
    """Serve as the image does: its variables, with its /tmp in `folder`; nothing may be written anywhere else."""
    tmp, work = folder / "tmp", folder / "work"
    tmp.mkdir()
    work.mkdir()
    variables = image_variables(tmp)
    # The image expects a file of keys; this one lies in `folder`.
    key_file = folder / "keys.jsonl"
    key = run("keys", "create", "--key-file", str(key_file), "--name", "check", folder=folder).stdout.strip()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = folder / "service.log"
    started = time.monotonic()
    with log.open("wb") as output:
        server = subprocess.Popen(
            [CELLMARK, "serve", "--host", "127.0.0.1", "--port", str(port)],
            cwd=work,
            env={**variables, "CELLMARK_MODEL": str(bundle), "CELLMARK_KEY_FILE": str(key_file)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_ready(server, url)
        say(f"the service was ready after {time.monotonic() - started:.1f} s")
        ask_for_calls(url, key, folder, cells, expected)
        server.terminate()
        server.wait(timeout=STOP_S)
        refused = subprocess.run([CELLMARK, "serve", "--model", "nowhere"], capture_output=True, text=True, timeout=120)
        check(refused.returncode == 1 and "Traceback" not in refused.stderr, "serving a model that is not there fails")
    except BaseException:
        sys.stderr.write(log.read_text(errors="replace")[-8000:])
        raise
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    check(not list(work.iterdir()), f"serving writes under /tmp only, not {list(work.iterdir())}")
    say(f"stopped on SIGTERM with exit status {server.returncode}; wrote nothing outside its temporary folder")


def image_variables(tmp: Path) -> dict[str, str]:
    """The Dockerfile's ENV with `tmp` for /tmp; of this machine only what a process needs to find its programs."""
    instruction = re.search(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    check(instruction is not None, "the Dockerfile sets variables")
    assert instruction is not None
    given = dict(word.split("=", 1) for word in shlex.split(instruction.group(1).replace("\\\n", " ")))
    image = {name: re.sub(r"^/tmp", str(tmp), value) for name, value in given.items()}
    return {**image, "PATH": f"{ENVIRONMENT / 'bin'}:/usr/bin:/bin"}


def wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        check(server.poll() is None, f"the service keeps running (it ended with {server.returncode})")
        try:
            if urllib.request.urlopen(f"{url}/readyz", timeout=5).status == 200:
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            check(time.monotonic() < deadline, f"the service is ready within {START_S} s")
        time.sleep(0.2)


def ask_for_calls(url: str, key: str, folder: Path, cells: ad.AnnData, expected: pd.DataFrame) -> None:
    X = cells.X.tocsr()
    genes = list(cells.var_names)
    rows = [slice(X.indptr[row], X.indptr[row + 1]) for row in range(X.shape[0])]
    body = {
        "genes": genes,
        "cells": [
            {
                "cell_id": name,
                "counts": {genes[gene]: float(n) for gene, n in zip(X.indices[row], X.data[row], strict=True)},
                "library_size": float(total),
            }
            for name, row, total in zip(cells.obs_names, rows, cells.obs["total"], strict=True)
        ],
    }
    credentials = {"Authorization": f"Bearer {key}"}
    post = partial(send, headers=credentials)
    by_json = post(f"{url}/annotate?probabilities=true", json.dumps(body).encode(), "application/json")
    file = (folder / "cells.h5ad").read_bytes()
    by_file = post(f"{url}/annotate?probabilities=true&library_size=total", file, "application/x-hdf5")
    for answer in (by_json, by_file):
        found = pd.DataFrame([cell["probabilities"] for cell in answer["cells"]])[list(expected.columns)]
        check(
            [cell["cell_id"] for cell in answer["cells"]] == list(expected.index), "one answer for each cell, in order"
        )
        check(np.abs(found.to_numpy() - expected.to_numpy()).max() <= TOLERANCE, "served calls are those of training")
    explained = post(f"{url}/attribute?top=3", json.dumps(body).encode(), "application/json")
    check(all(len(cell["genes"]) == 3 for cell in explained["cells"]), "three genes for each call")
    model = json.load(urllib.request.urlopen(urllib.request.Request(f"{url}/model", headers=credentials), timeout=30))
    check(model["bundle_digest"] == by_json["bundle_digest"], "/model names the bundle that answered")
    say(f"the service called {len(expected)} cells sent as JSON and as a file as training expects, and explained them")


def send(url: str, body: bytes, content_type: str, *, headers: dict[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(url, body, {"Content-Type": content_type, **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        raise SystemExit(f"check_serving: {url} answered {error.code}: {error.read().decode()[:2000]}") from error


def run(*arguments: str, folder: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """The command line in `folder`, outside the checkout; ends the check on another exit status or a traceback."""
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(
        [CELLMARK, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    shown = f"cellmark {' '.join(arguments)}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
    check(done.returncode == status and "Traceback" not in done.stderr, f"expected exit status {status} of\n{shown}")
    return done


def check(held: bool, claim: str) -> None:
    if not held:
        raise SystemExit(f"check_serving: does not hold: {claim}")


def say(line: str) -> None:
    print(f"check_serving: {line}", flush=True)


if __name__ == "__main__":
    main()
