"""The proven graphs of a bundle, and a second annotator for large batches: one network in place of the ensemble."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import onnx

from cellmark.schemas.reference_profile import ReferenceProfile

from ..config import TrainingConfig
from ..evaluation.evaluate import evaluate
from ..evaluation.out_of_fold import OutOfFold, with_validation
from ..export.check_parity import Parity, check_parity
from ..export.export_onnx import annotator_graph, explainer_graph
from ..network.classifier import Classifier
from ..network.ensemble import agreement, distill
from ..network.fit import predict_logits
from ..network.fit_settings import FitData, FitSettings
from ..network.folded_network import fold
from .describe_reference import describe_reference
from .fitted_networks import CallMeasures, FittedNetworks, measure_calls
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
        prepared.fill,
        temperature=trust.temperature,
        embedding_mean=mean,
        embedding_components=components,
        novelty=trust.novelty_score,
    )
    explainer = explainer_graph(members, baselines, prepared.fill)
    split = prepared.split
    rows = np.concatenate([split.test, split.validation, split.train])
    parity = check_parity(
        annotator,
        explainer,
        classifiers,
        prepared.counts[rows],
        prepared.cells.library_size[rows],
        baselines=baselines,
        fill=prepared.fill,
        temperature=trust.temperature,
        novelty=(trust.novelty_score, mean, components),
    )
    return Graphs(annotator, explainer, parity)


@dataclass(frozen=True)
class Distilled:
    """`annotator`: the graph of one network that learned the ensemble's answers. `measures`: on the cells of
    `Split.unseen`, as any part is measured, and how far its answers agree with the ensemble's (see `Agreement`).
    `sections`: its `DistilledEntry`; `reference`: what held-out cells look like to it.
    """

    annotator: onnx.ModelProto
    measures: dict[str, Any]
    sections: dict[str, Any]
    reference: ReferenceProfile


def distill_and_prove(
    fitted: FittedNetworks, held_out: OutOfFold, baselines: np.ndarray, prepared: TrainingCells, config: TrainingConfig
) -> Distilled:
    """Fit, measure and export one network. Raises `ExportError` when the graph does not answer as the network does."""
    data, cells = prepared.data, prepared.cells
    settings = fitted.settings.until("validation_loss")
    pupil = distill(fitted.classifiers, data, settings=settings, seed=config.seed, device=config.device)
    pupils = distill_folds(held_out, data, settings=settings, config=config)
    logits = predict_logits(pupil, data.x).numpy()[None]
    trust = measure_calls(pupils, [pupil], logits, prepared, learned=data.learned(settings), seed=config.seed)
    annotator = export_and_prove([pupil], baselines, trust, prepared).annotator
    part, rows = prepared.split.unseen
    calls = predict_logits(pupil, data.x, rows).argmax(dim=1).numpy()
    measures = {
        **evaluate(cells.codes[rows], calls, cells.cell_types),
        "part": part,
        "agreement": asdict(agreement(pupil, fitted.classifiers, data.x, rows)),
    }
    sections = {**trust.sections, "level_temperatures": trust.levels.temperatures}
    return Distilled(annotator, measures, sections, describe_reference(annotator, pupils, trust, prepared))


def distill_folds(held_out: OutOfFold, data: FitData, *, settings: FitSettings, config: TrainingConfig) -> OutOfFold:
    """For each fold one network that learned the answers of that fold's networks, from the cells outside the fold."""
    plan, codes, pupils = held_out.plan, data.codes, []
    logits = np.zeros((1, *held_out.member_logits.shape[1:]), dtype=np.float32)
    for number, teachers in enumerate(held_out.classifiers):
        others = plan.cells[plan.fold_of[plan.cells] != number]
        others = others[held_out.learned[number][codes[others]]]
        of_fold = data.divided(*with_validation(others, codes, seed=config.seed))
        pupil = distill(teachers, of_fold, settings=settings, seed=config.seed, device=config.device)
        inside = np.flatnonzero(plan.fold_of == number)
        logits[0, inside] = predict_logits(pupil, data.x, inside).numpy()
        pupils.append((pupil,))
    return replace(held_out, member_logits=logits, classifiers=tuple(pupils))
