"""The profile of a model with donors and a second annotator: what training writes, and what `drift` makes of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.errors import ModelError
from cellmark.schemas.manifest.bundle_files import DISTILLED_PROFILE
from cellmark.schemas.reference_profile import MIDDLE, read_profile
from cellmark.training.config import TrainingConfig
from cellmark.training.network.fit_settings import FitSettings
from cellmark.training.run import TrainedModel, train
from fixtures.quiet_listener import QuietListener

DEPTH = 0.55
"""Share of the counts that donor d1 keeps."""


def thinned(cells: ad.AnnData, share: float, rows: np.ndarray | None = None, seed: int = 0) -> ad.AnnData:
    counts = cells.X.toarray().astype(int)
    rows = np.ones(len(counts), dtype=bool) if rows is None else rows
    counts[rows] = np.random.default_rng(seed).binomial(counts[rows], share)
    return ad.AnnData(sp.csr_matrix(counts.astype(np.float32)), obs=cells.obs.copy(), var=cells.var.copy())


@pytest.fixture(scope="module")
def of_donors(tiny_cells: ad.AnnData) -> ad.AnnData:
    """Two donors, one of them sequenced at about half the depth."""
    return thinned(tiny_cells, DEPTH, (tiny_cells.obs["donor"] == "d1").to_numpy())


@pytest.fixture(scope="module")
def model(of_donors: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    folder = tmp_path_factory.mktemp("donors")
    of_donors.write_h5ad(folder / "cells.h5ad")
    config = TrainingConfig(
        folder / "cells.h5ad", donor="donor", test_share=0.0, fit=FitSettings(max_epochs=15), n_members=2, distill=True
    )
    return train(config, folder / "bundle", QuietListener())


def measure(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in report["measures"] if one["name"] == name)
    return found


def test_each_donor_is_told_beside_the_others(model: TrainedModel, of_donors: ad.AnnData) -> None:
    profile = read_profile(model.bundle)
    assert (profile.part, profile.overall.n_cells) == ("held_out", of_donors.n_obs)
    assert set(profile.donors) == {"d0", "d1"}
    sizes = np.asarray(of_donors.X.sum(axis=1)).ravel()
    donors, labels = of_donors.obs["donor"].to_numpy(), of_donors.obs["cell_type"].to_numpy()
    logarithms = [
        np.log(np.median(sizes[(donors == "d1") & (labels == name)]))
        - np.log(np.median(sizes[(donors == "d0") & (labels == name)]))
        for name in np.unique(labels)
    ]
    # Types are those that cells are called, nearly all of them rightly.
    assert profile.donors["d1"].effects["library_size"] == pytest.approx(np.exp(np.mean(logarithms)), rel=0.05)
    assert profile.donors["d0"].effects["library_size"] == pytest.approx(np.exp(-np.mean(logarithms)), rel=0.05)
    for donor in profile.donors.values():
        assert donor.n_cells == of_donors.n_obs / 2
        assert set(donor.effects) == {
            "library_size", "genes_detected", "mitochondrial_share", "detection", "composition"
        }  # fmt: skip


def test_a_depth_between_those_of_the_donors_is_no_drift(
    cellmark: Callable[..., Any], model: TrainedModel, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    """Half the depth is beyond the convention of 1.5; it is what one of the donors has."""
    limits = {}
    for name, share in (("within", 0.62), ("beyond", 0.2)):
        thinned(new_cells, share, seed=1).write_h5ad(tmp_path / f"{name}.h5ad")
        ran = cellmark("drift", tmp_path / f"{name}.h5ad", "-m", model.bundle.folder, "--json")
        assert ran.status == 0, ran.err
        report = json.loads(ran.out)
        depth = measure(report, "library_size")
        limits = report["limits"]["library_size"]
        assert depth["severity"] == ("ok" if name == "within" else "moved" if depth["effect"] > 0.25 else "far")
    largest = max(max(effect, 1 / effect) for effect in
                  (donor.effects["library_size"] for donor in read_profile(model.bundle).donors.values()))  # fmt: skip
    assert limits["donors"] == pytest.approx(largest)
    assert limits["moved"] == pytest.approx(largest)
    assert largest > 1.5


def test_the_second_annotator_has_a_profile_of_its_own(model: TrainedModel, tiny_bundle: Any) -> None:
    first, second = read_profile(model.bundle), read_profile(model.bundle, distilled=True)
    assert DISTILLED_PROFILE in model.bundle.manifest.files
    for name in ("library_size", "genes_detected"):
        assert getattr(first.overall, name) == getattr(second.overall, name)
    assert first.overall.confidence != second.overall.confidence
    assert first.overall.novelty != second.overall.novelty
    with pytest.raises(ModelError, match="--distill"):
        read_profile(tiny_bundle, distilled=True)


def test_drift_takes_the_profile_of_the_annotator_that_called(
    cellmark: Callable[..., Any], model: TrainedModel, of_donors: ad.AnnData, tmp_path: Path
) -> None:
    bundle, cells, out = model.bundle.folder, tmp_path / "cells.h5ad", tmp_path / "calls.parquet"
    of_donors.write_h5ad(cells)
    second = read_profile(model.bundle, distilled=True)
    assert cellmark("annotate", cells, "-m", bundle, "-o", out, "--distilled").status == 0
    for given in ([cells, "--distilled"], [out], [out, "--distilled"]):
        ran = cellmark("drift", *given, "-m", bundle, "--json")
        assert ran.status == 0, ran.err
        report = json.loads(ran.out)
        assert report["facts"]["distilled"] is True
        assert second.overall.confidence is not None
        assert measure(report, "confidence")["expected"] == pytest.approx(second.overall.confidence[MIDDLE])
    assert cellmark("annotate", cells, "-m", bundle, "-o", out, "--force").status == 0
    ran = cellmark("drift", out, "-m", bundle, "--distilled")
    assert (ran.status, "[CALLS_OF_ANOTHER_MODEL]" in ran.err) == (1, True)
    ran = cellmark("drift", out, "-m", bundle, "--json")
    assert "distilled" not in json.loads(ran.out)["facts"]
