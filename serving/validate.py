"""All findings of an input at once: what would be refused, and what is unlike the training data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells import CellSource
from cellmark.schemas.checked_cells import ROWS_TO_REFUSE, CheckedCells
from cellmark.schemas.errors import Finding, InputError
from cellmark.schemas.panel_evidence import check_attribution_share
from cellmark.schemas.quality_report import QualityReport

from .open_apart import open_source
from .quality import QualityWatch


@dataclass(frozen=True)
class ValidationReport:
    """`findings`: errors first, then warnings and notes. `quality`: of the Great Expectations suites, None for an input
    that would be refused.
    """

    n_cells: int | None
    n_genes: int | None
    findings: tuple[Finding, ...]
    quality: QualityReport | None

    @property
    def valid(self) -> bool:
        """Whether the input would be annotated."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        return {
            "valid": self.valid,
            "n_cells": self.n_cells,
            "n_genes": self.n_genes,
            "findings": [finding.to_dict() for finding in self.findings],
            "quality": self.quality.to_dict() if self.quality is not None else None,
        }

    def summary(self, name: str) -> str:
        """One line for people."""
        if not self.valid:
            n_errors = sum(finding.severity == "error" for finding in self.findings)
            return f"{name} would be refused: {n_errors} error{'s' if n_errors > 1 else ''}."
        assert self.quality is not None  # noqa: S101
        n_checks, n_failed = len(self.quality.checks), len(self.quality.failed)
        met = "all met" if n_failed == 0 else f"{n_failed} not met (warnings)"
        cells = "1 cell" if self.n_cells == 1 else f"{self.n_cells} cells"
        return f"{name}: {cells} x {self.n_genes} genes can be used; {n_checks} expectations, {met}."


def validate_path(
    bundle: Bundle,
    path: Path,
    *,
    layer: str | None = None,
    library_size: str | None = None,
    genes_by_cells: bool = False,
    recover_counts: bool = False,
    min_panel_share: float | None = None,
    min_attribution_share: float | None = None,
    data_docs: Path | None = None,
    trusted: bool = False,
) -> ValidationReport:
    """Everything there is to say of a file. Raises nothing for what is wrong with it: that is in the findings.

    `trusted`: read it in this process (see `open_apart`).
    """
    reading = {"layer": layer, "genes_by_cells": genes_by_cells, "recover_counts": recover_counts}
    try:
        with open_source(path, reading, trusted=trusted) as source:
            return validate_cells(
                bundle, source, library_size=library_size, min_panel_share=min_panel_share,
                min_attribution_share=min_attribution_share, data_docs=data_docs,
            )  # fmt: skip
    except InputError as error:
        return ValidationReport(None, None, error.findings, None)


def validate_cells(
    bundle: Bundle,
    source: CellSource,
    *,
    library_size: str | np.ndarray | None = None,
    min_panel_share: float | None = None,
    min_attribution_share: float | None = None,
    data_docs: Path | None = None,
) -> ValidationReport:
    """Everything there is to say of cells. `library_size`, `data_docs`: as in `CheckedCells` and `run_expectations`.

    `min_panel_share`, `min_attribution_share`: floors in place of the model's own.
    """
    check_attribution_share(min_attribution_share, bundle.panel.evidence)
    try:
        checked = CheckedCells(
            source,
            bundle.panel,
            library_size=library_size,
            n_genes_trained=bundle.manifest.n_genes_measured,
            min_share=bundle.manifest.panel.min_share if min_panel_share is None else min_panel_share,
            min_mass=min_attribution_share,
        )
        watch = QualityWatch(checked)
        for chunk in source.chunks(ROWS_TO_REFUSE):
            prepared = checked.prepare(chunk)
            checked.record(prepared)
            watch.see(chunk, prepared)
        checked.finish()
    except InputError as error:
        return ValidationReport(source.n_obs, source.n_vars, (*error.findings, *source.notes), None)
    quality = watch.compare(bundle, data_docs=data_docs)
    findings = (*quality.to_findings(), *checked.notes)
    return ValidationReport(source.n_obs, source.n_vars, findings, quality)
