"""A model in Python answers as the command line does, refuses in Python's words, and says what it is."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata as ad
import pandas as pd
import pytest

import cellmark as cm
from cellmark.model_page import model_table
from cellmark.schemas.columns import CALL_COLUMNS


def test_calls_are_those_of_the_command_line(
    model: cm.Model, new_file: Path, tmp_path: Path, cellmark: Callable[..., Any]
) -> None:
    out = tmp_path / "calls.csv"
    assert cellmark("annotate", new_file, "--model", model.folder, "-o", out).status == 0
    expected = pd.read_csv(out, index_col="cell_id")
    adata = ad.read_h5ad(new_file)
    model.annotate(adata)
    found = cm.get.calls_df(adata)
    assert list(found) == list(expected)
    for column in expected:
        if expected[column].dtype == object:
            assert found[column].astype(str).tolist() == expected[column].tolist()
        else:
            assert found[column].to_numpy() == pytest.approx(expected[column].to_numpy(), abs=1e-5)
    of_file = model.annotate(new_file, inplace=False)
    assert of_file is not None
    pd.testing.assert_frame_equal(of_file, found, check_names=False)


def test_calls_under_another_name_stand_beside_the_first(model: cm.Model, adata: ad.AnnData, tmp_path: Path) -> None:
    model.annotate(adata)
    first = cm.get.calls_df(adata)
    cm.tl.annotate(adata, model=model.folder, key_added="query", over="donor")
    cm.tl.annotate(adata, model=model, key_added="query")
    pd.testing.assert_frame_equal(cm.get.calls_df(adata, key="query"), first)
    assert "query_majority_cell_type" not in adata.obs, "older calls of the name are gone"
    assert adata.uns["query"]["model"] == "tiny"
    assert list(adata.uns["query_cell_type_colors"]) == list(adata.uns["cellmark_cell_type_colors"])
    cm.tl.explain(adata, model=model, top=2)
    cm.tl.rank_genes_groups(adata, model=model)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    pd.testing.assert_frame_equal(cm.get.calls_df(again, key="query"), first)
    assert "gene_symbol" in again.uns["cellmark_explanation"]
    assert again.uns["rank_genes_groups"]["names"].dtype.names == tuple(model.types)


def test_nothing_is_written_when_calls_are_returned_or_refused(model: cm.Model, adata: ad.AnnData) -> None:
    columns = list(adata.obs)
    frame = model.annotate(adata, inplace=False, probabilities=True)
    assert frame is not None
    assert set(CALL_COLUMNS[:7]) < set(frame)
    with pytest.raises(cm.CellmarkError):
        model.annotate(adata[:, :20].copy())
    assert list(adata.obs) == columns
    assert not adata.uns


@pytest.mark.parametrize(
    ("ask", "remedy"),
    [
        (lambda m, a: m.annotate(a, layer="counts"), "Omit layer= to use X"),
        (lambda m, a: m.annotate(a[:, :20].copy()), "accept worse calls: min_panel_share=0.21"),
        (lambda m, a: m.annotate(a[:, :20].copy()), "over all genes: library_size="),
        (lambda m, a: m.annotate(a.to_df()), "Pass inplace=False"),
        (lambda m, a: cm.tl.annotate(a.to_df(), model=m), "cm.load(uri).annotate(cells, inplace=False)"),
        (lambda m, a: cm.tl.rank_genes_groups(a, model=m, groupby="leiden"), "with groupby="),
        (lambda m, a: cm.get.calls_df(a), "cm.tl.annotate(adata, model=..., key_added='cellmark')"),
        (lambda m, a: cm.pl.confusion(m.bundle and a, label=None), "Name it with label="),
        (lambda m, a: m.annotate(a, sample="donor", fixed_threshold=True), "Omit one of the two"),
    ],
)
def test_refusals_speak_python(
    model: cm.Model, adata: ad.AnnData, ask: Callable[[cm.Model, ad.AnnData], object], remedy: str
) -> None:
    with pytest.raises(cm.CellmarkError) as caught:
        ask(model, adata)
    assert remedy in str(caught.value)
    assert " --" not in str(caught.value)
    assert any(remedy in finding.remedy for finding in caught.value.findings)


def test_what_is_doubtful_comes_as_a_warning_in_pythons_words(model: cm.Model, adata: ad.AnnData) -> None:
    adata.obs["total_counts"] = 5000.0
    with pytest.warns(cm.CellmarkWarning, match="library_size") as caught:
        model.annotate(adata, library_size="total_counts")
    assert all(" --" not in str(one.message) for one in caught)


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"max_epoch": 3}, "Did you mean max_epochs"),
        ({"label": "celltype"}, "label='cell_type'"),
        ({"hold_out": ["d1"]}, "Name the column with donor="),
        ({"preset": "quick"}, "Name one of them."),
    ],
)
def test_training_refuses_in_pythons_words(adata: ad.AnnData, settings: dict[str, Any], remedy: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(cm.CellmarkError) as caught:
        cm.train(adata, verbose=False, **settings)
    assert remedy in str(caught.value)
    assert " --" not in str(caught.value)


def test_the_page_of_a_model_escapes_what_others_wrote(model: cm.Model) -> None:
    name = "<script>alert(1)</script>"
    stranger = SimpleNamespace(
        name=name,
        version=None,
        types=[name],
        genes=["G"],
        metrics={},
        bundle=model.bundle,
        folder=name,
        digest="0" * 64,
    )
    page = model_table(stranger)  # type: ignore[arg-type]
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") >= 3
    shown = model._repr_html_()
    assert all(one in shown for one in model.types)
    assert "Right for 24 of 24 test cells, macro-F1 1.000" in shown


def test_names_come_late_and_unknown_ones_are_refused() -> None:
    assert set(cm.__all__) <= set(dir(cm))
    assert cm.__version__
    for name in cm.__all__:
        assert getattr(cm, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'annotate'"):
        _ = cm.annotate
