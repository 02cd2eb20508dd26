"""A second annotator for large batches: one network in place of the ensemble, with its measured agreement."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import onnx
import scipy.sparse as sp

from cellmark.schemas.reference_profile import ReferenceProfile

from ..cells.labelled_cells import LabelledCells
from ..cells.split import Split
from ..config import TrainingConfig
from ..evaluation.evaluate import evaluate
from ..evaluation.out_of_fold import OutOfFold
from ..export.check_parity import check_parity
from ..export.export_onnx import annotator_graph, explainer_graph
from ..network.classifier import Classifier
from ..network.distill import agreement, distill
from ..network.fit import predict_logits
from ..network.fit_data import FitData
from ..network.fit_settings import FitSettings
from ..network.folded_network import fold
from .call_measures import measure_calls
from .describe_reference import describe_reference


def distill_and_prove(
    members: Sequence[Classifier],
    data: FitData,
    counts: sp.csr_matrix,
    cells: LabelledCells,
    split: Split,
    held_out: OutOfFold,
    *,
    columns: np.ndarray,
    baselines: np.ndarray,
    settings: FitSettings,
    config: TrainingConfig,
) -> tuple[onnx.ModelProto, dict[str, Any], dict[str, Any], ReferenceProfile]:
    """The graph of one network that learned the ensemble's answers, its measures, its `DistilledEntry`, and what
    held-out cells look like to it. `columns`: of the panel's genes in `cells.counts`.

    `counts`: CSR, cells x panel genes, raw. Measured on test cells, or on validation cells where
    there is no test part: as any part is, and how far its answers agree with the ensemble's (see `Agreement`). Raises
    `ExportError` when the graph does not answer as the network does.
    """
    x, settings = data.x, replace(settings, stop="validation_loss")
    pupil = distill(members, data, settings=settings, seed=config.seed, device=config.device)
    folded = [fold(pupil)]
    pupils = distill_folds(held_out, data, settings=settings, config=config)
    trust = measure_calls(pupils, [pupil], x, cells, split)
    novelty_score, (mean, components) = trust.novelty_score
    graph = annotator_graph(
        folded, baselines, temperature=trust.temperature, embedding_mean=mean, embedding_components=components,
        novelty=novelty_score,
    )  # fmt: skip
    checked = np.concatenate([split.test, split.validation, split.train])
    check_parity(
        graph, explainer_graph(folded, baselines), [pupil], counts[checked], cells.library_size[checked],
        baselines=baselines, temperature=trust.temperature, novelty=(novelty_score, mean, components),
    )  # fmt: skip
    part = "test" if len(split.test) else "validation"
    rows = split.test if len(split.test) else split.validation
    calls = predict_logits(pupil, x, rows).argmax(dim=1).numpy()
    measures = {
        **evaluate(cells.codes[rows], calls, cells.cell_types),
        "part": part,
        "agreement": asdict(agreement(pupil, members, x, rows)),
    }
    sections = {name: getattr(trust, name) for name in ("temperature", "calibration", "novelty", "label_sets")}
    return graph, measures, sections, describe_reference(graph, pupils, trust, cells, split, columns)


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
