"""Annotating 50,000 cells x 20,000 genes beside anndata's plain read: `python benchmarks/annotate.py`.

Real cells (`../shared/data/pancreas_baron_human.h5ad`) are tiled; the model is trained on them with the defaults. The
file is read by a process apart or, with `--trusted`, directly. Every measurement is a fresh process; times exclude
imports; memory is the peak resident set less that after the imports, of both processes, over the bytes of the loaded
matrix. Reads and annotations take turns, the best of the rounds counts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

N_CELLS, N_GENES = 50_000, 20_000


def make_file(source: Path, target: Path, compression: str | None) -> None:
    import anndata as ad
    import numpy as np
    import pandas as pd
    import scipy.sparse as sp

    adata = ad.read_h5ad(source)
    X = sp.csr_matrix(adata.X)[:, :N_GENES]
    rows = np.arange(N_CELLS) % X.shape[0]
    obs = pd.DataFrame(index=[f"cell{number}" for number in range(N_CELLS)])
    ad.AnnData(X[rows], obs=obs, var=adata.var[:N_GENES]).write_h5ad(target, compression=compression)


def make_model(source: Path, folder: Path) -> None:

    from cellmark.training.config import TrainingConfig
    from cellmark.training.listener import Listener
    from cellmark.training.run import train

    train(TrainingConfig(data=source), folder, Listener())


def peak() -> int:
    """Peak resident set in bytes. Not ru_maxrss, which a child inherits from the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def measure_read(data: Path) -> dict[str, float]:
    import anndata as ad
    import scipy.sparse  # noqa: F401

    before, start = peak(), time.perf_counter()
    adata = ad.read_h5ad(data)
    seconds = time.perf_counter() - start
    matrix = adata.X.data.nbytes + adata.X.indices.nbytes + adata.X.indptr.nbytes
    return {"seconds": seconds, "memory": peak() - before, "matrix": matrix}


def measure_annotate(data: Path, model: Path, out: Path, *, trusted: bool) -> dict[str, float]:
    import anndata.io  # noqa: F401
    import onnxruntime  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from cellmark.schemas.cells import read_h5ad  # noqa: F401
    from cellmark.serving import Annotator
    from cellmark.serving.files.annotate_file import annotate_file
    from cellmark.serving.reader.reader_process import ReaderBudget
    from cellmark.serving.reader.reader_server import reader_server

    # The reader's peak counts too, less what its program has after its imports.
    peaks: list[int] = []
    end = reader_server().end
    reader_server().end = lambda reader: peaks.append((told := end(reader)).get("peak", 0) * 1024) or told
    if not trusted:
        reader_server().fork(ReaderBudget(), name="nothing", n_bytes=0).close()
    before, start = peak(), time.perf_counter()
    annotate_file(Annotator.load(model), data, out, trusted=trusted, force=True)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "memory": peak() - before + (peaks[-1] - peaks[0] if peaks else 0)}


def child(*arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--folder", type=Path, help="keep the files here")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compression", default=None)
    parser.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        kind, *paths = arguments.child
        paths = [Path(path) for path in paths]
        measured = measure_read(*paths) if kind == "read" else measure_annotate(*paths, trusted=kind == "trusted")
        print(json.dumps(measured))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        source = arguments.shared / "pancreas_baron_human.h5ad"
        data, model = folder / f"big_{arguments.compression}.h5ad", folder / "model"
        if not data.exists():
            make_file(source, data, arguments.compression)
        if not model.exists():
            make_model(source, model)
        ways = [(suffix, trusted) for suffix in (".parquet", ".h5ad") for trusted in (False, True)]
        names = {way: f"{way[0]}{' --trusted' if way[1] else ''}" for way in ways}
        results: dict[str, list[dict[str, float]]] = {"read": [], **{name: [] for name in names.values()}}
        for _ in range(arguments.rounds):
            results["read"].append(child("--child", "read", str(data)))
            for suffix, trusted in ways:
                out, kind = folder / f"calls{suffix}", "trusted" if trusted else "apart"
                results[names[suffix, trusted]].append(child("--child", kind, str(data), str(model), str(out)))
        best = {kind: min(rows, key=lambda row: row["seconds"]) for kind, rows in results.items()}
        matrix = best["read"]["matrix"]
        print(f"matrix {matrix / 1e6:.0f} MB, compression {arguments.compression}")
        for kind, row in best.items():
            print(
                f"{kind:19s} {row['seconds']:6.2f} s  {row['seconds'] / best['read']['seconds']:5.2f} x read   "
                f"peak memory {row['memory'] / matrix:5.2f} x matrix"
            )


if __name__ == "__main__":
    main()
