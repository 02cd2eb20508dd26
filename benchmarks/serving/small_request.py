"""One small request, its file read apart and directly: `python benchmarks/serving/small_request.py --model BUNDLE`.

The first 100 cells of `../shared/data/pbmc3k.h5ad` are posted to /annotate of the application in this process, in turns
read by a process of its own and directly. Medians of the rounds.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from cellmark.serving.http import open_body


def read_directly(path: Path, reading: ReadingOptions, *, rules: Any) -> CellSource:
    return open_cells(path, reading)


def main() -> None:
    import anndata as ad

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    parser.add_argument("--model", required=True)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        ad.read_h5ad(arguments.shared / "pbmc3k.h5ad")[:100].write_h5ad(path)
        body = path.read_bytes()
    client = TestClient(make_app(Annotator.load(arguments.model)))
    ways: dict[str, Any] = {"apart": open_body.open_apart, "directly": read_directly}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(arguments.rounds + 1):
        for way, opener in ways.items():
            open_body.open_apart = opener
            start = time.perf_counter()
            response = client.post("/annotate", files={"file": ("cells.h5ad", body)})
            assert response.status_code == 200, response.text
            if number:  # the first ones import and start what later ones find
                seconds[way].append(time.perf_counter() - start)
    median = {way: statistics.median(times) for way, times in seconds.items()}
    for way, value in median.items():
        print(f"{way:9s} {value * 1000:6.1f} ms")
    print(f"ratio     {median['apart'] / median['directly']:6.2f}")


if __name__ == "__main__":
    main()
