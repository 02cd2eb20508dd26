from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from cellmark.schemas.errors import SetupError
from cellmark.training.commands import demo_cells
from cellmark.training.commands.demo_cells import FILE, MIN_CELLS, find_demo_file, load_demo_cells


@pytest.fixture(scope="module")
def cells() -> ad.AnnData:
    return load_demo_cells()


def test_counts_are_whole_and_below_the_true_totals(cells: ad.AnnData) -> None:
    assert cells.X.dtype == np.float32
    assert np.array_equal(cells.X.data, np.rint(cells.X.data))
    assert cells.X.data.min() >= 1
    totals = np.asarray(cells.X.sum(axis=1)).ravel()
    assert (totals > 0).all()
    assert (totals <= cells.obs["n_counts"]).all()


@pytest.mark.filterwarnings("ignore")
def test_counts_give_scanpy_s_values_back(cells: ad.AnnData) -> None:
    """As scanpy made them: log1p of counts per 10,000 of the true totals, in its file rounded to three decimals, which
    tells counts below 900 apart.
    """
    assert cells.X.max() < 900
    shipped = ad.read_h5ad(find_demo_file())
    expected = shipped.raw[cells.obs_names, cells.var_names].X.toarray()
    ours = np.log1p(cells.X.toarray().astype(np.float64) / cells.obs["n_counts"].to_numpy()[:, None] * 1e4)
    np.testing.assert_allclose(ours, expected, atol=5.1e-4, rtol=0)
    assert list(cells.obs["cell_type"]) == list(shipped.obs.loc[cells.obs_names, "bulk_labels"].astype(str))


def test_cells_are_those_that_the_data_s_readme_describes(cells: ad.AnnData) -> None:
    """700 cells x 765 genes; types with at least 30 cells are kept."""
    assert cells.n_vars == 765
    assert cells.n_obs <= 700
    sizes = cells.obs["cell_type"].value_counts()
    assert sizes.min() >= MIN_CELLS == 30
    assert sizes.sum() == cells.n_obs
    assert cells.obs_names.is_unique
    assert cells.uns["organism"] == "Homo sapiens"


def test_without_scanpy_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo_cells, "find_spec", lambda name: None)
    with pytest.raises(SetupError) as caught:
        load_demo_cells()
    assert caught.value.code == "EXTRA_MISSING"
    assert FILE.name in str(caught.value)
    assert "pip install 'cellmark[train,cpu]'" in str(caught.value)
