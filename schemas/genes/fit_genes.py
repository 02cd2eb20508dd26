"""How the genes of an input fit a panel: by their names, by another column of `var`, by the names of all genes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from ..cells.cell_source import CellSource
from ..errors import Finding
from .declared_organism import declared_organism
from .gene_findings import ambiguous_note, column_note, mapped_note, organism_finding
from .gene_ids import UNKNOWN, detect_listed_names
from .gene_panel import GeneMatch, GenePanel
from .gene_tables import ORGANISMS
from .map_gene_names import MappedGenes, map_gene_names
from .name_list import NameList, names_of
from .orthologs import CrossSpecies, Orthologs, cross_species_note
from .resolve_gene_names import current_symbols

ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "ensembl_gene_id", "ensembl", "feature_id", "entrez_id", "entrez")
SYMBOL_COLUMNS = (
    "feature_name",
    "gene_symbols",
    "gene_symbol",
    "gene_name",
    "gene_names",
    "gene_short_name",
    "symbol",
    "symbols",
    "hgnc_symbol",
    "mgi_symbol",
    "gene",
)
"""Columns of `var`, in lower case, in which files keep what is not in `var_names`."""
VAR_NAMES = "var_names"
NAMED_OTHERWISE = 0.1
"""Share of the panel's names below which an input names its genes in another way, such as by Ensembl ids."""


@dataclass(frozen=True)
class GeneFit:
    """`match`: which panel gene each gene of the input is. `symbols`: object [input genes], the input's names, as
    current symbols where they had to be mapped. `findings`: notes on names that were mapped, or the error of an input
    of another organism. `across`: where genes were named by their orthologs.
    """

    match: GeneMatch
    symbols: np.ndarray
    findings: tuple[Finding, ...] = ()
    across: CrossSpecies | None = None

    @property
    def refused(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)


def fit_genes(panel: GenePanel, source: CellSource, *, orthologs: Orthologs | None = None) -> GeneFit:
    """Where each gene of an input goes, and what there is to say of it.

    The panel's own names are taken as they are, and when all are there, no table is looked at. Otherwise, in this
    order and for genes of the panel that are still missing: the panel's own names in another column of `var`; other
    names of genes in `var_names`, then in those columns. A panel that is `as_named` takes other names only from an
    input that has next to none of its own (`NAMED_OTHERWISE`). `orthologs`: for cells of another organism, which are
    refused without; cells of the model's own are as without.
    """
    names = names_of(source)
    match = _exact(PanelItself(panel), names)
    declared = declared_organism(source.uns, source.obs) if source.annotated else None
    if not match.missing or source.n_vars == 0:
        found = organism_finding(panel.known_organism, None, declared, VAR_NAMES) if declared else None
        return GeneFit(match, source.var_names, (found,) if found else ())
    lists = ((VAR_NAMES, names), *other_names(source.var))
    seen = [detect_listed_names(listed) for _, listed in lists]
    # Names that nobody knows (row numbers, say) would only be mapped by luck when another column has known ones.
    first = next((number for number, names in enumerate(seen) if names.organism != UNKNOWN), 0)
    if orthologs is not None and (across := _across(panel, lists[first], seen[first].organism, declared, orthologs)):
        return across
    if found := organism_finding(panel.organism_of_names, seen[first], declared, lists[first][0]):
        return GeneFit(match, source.var_names, (found,))
    if panel.as_named and match.share >= NAMED_OTHERWISE:
        return GeneFit(match, source.var_names)
    return _mapped(PanelItself(panel), names, lists[first:])


def _across(
    panel: GenePanel,
    named: tuple[str, NameList],
    seen: str,
    declared: tuple[str, str] | None,
    orthologs: Orthologs,
) -> GeneFit | None:
    """The fit of genes named by their orthologs, None for cells that are of the model's organism or of none there.

    `named`: names and where they stand; `seen`: the organism that they tell; `declared`: as in `organism_finding`.
    """
    model, (where, listed) = panel.organism_of_names, named
    told = [name for name in (seen, declared[0] if declared else None) if name in orthologs.names and name != model]
    if model not in orthologs.names or not told:
        return None
    cells = str(told[0])
    translated = NameList(orthologs.named(listed, cells=cells, model=str(model)))
    columns = map_gene_names(translated, panel.names, panel.columns_of(translated.names)).columns
    match = panel.match_columns(columns)
    facts = CrossSpecies(cells, str(model), int((translated.names != "").sum()), orthologs.source)
    known = next((name for name in ORGANISMS if name == cells), None)
    symbols = listed.names if known is None else current_symbols(listed, known)
    lost = f"{len(match.missing):,} of the model's {len(panel):,} genes"
    if panel.evidence is not None:
        lost += f" ({1 - panel.evidence.mass(match.measured):.1%} of the attribution mass)"
    return GeneFit(match, symbols, (cross_species_note(facts, lost, where),), facts)


class PanelItself:
    """A panel as a key of what is remembered: equal to itself alone, since panels of the same symbols may differ in
    their ids and organism.
    """

    def __init__(self, panel: GenePanel) -> None:
        self.panel = panel

    def __hash__(self) -> int:
        return id(self.panel)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PanelItself) and self.panel is other.panel


@lru_cache(maxsize=8)
def _exact(itself: PanelItself, names: NameList) -> GeneMatch:
    """By the panel's own names. Remembered for the last inputs."""
    return itself.panel.match(names.names)


@lru_cache(maxsize=8)
def _mapped(itself: PanelItself, var_names: NameList, lists: tuple[tuple[str, NameList], ...]) -> GeneFit:
    """By all other names. Remembered for the last inputs.

    `lists`: names of the genes to map, each with where they stand; the first that say something lead.
    """
    panel = itself.panel.names
    columns = panel.columns_of(var_names.names)
    findings = []
    for where, listed in lists:
        exact = panel.columns_of(listed.names)
        new = (columns < 0) & (exact >= 0) & ~np.isin(exact, columns)
        if new.any():
            columns = np.where(new, exact, columns)
            findings.append(column_note(where, len(np.unique(exact[new]))))
    results: dict[str, MappedGenes] = {}
    for where, listed in lists:
        results[where] = map_gene_names(listed, panel, columns)
        columns = results[where].columns
    findings += [mapped_note(where, result) for where, result in results.items() if result.mapped]
    there = set(columns.tolist())
    for where, result in results.items():
        # What one column leaves open, a later one may have settled.
        if left := tuple(doubt for doubt in result.ambiguous if not there.issuperset(doubt.columns)):
            findings.append(ambiguous_note(where, left))
    symbols = current_symbols(lists[0][1], panel.organism) if panel.organism else var_names.names
    return GeneFit(itself.panel.match_columns(columns), symbols, tuple(findings))


def other_names(var: pd.DataFrame) -> Iterator[tuple[str, NameList]]:
    """The columns of `var` that hold names of genes, symbols first, each with what to call it in a message."""
    by_name = {str(column).lower(): column for column in reversed(var.columns)}
    for name in (*SYMBOL_COLUMNS, *ID_COLUMNS):
        if name in by_name:
            values = var[by_name[name]].astype(object)
            yield f"var[{by_name[name]!r}]", NameList(values.where(values.notna(), "").astype(str).to_numpy())
