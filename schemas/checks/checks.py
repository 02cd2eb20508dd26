"""One report of everything that is to be said of an input, in three profiles.

`query`: cells to annotate. `train`: labelled cells to learn from. `publish`: a reference that others should use.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from ..cells.anndata_facts import AnndataFacts, facts_of_anndata
from ..cells.cell_source import CellSource
from ..cells.read_anndata import RAW, cells_from_anndata, in_memory
from ..cells.reading_options import InputKind
from ..errors import Finding, InputError, ParameterError, Severity
from .check_labelled import BY_DEFAULT, TrainingLabels, own_panel, without_consequences
from .check_matrix import MatrixWatch
from .check_published import published_findings
from .check_split import SplitOptions
from .checked_cells import ROWS_TO_REFUSE, CheckedCells
from .log1p_input import genes_of
from .orientation import transposed_findings
from .unknown_share import check_unknown_share
from .whole_findings import IdenticalCells

if TYPE_CHECKING:
    from anndata import AnnData

Profile = Literal["query", "train", "publish"]
PROFILES: tuple[Profile, ...] = ("query", "train", "publish")
GRAVITY: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}
PASSED: dict[Profile, str] = {
    "query": "pass what can be checked without a model",
    "train": "can be trained on",
    "publish": "keep the rules of the schema that need no ontology",
}


@dataclass(frozen=True)
class CheckReport:
    """`n_cells`, `n_genes`: None for an input that cannot be read. `findings`: errors, then warnings, then notes."""

    n_cells: int | None
    n_genes: int | None
    findings: tuple[Finding, ...]
    profile: Profile = "query"

    @property
    def valid(self) -> bool:
        """Whether there is no error."""
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the findings, in their order."""
        return tuple(finding.code for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        return {
            "profile": self.profile,
            "valid": self.valid,
            "n_cells": self.n_cells,
            "n_genes": self.n_genes,
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def summary(self, name: str) -> str:
        """One line for people."""
        counted = [
            f"{number} {word}{'s' if number > 1 else ''}"
            for word in ("error", "warning")
            if (number := sum(finding.severity == word for finding in self.findings))
        ]
        if not self.valid:
            return f"{name} would be refused: {', '.join(counted)}."
        cells = "1 cell" if self.n_cells == 1 else f"{self.n_cells} cells"
        return f"{name}: {cells} x {self.n_genes} genes {PASSED[self.profile]}; {', '.join(counted) or 'no warnings'}."


def require_profile(name: str) -> None:
    """Raise `ParameterError` for a profile that there is none of."""
    if name not in PROFILES:
        raise ParameterError.not_a_choice("profile", choices="query, train or publish", found=repr(name))


def gravest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, errors before warnings before notes, otherwise in their order."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: GRAVITY[finding.severity]))


def check_anndata(
    adata: "AnnData",
    *,
    profile: Profile = "query",
    layer: str | None = None,
    label: str | None = None,
    donor: str | None = None,
    library_size: str | None = None,
    input: InputKind = "auto",  # noqa: A002
    min_cells: int = 10,
    split: SplitOptions = BY_DEFAULT,
    max_unknown_share: float | None = None,
) -> CheckReport:
    """Report on an AnnData, which stays as it is; raises nothing for what is wrong with its cells.

    Parameters
    ----------
    adata
        The cells to look at.
    profile
        `query` for cells to annotate, `train` for labelled ones, `publish` for CELLxGENE's schema.
    layer
        Where the counts are, `raw` for `adata.raw`; by default `X`, and for `publish` `raw` where there is one.
    label
        Column of cell types, `cell_type` by default for `train`; labels of a `publish` are looked at when it is given.
    donor
        Column whose donors are to be held out.
    library_size
        Column of library sizes; by default they are summed over the input's genes.
    input
        What the values are: `counts`, `log1p` for ln(1 + counts per 10,000), `auto` to see.
    min_cells
        Cells that a type needs.
    split
        How training will divide the cells.
    max_unknown_share
        Share of all counts that may be of names which no human or mouse gene table has, by default 0.25.

    Raises
    ------
    ParameterError
        For another profile.
    """
    require_profile(profile)
    try:
        facts = facts_of_anndata(adata) if profile == "publish" else None
        if facts is not None and facts.has_raw and layer is None:
            layer = RAW
        source = cells_from_anndata(adata, layer=layer)
    except InputError as error:
        labels = TrainingLabels(in_memory(adata.obs), label or "cell_type", donor, min_cells, split)
        told = labels.findings() if profile == "train" else ()
        return CheckReport(None, None, gravest_first((*error.findings, *told)), profile)
    return check_cells(
        source,
        profile=profile,
        label=label,
        donor=donor,
        library_size=library_size,
        input=input,
        min_cells=min_cells,
        split=split,
        max_unknown_share=max_unknown_share,
        facts=facts,
        var=in_memory(adata.var),
    )


def check_cells(
    source: CellSource,
    *,
    profile: Profile = "query",
    label: str | None = None,
    donor: str | None = None,
    library_size: str | None = None,
    input: InputKind = "auto",  # noqa: A002
    min_cells: int = 10,
    split: SplitOptions = BY_DEFAULT,
    max_unknown_share: float | None = None,
    facts: AnndataFacts | None = None,
    var: pd.DataFrame | None = None,
) -> CheckReport:
    """Everything that is to be said of cells without a model; raises nothing for what is wrong with them.

    `label`: the column of cell types, `cell_type` by default for `train`; labels of a `publish` are looked at when it
    is given. `donor`: a column, whose donors are to be held out. `min_cells`: cells that a type needs. `split`: how
    training will divide the cells. `facts`, `var`: for `publish`, what the AnnData has beside its cells, and its genes
    where they are not those of `source`. Raises `ParameterError` for another profile, and for a `publish` without
    `facts`.
    """
    require_profile(profile)
    check_unknown_share(max_unknown_share)
    if profile == "publish" and facts is None:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="facts",
            expected="what a published AnnData has beside its cells",
            found="nothing",
            remedy="Use check_anndata, or facts_of_h5ad.",
        )
    found: list[Finding] = []
    labels = TrainingLabels(source.obs, label or "cell_type", donor, min_cells, split)
    if profile == "train" or (profile == "publish" and label is not None):
        found += labels.findings() if profile == "train" else labels.column_findings
    given = source
    try:
        # What is published has its counts.
        kind: InputKind = "counts" if profile == "publish" else input
        source = genes_of(source, kind, depth="wanted" if profile == "train" else "unneeded")
    except InputError as error:
        return CheckReport(source.n_obs, source.n_vars, gravest_first((*found, *error.findings)), profile)
    matrix = MatrixWatch(source, normalised=source.normalised)
    turned = transposed_findings(source)
    sizes: list[np.ndarray] = []
    try:
        checked = CheckedCells(
            source,
            own_panel(source),
            library_size=library_size,
            min_share=0.0,
            to_train=profile == "train",
            input="counts",  # or what was made of it
            max_unknown_share=max_unknown_share,
        )
        for chunk in checked.source.chunks(ROWS_TO_REFUSE):
            prepared = checked.prepare(chunk)
            checked.record(prepared)
            if prepared.cells is not None:
                matrix.see(chunk)
                sizes.append(prepared.cells.library_size)
        checked.finish()
        found += [*checked.notes, *matrix.findings(summed=library_size is None)]
        if profile == "train" and not turned:
            found += labels.panel_findings(checked.source, np.concatenate(sizes))
    except InputError as error:
        found += [*without_consequences(error.findings, turned), *source.notes]
    found += [finding for finding in turned if finding.code not in {there.code for there in found}]
    if profile == "publish" and facts is not None:
        found += _published(given, facts, given.var if var is None else var)
    return CheckReport(source.n_obs, source.n_vars, gravest_first(found), profile)


def _published(source: CellSource, facts: AnndataFacts, var: pd.DataFrame) -> list[Finding]:
    """What the schema asks for beside counts and ids; the values are read once more, whatever was wrong with them."""
    watch, n_values = IdenticalCells(), 0
    with suppress(InputError):  # whoever read them first reported it
        for chunk in source.chunks(ROWS_TO_REFUSE):
            watch.see(chunk)
            n_values += chunk.X.nnz
    size = source.n_obs * source.n_vars
    zeros = 1 - n_values / size if n_values and size else None
    return [
        *published_findings(source.obs, var, source.var_names, facts, share_of_zeros=zeros),
        *watch.findings(source),
    ]
