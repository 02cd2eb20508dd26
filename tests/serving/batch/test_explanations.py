"""List columns of explanations, and their sums by type: against pandas, and the same for any division into shards."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_ID, CELL_TYPE, EXPLANATION_LISTS, UNASSIGNED
from cellmark.serving.batch.explanations import (
    ExplanationTally,
    explanation_columns,
    tally_frame,
    tally_shards,
    write_sample_explanation,
)
from cellmark.serving.scoring.strongest_genes import StrongestGenes

TYPES = ["B cell", "T cell", "rare"]
SYMBOLS = [f"G{number}" for number in range(30)]
GENES, ATTRIBUTIONS, DELTA = EXPLANATION_LISTS


def drawn_cells(n_cells: int, *, seed: int = 0, k: int = 4) -> pa.Table:
    """Cells with four genes each, some without attribution, a fifth of the cells unassigned, none of the last type."""
    rng = np.random.default_rng(seed)
    genes = np.argsort(rng.random((n_cells, len(SYMBOLS))), axis=1)[:, :k].astype(np.uint16)
    attributions = np.round(rng.normal(size=(n_cells, k)), 3).astype(np.float32)
    attributions[:, -1] *= rng.random(n_cells) < 0.7
    found = StrongestGenes(genes, attributions, rng.normal(size=n_cells).astype(np.float32))
    best = np.array(TYPES, dtype=object)[rng.integers(0, 2, n_cells)]
    called = np.where(rng.random(n_cells) < 0.2, UNASSIGNED, best)
    return pa.table(
        {
            CELL_ID: [f"c{number}" for number in range(n_cells)],
            CELL_TYPE: pa.array(called, pa.string()).dictionary_encode(),
            BEST_CELL_TYPE: pa.array(best, pa.string()).dictionary_encode(),
            **explanation_columns(found, pa.array(SYMBOLS)),
        }
    )


def test_lists_hold_names_and_leave_out_genes_without_attribution() -> None:
    found = StrongestGenes(
        np.array([[2, 0], [1, 3]], dtype=np.uint16),
        np.array([[-3, 1], [2, 0]], dtype=np.float32),
        np.zeros(2, dtype=np.float32),
    )
    columns = explanation_columns(found, pa.array(SYMBOLS))
    assert columns[GENES].to_pylist() == [["G2", "G0"], ["G1"]]
    assert columns[ATTRIBUTIONS].to_pylist() == [[-3.0, 1.0], [2.0]]
    assert columns[GENES].type == pa.list_(pa.string())
    assert columns[ATTRIBUTIONS].type == pa.list_(pa.float32())
    assert columns[DELTA].type == pa.float32()


def test_lists_come_back_from_parquet_in_pandas_and_pyarrow(tmp_path: Path) -> None:
    table = drawn_cells(50)
    pq.write_table(table, tmp_path / "shard.parquet")
    assert pq.read_table(tmp_path / "shard.parquet").column(GENES).to_pylist() == table.column(GENES).to_pylist()
    frame = pd.read_parquet(tmp_path / "shard.parquet")
    assert [list(one) for one in frame[GENES]] == table.column(GENES).to_pylist()
    assert frame[ATTRIBUTIONS].iloc[0].dtype == np.float32


def test_duckdb_reads_lists_without_help(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    table = drawn_cells(50)
    path = tmp_path / "shard.parquet"
    pq.write_table(table, path)
    rows = duckdb.sql(f"select {CELL_ID}, unnest({GENES}), unnest({ATTRIBUTIONS}) from '{path}'").fetchall()
    lists = zip(*(table.column(name).to_pylist() for name in (CELL_ID, GENES, ATTRIBUTIONS)), strict=True)
    assert rows == [(cell, gene, value) for cell, *both in lists for gene, value in zip(*both, strict=True)]


def by_pandas(table: pa.Table) -> pd.DataFrame:
    """The same sums, of rows of one cell and gene each."""
    cells = table.to_pandas()
    keys = [CELL_TYPE, BEST_CELL_TYPE]
    cells[keys] = cells[keys].astype(str)
    rows = cells.explode([GENES, ATTRIBUTIONS])
    rows[ATTRIBUTIONS] = rows[ATTRIBUTIONS].astype(float)
    rows = rows.assign(n_for=rows[ATTRIBUTIONS] > 0, n_against=rows[ATTRIBUTIONS] < 0)
    found = rows.groupby([*keys, GENES]).agg(
        n_top=(ATTRIBUTIONS, "size"),
        n_for=("n_for", "sum"),
        n_against=("n_against", "sum"),
        attribution_sum=(ATTRIBUTIONS, "sum"),
        mean_attribution=(ATTRIBUTIONS, "mean"),
    )
    n_cells = cells.groupby(keys).size().rename("n_cells")
    found = found.join(n_cells, on=keys)
    found["share"] = found["n_top"] / found["n_cells"]
    return found.rename_axis(["cell_type", "best_cell_type", "gene"]).sort_index()


def test_sums_are_those_of_pandas(tmp_path: Path) -> None:
    table = drawn_cells(300)
    pq.write_table(table, tmp_path / "0.parquet", row_group_size=64)
    write_sample_explanation([tmp_path / "0.parquet"], tmp_path / "explanation.parquet", TYPES, SYMBOLS)
    found = pd.read_parquet(tmp_path / "explanation.parquet")
    expected = by_pandas(table)
    keys = ["cell_type", "best_cell_type", "gene"]
    pd.testing.assert_frame_equal(
        found.set_index(keys).sort_index()[list(expected)], expected, check_index_type=False, check_dtype=False
    )
    assert found["cell_type"].drop_duplicates().tolist() == ["B cell", "T cell", UNASSIGNED]
    of_type = found[found["cell_type"] == "B cell"]
    assert of_type["n_top"].is_monotonic_decreasing


def test_the_same_shards_give_the_same_bytes(tmp_path: Path) -> None:
    pq.write_table(drawn_cells(200), tmp_path / "0.parquet")
    for name in ("a", "b"):
        write_sample_explanation([tmp_path / "0.parquet"], tmp_path / name, TYPES, SYMBOLS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shards")


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=3).map(sorted), st.integers(1, 40))
def test_any_division_into_shards_adds_up_to_the_same(folder: Path, cuts: list[int], row_group: int) -> None:
    table = drawn_cells(60, seed=1)
    edges = [0, *cuts, 60]
    paths = [folder / f"{number}.parquet" for number in range(len(edges) - 1)]
    for path, start, stop in zip(paths, edges[:-1], edges[1:], strict=True):
        pq.write_table(table.slice(start, stop - start), path, row_group_size=row_group)
    whole = folder / "whole.parquet"
    pq.write_table(table, whole)
    frames = [tally_frame(tally_shards(files, TYPES, SYMBOLS), TYPES, SYMBOLS) for files in (paths, [whole])]
    pd.testing.assert_frame_equal(*frames, rtol=1e-12)


def test_tallies_are_added_in_any_grouping() -> None:
    rng = np.random.default_rng(3)
    parts = []
    for n_cells in (5, 0, 9):
        n_listed = rng.integers(0, 4, n_cells)
        n_rows = int(n_listed.sum())
        parts.append(
            ExplanationTally.of(
                rng.integers(0, 2, n_cells),
                n_listed,
                rng.integers(0, 6, n_rows),
                rng.integers(-8, 9, n_rows).astype(np.float32),  # whole numbers: their sums are exact
                shape=(2, 6),
            )
        )
    left, right = parts[0] + parts[1] + parts[2], parts[0] + (parts[1] + parts[2])
    for name in ExplanationTally.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
