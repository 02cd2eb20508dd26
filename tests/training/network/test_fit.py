"""Fitting: what is learned, what is kept, and that a seed settles it."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import StandardScaler

from cellmark.training.network.classifier import NetworkShape
from cellmark.training.network.fit import MIN_SD, Epoch, FitResult, FitSettings, fit, predict_logits, standardization
from cellmark.training.network.fit_settings import FitData

SMALL = FitSettings(
    shape=NetworkShape((16,), dropout=0.1),
    max_epochs=12,
    batch_size=32,
    noise=0.3,
    patience=12,
    stop="validation_loss",
    learning_rate=5e-3,
)


def draw(n_cells: int = 240, n_types: int = 3, *, lift: float = 2.0, seed: int = 0) -> tuple[sp.csr_matrix, np.ndarray]:
    """Sparse expression whose types differ in four genes each, and the types."""
    generator = np.random.default_rng(seed)
    codes = np.arange(n_cells) % n_types
    x = generator.exponential(1, (n_cells, 20)) * (generator.random((n_cells, 20)) < 0.5)
    for number in range(n_types):
        x[codes == number, 4 * number : 4 * number + 4] += lift
    return sp.csr_matrix(x.astype(np.float32)), codes


def run(x: sp.csr_matrix, codes: np.ndarray, settings: FitSettings = SMALL, *, seed: int = 0) -> FitResult:
    cells = np.arange(len(codes))
    return fit(
        FitData(x, codes, cells[cells % 4 > 0], cells[cells % 4 == 0], int(codes.max()) + 1),
        settings=settings, seed=seed,
    )  # fmt: skip


def test_types_that_differ_are_learned() -> None:
    x, codes = draw()
    result = run(x, codes)
    other_x, other_codes = draw(seed=1)
    assert (predict_logits(result.classifier, other_x).argmax(1).numpy() == other_codes).mean() > 0.95


def test_same_seed_gives_the_same_weights_to_the_bit_and_another_seed_others() -> None:
    x, codes = draw()
    short = replace(SMALL, max_epochs=3)
    first, second, other = (run(x, codes, short, seed=seed).classifier.state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])


def test_the_last_epoch_is_kept_and_validation_cells_are_learned_as_any_other() -> None:
    x, codes = draw()
    cells = np.arange(len(codes))
    settings = replace(SMALL, stop="last_epoch", max_epochs=4, patience=1)
    found = fit(FitData(x, codes, cells[cells % 4 > 0], cells[cells % 4 == 0], 3), settings=settings, seed=0)
    every = fit(FitData(x, codes, cells, cells[:0], 3), settings=settings, seed=0)
    weights, expected = found.classifier.state_dict(), every.classifier.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    mean, _ = standardization(x)
    assert np.allclose(found.classifier.mean.numpy(), mean, atol=1e-6)
    assert found.best_epoch == len(found.epochs) == 4
    assert [set(epoch.measures()) for epoch in found.epochs] == [{"train_loss"}] * 4


def test_what_a_loss_stops_does_not_learn_validation_cells() -> None:
    x, codes = draw()
    cells = np.arange(len(codes))
    data = FitData(x, codes, cells[cells % 4 > 0], cells[cells % 4 == 0], 3)
    fitted = fit(data, settings=replace(SMALL, max_epochs=2), seed=0)
    mean, _ = standardization(x[data.train])
    assert np.allclose(fitted.classifier.mean.numpy(), mean, atol=1e-6)
    assert data.learned(SMALL).tolist() == data.train.tolist()
    assert data.learned(FitSettings()).tolist() == cells.tolist()


def test_a_run_does_not_depend_on_what_was_drawn_before_it() -> None:
    x, codes = draw()
    short = replace(SMALL, max_epochs=2)
    first = run(x, codes, short).classifier.state_dict()
    torch.rand(100)
    second = run(x, codes, short).classifier.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def overfitting() -> tuple[sp.csr_matrix, np.ndarray, FitSettings]:
    """Labels that cannot be learned: the validation loss soon rises."""
    x, codes = draw(n_cells=80, lift=0.0)
    shape = NetworkShape((64,), dropout=0.0)
    return (
        x,
        codes,
        FitSettings(
            shape=shape, max_epochs=40, patience=4, stop="validation_loss", noise=0.0, learning_rate=3e-3, batch_size=16
        ),
    )


def test_training_stops_and_keeps_the_best_epoch() -> None:
    x, codes, settings = overfitting()
    result = run(x, codes, settings)
    losses = [epoch.validation_loss for epoch in result.epochs]
    assert len(losses) < settings.max_epochs
    assert len(losses) == result.best_epoch + settings.patience
    assert losses[result.best_epoch - 1] == pytest.approx(min(losses), abs=1e-4)
    validation = np.arange(len(codes)) % 4 == 0
    kept = predict_logits(result.classifier, x, np.flatnonzero(validation))
    best = result.epochs[result.best_epoch - 1]
    assert accuracy_score(codes[validation], kept.argmax(1)) == pytest.approx(best.validation_accuracy)
    # Of the weights themselves: a run that ends with the best epoch has the same ones.
    assert best.validation_loss < losses[-1]
    with torch.no_grad():
        of_validation = np.bincount(codes[validation])
        weights = of_validation / (of_validation + 10) / np.bincount(codes[~validation])
        loss = torch.nn.CrossEntropyLoss(torch.as_tensor(weights / weights.mean(), dtype=torch.float32))
        assert float(loss(kept, torch.as_tensor(codes[validation]))) == pytest.approx(best.validation_loss, rel=1e-5)


def test_every_epoch_is_reported_once_with_the_measures_of_scikit_learn() -> None:
    x, codes = draw(lift=0.6)
    heard: list[Epoch] = []
    cells = np.arange(len(codes))
    result = fit(
        FitData(x, codes, cells[60:], cells[:60], 3), settings=replace(SMALL, max_epochs=1), seed=0,
        on_epoch=heard.append,
    )  # fmt: skip
    assert heard == list(result.epochs)
    (epoch,) = heard
    calls = predict_logits(result.classifier, x, cells[:60]).argmax(1).numpy()
    assert epoch.validation_accuracy == pytest.approx(accuracy_score(codes[:60], calls))
    assert epoch.validation_macro_f1 == pytest.approx(f1_score(codes[:60], calls, average="macro"))


def test_class_weights_let_a_rare_type_count() -> None:
    generator = np.random.default_rng(0)
    codes = (np.arange(600) % 30 == 0).astype(int)
    x = sp.csr_matrix((generator.normal(2, 1, (600, 6)) + codes[:, None] * 0.7).clip(0).astype(np.float32))
    recalls = []
    for balance in ("weights", "upsample", "none"):
        result = run(x, codes, replace(SMALL, balance=balance, max_epochs=8))
        calls = predict_logits(result.classifier, x).argmax(1).numpy()
        recalls.append((calls[codes == 1] == 1).mean())
    assert min(recalls[:2]) > recalls[2] + 0.2


def test_only_training_cells_give_the_standardisation() -> None:
    x, codes = draw()
    changed = x.copy().tolil()
    changed[::4] = 50.0
    short = replace(SMALL, max_epochs=1)
    plain, other = run(x, codes, short), run(sp.csr_matrix(changed, dtype=np.float32), codes, short)
    assert torch.equal(plain.classifier.mean, other.classifier.mean)
    for (name, one), two in zip(
        plain.classifier.state_dict().items(), other.classifier.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), name


def test_standardisation_equals_scikit_learn_with_a_floor() -> None:
    x, _ = draw()
    x = sp.csr_matrix(x.multiply(np.r_[np.ones(18), 0.01, 0]), dtype=np.float32)
    mean, scale = standardization(x)
    expected = StandardScaler().fit(x.toarray().astype(np.float64))
    np.testing.assert_allclose(mean, expected.mean_, rtol=1e-6)
    np.testing.assert_allclose(scale[:18], np.sqrt(expected.var_[:18]), rtol=1e-5)
    assert scale[18:].tolist() == [MIN_SD, MIN_SD]


def test_without_standardisation_inputs_are_log2_of_counts_per_10_000() -> None:
    x, codes = draw()
    classifier = run(x, codes, replace(SMALL, standardize=False)).classifier
    counts_per_10_000 = np.expm1(x.toarray())
    found = classifier.inputs(torch.as_tensor(x.toarray()))
    np.testing.assert_allclose(found.numpy(), np.log2(1 + counts_per_10_000), rtol=1e-5, atol=1e-6)
    assert (predict_logits(classifier, x).argmax(1).numpy() == codes).mean() > 0.9


def test_the_published_way_of_training_learns_too() -> None:
    x, codes = draw()
    published = replace(
        SMALL, balance="upsample", standardize=False, optimizer="adam", schedule="plateau", warmup_steps=30,
        stop="train_loss", patience=6, max_epochs=40, noise=1.0,
    )  # fmt: skip
    result = run(x, codes, published)
    assert (predict_logits(result.classifier, x).argmax(1).numpy() == codes).mean() > 0.9


@pytest.mark.parametrize("n_train", [33, 32, 1 + 32 * 2])
def test_a_last_batch_of_one_cell_is_no_trouble(n_train: int) -> None:
    x, codes = draw(n_cells=n_train + 9)
    cells = np.arange(len(codes))
    settings = replace(SMALL, max_epochs=1, batch_size=32)
    fit(FitData(x, codes, cells[9:], cells[:9], 3), settings=settings, seed=0)


def test_logits_do_not_depend_on_the_batch() -> None:
    x, codes = draw(n_cells=50)
    classifier = run(x, codes, replace(SMALL, max_epochs=1)).classifier
    whole = predict_logits(classifier, x)
    torch.testing.assert_close(predict_logits(classifier, x, batch_size=7), whole)
    torch.testing.assert_close(predict_logits(classifier, x, np.array([9, 3])), whole[[9, 3]])
    assert predict_logits(classifier, x, np.array([], dtype=int)).shape == (0, 3)


def test_the_result_is_in_evaluation_mode_on_the_cpu() -> None:
    x, codes = draw(n_cells=40)
    classifier = run(x, codes, replace(SMALL, max_epochs=1)).classifier
    assert not classifier.training
    assert classifier.mean.device.type == "cpu"


@pytest.mark.gpu
def test_a_network_fitted_on_a_gpu_learns_the_same_types() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU, or torch without CUDA")
    x, codes = draw()
    cells = np.arange(len(codes))
    result = fit(
        FitData(x, codes, cells[60:], cells[:60], 3), settings=SMALL, seed=0, device="cuda"
    )  # fmt: skip
    assert len(result.epochs) > 1
    assert (predict_logits(result.classifier, x).argmax(1).numpy() == codes).mean() > 0.95
