"""Files of calls in scanpy itself: cells of some of the model's types only, as in most samples."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import CELL_TYPE, COARSE_COLUMNS, UNASSIGNED
from cellmark.serving import Annotator
from cellmark.serving.files.annotate_file import annotate_file
from cellmark.serving.models.model_source import open_model
from cellmark.serving.outputs.type_colors import UNASSIGNED_COLOR, type_colors
from cellmark.serving.scoring.call_rules import CallRules
from cellmark.serving.scoring.session import ModelSession
from fixtures.places import ARCHIVES

TYPE_COLUMNS = [CELL_TYPE, "cellmark_best_cell_type", "cellmark_second_cell_type"]


class DoubtingSession(ModelSession):
    """The archived model, which has no output `novelty`, with one: the probability of all types but the best."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle, self_test=False)
        self._of_graph, self.output_names = self.output_names, (*self.output_names, "novelty")

    def annotate(self, counts: np.ndarray, library_size: np.ndarray) -> dict[str, np.ndarray]:
        inputs = {"counts": counts, "library_size": library_size.reshape(-1, 1)}
        outputs = dict(zip(self._of_graph, self._annotator.run(list(self._of_graph), inputs), strict=True))
        return {**outputs, "novelty": 1 - outputs["probabilities"].max(axis=1)}


class DoubtingAnnotator(Annotator):
    def rules(self, label_set_error: float | None = None) -> CallRules:
        return replace(super().rules(label_set_error), novelty_threshold=0.54)


@pytest.fixture(scope="module")
def annotator() -> Annotator:
    source = open_model(ARCHIVES / "v1")
    return DoubtingAnnotator(source, DoubtingSession(source.bundle))


@pytest.fixture(scope="module")
def sample(annotator: Annotator, new_cells: ad.AnnData) -> ad.AnnData:
    """Cells that the model takes for its last two types, or leaves unassigned."""
    first = annotator.annotate(new_cells)["cellmark_best_cell_type"] == annotator.cell_types[0]
    return new_cells[~first.to_numpy()].copy()


@pytest.fixture(scope="module")
def called(annotator: Annotator, sample: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("called")
    sample.write_h5ad(folder / "cells.h5ad")
    annotate_file(annotator, folder / "cells.h5ad", folder / "calls.h5ad")
    return folder / "calls.h5ad"


@pytest.fixture
def normalized(called: Path) -> ad.AnnData:
    import matplotlib as mpl
    import scanpy as sc

    mpl.use("Agg")
    adata = ad.read_h5ad(called)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    return adata


def test_only_types_that_a_cell_has_are_categories_in_the_models_order(
    annotator: Annotator, sample: ad.AnnData, called: Path
) -> None:
    frame, written = annotator.annotate(sample), ad.read_h5ad(called).obs
    order = [*annotator.cell_types, UNASSIGNED]
    assert set(frame[CELL_TYPE]) == {*annotator.cell_types[1:], UNASSIGNED}
    for column in TYPE_COLUMNS:
        present = [name for name in order if name in set(frame[column])]
        assert frame[column].cat.categories.tolist() == written[column].cat.categories.tolist() == present
    assert not set(COARSE_COLUMNS) & {*frame, *written}


def test_a_type_has_one_colour_in_every_file_and_unassigned_is_grey(
    annotator: Annotator, sample: ad.AnnData, called: Path
) -> None:
    whole = {**dict(zip(annotator.cell_types, ["#1f77b4", "#ff7f0e", "#279e68"], strict=True)), UNASSIGNED: "#d3d3d3"}
    changed = sample.copy()
    changed.obs[CELL_TYPE] = pd.Categorical(["old"] * changed.n_obs)
    changed.obs["cellmark_coarse_cell_type"] = "of another model"
    changed.uns[f"{CELL_TYPE}_colors"] = changed.uns["cellmark_coarse_cell_type_colors"] = ["#000000"]
    annotator.annotate(sample, copy_to=changed)
    assert "cellmark_coarse_cell_type" not in changed.obs
    assert "cellmark_coarse_cell_type_colors" not in changed.uns
    for adata in (ad.read_h5ad(called), changed):
        for column in TYPE_COLUMNS:
            names = adata.obs[column].cat.categories
            assert list(adata.uns[f"{column}_colors"]) == [whole[name] for name in names]


def test_coarse_calls_of_another_model_do_not_stay_in_a_file(
    annotator: Annotator, sample: ad.AnnData, tmp_path: Path
) -> None:
    old = sample.copy()
    old.obs.insert(0, "cellmark_coarse_cell_type", "leukocyte")
    old.uns["cellmark_coarse_cell_type_colors"] = ["#000000"]
    old.write_h5ad(tmp_path / "old.h5ad")
    annotate_file(annotator, tmp_path / "old.h5ad", tmp_path / "new.h5ad")
    new = ad.read_h5ad(tmp_path / "new.h5ad")
    assert list(new.obs.columns)[: sample.obs.shape[1]] == list(sample.obs.columns)
    assert not [name for name in (*new.obs, *new.uns) if "coarse" in name]


def test_colours_are_enough_for_any_number_of_types() -> None:
    from scanpy.plotting import palettes

    for n_types, palette in ((20, palettes.default_20), (21, palettes.default_102), (102, palettes.default_102)):
        names = [str(number) for number in range(n_types)]
        assert list(type_colors(names).values()) == [*palette[:n_types], UNASSIGNED_COLOR]
    assert len(type_colors([str(number) for number in range(300)])) == 301


@pytest.mark.parametrize("column", TYPE_COLUMNS)
def test_scanpy_plots_and_tests_calls(normalized: ad.AnnData, column: str) -> None:
    import matplotlib.pyplot as plt
    import scanpy as sc

    genes = list(normalized.var_names[:4])
    for plot in (sc.pl.dotplot, sc.pl.matrixplot, sc.pl.stacked_violin):
        plot(normalized, genes, groupby=column, show=False)
    normalized.obsm["X_umap"] = np.random.default_rng(0).normal(size=(normalized.n_obs, 2))
    colors = list(normalized.uns[f"{column}_colors"])
    sc.pl.umap(normalized, color=column, show=False)
    assert list(normalized.uns[f"{column}_colors"]) == colors
    plt.close("all")
    sc.tl.rank_genes_groups(normalized, column, method="t-test")
    assert normalized.uns["rank_genes_groups"]["names"].dtype.names == tuple(normalized.obs[column].cat.categories)


def test_the_recipe_of_the_docs_plots_markers_of_the_types_that_are_there(
    cellmark: Callable[..., Any], full_markers: Bundle, called: Path, tmp_path: Path
) -> None:
    """docs/markers.md: `markers --into`, then `rank_genes_groups_dotplot` with its defaults."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import scanpy as sc

    ran = cellmark("markers", "-m", full_markers.folder, "--into", called, "-o", tmp_path / "plot.h5ad")
    assert ran.status == 0, ran.err
    adata = ad.read_h5ad(tmp_path / "plot.h5ad")
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    axes = sc.pl.rank_genes_groups_dotplot(adata, n_genes=3, show=False)
    shown = {label.get_text() for label in axes["mainplot_ax"].get_yticklabels()}
    assert shown == set(adata.obs[CELL_TYPE].cat.categories)
    plt.close("all")
