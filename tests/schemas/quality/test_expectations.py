"""The suites as Great Expectations itself runs them."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.errors import BundleError, OutputError
from cellmark.schemas.quality.expectations import make_expectations, run_expectations
from cellmark.schemas.quality.quality_report import NotMeasured, QualityReport
from cellmark.schemas.quality.quality_table import QualityAccumulator, find_mitochondrial, sample_quality

Tables = tuple[pd.DataFrame, pd.DataFrame]
BETWEEN = "expect_column_values_to_be_between"
MEDIAN = "expect_column_median_to_be_between"
NOT_NULL = "expect_column_values_to_not_be_null"

CROSS = 'class="fas fa-times'


def cells(n_cells: int = 400, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "cell_id": [f"ACGT-{number}" for number in range(n_cells)],
            "total_counts": rng.lognormal(8, 0.3, n_cells).round(),
            "genes_detected": rng.integers(700, 2000, n_cells),
            "panel_fraction": rng.beta(50, 20, n_cells),
            "mitochondrial_fraction": rng.beta(20, 400, n_cells),
        }
    )


def sample(**changes: Any) -> pd.DataFrame:
    row = {"n_cells": 400, "n_genes": 2_000, "panel_overlap": 1.0, "whole_numbers": True, "finite": True}
    return sample_quality(**(row | changes))


@pytest.fixture(scope="module")
def expectations() -> dict[str, Any]:
    return make_expectations(cells(2_000), sample(n_cells=2_000), name="pbmc")


def failed(report: QualityReport) -> set[tuple[str, str]]:
    return {(check.where, check.type) for check in report.failed}


def test_importing_the_module_and_making_expectations_loads_no_great_expectations() -> None:
    code = (
        "import sys, pandas as pd\n"
        "from cellmark.schemas.quality.expectations import make_expectations\n"
        "from cellmark.schemas.quality.quality_table import CELL_COLUMNS, sample_quality\n"
        "cells = pd.DataFrame([['a', 9, 3, 0.5]], columns=CELL_COLUMNS[:4])\n"
        "row = sample_quality(n_cells=1, n_genes=9, panel_overlap=1., whole_numbers=True, finite=True)\n"
        "make_expectations(cells, row, name='x')\n"
        "assert 'great_expectations' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_training_cells_meet_their_own_expectations(expectations: dict[str, Any]) -> None:
    report = run_expectations(expectations, cells(2_000), sample(n_cells=2_000))
    assert report.success, failed(report)
    assert report.not_measured == ()
    assert len(report.checks) == sum(len(suite["expectations"]) for suite in expectations["suites"].values())


def test_suites_are_what_great_expectations_writes_itself(expectations: dict[str, Any]) -> None:
    import great_expectations as gx

    for suite in expectations["suites"].values():
        written = gx.ExpectationSuite(name=suite["name"], expectations=suite["expectations"]).to_json_dict()
        assert written["name"] == suite["name"]
        assert written["expectations"] == suite["expectations"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda table: table.assign(total_counts=table["total_counts"] / 10),
         {("cells.total_counts", BETWEEN), ("cells.total_counts", MEDIAN)}),
        (lambda table: table.assign(mitochondrial_fraction=2 * table["mitochondrial_fraction"]),
         {("cells.mitochondrial_fraction", BETWEEN), ("cells.mitochondrial_fraction", MEDIAN)}),
        (lambda table: table.assign(panel_fraction=table["panel_fraction"] / 4),
         {("cells.panel_fraction", BETWEEN), ("cells.panel_fraction", MEDIAN)}),
        (lambda table: table.assign(genes_detected=np.nan),
         {("cells.genes_detected", NOT_NULL), ("cells.genes_detected", MEDIAN)}),
        (lambda table: table.assign(panel_fraction=[np.nan, *table["panel_fraction"][1:]]),
         {("cells.panel_fraction", NOT_NULL)}),
        (lambda table: table.assign(cell_id="the same"), {("cells.cell_id", "expect_column_values_to_be_unique")}),
        (lambda table: table.assign(cell_id=None), {("cells.cell_id", NOT_NULL)}),
        (lambda table: table.drop(columns="total_counts"),
         {("cells.total_counts", BETWEEN), ("cells.total_counts", MEDIAN), ("cells.total_counts", NOT_NULL)}),
    ],
)  # fmt: skip
def test_each_fault_of_cells_fails_its_own_expectations(
    expectations: dict[str, Any], change: Callable[[pd.DataFrame], pd.DataFrame], expected: set[tuple[str, str]]
) -> None:
    report = run_expectations(expectations, change(cells(seed=1)), sample())
    assert failed(report) == expected
    assert {finding.code for finding in report.to_findings()} == {"QUALITY_UNEXPECTED"}


@pytest.mark.parametrize(
    ("column", "value"),
    [("panel_overlap", 0.79), ("whole_numbers", False), ("finite", False), ("n_genes", 999), ("n_cells", 0)],
)
def test_each_fault_of_a_sample_fails_its_own_expectation(
    expectations: dict[str, Any], column: str, value: float
) -> None:
    report = run_expectations(expectations, cells(seed=1), sample(**{column: value}))
    assert {check.where for check in report.failed} == {f"sample.{column}"}


def test_a_null_in_the_sample_fails(expectations: dict[str, Any]) -> None:
    report = run_expectations(expectations, cells(seed=1), sample(panel_overlap=np.nan))
    assert failed(report) == {("sample.panel_overlap", NOT_NULL)}


def test_empty_tables_fail(expectations: dict[str, Any]) -> None:
    report = run_expectations(expectations, cells().iloc[:0], sample().iloc[:0])
    assert {("cells", "expect_table_row_count_to_be_between"), ("sample", "expect_table_row_count_to_equal")} <= failed(
        report
    )


def test_the_share_outside_is_what_numpy_counts(expectations: dict[str, Any]) -> None:
    table = cells(seed=2).assign(total_counts=lambda frame: frame["total_counts"] * 3)
    report = run_expectations(expectations, table, sample())
    (check,) = [check for check in report.checks if (check.where, check.type) == ("cells.total_counts", BETWEEN)]
    (wanted,) = [
        entry["kwargs"]
        for entry in expectations["suites"]["cells"]["expectations"]
        if (entry["kwargs"].get("column"), entry["type"]) == ("total_counts", BETWEEN)
    ]
    values = table["total_counts"].to_numpy()
    outside = 100 * np.mean((values < wanted["min_value"]) | (values > wanted["max_value"]))
    assert check.unexpected_percent == pytest.approx(outside)
    assert 0 < outside < 100
    assert check.success == (outside <= 10)


def test_what_the_input_cannot_measure_is_listed_and_not_expected(expectations: dict[str, Any]) -> None:
    report = run_expectations(expectations, cells(seed=1).drop(columns="mitochondrial_fraction"), sample())
    assert report.success
    assert report.not_measured == (NotMeasured("cells", "mitochondrial_fraction", "input"),)
    assert "cells.mitochondrial_fraction" not in {check.where for check in report.checks}


def test_what_training_could_not_measure_is_listed_and_not_expected() -> None:
    training = cells(2_000).drop(columns="mitochondrial_fraction")
    report = run_expectations(make_expectations(training, sample(), name="pbmc"), cells(seed=1), sample())
    assert report.success
    assert report.not_measured == (NotMeasured("cells", "mitochondrial_fraction", "training"),)


def test_the_tables_and_the_expectations_are_left_as_they_were(expectations: dict[str, Any]) -> None:
    table, row = cells(seed=1), sample()
    run_expectations(expectations, table, row)
    pd.testing.assert_frame_equal(table, cells(seed=1))
    pd.testing.assert_frame_equal(row, sample())
    assert expectations == make_expectations(cells(2_000), sample(n_cells=2_000), name="pbmc")


def test_threads_with_tables_of_their_own_get_their_own_verdicts(expectations: dict[str, Any]) -> None:
    kinds: list[tuple[pd.DataFrame, pd.DataFrame, set[str]]] = [
        (cells(seed=1), sample(), set()),
        (cells(seed=2).assign(total_counts=1.0), sample(), {"cells.total_counts"}),
        (cells(seed=3).assign(mitochondrial_fraction=0.9), sample(), {"cells.mitochondrial_fraction"}),
        (cells(seed=4), sample(whole_numbers=False), {"sample.whole_numbers"}),
        (cells(n_cells=50, seed=5), sample(panel_overlap=0.1), {"sample.panel_overlap"}),
        (cells(seed=6).assign(genes_detected=1), sample(finite=False), {"cells.genes_detected", "sample.finite"}),
        (cells(seed=7).assign(cell_id="x"), sample(), {"cells.cell_id"}),
        (cells(seed=8).assign(panel_fraction=0.0), sample(n_genes=1), {"cells.panel_fraction", "sample.n_genes"}),
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)  # without the lock, errors are then the rule
    try:
        with ThreadPoolExecutor(max_workers=8) as pool:
            reports = list(pool.map(lambda kind: run_expectations(expectations, kind[0], kind[1]), kinds * 4))
    finally:
        sys.setswitchinterval(interval)
    for report, (_, _, expected) in zip(reports, kinds * 4, strict=True):
        assert {check.where for check in report.failed} == expected


def test_threads_that_write_pages_write_their_own(expectations: dict[str, Any], tmp_path: Path) -> None:
    def write(number: int) -> bool:
        table = cells(seed=number).assign(total_counts=1.0) if number % 2 else cells(seed=number)
        run_expectations(expectations, table, sample(), data_docs=tmp_path / str(number))
        (page,) = (tmp_path / str(number) / "validations" / "pbmc-cells").rglob("*.html")
        return CROSS in page.read_text()  # the cross of an expectation that is not met

    with ThreadPoolExecutor(max_workers=4) as pool:
        assert list(pool.map(write, range(6))) == [False, True] * 3


def test_a_context_of_the_caller_stays_the_current_one(expectations: dict[str, Any]) -> None:
    import great_expectations as gx
    from great_expectations.data_context.data_context.context_factory import project_manager

    own = gx.get_context(mode="ephemeral")
    run_expectations(expectations, cells(seed=1), sample())
    assert project_manager.get_current_project() is own


def test_nothing_is_left_on_disk_and_nothing_is_printed(
    expectations: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_expectations(expectations, cells(seed=1), sample())
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_data_docs_name_the_suites_and_what_failed(expectations: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "quality"
    table = cells(seed=1).assign(total_counts=1.0)
    report = run_expectations(expectations, table, sample(), data_docs=folder)
    assert not report.success
    index = (folder / "index.html").read_text()
    assert "pbmc-cells" in index
    assert "pbmc-sample" in index
    (page,) = (folder / "validations" / "pbmc-cells").rglob("*.html")
    text = page.read_text()
    assert "total_counts" in text
    assert CROSS in text  # the cross of an expectation that is not met
    assert not any(cell_id in text for cell_id in table["cell_id"])
    assert [path.name for path in folder.parent.iterdir()] == ["quality"]


def test_data_docs_never_mix_with_files_that_are_there(expectations: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError) as caught:
        run_expectations(expectations, cells(), sample(), data_docs=tmp_path)
    assert caught.value.code == "OUTPUT_EXISTS"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_expectation_that_great_expectations_does_not_know_is_refused(expectations: dict[str, Any]) -> None:
    suites = expectations["suites"]
    unknown = {"type": "expect_column_values_to_be_lucky", "kwargs": {"column": "cell_id"}}
    changed = {**suites, "cells": {**suites["cells"], "expectations": [*suites["cells"]["expectations"], unknown]}}
    with pytest.raises(BundleError) as caught:
        run_expectations({**expectations, "suites": changed}, cells(), sample())
    assert caught.value.code == "BUNDLE_CONTENT_INVALID"


# real cells


def tables_of(adata: ad.AnnData, *, panel: np.ndarray, thin: float | None = None) -> Tables:
    """Both tables of real cells, in chunks; `thin`: share of the molecules that is kept, each by chance."""
    X = sp.csr_matrix(adata.X)
    if thin is not None:
        X = X.copy()
        X.data = np.random.default_rng(0).binomial(X.data.astype(np.int64), thin).astype(np.float32)
    collected = QualityAccumulator(
        panel_columns=adata.var_names.isin(panel),
        mitochondrial_columns=find_mitochondrial(adata.var_names.to_numpy()),
        panel_overlap=float(np.isin(panel, adata.var_names).mean()),
    )
    for start in range(0, adata.n_obs, 1_000):
        chunk = X[start : start + 1_000]
        ids = adata.obs_names[start : start + 1_000].to_numpy()
        collected.add(chunk, cell_ids=ids, library_size=np.asarray(chunk.sum(axis=1)).ravel())
    return collected.cells(), collected.sample()


@pytest.fixture(scope="module")
def real(shared_data: Path) -> tuple[dict[str, Any], ad.AnnData, ad.AnnData, np.ndarray]:
    """Expectations of one half of pbmc3k, its other half, sorted cells of another study, the panel."""
    pbmc = ad.read_h5ad(shared_data / "pbmc3k.h5ad")
    training, rest = pbmc[::2], pbmc[1::2]
    panel = training.var_names[np.argsort(-np.asarray(training.X.mean(axis=0)).ravel())[:2_000]].to_numpy()
    made = make_expectations(*tables_of(training, panel=panel), name="pbmc3k")
    return made, rest, ad.read_h5ad(shared_data / "pbmc_facs.h5ad"), panel


def test_other_cells_of_the_same_and_of_another_study_meet_the_expectations(
    real: tuple[dict[str, Any], ad.AnnData, ad.AnnData, np.ndarray],
) -> None:
    made, rest, facs, panel = real
    for adata in (rest, facs):
        report = run_expectations(made, *tables_of(adata, panel=panel))
        assert report.success, failed(report)


def test_a_tenth_of_the_depth_fails_depth_and_genes(
    real: tuple[dict[str, Any], ad.AnnData, ad.AnnData, np.ndarray],
) -> None:
    made, rest, _, panel = real
    report = run_expectations(made, *tables_of(rest, panel=panel, thin=0.1))
    assert {check.where for check in report.failed} == {"cells.total_counts", "cells.genes_detected"}


def test_twice_the_mitochondrial_fraction_fails_it_alone(
    real: tuple[dict[str, Any], ad.AnnData, ad.AnnData, np.ndarray],
) -> None:
    made, rest, _, panel = real
    table, row = tables_of(rest, panel=panel)
    report = run_expectations(made, table.assign(mitochondrial_fraction=2 * table["mitochondrial_fraction"]), row)
    assert {check.where for check in report.failed} == {"cells.mitochondrial_fraction"}


def test_pancreas_without_mitochondrial_genes_is_told_as_not_measured(
    real: tuple[dict[str, Any], ad.AnnData, ad.AnnData, np.ndarray], shared_data: Path
) -> None:
    made, _, _, panel = real
    report = run_expectations(made, *tables_of(ad.read_h5ad(shared_data / "pancreas_baron_human.h5ad"), panel=panel))
    assert report.not_measured == (NotMeasured("cells", "mitochondrial_fraction", "input"),)
    assert not report.success


def test_a_pyspark_that_ends_the_process_at_import_does_not_end_ours(tmp_path: Path) -> None:
    """As pyspark 4 does without grpc, where the main module is no file."""
    package = tmp_path / "pyspark" / "sql"
    package.mkdir(parents=True)
    (tmp_path / "pyspark" / "__init__.py").touch()
    (package / "__init__.py").write_text("import sys\nsys.exit(0)\n")
    program = "from cellmark.schemas.quality.expectations import _import; print(_import().__name__)"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == "great_expectations\n", ran.stderr
