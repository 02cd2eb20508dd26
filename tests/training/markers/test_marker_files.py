from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.errors import CellmarkError, GeneOverlapError, LabelError, OutputError, ParameterError, ReadError
from cellmark.schemas.manifest.marker_table import marker_table
from cellmark.schemas.normalization import normalize
from cellmark.training.cells.choose_panel import choose_panel
from cellmark.training.markers.marker_files import (
    check_not_input,
    check_suffix,
    chosen_markers,
    keep_genes,
    panel_genes,
    read_for_markers,
    read_marker_file,
    write_h5ad,
    write_table,
)


def table_of(ranking: str, *, genes: int = 4) -> pd.DataFrame:
    names = np.repeat(["B cell", "T cell"], genes)
    ranks = np.tile(np.arange(1, genes + 1), 2)
    return marker_table(
        cell_type=names,
        rank=ranks,
        gene_symbol=[f"GENE{number}" for number in range(2 * genes)],
        marker_score=-ranks.astype(float),
        ranking=[ranking] * len(ranks),
        direction=np.where(ranks == genes, "negative", "positive"),
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_is_read_back(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"markers{suffix}"
    write_table(table_of("cosg"), out)
    read = read_marker_file(out)
    assert list(read.columns) == ["cell_type", "gene_symbol", "rank", "ranking", "direction"]
    assert list(read["gene_symbol"]) == [f"GENE{number}" for number in range(8)]
    assert list(read["rank"]) == [1, 2, 3, 4] * 2
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"):
        write_table(table_of("cosg"), out)


def test_a_bundles_markers_are_read(tiny_bundle: object, tmp_path: Path) -> None:
    table = tiny_bundle.markers  # type: ignore[attr-defined]
    table.to_parquet(tmp_path / "markers.parquet")
    assert len(read_marker_file(tmp_path / "markers.parquet")) == len(table)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("none.csv", None, "FILE_NOT_FOUND"),
        ("other.csv", "a,b\n1,2\n", "TABLE_INVALID"),
        ("empty.csv", "", "FILE_UNREADABLE"),
        ("wrong.parquet", "no parquet", "FILE_UNREADABLE"),
        ("markers.xlsx", "x", "FILE_FORMAT_UNKNOWN"),
    ],
)
def test_what_is_no_marker_table_is_refused(tmp_path: Path, name: str, content: str | None, code: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ReadError) as refused:
        read_marker_file(tmp_path / name)
    assert refused.value.code == code


def test_a_copy_for_scanpy_keeps_all_else_and_has_every_ranking(tiny_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "ranked.h5ad"
    both = pd.concat([table_of("wilcoxon"), table_of("cosg", genes=3)])
    keys = write_h5ad(both, tiny_file, out, label="cell_type")
    assert keys == ("rank_genes_groups", "rank_genes_groups_wilcoxon", "rank_genes_groups_cosg")
    before, after = ad.read_h5ad(tiny_file), ad.read_h5ad(out)
    assert (before.X != after.X).nnz == 0
    pd.testing.assert_frame_equal(before.obs, after.obs)
    assert list(after.uns["rank_genes_groups"]["names"]["T cell"]) == ["GENE4", "GENE5", "GENE6", "GENE7"]
    assert list(after.uns["rank_genes_groups_cosg"]["names"]["T cell"]) == ["GENE3", "GENE4", "GENE5"]
    assert after.uns["rank_genes_groups"]["params"]["groupby"] == "cell_type"
    again = write_h5ad(table_of("cosg"), out, out, label="cell_type", force=True)
    assert again == ("rank_genes_groups",)
    assert "cosg" in ad.read_h5ad(out).uns["rank_genes_groups"]["params"]["method"]


def test_outputs_that_cannot_be_are_refused(tmp_path: Path) -> None:
    cells = tmp_path / "cells.csv"
    cells.write_text("x")
    refusals: list[tuple[CellmarkError, str]] = []
    for act, kind in (
        (lambda: check_suffix(tmp_path / "out.xlsx", (".csv", ".parquet")), OutputError),
        (lambda: check_not_input(cells, cells), OutputError),
        (lambda: check_not_input(tmp_path / "out.h5ad", cells), ParameterError),
    ):
        with pytest.raises(kind) as refused:
            act()
        refusals.append((refused.value, refused.value.code))
    assert [code for _, code in refusals] == ["OUTPUT_FORMAT_UNKNOWN", "OUTPUT_EXISTS", "PARAMETER_INVALID"]
    check_not_input(tmp_path / "cells.h5ad", tmp_path / "cells.h5ad")


def test_the_first_positive_genes_of_each_type_are_chosen() -> None:
    chosen = chosen_markers(
        table_of("cosg"), cell_types=["T cell", "B cell", "new"], gene_symbols=["GENE5", "GENE0", "GENE3", "X"], ranks=4
    )
    np.testing.assert_array_equal(chosen, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])  # GENE3 is a negative marker
    first = chosen_markers(table_of("cosg"), cell_types=["T cell", "B cell"], gene_symbols=["GENE5", "GENE0"], ranks=1)
    np.testing.assert_array_equal(first, [[0, 0], [0, 1]])


def test_markers_of_other_types_or_genes_are_refused() -> None:
    with pytest.raises(LabelError, match=r"such as a.*B cell"):
        chosen_markers(table_of("cosg"), cell_types=["a"], gene_symbols=["GENE0"], ranks=4)
    with pytest.raises(GeneOverlapError, match="NO_GENES_SHARED"):
        chosen_markers(table_of("cosg"), cell_types=["B cell"], gene_symbols=["Gene0"], ranks=4)


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
