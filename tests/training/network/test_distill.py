"""A pupil answers as its teachers do."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from cellmark.training.network.classifier import Classifier, NetworkShape
from cellmark.training.network.ensemble import agreement, distill, fit_ensemble, mean_logits, variations
from cellmark.training.network.fit import fit, predict_logits
from cellmark.training.network.fit_settings import FitData, FitSettings

SETTINGS = FitSettings(
    shape=NetworkShape((32,), dropout=0.1),
    max_epochs=30,
    batch_size=32,
    noise=0.3,
    patience=10,
    stop="validation_loss",
    learning_rate=5e-3,
)
CELLS = np.arange(600)
TRAIN, VALIDATION, OTHERS = CELLS[:300], CELLS[300:400], CELLS[400:]


@pytest.fixture(scope="module")
def cells() -> tuple[sp.csr_matrix, np.ndarray]:
    """Sparse expression of three types that overlap, so that answers are not all near 0 and 1."""
    generator = np.random.default_rng(0)
    codes = CELLS % 3
    x = generator.exponential(1, (600, 20)) * (generator.random((600, 20)) < 0.5)
    for number in range(3):
        x[codes == number, 4 * number : 4 * number + 4] += 1.2
    return sp.csr_matrix(x.astype(np.float32)), codes


@pytest.fixture(scope="module")
def members(cells: tuple[sp.csr_matrix, np.ndarray]) -> tuple[Classifier, ...]:
    x, codes = cells
    fitted = fit_ensemble(FitData(x, codes, TRAIN, VALIDATION, 3), members=variations(SETTINGS, n_members=5), seed=0)
    return fitted.classifiers


def run(members: tuple[Classifier, ...], x: sp.csr_matrix, codes: np.ndarray, *, seed: int = 1) -> Classifier:
    return distill(members, FitData(x, codes, TRAIN, VALIDATION, 3), settings=SETTINGS, seed=seed)


def test_a_pupil_is_nearer_to_its_teachers_than_a_network_that_learned_the_labels(
    cells: tuple[sp.csr_matrix, np.ndarray], members: tuple[Classifier, ...]
) -> None:
    x, codes = cells
    found, alone = [], []
    for seed in (1, 2, 3):
        found.append(agreement(run(members, x, codes, seed=seed), members, x, OTHERS))
        network = fit(FitData(x, codes, TRAIN, VALIDATION, 3), settings=SETTINGS, seed=seed).classifier
        alone.append(agreement(network, members, x, OTHERS))
    assert np.mean([one.mean_difference for one in found]) < 0.95 * np.mean([one.mean_difference for one in alone])
    assert np.mean([one.same_call for one in found]) > 0.97


def test_a_pupil_learns_from_its_teachers_and_not_from_the_labels(
    cells: tuple[sp.csr_matrix, np.ndarray], members: tuple[Classifier, ...]
) -> None:
    x, codes = cells
    wrong = (codes + 1) % 3
    pupil = run(members, x, wrong)
    calls = predict_logits(pupil, x, OTHERS).argmax(1).numpy()
    assert (calls == codes[OTHERS]).mean() > 0.8
    assert not pupil.training


def test_a_seed_settles_the_pupil_and_teachers_stay_as_they_were(
    cells: tuple[sp.csr_matrix, np.ndarray], members: tuple[Classifier, ...]
) -> None:
    x, codes = cells
    before = mean_logits(members, x, OTHERS)
    first, second, other = (run(members, x, codes, seed=seed).layers[0].weight for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.allclose(first, other)
    assert torch.equal(mean_logits(members, x, OTHERS), before)


def test_agreement_by_hand() -> None:
    """Two types; of three cells the second is called otherwise."""

    class Answers:
        def __init__(self, probabilities: list[float]) -> None:
            p = torch.tensor(probabilities)
            self.logits = torch.stack([p, 1 - p], dim=1).log()

    def predict(network: Answers, x: object, cells: np.ndarray) -> torch.Tensor:
        return network.logits[cells]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellmark.training.network.ensemble.predict_logits", predict)
        found = agreement(Answers([0.9, 0.4, 0.2]), [Answers([0.8, 0.7, 0.2])], None, np.arange(3))  # type: ignore
    assert found.n_cells == 3
    assert found.same_call == pytest.approx(2 / 3)
    assert found.mean_difference == pytest.approx((0.1 + 0.3) / 3, abs=1e-6)
    assert found.largest_difference == pytest.approx(0.3, abs=1e-6)


def test_a_network_agrees_with_itself(cells: tuple[sp.csr_matrix, np.ndarray], members: tuple[Classifier, ...]) -> None:
    found = agreement(members[0], members[:1], cells[0], OTHERS)
    assert (found.same_call, found.mean_difference, found.largest_difference) == (1, 0, 0)
