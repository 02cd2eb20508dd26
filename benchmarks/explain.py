"""Explanations: the explainer graph in onnxruntime against Captum's DeepLift: `python benchmarks/explain.py`.

One process, the same number of threads, 1,000 cells x 2,000 genes, the default network. The graph runs as every door
runs it: chunks of 125 cells side by side, one thread each (normalisation included). Captum runs on the normalised input
in one batch, and cell by cell (as the published programs do) on 100 cells, scaled to 1,000. Best of the rounds, which
take turns; the answers are compared as well, with each other and with the same rule in float64.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import scipy.sparse as sp
import torch
from captum.attr import DeepLift

from cellmark.schemas.normalization import normalize
from cellmark.serving.scoring.attribute import EXPLAIN_VALUES
from cellmark.serving.scoring.score import in_order
from cellmark.training.export.export_onnx import explainer_graph
from cellmark.training.network.classifier import Classifier, NetworkShape
from cellmark.training.network.contributions import multipliers
from cellmark.training.network.folded_network import fold

N_CELLS, N_GENES, N_TYPES, N_SINGLE = 1000, 2000, 10, 100
CHUNK = EXPLAIN_VALUES // N_GENES


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning, module="captum")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    rates = generator.gamma(0.3, 1.0, N_GENES)
    counts = generator.poisson(rates, (N_CELLS, N_GENES)).astype(np.float32)
    library_size = counts.sum(axis=1) * 3
    x = torch.from_numpy(normalize(sp.csr_matrix(counts), library_size).toarray())
    classifier = Classifier(N_GENES, N_TYPES, NetworkShape(), mean=x.mean(0).numpy(), scale=np.ones(N_GENES)).eval()
    baselines = x.mean(0)
    called = classifier(x).argmax(1)

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    network = fold(classifier)
    graph = explainer_graph([network], baselines.numpy(), baselines.numpy()).SerializeToString()
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    feeds = {
        "counts": counts,
        "library_size": library_size.reshape(-1, 1),
        "target": np.eye(N_TYPES, dtype=np.float32)[called.numpy()],
    }
    captum = DeepLift(classifier)

    def chunk(start: int) -> np.ndarray:
        rows = slice(start, start + CHUNK)
        return session.run(["attributions"], {name: values[rows] for name, values in feeds.items()})[0]

    def with_graph() -> list[np.ndarray]:
        return list(in_order(chunk, iter(range(0, N_CELLS, CHUNK)), workers=arguments.threads))

    def in_one_batch() -> torch.Tensor:
        return captum.attribute(x, baselines=baselines[None].expand_as(x), target=called)

    def cell_by_cell() -> None:
        for cell in range(N_SINGLE):
            captum.attribute(x[cell : cell + 1], baselines=baselines[None], target=called[cell : cell + 1])

    ours, theirs = np.vstack(with_graph()), in_one_batch().detach().numpy()
    x64, x0 = x.numpy().astype(np.float64), baselines.numpy().astype(np.float64)
    exact = multipliers(network, x64, x0, feeds["target"].astype(np.float64)) * (x64 - x0)

    def off(one: np.ndarray, other: np.ndarray) -> str:
        relative = np.linalg.norm(one - other, axis=1) / np.linalg.norm(other, axis=1)
        return f"median {np.median(relative):.0e}, largest {relative.max():.0e}"

    seconds: dict[str, list[float]] = {"onnxruntime": [], "captum, one batch": [], "captum, cell by cell": []}
    for _ in range(arguments.rounds):
        seconds["onnxruntime"].append(timed(with_graph))
        seconds["captum, one batch"].append(timed(in_one_batch))
        seconds["captum, cell by cell"].append(timed(cell_by_cell) * N_CELLS / N_SINGLE)
    best = {name: min(values) for name, values in seconds.items()}
    print(f"{N_CELLS} cells x {N_GENES} genes, {arguments.threads} threads; relative differences per cell:")
    print(f"  graph from Captum: {off(ours, theirs)}")
    print(f"  graph from float64: {off(ours, exact)}; Captum from float64: {off(theirs, exact)}")
    for name, value in best.items():
        print(f"{name:22s} {value * 1000:9.1f} ms   {value / best['onnxruntime']:7.1f} x")


if __name__ == "__main__":
    main()
