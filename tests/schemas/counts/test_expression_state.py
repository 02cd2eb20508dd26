"""The state detector on drawn cells in every state, and its measure on real ones."""

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.checks import counts_elsewhere
from cellmark.schemas.checks.check_counts import check_counts
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.checks.counts_elsewhere import look_at
from cellmark.schemas.counts.count_steps import find_steps
from cellmark.schemas.counts.expression_kinds import ExpressionState
from cellmark.schemas.counts.expression_state import detect_state
from cellmark.schemas.counts.sample_cells import sample_cells
from cellmark.schemas.errors import InputError
from cellmark.schemas.genes.gene_panel import GenePanel
from cellmark.schemas.normalization import row_sums
from fixtures import expression_cases as made


@pytest.fixture(scope="module")
def drawn() -> sp.csr_matrix:
    """Counts of 300 cells of unequal depth, 2,500 genes."""
    generator = np.random.default_rng(1)
    rates = generator.gamma(0.4, 2, 2500) * generator.lognormal(0, 0.4, (300, 1))
    X = sp.csr_matrix(generator.poisson(rates).astype(np.float32))
    return X[:, np.flatnonzero(X.getnnz(axis=0))]


@pytest.fixture(autouse=True)
def each_state_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same values are judged once, by a test and by the gate that it asks: that is most of the time they take."""
    known: dict[tuple[bytes, bytes], ExpressionState] = {}

    def detect(X: sp.csr_matrix) -> ExpressionState:
        key = X.data.tobytes(), X.indices.tobytes()
        if key not in known:
            known[key] = detect_state(X)
        return known[key]

    monkeypatch.setattr(counts_elsewhere, "detect_state", detect)


def state_at_the_gate(X: sp.csr_matrix) -> tuple[ExpressionState, bool, list[str]]:
    """What the gate takes the values for, whether it lets them pass, and the codes of all it says."""
    source = cells_from_anndata(ad.AnnData(X))
    problems = check_counts(source.X, source.cell_ids, row_sums(source.X))
    sample = source.take(sample_cells(source.n_obs, source.n_vars))
    looks = look_at(source, sample, offenders=np.array(problems.offenders), n_wrong=problems.n_cells_changed)
    checked = CheckedCells(source, GenePanel(tuple(source.var_names)))
    try:
        checked.load()
    except InputError as error:
        return looks.state, False, [finding.code for finding in error.findings]
    return looks.state, True, [note.code for note in checked.notes]


def is_right(case: Any, counts: sp.csr_matrix, state: ExpressionState) -> bool:
    found = state.part or state
    wanted = float(np.median(made.totals(counts))) if case.per == "median" else case.per
    if wanted == "any":
        per = True
    elif isinstance(wanted, float):
        per = found.per is not None and abs(found.per / wanted - 1) < 1e-3
    else:
        per = found.per is None
    return state.name in case.states and per and found.transform == case.transform


def is_silent(case: Any, passes: bool, codes: list[str]) -> bool:
    """Whether values that are no counts pass without a word, or counts are taken for something else."""
    if case.states == ("counts",):
        return any(code in codes for code in ("COUNTS_NOT_RAW", "COUNTS_NOT_WHOLE", "COUNTS_ONE_DEPTH"))
    if (case.states, case.per, case.transform) == (("transformed_counts_per",), 1e4, "ln"):
        return "COUNTS_NORMALISED" not in codes  # used as it is, and said
    return passes and "COUNTS_ONE_DEPTH" not in codes


@pytest.mark.parametrize("case", made.CASES, ids=lambda case: case.name)
def test_every_state_of_drawn_cells_is_told(case: Any, drawn: sp.csr_matrix) -> None:
    values = case.make(drawn, np.random.default_rng(0))
    state, passes, codes = state_at_the_gate(values)
    assert is_right(case, drawn, state), state
    assert not is_silent(case, passes, codes)


@pytest.mark.slow
@pytest.mark.parametrize("which", made.SLICES, ids=lambda which: f"{which[0]}-{which[2]}")
def test_states_of_real_cells_are_told(which: tuple[str, str, str], shared_data: Path) -> None:
    counts = made.take_slice(shared_data, which)
    wrong = []
    for case in made.CASES:
        state, passes, codes = state_at_the_gate(case.make(counts, np.random.default_rng(0)))
        assert not is_silent(case, passes, codes), (case.name, state, codes)
        if not is_right(case, counts, state):
            wrong.append((case.name, state.name, state.text))
    assert wrong == []


def test_the_state_says_what_total_and_what_logarithm(drawn: sp.csr_matrix) -> None:
    assert detect_state(made.log1p_norm(drawn)).text == "ln(1 + counts per 10,000)"
    assert detect_state(made.on_values(made.counts_per(drawn, 1e6), np.log2)).name != "counts"
    log2 = made.on_values(made.counts_per(drawn, 1e6), lambda data: np.log2(data + 1))
    assert detect_state(log2).text == "log2(1 + counts per 1,000,000)"
    twice = made.on_values(made.log1p_norm(drawn), np.log1p)
    assert detect_state(twice).text == "ln(1 + ln(1 + counts per 10,000)), the logarithm taken twice"


def test_the_cell_of_median_total_is_no_raw_one(drawn: sp.csr_matrix) -> None:
    state = detect_state(made.counts_per(drawn[:151], None))
    assert (state.name, state.per) == ("counts_per", pytest.approx(np.median(made.totals(drawn[:151])), rel=1e-3))


def test_shares_that_add_up_to_one_are_counts_per_one(drawn: sp.csr_matrix) -> None:
    state = detect_state(made.counts_per(drawn, 1.0))
    assert (state.name, state.per) == ("counts_per", 1.0)


def test_values_written_with_three_digits_are_still_told(drawn: sp.csr_matrix) -> None:
    state = detect_state(made.on_values(made.log1p_norm(drawn), lambda data: data.round(3)))
    assert (state.name, state.per, state.transform) == ("transformed_counts_per", 1e4, "ln")


def test_counts_downsampled_to_one_total_are_counts() -> None:
    generator = np.random.default_rng(0)
    rates = generator.gamma(0.4, 2, 2500)
    X = sp.csr_matrix(generator.multinomial(3000, rates / rates.sum(), 200).astype(np.float32))
    assert detect_state(X).name == "counts"


def test_detection_leaves_the_matrix_alone_and_takes_any_kind_of_numbers(drawn: sp.csr_matrix) -> None:
    values = made.log1p_norm(drawn)
    values.data[:3] = [np.nan, np.inf, 0]
    before = values.copy()
    assert detect_state(values).name == "transformed_counts_per"
    np.testing.assert_array_equal(values.data, before.data)
    for dtype in (np.int64, np.uint16, np.float64):
        assert detect_state(drawn.astype(dtype)).name == "counts"


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (3, 4)])
def test_nothing_is_said_of_nothing(shape: tuple[int, int]) -> None:
    assert detect_state(sp.csr_matrix(shape, dtype=np.float32)).name == "unknown"


@pytest.mark.parametrize("n_cells", [1, 2, 5, 9])
def test_a_few_cells_are_never_refused_for_how_their_genes_vary(n_cells: int, drawn: sp.csr_matrix) -> None:
    assert detect_state(drawn[:n_cells]).name == "counts"
    assert detect_state(made.log1p_norm(drawn)[:n_cells]).text == "ln(1 + counts per 10,000)"


def test_the_sample_covers_all_cells_and_is_the_same_each_time() -> None:
    rows = sample_cells(10_000, 2_000)
    np.testing.assert_array_equal(rows, sample_cells(10_000, 2_000))
    assert len(np.unique(rows)) == len(rows)
    assert rows.min() < 200
    assert rows.max() > 9_800
    assert len(sample_cells(10_000, 20_000)) <= 256
    assert sample_cells(7, 20_000).tolist() == list(range(7))
    assert not rows.flags.writeable  # it is handed out again


def test_steps_do_not_depend_on_the_order_of_genes(drawn: sp.csr_matrix) -> None:
    X = made.log1p_norm(drawn[:20])
    values = np.expm1(X.data.astype(np.float64))
    order = np.lexsort((np.random.default_rng(0).random(X.nnz), np.repeat(np.arange(20), np.diff(X.indptr))))
    one, other = find_steps(values, X.indptr), find_steps(values[order], X.indptr)
    np.testing.assert_allclose(one.step, other.step, rtol=1e-12)
    np.testing.assert_array_equal(one.n_telling, other.n_telling)
    np.testing.assert_array_equal(one.n_close, other.n_close)
