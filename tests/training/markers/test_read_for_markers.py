from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from cellmark.schemas.errors import LabelError, ParameterError
from cellmark.schemas.normalization import normalize
from cellmark.training.cells.choose_panel import choose_panel
from cellmark.training.markers.marker_files import keep_genes, panel_genes, read_for_markers

ASKED = {"label": "cell_type", "donor": "donor", "min_cells": 10}


def test_silent_genes_are_left_out_and_conditions_stay_with_their_cells(tiny_cells: ad.AnnData, tmp_path: Path) -> None:
    cells = tiny_cells.copy()
    cells.X[:, 5] = 0
    cells.obs["stage"] = [f"s{number % 3} " for number in range(cells.n_obs)]
    few = np.flatnonzero(cells.obs["cell_type"] == "NK cell")[:36]  # so that four NK cells are below the floor
    cells = cells[~np.isin(np.arange(cells.n_obs), few)].copy()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    found = read_for_markers(tmp_path / "cells.h5ad", **ASKED, by="stage")  # type: ignore[arg-type]
    assert found.cells.cell_types == ("B cell", "T cell")
    kept = cells[cells.obs["cell_type"] != "NK cell"]
    assert found.conditions is not None
    assert list(found.conditions) == list(kept.obs["stage"].str.strip())
    heard = np.asarray(kept.X.sum(axis=0)).ravel() > 0
    assert found.gene_symbols == list(kept.var_names[heard])
    assert "GENE5" not in found.gene_symbols
    expected = normalize(kept[:, heard].X, np.asarray(kept.X.sum(axis=1)).ravel())
    np.testing.assert_allclose(found.x.toarray(), expected.toarray(), rtol=1e-6)


def test_the_panel_is_the_one_that_training_chooses(tiny_file: Path) -> None:
    found = read_for_markers(tiny_file, **ASKED)  # type: ignore[arg-type]
    kept = keep_genes(found, panel_genes(found, max_genes=20))
    cells = found.cells
    columns = choose_panel(
        cells.counts, cells.library_size, normalize(cells.counts, cells.library_size), cells.codes, max_genes=20
    )
    assert kept.gene_symbols == [cells.gene_symbols[column] for column in columns]
    assert kept.x.shape == (120, 20)
    with pytest.raises(ParameterError, match="--max-genes"):
        panel_genes(found, max_genes=1)


def test_wrong_columns_are_refused(tiny_cells: ad.AnnData, tiny_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"'stage', where obs has cell_type, donor.*--by"):
        read_for_markers(tiny_file, **ASKED, by="stage")  # type: ignore[arg-type]
    with pytest.raises(LabelError, match="LABEL_COLUMN_UNKNOWN"):
        read_for_markers(tiny_file, **{**ASKED, "label": "type"})  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="min_cells: expected at least 2; found 1"):
        read_for_markers(tiny_file, **{**ASKED, "min_cells": 1})  # type: ignore[arg-type]
    cells = tiny_cells.copy()
    cells.obs["stage"] = ["s", None] + ["t"] * 117 + [" "]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ParameterError, match="2 cells without"):
        read_for_markers(tmp_path / "cells.h5ad", **ASKED, by="stage")  # type: ignore[arg-type]
