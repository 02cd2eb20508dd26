"""Pictures take axes and give them back, in scanpy's colours where there are some."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cellmark as cm
from cellmark.pl.canvas import colors_of

pytestmark = pytest.mark.usefixtures("drawing")


@pytest.fixture
def called(model: cm.Model, adata: ad.AnnData) -> ad.AnnData:
    model.annotate(adata)
    return adata


def test_axes_come_back(called: ad.AnnData, model: cm.Model) -> None:
    from matplotlib.figure import Figure

    found = model.drift(called)
    why = model.explain(called[:3].copy())
    for draw in (
        lambda ax: cm.pl.confidence(called, ax=ax),
        lambda ax: cm.pl.composition(called, ax=ax),
        lambda ax: cm.pl.composition(called, groupby="donor", ax=ax),
        lambda ax: cm.pl.confusion(called, label="cell_type", ax=ax),
        lambda ax: cm.pl.confusion(model, ax=ax),
        lambda ax: cm.pl.evidence(why, ax=ax),
        lambda ax: cm.pl.markers(model, ax=ax),
        lambda ax: cm.pl.drift(found, ax=ax),
    ):
        ax = Figure().subplots()
        assert draw(ax) is ax
        assert ax.has_data()


def test_bars_have_the_colours_of_scanpy_and_the_lengths_of_the_counts(called: ad.AnnData) -> None:
    from matplotlib.colors import to_hex

    categories = list(called.obs["cellmark_cell_type"].cat.categories)
    given = ["#112233", "#445566", "#778899", "#aabbcc"][: len(categories)]
    called.uns["cellmark_cell_type_colors"] = given
    bars = cm.pl.composition(called).patches
    sizes = called.obs["cellmark_cell_type"].value_counts()
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [given[categories.index(name)] for name in sizes.index]
    assert [bar.get_width() for bar in bars] == pytest.approx(sizes / called.n_obs)


def test_many_types_have_colours_that_differ() -> None:
    cells = ad.AnnData(obs=pd.DataFrame(index=["a"]))
    names = [f"type {number}" for number in range(60)]
    assert len(set(colors_of(cells, "cellmark_cell_type", [*names, "unassigned"]).values())) == 61


def test_a_confusion_matrix_counts_as_pandas_does(called: ad.AnnData) -> None:
    called.obs["label"] = pd.Categorical(np.where(np.arange(called.n_obs) % 7, called.obs["cell_type"], "other"))
    axes = cm.pl.confusion(called, label="label")
    expected = pd.crosstab(called.obs["label"], called.obs["cellmark_cell_type"].astype(str), normalize="index")
    rows = [text.get_text() for text in axes.get_yticklabels()]
    columns = [text.get_text() for text in axes.get_xticklabels()]
    np.testing.assert_allclose(axes.images[0].get_array(), expected.loc[rows, columns])


def test_a_cell_that_was_not_explained_is_refused(called: ad.AnnData, model: cm.Model) -> None:
    with pytest.raises(cm.CellmarkError, match="Explain the cells first"):
        cm.pl.evidence(called)
    with pytest.raises(cm.CellmarkError, match="Name the id of a cell"):
        cm.pl.evidence(model.explain(called[:3].copy()), "nobody")


def test_without_matplotlib_the_extra_is_named(called: ad.AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellmark.pl.canvas.find_spec", lambda name: None)
    with pytest.raises(cm.CellmarkError, match=r"cm\.pl\.confidence.*pip install 'cellmark\[plot\]'"):
        cm.pl.confidence(called)


def test_without_the_training_extra_train_and_register_name_it(
    adata: ad.AnnData, model: cm.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellmark.serving.scoring.training_steps.missing_training", lambda: ["torch"])
    for ask in (lambda: cm.train(adata), model.register):
        with pytest.raises(cm.CellmarkError, match=r"pip install 'cellmark\[train,cpu\]'"):
            ask()
