"""A second annotator for large batches: one network in place of the ensemble, with its measured agreement."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import onnx

from cellmark.schemas.reference_profile import ReferenceProfile

from ..config import TrainingConfig
from ..evaluation.evaluate import evaluate
from ..evaluation.out_of_fold import OutOfFold
from ..network.distill import agreement, distill
from ..network.fit import predict_logits
from ..network.fit_data import FitData
from ..network.fit_settings import FitSettings
from .call_measures import measure_calls
from .describe_reference import describe_reference
from .fitted_networks import FittedNetworks
from .graphs import export_and_prove
from .training_cells import TrainingCells


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
    data, cells, settings = prepared.data, prepared.cells, replace(fitted.settings, stop="validation_loss")
    pupil = distill(fitted.classifiers, data, settings=settings, seed=config.seed, device=config.device)
    pupils = distill_folds(held_out, data, settings=settings, config=config)
    trust = measure_calls(pupils, [pupil], predict_logits(pupil, data.x).numpy()[None], prepared)
    annotator = export_and_prove([pupil], baselines, trust, prepared).annotator
    part, rows = prepared.split.unseen
    calls = predict_logits(pupil, data.x, rows).argmax(dim=1).numpy()
    measures = {
        **evaluate(cells.codes[rows], calls, cells.cell_types),
        "part": part,
        "agreement": asdict(agreement(pupil, fitted.classifiers, data.x, rows)),
    }
    return Distilled(annotator, measures, trust.sections, describe_reference(annotator, pupils, trust, prepared))


def distill_folds(held_out: OutOfFold, data: FitData, *, settings: FitSettings, config: TrainingConfig) -> OutOfFold:
    """For each fold one network that learned the answers of that fold's networks, from the same cells."""
    plan, codes, pupils = held_out.plan, data.codes, []
    logits = np.zeros((1, *held_out.member_logits.shape[1:]), dtype=np.float32)
    for number, teachers in enumerate(held_out.classifiers):
        others = plan.cells[plan.fold_of[plan.cells] != number]
        others = others[held_out.learned[number][codes[others]]]
        of_fold = data.divided(held_out.train[number], np.setdiff1d(others, held_out.train[number]))
        pupil = distill(teachers, of_fold, settings=settings, seed=config.seed, device=config.device)
        inside = np.flatnonzero(plan.fold_of == number)
        logits[0, inside] = predict_logits(pupil, data.x, inside).numpy()
        pupils.append((pupil,))
    return replace(held_out, member_logits=logits, classifiers=tuple(pupils))
