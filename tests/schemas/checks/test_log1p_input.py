"""ln(1 + counts per 10,000) passes the checks where every cell proves it, with what depth would tell left unknown."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import CellSource, MemoryCells
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.cells.reading_options import NOT_KNOWN, InputKind, ReadingOptions
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.checks.checks import check_anndata
from cellmark.schemas.checks.log1p_input import genes_of
from cellmark.schemas.errors import CountsError, InputError, ParameterError
from cellmark.schemas.genes.gene_panel import GenePanel
from fixtures import expression_cases as made

GENES = [f"GENE{number}" for number in range(1500)]
PANEL = GenePanel(tuple(GENES[:400]))


@pytest.fixture(scope="module")
def counts() -> sp.csr_matrix:
    generator = np.random.default_rng(8)
    rates = generator.gamma(0.4, 3, len(GENES)) * generator.lognormal(0, 0.5, (600, 1))
    return sp.csr_matrix(generator.poisson(rates).astype(np.float32))


def cells(X: sp.csr_matrix, **obs: object) -> MemoryCells:
    index = pd.Index([f"cell-{number}" for number in range(X.shape[0])], dtype=object)
    return MemoryCells(X, np.array(GENES[: X.shape[1]]), pd.DataFrame(obs, index=index))


def codes(source: CellSource, kind: InputKind = "auto", **settings: object) -> list[str]:
    try:
        checked = CheckedCells(source, PANEL, input=kind, **settings)  # type: ignore[arg-type]
        list(checked.chunks(100))
    except InputError as error:
        return [finding.code for finding in error.findings]
    return [note.code for note in checked.notes]


def test_aligned_cells_have_the_expression_of_their_counts(counts: sp.csr_matrix) -> None:
    raw, logged = (CheckedCells(cells(X), PANEL) for X in (counts, made.log1p_norm(counts)))
    assert (logged.library_size_source, logged.normalised, raw.normalised) == (NOT_KNOWN, True, False)
    of_raw, of_logged = raw.load(), logged.load()
    np.testing.assert_allclose(of_logged.library_size, 1e4, rtol=1e-6)
    per_10_000 = [part.counts.toarray() * (1e4 / part.library_size)[:, None] for part in (of_raw, of_logged)]
    np.testing.assert_allclose(*per_10_000, rtol=5e-6)
    assert logged.source.counts_from == "X, logarithm undone"


@pytest.mark.parametrize("change", [
    lambda row: row * np.float32(1.001), lambda row: row + 1e-3 * (row > 0), lambda row: np.expm1(row),
    lambda row: np.where(row == row.max(), np.nan, row), lambda row: np.where(row == row.max(), -1, row),
])  # fmt: skip
def test_one_cell_that_fails_stops_the_file_and_is_named(counts: sp.csr_matrix, change: object) -> None:
    dense = made.log1p_norm(counts).toarray()
    drawn = CheckedCells(cells(counts), PANEL)._drawn
    row = next(number for number in range(300, 600) if number not in drawn)
    dense[row] = change(dense[row])  # type: ignore[operator]
    source = cells(sp.csr_matrix(dense))
    for n_rows in (7, 1000):
        with pytest.raises(CountsError) as caught:
            list(CheckedCells(source, PANEL).chunks(n_rows))
        (finding,) = caught.value.findings
        assert finding.code == "COUNTS_NOT_NORMALISED"
        assert finding.found.startswith(f"cell 'cell-{row}' (row {row + 1} of 600)")


@pytest.mark.parametrize("row", [0, 7, 19])
def test_a_cell_of_stored_zeros_is_an_empty_cell(counts: sp.csr_matrix, row: int) -> None:
    logged = made.log1p_norm(counts[:20])
    logged.data[logged.indptr[row] : logged.indptr[row + 1]] = 0
    assert codes(cells(logged)) == ["CELL_EMPTY"]


def test_what_is_asked_for_is_held_to(counts: sp.csr_matrix) -> None:
    logged = made.log1p_norm(counts)
    assert codes(cells(logged)) == codes(cells(logged), "log1p") == ["COUNTS_NORMALISED"]
    assert codes(cells(logged), "counts") == ["COUNTS_NOT_WHOLE"]
    assert codes(cells(counts)) == codes(cells(counts), "counts") == []
    assert codes(cells(counts), "log1p") == ["COUNTS_NOT_NORMALISED"]
    assert codes(cells(logged[:, :1200]), "log1p") == ["COUNTS_NOT_NORMALISED"]
    assert codes(cells(logged[:, :1200])) == ["COUNTS_NOT_WHOLE"]
    with pytest.raises(ParameterError, match="log1p with recover_counts"):
        ReadingOptions(input="log1p", recover_counts=True)
    with pytest.raises(ParameterError, match="auto, counts or log1p"):
        ReadingOptions(input="tpm")  # type: ignore[arg-type]


def test_library_sizes_and_their_floor(counts: sp.csr_matrix) -> None:
    logged = made.log1p_norm(counts)
    assert codes(cells(logged, total=2000.0), library_size="total") == ["LIBRARY_SIZE_INVALID"]
    assert codes(cells(logged), library_size=np.full(600, 1.0)) == ["LIBRARY_SIZE_INVALID"]
    # A file that was cut to variable genes before normalising sums to 10,000 too.
    few = made.log1p_norm(counts[:, :800])
    assert codes(cells(few), n_genes_trained=2000) == ["LIBRARY_SIZE_NEEDED"]
    with pytest.raises(InputError, match="normalised over all of them") as caught:
        CheckedCells(cells(few), PANEL, n_genes_trained=2000)
    assert "--library-size" not in str(caught.value)
    # All totals are 10,000, whatever the depth.
    assert codes(cells(logged), library_range=(1.0, 2.0)) == ["COUNTS_NORMALISED"]


def test_empty_cells_and_other_problems_come_together(counts: sp.csr_matrix) -> None:
    logged = made.log1p_norm(counts)
    logged = sp.csr_matrix(sp.vstack([logged[:9], sp.csr_matrix((1, len(GENES))), logged[10:]]))
    assert codes(cells(logged)) == ["CELL_EMPTY"]
    source = cells(logged)
    source.obs.index = ["same", "same", *source.obs.index[2:]]
    assert codes(source) == ["CELL_ID_DUPLICATE", "CELL_EMPTY"]


def test_values_without_the_steps_of_counts_get_a_warning(counts: sp.csr_matrix) -> None:
    lengths = np.random.default_rng(0).uniform(0.3, 5, len(GENES))
    tpm = made.log1p_norm(sp.csr_matrix(counts.multiply(1 / lengths)))
    checked = CheckedCells(cells(tpm), PANEL)
    (note,) = checked.notes
    assert (note.code, note.severity) == ("COUNTS_NORMALISED", "warning")
    assert "TPM or corrected" in note.remedy
    # Where depth is wanted counts are recovered, and where it is needed these values are refused.
    for depth in ("wanted", "needed"):
        assert genes_of(cells(made.log1p_norm(counts)), depth=depth).notes[0].code == "COUNTS_RECOVERED"
    (note,) = genes_of(cells(tpm), depth="wanted").notes
    assert "no thinning" in note.remedy
    assert codes(cells(tpm), to_train=True) == ["COUNTS_NOT_WHOLE"]


@pytest.mark.parametrize("over_all", [True, False])
def test_antibodies_may_have_been_normalised_with_the_genes_or_apart(counts: sp.csr_matrix, over_all: bool) -> None:
    antibodies = sp.csr_matrix(np.random.default_rng(1).poisson(30, (600, 10)).astype(np.float32))
    if over_all:
        X = made.log1p_norm(sp.csr_matrix(sp.hstack([counts, antibodies])))
    else:
        X = sp.csr_matrix(sp.hstack([made.log1p_norm(counts), made.on_values(antibodies, lambda v: np.log(v) - 2)]))
    var = pd.DataFrame(index=[*GENES, *(f"CD{number}:AB" for number in range(10))])
    checked = CheckedCells(cells_from_anndata(ad.AnnData(X, var=var)), PANEL)
    assert {note.code for note in checked.notes} == {"COUNTS_NORMALISED", "FEATURES_DROPPED"}
    found, expected = checked.load(), CheckedCells(cells(counts), PANEL).load()
    np.testing.assert_allclose(
        found.counts.toarray() / found.library_size[:, None],
        expected.counts.toarray() / expected.library_size[:, None],
        rtol=1e-5,
    )


def test_counts_are_told_by_three_cells(counts: sp.csr_matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take = MemoryCells.take
    monkeypatch.setattr(MemoryCells, "take", lambda self, rows: taken.append(len(rows)) or take(self, rows))
    assert genes_of(cells(counts)).n_obs == 600
    assert taken[0] == 3
    assert max(taken) < 50


def test_reports_without_a_model(counts: sp.csr_matrix) -> None:
    adata = ad.AnnData(made.log1p_norm(counts), var=pd.DataFrame(index=GENES))
    report = check_anndata(adata)
    assert report.valid
    assert "CELLS_LIKE_DOUBLETS" not in report.codes
    assert set(report.codes) == {"COUNTS_NORMALISED", "GENES_SUBSET"}
    assert not any("--library-size" in finding.remedy for finding in report.findings)
    assert check_anndata(adata, input="counts").codes[0] == "COUNTS_NOT_WHOLE"
    assert "COUNTS_NOT_WHOLE" in check_anndata(adata, profile="publish").codes
