"""A second annotator for large batches: one network in place of the ensemble, with its measured agreement."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import onnx
import scipy.sparse as sp

from .check_parity import check_parity
from .classifier import Classifier
from .config import TrainingConfig
from .distill import agreement, distill
from .embedding import fit_embedding
from .evaluate import evaluate
from .export_onnx import annotator_graph, explainer_graph
from .fit import predict_logits
from .fit_settings import FitSettings
from .folded_network import fold
from .labelled_cells import LabelledCells
from .split import Split


def distill_and_prove(
    members: Sequence[Classifier],
    x: sp.csr_matrix,
    counts: sp.csr_matrix,
    cells: LabelledCells,
    split: Split,
    *,
    baselines: np.ndarray,
    settings: FitSettings,
    config: TrainingConfig,
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The graph of one network that learned the ensemble's answers, and its measures.

    `x`, `counts`: CSR, cells x panel genes, normalised and raw. Measured on test cells, or on validation cells where
    there is no test part: as any part is, and how far its answers agree with the ensemble's (see `Agreement`). Raises
    `ExportError` when the graph does not answer as the network does.
    """
    pupil = distill(
        members, x, cells.codes, train=split.train, validation=split.validation,
        settings=replace(settings, stop="validation_loss"), seed=config.seed, device=config.device,
    )  # fmt: skip
    folded = [fold(pupil)]
    mean, components = fit_embedding(folded, x[split.train])
    graph = annotator_graph(folded, baselines, embedding_mean=mean, embedding_components=components)
    checked = np.concatenate([split.test, split.validation, split.train])
    check_parity(
        graph, explainer_graph(folded, baselines), [pupil], counts[checked], cells.library_size[checked],
        baselines=baselines,
    )  # fmt: skip
    part = "test" if len(split.test) else "validation"
    rows = split.test if len(split.test) else split.validation
    calls = predict_logits(pupil, x, rows).argmax(dim=1).numpy()
    measures = {
        **evaluate(cells.codes[rows], calls, cells.cell_types),
        "part": part,
        "agreement": asdict(agreement(pupil, members, x, rows)),
    }
    return graph, measures
