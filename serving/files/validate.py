"""All findings of an input at once: what would be refused, and what is unlike the training data."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read_anndata import RAW
from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions
from cellmark.schemas.checks.check_labelled import BY_DEFAULT
from cellmark.schemas.checks.check_matrix import MatrixWatch
from cellmark.schemas.checks.check_split import SplitOptions
from cellmark.schemas.checks.checked_cells import ROWS_TO_REFUSE
from cellmark.schemas.checks.checks import CheckReport, Profile, check_cells, gravest_first
from cellmark.schemas.errors import InputError, ParameterError
from cellmark.schemas.genes.symbol_column import named_by
from cellmark.schemas.quality.quality_report import QualityReport

from ..reader.open_apart import describe_h5ad, open_source
from ..scoring.as_source import fit_input
from ..scoring.call_options import NO_FLOORS, Floors
from ..scoring.quality import QualityWatch

ALIKE = 0.9
"""Share of the genes that training measured from which on sums over an input's genes compare with training's."""


@dataclass(frozen=True)
class ValidationReport(CheckReport):
    """`quality`: of the Great Expectations suites, None for an input that would be refused."""

    quality: QualityReport | None = None

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "quality": self.quality.to_dict() if self.quality is not None else None}

    def summary(self, name: str) -> str:
        """One line for people."""
        if not self.valid or self.quality is None:
            return super().summary(name)
        n_checks, n_failed = len(self.quality.checks), len(self.quality.failed)
        met = "all met" if n_failed == 0 else f"{n_failed} not met (warnings)"
        if not self.quality.knows_training:
            met += "; the model's training cells are not known, so single cells are not compared with them"
        cells = "1 cell" if self.n_cells == 1 else f"{self.n_cells} cells"
        return f"{name}: {cells} x {self.n_genes} genes can be used; {n_checks} expectations, {met}."


def validate_path(
    bundle: Bundle,
    path: Path,
    reading: ReadingOptions = AS_IT_IS,
    *,
    floors: Floors = NO_FLOORS,
    data_docs: Path | None = None,
    trusted: bool = False,
) -> ValidationReport:
    """Everything there is to say of a file. Raises nothing for what is wrong with it: that is in the findings.

    `trusted`: read it in this process (see `open_apart`).
    """
    try:
        with open_source(path, reading, trusted=trusted) as source:
            return validate_cells(bundle, source, reading.once_open(), floors=floors, data_docs=data_docs)
    except InputError as error:
        return ValidationReport(None, None, error.findings)


def validate_cells(
    bundle: Bundle,
    source: CellSource,
    reading: ReadingOptions = AS_IT_IS,
    *,
    floors: Floors = NO_FLOORS,
    data_docs: Path | None = None,
) -> ValidationReport:
    """Everything there is to say of opened cells. `floors`: in place of the model's own; `data_docs`: as in
    `run_expectations`.
    """
    try:
        checked = fit_input(bundle, source, reading, floors=floors)
        watch = QualityWatch(checked)
        matrix = MatrixWatch(checked.source, checked.genes.symbols, normalised=checked.normalised)
        for chunk in checked.source.chunks(ROWS_TO_REFUSE):
            prepared = checked.prepare(chunk)
            checked.record(prepared)
            watch.see(chunk, prepared)
            if prepared.cells is not None:
                matrix.see(chunk)
        checked.finish()
    except InputError as error:
        return ValidationReport(source.n_obs, source.n_vars, gravest_first((*error.findings, *source.notes)))
    quality = watch.compare(bundle, data_docs=data_docs)
    summed = reading.library_size is None and checked.source.n_vars < ALIKE * bundle.manifest.n_genes_measured
    findings = gravest_first((*quality.to_findings(), *checked.notes, *matrix.findings(summed=summed)))
    return ValidationReport(source.n_obs, checked.source.n_vars, findings, quality=quality)


def check_path(
    path: Path,
    reading: ReadingOptions = AS_IT_IS,
    *,
    profile: Profile = "query",
    label: str | None = None,
    donor: str | None = None,
    min_cells: int = 10,
    split: SplitOptions = BY_DEFAULT,
    max_unknown_share: float | None = None,
    trusted: bool = False,
) -> CheckReport:
    """Everything there is to say of a file without a model; arguments as in `check_cells` and `validate_path`.

    Raises `ParameterError` for a `publish` of anything but an `.h5ad`, which is what the field publishes.
    """
    if profile == "publish" and path.suffix.lower() != ".h5ad":
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="profile",
            expected="an .h5ad for publish",
            found=path.name,
            remedy="Write one first: adata.write_h5ad(...).",
        )
    wanted: dict[str, Any] = {
        "profile": profile,
        "label": label,
        "donor": donor,
        "min_cells": min_cells,
        "split": split,
        "library_size": reading.library_size,
        "input": reading.input,
        "max_unknown_share": max_unknown_share,
    }
    try:
        with ExitStack() as opened:
            source = opened.enter_context(open_source(path, reading, trusted=trusted))
            if profile != "publish":
                return check_cells(named_by(source, reading.symbol_column), **wanted)
            facts = describe_h5ad(path, source)
            var = source.var
            if facts.has_raw and reading.layer is None:
                source = opened.enter_context(open_source(path, replace(reading, layer=RAW), trusted=trusted))
            return check_cells(source, **wanted, facts=facts, var=var)
    except InputError as error:
        return CheckReport(None, None, gravest_first(error.findings), profile)
