"""`cellmark markers novel` as a user meets it: a small trained model, and a file with a type that it never learned."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.calls.new_populations import MARKER_COLUMNS
from cellmark.schemas.columns import CALL_COLUMNS, CELL_TYPE, COARSE_COLUMNS, NEW_POPULATION, NOVELTY, UNASSIGNED
from cellmark.schemas.errors import ModelError, ParameterError
from cellmark.serving.annotator import Annotator
from fixtures.places import ARCHIVES

pytest.importorskip("torch")
from cellmark.training.populations.new_populations import PopulationSearch

Cellmark = Callable[..., Any]
ARCHIVE = ARCHIVES / "v1"
N_NEW = 40
OWN = slice(60, 85)


@pytest.fixture(scope="module")
def strange_file(new_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells of the three types of the model, and forty that lack their markers and have 25 genes of their own."""
    generator = np.random.default_rng(3)
    order = [f"GENE{number}" for number in range(117)] + ["MT-CO1", "MT-ND1", "MT-ND2"]
    known = new_cells[:, order]
    rates = np.full(120, 0.5)
    rates[:30] = 0.05
    rates[OWN] = 12
    counts = sp.csr_matrix(generator.poisson(rates, (N_NEW, 120)).astype(np.float32))
    obs = pd.DataFrame({"donor": [f"d{number % 2}" for number in range(N_NEW)]},
                       index=[f"new-cell-{number}" for number in range(N_NEW)])  # fmt: skip
    cells = ad.concat([known, ad.AnnData(counts, obs=obs, var=known.var.copy())])
    path = tmp_path_factory.mktemp("strange") / "strange.h5ad"
    cells.write_h5ad(path)
    return path


