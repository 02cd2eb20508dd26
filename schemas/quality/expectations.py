"""Great Expectations, run on the two small tables of an input. The only module that imports it, and only when asked.

The import takes 3 to 19 s, so it waits for the first run. Then both suites, 26 expectations together, cost 140 ms of
CPU for 700 cells, 140 for 5,000 and 165 for 50,000 (`benchmarks/quality.py`; more on a busy machine): a price per
expectation, little per cell. Worth it once per file, so neither per request nor per gene; the matrix itself is
checked by NumPy in `schemas/checks/check_counts.py`.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import BundleError
from ..manifest.expectations_format import REMEDY, WHERE, Suite, parse_expectations
from .data_docs import site_config, site_folder
from .quality_page import write_pages
from .quality_report import (
    NotMeasured,
    QualityCheck,
    QualityReport,
    TableName,
    expected_in_words,
    observed_in_words,
)
from .quality_suites import OPTIONAL_COLUMNS, make_expectations

__all__ = ["make_expectations", "run_expectations"]

NUMBER = "cellmark_number"
"""Key under which an expectation carries its place in the suite: results come back in another order."""
OF_DEPTH: dict[TableName, frozenset[str]] = {
    "cells": frozenset({"total_counts"}),
    "sample": frozenset({"whole_numbers"}),
}
"""Columns that cannot be measured of normalised cells."""
RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}
"""Percentages, but no values of single cells."""

# Threads that share Great Expectations' context get wrong verdicts without an exception, and up to 1.23 contexts of
# their own do not help, because the current one is a global of the process. One run at a time is always right.
_ONE_AT_A_TIME = threading.Lock()


def run_expectations(
    expectations: dict[str, Any],
    cell_table: pd.DataFrame,
    sample_table: pd.DataFrame,
    *,
    data_docs: Path | None = None,
    normalised: bool = False,
) -> QualityReport:
    """Compare an input's tables (see `quality_table.py`) with what training data led to expect.

    `expectations`: the content of `expectations.json`, as `make_expectations` returns it. A column of the cell table
    that an input may be unable to measure (`OPTIONAL_COLUMNS`) and does not have is listed as not measured; any other
    missing column fails its expectations. `normalised`: nobody knows the depth of the cells, so `OF_DEPTH` is listed
    too, whatever the tables say. Safe to call from several threads, one of which runs at a time.

    `data_docs`: a folder to write HTML pages to, which must not exist or be empty; start at its `index.html`, which is
    ours and links to Great Expectations' own (`quality_page.py`). The pages hold no values of single cells.

    Raises `BundleError` for expectations that are damaged or of an unknown format, `OutputError` for a folder that
    holds files already or cannot be written.
    """
    parsed = parse_expectations(expectations)
    tables: dict[TableName, pd.DataFrame] = {"cells": cell_table, "sample": sample_table}
    suites: dict[TableName, Suite] = {"cells": parsed.suites.cells, "sample": parsed.suites.sample}
    not_measured = [
        *(NotMeasured("cells", column, "training") for column in parsed.not_measured.cells),
        *(NotMeasured("sample", column, "training") for column in parsed.not_measured.sample),
    ]
    known = {"cells": parsed.not_measured.cells, "sample": parsed.not_measured.sample}
    lacks = {"cells": OPTIONAL_COLUMNS - set(cell_table.columns), "sample": frozenset[str]()}
    for name in tables:
        for column in sorted(lacks[name].union(OF_DEPTH[name] if normalised else ()) - set(known[name])):
            not_measured.append(NotMeasured(name, column, "input"))
            left = [entry for entry in suites[name].expectations if entry.kwargs.column != column]
            suites[name] = suites[name].model_copy(update={"expectations": left})

    checks: list[QualityCheck] = []
    with site_folder(data_docs) as site, _great_expectations(site) as (gx, context):
        source = context.data_sources.add_pandas("input")
        for name, suite in suites.items():
            results = _validate(gx, context, source, name, suite, tables[name])
            checks += [_to_check(name, suite, number, results[number], tables[name]) for number in range(len(results))]
        report = QualityReport(parsed.name, tuple(checks), tuple(not_measured))
        if site is not None:
            context.build_data_docs(site_names=["quality"])
            write_pages(site, report)
    return report


def import_ahead() -> None:
    """Begin with the import, in a thread, where it will be needed at the end of other work."""
    if "great_expectations" not in sys.modules:
        threading.Thread(target=_import_quietly, name="cellmark-expectations", daemon=True).start()


def _import_quietly() -> None:
    # What goes wrong here is said by the import that somebody waits for.
    with suppress(Exception), _ONE_AT_A_TIME:
        _import()


def _import() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read at import by versions that report usage
    try:
        import great_expectations as gx
    except SystemExit:
        # It looks for Spark, and pyspark 4 without grpc ends a process whose main module is no file (`python -c`).
        with _without_spark():
            import great_expectations as gx
    return gx


@contextmanager
def _without_spark() -> Iterator[None]:
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "pyspark"}
    sys.modules["pyspark"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["pyspark"]
        sys.modules.update(hidden)


@contextmanager
def _great_expectations(site: Path | None) -> Iterator[tuple[Any, Any]]:
    """The package and a context of our own, in memory; a context that the caller works with is put back."""
    with _ONE_AT_A_TIME:
        gx = _import()
        from great_expectations.data_context.data_context.context_factory import project_manager
        from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults
        from great_expectations.exceptions.exceptions import DataContextRequiredError

        config = DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(),
            progress_bars={"globally": False, "metric_calculations": False},
            analytics_enabled=False,
            data_docs_sites={} if site is None else {"quality": site_config(site)},
        )
        try:
            before = project_manager._project  # no public way to ask in the versions that we allow
        except DataContextRequiredError:
            before = None
        try:
            yield gx, gx.get_context(mode="ephemeral", project_config=config)
        finally:
            project_manager.set_project(before)


def _validate(gx: Any, context: Any, source: Any, name: TableName, suite: Suite, table: pd.DataFrame) -> dict[int, Any]:
    """Results by the expectation's number in the suite."""
    wanted = [
        {
            "type": entry.type,
            "kwargs": entry.arguments,
            "notes": entry.notes,
            "severity": entry.severity,
            "meta": {NUMBER: number},
        }
        for number, entry in enumerate(suite.expectations)
    ]
    built = gx.ExpectationSuite(name=suite.name, expectations=wanted)
    if len(built.expectations) != len(wanted):  # those that it does not understand are logged and left out
        raise BundleError.of(
            "BUNDLE_CONTENT_INVALID",
            where=f"{WHERE}: suites.{name}",
            expected=f"{len(wanted)} expectations that great_expectations {gx.__version__} understands",
            found=f"{len(built.expectations)} that it does",
            remedy=REMEDY,
        )
    data = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
    definition = gx.ValidationDefinition(name=suite.name, data=data, suite=context.suites.add(built))
    validation = context.validation_definitions.add(definition)
    outcome = validation.run(batch_parameters={"dataframe": table}, result_format=RESULT_FORMAT)
    return {result.expectation_config.meta[NUMBER]: result for result in outcome.results}


def _to_check(name: TableName, suite: Suite, number: int, result: Any, table: pd.DataFrame) -> QualityCheck:
    wanted = suite.expectations[number]
    details = result.result or {}
    percent = details.get("unexpected_percent")
    return QualityCheck(
        table=name,
        column=wanted.kwargs.column,
        type=wanted.type,
        success=bool(result.success),
        expected=expected_in_words(wanted.type, wanted.arguments),
        observed=observed_in_words(wanted.type, wanted.kwargs.column, details, table),
        unexpected_percent=None if percent is None else float(percent),
        note=wanted.notes or "",
    )
