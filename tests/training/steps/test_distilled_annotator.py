"""A second annotator in the bundle: measured at training, chosen at loading, refused where there is none."""

from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ParameterError
from cellmark.schemas.golden_cells import read_golden
from cellmark.schemas.manifest.bundle_files import DISTILLED
from cellmark.serving import Annotator
from cellmark.serving.scoring.session import ModelSession
from cellmark.training.config import TrainingConfig
from cellmark.training.listener import Listener
from cellmark.training.network.fit import FitSettings
from cellmark.training.run import TrainedModel, train


@pytest.fixture(scope="module")
def distilled(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    config = TrainingConfig(data=tiny_file, fit=FitSettings(max_epochs=30), n_members=3, distill=True)
    return train(config, tmp_path_factory.mktemp("distilled") / "bundle", Listener())


def test_its_agreement_with_the_ensemble_is_measured_on_test_cells(distilled: TrainedModel) -> None:
    measured = distilled.manifest.metrics["distilled"]
    assert measured["part"] == "test"
    assert measured["n_cells"] == measured["agreement"]["n_cells"] == len(distilled.split.test)
    assert measured["agreement"]["same_call"] > 0.9
    assert 0 < measured["agreement"]["mean_difference"] < 0.2
    assert measured["accuracy"] > 0.9


def test_it_answers_nearly_as_the_ensemble_and_is_another_graph(distilled: TrainedModel) -> None:
    assert distilled.bundle.path(DISTILLED).stat().st_size < distilled.bundle.path("annotator.onnx").stat().st_size / 2
    golden = read_golden(distilled.bundle)
    counts = golden.counts.toarray().astype(np.float32)
    whole, small = (ModelSession(distilled.bundle, distilled=which) for which in (False, True))
    expected, found = (session.annotate(counts, golden.library_size)["probabilities"] for session in (whole, small))
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert 0 < np.abs(found - expected).max() < 0.5


def test_a_model_without_one_refuses(tiny_bundle: Bundle) -> None:
    with pytest.raises(ParameterError, match="--distill"):
        ModelSession(tiny_bundle, distilled=True)


def test_the_answers_of_the_second_annotator_say_so(distilled: TrainedModel, tiny_cells: ad.AnnData) -> None:
    whole, small = (Annotator.load(distilled.bundle.folder, distilled=which) for which in (False, True))
    expected, found = whole.annotate(tiny_cells), small.annotate(tiny_cells)
    assert found.attrs["cellmark"]["distilled"] is True
    assert "distilled" not in expected.attrs["cellmark"]
    assert (found["cellmark_cell_type"].astype(str) == expected["cellmark_cell_type"].astype(str)).mean() > 0.9
    assert not np.array_equal(found["cellmark_confidence"], expected["cellmark_confidence"])
