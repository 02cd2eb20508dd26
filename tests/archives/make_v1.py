"""Makes the archived bundle of format 1 and the answers expected of it: `python tests/archives/make_v1.py`.

The cells are synthetic. The answers come from the trained torch network and Captum, not from onnxruntime, so that every
later version of cellmark is held to what was meant and not to what it computes itself. Once format 1 is released the
archive is never made again: later formats get scripts and folders of their own.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import torch
from captum.attr import DeepLift

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from cellmark.training.config import TrainingConfig  # noqa: E402
from cellmark.training.network.classifier import NetworkShape  # noqa: E402
from cellmark.training.network.fit import FitSettings  # noqa: E402
from cellmark.training.run import TrainedModel, train  # noqa: E402
from fixtures.quiet_listener import QuietListener  # noqa: E402
from fixtures.synthetic_cells import draw_cells  # noqa: E402

N_GENES = 60


def main() -> None:
    folder = HERE / "v1"
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "cells.h5ad"
        draw_cells(n_genes=N_GENES).write_h5ad(data)
        settings = FitSettings(shape=NetworkShape((16, 8)), max_epochs=60, learning_rate=5e-3, noise=0.5)
        model = train(TrainingConfig(data=data, name="archived", n_members=1, fit=settings), folder, QuietListener())
    cells = draw_cells(n_per_type=3, n_genes=N_GENES, seed=1)
    cells.obs["library_size"] = np.asarray(cells.X.sum(axis=1)).ravel() + 50.0
    symbols = list(model.bundle.panel.symbols)
    everything = [*symbols, *sorted(set(cells.var_names) - set(symbols))]
    few = everything[: len(symbols) * 2 // 3]
    requests = [expected(model, cells[:, genes]) for genes in (everything, few)]
    text = json.dumps(
        {"cell_types": model.manifest.cell_type_names, "requests": requests}, indent=1, sort_keys=True
    )  # fmt: skip
    (HERE / "v1_expected.json").write_text(text + "\n", encoding="utf-8")


def expected(model: TrainedModel, cells: ad.AnnData) -> dict[str, Any]:
    """Cells as a request names them, and the network's answers. A panel gene that `cells` lack is at its baseline."""
    symbols, baselines = list(model.bundle.panel.symbols), model.bundle.genes["baseline"].to_numpy(dtype=np.float64)
    library_size = cells.obs["library_size"].to_numpy()
    dense = cells.to_df().reindex(columns=symbols).to_numpy(dtype=np.float64)
    x = np.log1p(dense / library_size[:, None] * 1e4)
    x = np.where(np.isnan(x), baselines, x)
    network = model.fitted.classifiers[0].double()
    inputs = torch.as_tensor(x).requires_grad_()
    logits = network(inputs).detach()
    called = logits.argmax(dim=1)
    start = torch.as_tensor(baselines).expand_as(inputs)
    attributions = DeepLift(network).attribute(inputs, start, target=called).detach().numpy()
    probabilities = torch.softmax(logits, dim=1).numpy()
    answers = [
        {
            "cell_id": str(cells.obs_names[row]),
            "counts": {str(gene): int(count) for gene, count in cells[row].to_df().iloc[0].items() if count},
            "library_size": float(library_size[row]),
            "cell_type": model.manifest.cell_type_names[int(called[row])],
            "probabilities": [round(float(value), 7) for value in probabilities[row]],
            "attributions": [round(float(value), 6) for value in attributions[row]],
        }
        for row in range(cells.n_obs)
    ]
    return {"genes": [str(gene) for gene in cells.var_names], "cells": answers}


if __name__ == "__main__":
    main()
