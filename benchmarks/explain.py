"""Explanations: the explainer graph in onnxruntime against Captum's DeepLift: `python benchmarks/explain.py`.

One process, the same number of threads, 1,000 cells x 2,000 genes, the default network. Captum runs on the same
normalised input in one batch, and cell by cell (as the published programs do) on 100 cells, scaled to 1,000. Best of
five rounds in turns; the answers are compared as well.
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
from cellmark.training.classifier import Classifier, NetworkShape
from cellmark.training.export_onnx import explainer_graph
from cellmark.training.folded_network import fold

N_CELLS, N_GENES, N_TYPES, N_SINGLE = 1000, 2000, 10, 100


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="Setting forward, backward hooks")
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
    options.intra_op_num_threads = arguments.threads
    graph = explainer_graph([fold(classifier)], baselines.numpy()).SerializeToString()
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    feeds = {
        "counts": counts,
        "library_size": library_size.reshape(-1, 1),
        "target": np.eye(N_TYPES, dtype=np.float32)[called.numpy()],
    }
    captum = DeepLift(classifier)

    def with_graph() -> np.ndarray:
        return session.run(["attributions"], feeds)[0]

    def in_one_batch() -> torch.Tensor:
        return captum.attribute(x, baselines=baselines[None].expand_as(x), target=called)

    def cell_by_cell() -> None:
        for cell in range(N_SINGLE):
            captum.attribute(x[cell : cell + 1], baselines=baselines[None], target=called[cell : cell + 1])

    ours, theirs = with_graph(), in_one_batch().detach().numpy()
    off = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    seconds: dict[str, list[float]] = {"onnxruntime": [], "captum, one batch": [], "captum, cell by cell": []}
    for _ in range(arguments.rounds):
        seconds["onnxruntime"].append(timed(with_graph))
        seconds["captum, one batch"].append(timed(in_one_batch))
        seconds["captum, cell by cell"].append(timed(cell_by_cell) * N_CELLS / N_SINGLE)
    best = {name: min(values) for name, values in seconds.items()}
    print(
        f"{N_CELLS} cells x {N_GENES} genes, {arguments.threads} threads; largest relative difference {off.max():.1e}"
    )
    for name, value in best.items():
        print(f"{name:22s} {value * 1000:9.1f} ms   {value / best['onnxruntime']:7.1f} x")


if __name__ == "__main__":
    main()
