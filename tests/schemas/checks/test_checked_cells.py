"""The one checked path: every finding with its case, all of them at once, over any chunking."""

from collections.abc import Iterator

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import CellSource, MemoryCells, RowChunk
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.checks.checked_cells import AlignedCells, CheckedCells
from cellmark.schemas.errors import Finding, InputError, ReadError
from cellmark.schemas.genes.gene_panel import GenePanel

PANEL = GenePanel(("A", "B", "C", "D"))
NAMES = ["B", "X", "A", "D", "C", "Y"]
GOOD = np.array([[1, 2, 3, 0, 0, 1], [0, 5, 0, 2, 1, 0], [4, 0, 0, 0, 0, 0]], dtype=np.float32)


def source(
    dense: np.ndarray = GOOD, *, names: list[str] = NAMES, ids: list[str] | None = None, **obs: object
) -> MemoryCells:
    index = ids if ids is not None else [f"cell-{number}" for number in range(len(dense))]
    return MemoryCells(sp.csr_matrix(dense), np.array(names), pd.DataFrame(obs, index=index), name="a file")


def everything(cells: MemoryCells, *, n_rows: int = 2, **settings: object) -> list[AlignedCells]:
    return list(CheckedCells(cells, PANEL, **settings).chunks(n_rows))  # type: ignore[arg-type]


def refused(cells: MemoryCells, *, n_rows: int = 2, **settings: object) -> dict[str, Finding]:
    with pytest.raises(InputError) as caught:
        everything(cells, n_rows=n_rows, **settings)
    findings = {finding.code: finding for finding in caught.value.findings}
    assert len(findings) == len(caught.value.findings)
    return findings


def changed(row: int, column: int, value: float) -> np.ndarray:
    dense = GOOD.copy()
    dense[row, column] = value
    return dense


def test_chunks_are_aligned_counts_with_library_sizes_over_all_genes() -> None:
    chunks = everything(source(), n_rows=2)
    assert [chunk.start for chunk in chunks] == [0, 2]
    counts = np.vstack([chunk.counts.toarray() for chunk in chunks])
    np.testing.assert_array_equal(counts, GOOD[:, [2, 0, 4, 3]])
    sizes = np.concatenate([chunk.library_size for chunk in chunks])
    assert sizes.dtype == np.float32
    assert sizes.tolist() == [7, 8, 4]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (np.nan, "COUNTS_NAN"),
        (np.inf, "COUNTS_INFINITE"),
        (-3, "COUNTS_NEGATIVE"),
        (1.5, "COUNTS_NOT_WHOLE"),
        (2**26, "COUNTS_TOO_LARGE"),
    ],
)
@pytest.mark.parametrize("column", [0, 1])
def test_a_wrong_value_is_refused_in_and_outside_the_panel(value: float, code: str, column: int) -> None:
    findings = refused(source(changed(2, column, value)))
    assert list(findings) == [code]
    assert findings[code].examples == ("cell-2",)


def test_a_cell_without_counts_is_refused_by_its_id_even_with_a_library_size() -> None:
    dense = GOOD * np.array([[1], [0], [1]])
    ids = ["AAAC-1", "GGGT-1", "TTTC-1"]
    assert refused(source(dense, ids=ids))["CELL_EMPTY"].examples == ("GGGT-1",)
    assert "CELL_EMPTY" in refused(source(dense, ids=ids), library_size=np.full(3, 100.0))


def test_no_cells_and_no_genes_are_refused() -> None:
    assert set(refused(source(GOOD[:0]))) == {"NO_CELLS"}
    assert set(refused(source(GOOD[:, :0], names=[]))) >= {"NO_GENES"}
    assert refused(source(GOOD[:0]))["NO_CELLS"].where == "a file"


def test_duplicate_cell_ids_are_refused_by_name() -> None:
    finding = refused(source(ids=["AAAC-1", "AAAG-1", "AAAC-1"]))["CELL_ID_DUPLICATE"]
    assert finding.examples == ("AAAC-1",)


def test_genes_that_do_not_fit_are_refused() -> None:
    assert "NO_GENES_SHARED" in refused(source(names=[f"ENSG{number}" for number in range(6)]))
    assert "TOO_FEW_GENES" in refused(source(names=["A", *"UVWXY"]))
    everything(source(names=["A", *"UVWXY"]), min_share=0.25)


