"""The two graphs of a bundle, proven: both answer as the networks do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from ..export.check_parity import Parity, check_parity
from ..export.export_onnx import annotator_graph, explainer_graph
from ..network.classifier import Classifier
from ..network.folded_network import fold
from .call_measures import CallMeasures
from .training_cells import TrainingCells


@dataclass(frozen=True)
class Graphs:
    """`parity`: what the proof measured."""

    annotator: onnx.ModelProto
    explainer: onnx.ModelProto
    parity: Parity


def export_and_prove(
    classifiers: Sequence[Classifier], baselines: np.ndarray, trust: CallMeasures, prepared: TrainingCells
) -> Graphs:
    """Graphs of networks with what was measured of their answers. `baselines`: x0, [genes].

    Raises `ExportError` when a graph does not answer as the networks do, test cells first.
    """
    members, (mean, components) = [fold(classifier) for classifier in classifiers], trust.embedding
    annotator = annotator_graph(
        members,
        baselines,
        temperature=trust.temperature,
        embedding_mean=mean,
        embedding_components=components,
        novelty=trust.novelty_score,
    )
    explainer = explainer_graph(members, baselines)
    split = prepared.split
    rows = np.concatenate([split.test, split.validation, split.train])
    parity = check_parity(
        annotator,
        explainer,
        classifiers,
        prepared.counts[rows],
        prepared.cells.library_size[rows],
        baselines=baselines,
        temperature=trust.temperature,
        novelty=(trust.novelty_score, mean, components),
    )
    return Graphs(annotator, explainer, parity)