def test_a_new_population_is_found_shown_and_written(
    cellmark: Cellmark, tiny_bundle: Bundle, strange_file: Path, tmp_path: Path
) -> None:
    out, cells, figures = tmp_path / "novel.csv", tmp_path / "cells.h5ad", tmp_path / "figures"
    ran = cellmark(
        "markers", "novel", strange_file, "-m", tiny_bundle.folder, "--donor", "donor", "-o", out, "--cells", cells,
        "--figures", figures, "--top", 4,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert "New populations" in ran.out
    assert "d0 50 %, d1 50 %" in ran.out
    assert f"Written to {out}" in ran.out
    table = pd.read_csv(out)
    assert list(table.columns) == list(MARKER_COLUMNS)
    first = table[table["population"] == "new-1"].head(10)
    assert set(first["gene_symbol"]) <= {f"GENE{gene}" for gene in range(OWN.start, OWN.stop)}
    assert all(gene in ran.out for gene in first["gene_symbol"].head(4))
    written = ad.read_h5ad(cells)
    assert set(CALL_COLUMNS) - set(COARSE_COLUMNS) <= set(written.obs.columns)
    of_new = written.obs[NEW_POPULATION].iloc[-N_NEW:]
    assert (of_new == "new-1").mean() > 0.9
    assert written.obs.loc[written.obs[NEW_POPULATION].notna(), CELL_TYPE].unique().tolist() == [UNASSIGNED]
    stems = ("markers", "marker_heatmap", "marker_violins")
    names = {f"{stem}{suffix}" for stem in stems for suffix in (".png", ".svg", ".pdf")}
    assert {path.name for path in figures.iterdir()} == names


def test_json_is_alone_on_standard_output_and_python_gives_the_same(
    cellmark: Cellmark, tiny_bundle: Bundle, strange_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "novel.json"
    ran = cellmark("markers", "novel", strange_file, "-m", tiny_bundle.folder, "--json", "-o", out, "--trusted")
    told = json.loads(ran.out)
    assert told == json.loads(out.read_text(encoding="utf-8"))
    called = Annotator.load(tiny_bundle.folder).called_cells(ad.read_h5ad(strange_file))
    found = PopulationSearch().find(called)
    assert told == found.to_dict(top=10)
    assert told["n_unassigned"] == int(called.unassigned.sum())


def test_cells_as_a_table_join_by_id(
    cellmark: Cellmark, tiny_bundle: Bundle, strange_file: Path, tmp_path: Path
) -> None:
    cells = tmp_path / "cells.parquet"
    assert cellmark("markers", "novel", strange_file, "-m", tiny_bundle.folder, "--cells", cells).status == 0
    table = pd.read_parquet(cells)
    assert table["cell_id"].tolist() == ad.read_h5ad(strange_file).obs_names.tolist()
    assert table[NEW_POPULATION].notna().sum() > 0.9 * N_NEW
    assert (tmp_path / "cells.json").is_file()


def test_no_unassigned_cell_is_a_good_result(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    out, figures = tmp_path / "novel.csv", tmp_path / "figures"
    options = ("--above", 1000, "-o", out, "--figures", figures, "--cells", tmp_path / "cells.csv")
    ran = cellmark("markers", "novel", new_file, "-m", tiny_bundle.folder, *options)
    assert ran.status == 0, ran.err
    assert "[NOVEL_CELLS_NONE]" in ran.err
    assert "0 of 120 cells" in ran.out
    assert pd.read_csv(out).empty
    assert list(figures.iterdir()) == []


def test_the_novelty_to_go_by_can_be_given(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    annotator = Annotator.load(tiny_bundle.folder)
    novelty = annotator.annotate(new_cells)[NOVELTY]
    above = float(novelty.median())
    called = annotator.called_cells(new_cells, above=above)
    assert set(called.cell_ids[called.unassigned]) == set(novelty.index[novelty > above])
    assert called.threshold == above


def test_called_cells_hold_all_genes_of_the_cells(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    twice = new_cells.copy()
    twice.var_names = ["GENE1" if name == "GENE0" else name for name in twice.var_names]
    called = Annotator.load(tiny_bundle.folder).called_cells(twice, donor="donor")
    assert called.cell_ids.tolist() == new_cells.obs_names.tolist()
    counts = pd.DataFrame(called.counts.toarray(), columns=list(called.gene_symbols))
    own = pd.DataFrame(new_cells.X.toarray(), columns=new_cells.var_names)
    np.testing.assert_array_equal(counts["GENE1"], own["GENE0"] + own["GENE1"])
    np.testing.assert_array_equal(counts["GENE50"], own["GENE50"])
    np.testing.assert_array_equal(called.library_size, own.sum(axis=1))
    panel = set(tiny_bundle.panel.symbols)
    assert [gene in panel for gene in called.gene_symbols] == called.in_panel.tolist()
    assert called.donors is not None
    assert called.donors.tolist() == new_cells.obs["donor"].tolist()
    assert called.n_called.sum() + called.unassigned.sum() == called.n_cells == 120


def test_called_cells_are_drawn_and_unassigned_ones_all_kept(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    from cellmark.serving.scoring.called_cells import gather_called_cells

    annotator = Annotator.load(tiny_bundle.folder)
    above = float(annotator.annotate(new_cells)[NOVELTY].quantile(0.9))
    few = gather_called_cells(annotator, annotator.check(new_cells), above=above, per_type=5)
    assert np.bincount(few.best[~few.unassigned]).tolist() == [5, 5, 5]
    assert few.unassigned.sum() == 12
    assert few.n_called.sum() == 108
    again = gather_called_cells(annotator, annotator.check(new_cells), above=above, per_type=5)
    assert few.cell_ids.tolist() == again.cell_ids.tolist()


def test_a_model_without_a_threshold_says_so(cellmark: Cellmark, new_file: Path, new_cells: ad.AnnData) -> None:
    ran = cellmark("markers", "novel", new_file, "-m", ARCHIVE)
    assert (ran.status, "[NOVELTY_MISSING]" in ran.err) == (1, True)
    with pytest.raises(ModelError, match="NOVELTY_MISSING"):
        Annotator.load(ARCHIVE).called_cells(new_cells)


def test_an_unknown_column_of_donors_is_refused(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    with pytest.raises(ParameterError, match="obs has cell_type, donor"):
        Annotator.load(tiny_bundle.folder).called_cells(new_cells, donor="patient")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--min-cells", 2), "PARAMETER_INVALID"),
        (("--resolution", 0), "PARAMETER_INVALID"),
        (("--include-genes", "nothing/genes.txt"), "FILE_NOT_FOUND"),
        (("-o", "novel.h5ad"), "OUTPUT_FORMAT_UNKNOWN"),
        (("--cells", "cells.json"), "OUTPUT_FORMAT_UNKNOWN"),
        (("--donor", "patient"), "PARAMETER_INVALID"),
    ],
)
def test_wrong_options_end_in_one_line(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, options: tuple[Any, ...], code: str
) -> None:
    ran = cellmark("markers", "novel", new_file, "-m", tiny_bundle.folder, *options)
    assert ran.status == 1
    assert f"[{code}]" in ran.err
    assert "Traceback" not in ran.err


def test_outputs_that_exist_are_kept(cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, tmp_path: Path) -> None:
    taken = tmp_path / "novel.csv"
    taken.write_text("mine", encoding="utf-8")
    copy = tmp_path / "cells.csv"
    shutil.copyfile(taken, copy)
    for option, path in (("-o", taken), ("--cells", copy), ("--figures", tmp_path)):
        ran = cellmark("markers", "novel", new_file, "-m", tiny_bundle.folder, option, path)
        assert (ran.status, "[OUTPUT_EXISTS]" in ran.err) == (1, True)
    assert taken.read_text(encoding="utf-8") == copy.read_text(encoding="utf-8") == "mine"