def test_a_library_size_is_not_summed_over_fewer_than_half_of_the_genes_of_training() -> None:
    finding = refused(source(), n_genes_trained=13)["LIBRARY_SIZE_NEEDED"]
    assert "--library-size" in finding.remedy
    everything(source(), n_genes_trained=12)
    checked = CheckedCells(source(), PANEL, n_genes_trained=13, library_size=np.full(3, 50.0))
    assert checked.library_size_source == "given"


@pytest.mark.parametrize(
    "sizes",
    [
        [10, 0, 10],
        [10, -5, 10],
        [10, np.nan, 10],
        [10, np.inf, 10],
        [10, 1e39, 10],
        ["10", "many", "10"],
        [10, None, 10],
    ],
    ids=["zero", "negative", "nan", "infinite", "beyond float32", "text", "none"],
)
@pytest.mark.parametrize("as_column", [True, False])
def test_impossible_library_sizes_are_refused_by_cell(sizes: list[object], as_column: bool) -> None:
    cells = source(total=sizes) if as_column else source()
    given = "total" if as_column else np.array(sizes, dtype=object)
    findings = refused(cells, library_size=given)
    assert list(findings) == ["LIBRARY_SIZE_INVALID"]
    assert findings["LIBRARY_SIZE_INVALID"].examples == ("cell-1",)


def test_a_library_size_below_the_sum_of_the_counts_is_refused_by_cell() -> None:
    finding = refused(source(), library_size=np.array([7, 7.9, 4]))["LIBRARY_SIZE_INVALID"]
    assert finding.examples == ("cell-1",)
    assert "below" in finding.found
    everything(source(), library_size=np.array([7, 8, 4]))


def test_a_library_size_for_every_cell_is_asked_for() -> None:
    assert "2 values" in refused(source(), library_size=np.array([7, 8]))["LIBRARY_SIZE_INVALID"].found


def test_a_library_size_column_that_is_there_twice_is_refused() -> None:
    cells = source()
    twice = pd.DataFrame([[9, 8, 1]] * 3, columns=["total", "total", "x"], index=cells.obs.index)
    doubled = MemoryCells(cells.X, cells.var_names, twice, name="a file")
    finding = refused(doubled, library_size="total")["LIBRARY_SIZE_INVALID"]
    assert finding.found == "2 columns"


def test_an_unknown_library_size_column_is_refused_with_the_columns_there_are() -> None:
    finding = refused(source(total=[9, 9, 9], batch="a"), library_size="n_counts")["LIBRARY_SIZE_COLUMN_UNKNOWN"]
    assert "total, batch" in finding.found


def test_given_library_sizes_are_used_from_column_array_list_and_categories() -> None:
    sizes = [700.0, 800.0, 400.0]
    settings: list[tuple[MemoryCells, object]] = [
        (source(total=sizes), "total"),
        (source(total=pd.Categorical(sizes)), "total"),
        (source(total=[str(size) for size in sizes]), "total"),
        (source(), np.array(sizes)),
        (source(), pd.Series(sizes)),
        (source(), np.array(sizes, dtype=np.int64)),
    ]
    for cells, library_size in settings:
        checked = CheckedCells(cells, PANEL, library_size=library_size)  # type: ignore[arg-type]
        assert checked.library_size_source == "given"
        assert checked.load().library_size.tolist() == sizes


def test_a_series_of_library_sizes_is_read_by_cell_id() -> None:
    sizes = pd.Series([400.0, 800.0, 700.0, 10.0], index=["cell-2", "cell-1", "cell-0", "taken-out"])
    assert CheckedCells(source(), PANEL, library_size=sizes).load().library_size.tolist() == [700, 800, 400]


def test_all_problems_come_at_once_over_all_chunks() -> None:
    dense = np.vstack([GOOD, GOOD])
    dense[0, 0], dense[1, 1], dense[2, 2], dense[4, 3], dense[5] = np.nan, -1, 0.5, np.inf, 0
    cells = source(dense, names=["A", *"UVWXY"], ids=["a", "b", "c", "d", "e", "a"], total=[90, 90, 90, 1, 90, 90])
    expected = {
        "TOO_FEW_GENES", "CELL_ID_DUPLICATE", "COUNTS_NAN", "COUNTS_NEGATIVE", "COUNTS_NOT_WHOLE", "COUNTS_INFINITE",
        "CELL_EMPTY", "LIBRARY_SIZE_INVALID",
    }  # fmt: skip
    for n_rows in (1, 2, 6):
        assert set(refused(cells, n_rows=n_rows, library_size="total")) == expected


