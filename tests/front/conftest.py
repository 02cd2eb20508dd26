"""What the tests of the front door share: a model, cells for it, and no windows."""

from collections.abc import Iterator

import anndata as ad
import pytest

import cellmark as cm
from cellmark.schemas.bundle import Bundle


@pytest.fixture(scope="session")
def model(tiny_bundle: Bundle) -> cm.Model:
    return cm.load(tiny_bundle.folder)


@pytest.fixture
def adata(tiny_cells: ad.AnnData) -> ad.AnnData:
    return tiny_cells.copy()


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pictures without a window system; they are closed afterwards."""
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")