def test_problems_of_values_are_the_same_in_any_chunking() -> None:
    dense = np.tile(GOOD, (5, 1))
    dense[3, 1], dense[7, 0], dense[11, 2] = -1, np.nan, -2
    whole = refused(source(dense), n_rows=100)
    assert whole["COUNTS_NEGATIVE"].examples == ("cell-3", "cell-11")
    for n_rows in (1, 2, 4):
        assert refused(source(dense), n_rows=n_rows) == whole


def test_chunks_with_problems_are_never_handed_out() -> None:
    checked = CheckedCells(source(changed(1, 0, -1)), PANEL)
    handed_out = checked.chunks(1)
    starts = [next(handed_out).start, next(handed_out).start]
    with pytest.raises(InputError):
        next(handed_out)
    assert starts == [0, 2]


def test_notes_of_reader_and_duplicate_genes_are_kept_and_do_not_refuse() -> None:
    cells = source(names=["B", "A", "A", "D", "C", "Y"])
    cells.notes = (
        Finding(
            "FEATURES_DROPPED", where="var", expected="genes", found="2 antibodies", remedy="Left out.", severity="info"
        ),
    )
    checked = CheckedCells(cells, PANEL)
    assert [note.code for note in checked.notes] == ["FEATURES_DROPPED", "GENES_DUPLICATED"]
    assert checked.load().counts[0].toarray().tolist() == [[2 + 3, 1, 0, 0]]


@pytest.mark.parametrize("rows", [[0, 2], [1], []])
def test_cells_in_memory_are_taken_as_they_are_read(rows: list[int]) -> None:
    cells = source()
    numbers = np.array(rows, dtype=int)
    np.testing.assert_array_equal(cells.take(numbers).toarray(), CellSource.take(cells, numbers).toarray())
    fewer = MemoryCells(cells.X[:2], cells.var_names, cells.obs)
    np.testing.assert_array_equal(fewer.take(numbers).toarray(), CellSource.take(fewer, numbers).toarray())


class ReadInPieces(MemoryCells):
    """A reader that hands out fewer rows than it is asked for, as one of a chunked store may."""

    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        return super().chunks(min(n_rows, 2))


def test_load_takes_all_pieces_of_a_reader() -> None:
    cells = source()
    loaded = CheckedCells(ReadInPieces(cells.X, cells.var_names, cells.obs), PANEL).load()
    assert loaded.start == 0
    np.testing.assert_array_equal(loaded.counts.toarray(), GOOD[:, [2, 0, 4, 3]])
    assert loaded.library_size.tolist() == [7, 8, 4]


@pytest.mark.parametrize("layout", ["csr", "csc", "dense", "unsorted"])
def test_any_layout_of_an_anndata_gives_the_same_cells_and_stays_as_it_was(layout: str) -> None:
    X: object = GOOD.copy()
    if layout == "csr":
        X = sp.csr_matrix(GOOD)
    elif layout == "csc":
        X = sp.csc_matrix(GOOD)
    elif layout == "unsorted":
        sorted_ = sp.csr_matrix(GOOD)
        flip = np.concatenate([np.arange(a, b)[::-1] for a, b in zip(sorted_.indptr, sorted_.indptr[1:], strict=False)])
        X = sp.csr_matrix((sorted_.data[flip], sorted_.indices[flip], sorted_.indptr), shape=GOOD.shape)
    adata = ad.AnnData(X, obs=pd.DataFrame(index=["a", "b", "c"]), var=pd.DataFrame(index=NAMES))
    parts = [adata.X] if layout == "dense" else [adata.X.data, adata.X.indices, adata.X.indptr]
    before = [part.copy() for part in parts]
    loaded = CheckedCells(cells_from_anndata(adata), PANEL).load()
    np.testing.assert_array_equal(loaded.counts.toarray(), GOOD[:, [2, 0, 4, 3]])
    for part, old in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part, old)


def test_measured_tells_a_gene_without_counts_from_one_that_was_not_measured() -> None:
    loaded = CheckedCells(source(GOOD[:, :4], names=["B", "X", "A", "D"]), PANEL).load()
    assert loaded.measured.tolist() == [True, True, False, True]
    assert loaded.counts.toarray()[2].tolist() == [0, 4, 0, 0]


def test_a_reader_that_hands_out_too_few_rows_is_refused_rather_than_answered_for() -> None:
    class Short(MemoryCells):
        def chunks(self, n_rows: int) -> Iterator[RowChunk]:
            yield next(super().chunks(2))

    whole = source()
    checked = CheckedCells(Short(whole.X, whole.var_names, whole.obs), PANEL)
    with pytest.raises(ReadError, match="FILE_UNREADABLE"):
        list(checked.chunks(2))
