"""The gene of a panel that each name of an input means, where it is not the panel's own name for it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from .gene_tables import (
    ALIAS,
    ENSEMBL,
    ENTREZ,
    PREVIOUS,
    SYMBOL,
    Organism,
    load_gene_table,
)
from .mangled_gene_names import ensembl_id, genome_prefix, loose_keys, without_x
from .name_list import NameList
from .resolve_gene_names import DATE, NO_WAY, SPELLING, WAYS, ResolvedNames, resolve_gene_names

_ORDER = {ENSEMBL: 0, ENTREZ: 0, SYMBOL: 0, SPELLING: 1, PREVIOUS: 2, DATE: 3, ALIAS: 4}
"""The better way wins when two names stand for one gene."""
_SUMMED = (ENSEMBL, ENTREZ, SYMBOL, PREVIOUS)
"""Ways by which several names may mean one gene: several ids of one symbol, genes that were merged since."""


class AmbiguousName(NamedTuple):
    """A name that was left out. `symbols`: what it may mean. `columns`: those of the panel's genes among them."""

    name: str
    symbols: tuple[str, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True)
class MappedGenes:
    """`columns`: int32 [names], the panel's column of each name, -1 for none; an exact match keeps its own.

    `mapped`: input name, panel symbol and way (a value of `WAYS`) of each name that was not the panel's. `ambiguous`:
    names that may mean a panel gene, otherwise missing, or another; they are left out. `lost`: names that no table
    knows, also left out. A panel gene that the input has under the panel's own name takes no other.
    """

    columns: np.ndarray
    mapped: tuple[tuple[str, str, str], ...] = ()
    ambiguous: tuple[AmbiguousName, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def ways(self) -> dict[str, int]:
        """How many names were mapped in each way, the most frequent first."""
        return dict(Counter(way for _, _, way in self.mapped).most_common())


@dataclass(frozen=True, eq=False)
class PanelNames:
    """`symbols`: [panel genes], unique. `gene_ids`: their Ensembl ids, None where unknown. Equal to itself alone."""

    symbols: Sequence[str]
    gene_ids: Sequence[str | None] | None = None
    organism: Organism | None = None

    @cached_property
    def index(self) -> pd.Index:
        return pd.Index(list(self.symbols), dtype=object)

    def columns_of(self, names: np.ndarray) -> np.ndarray:
        """The column of each name, int32 [names], -1 for one that is not the panel's."""
        return self.index.get_indexer(pd.Index(np.asarray(names, dtype=object))).astype(np.int32)

    @cached_property
    def gene(self) -> dict[int, int]:
        """Panel column of each gene of the organism's table; of a gene under two names, under its current one."""
        if self.organism is None:
            return {}
        table = load_gene_table(self.organism)
        gene = resolve_gene_names(NameList(np.array(self.symbols, dtype=object)), self.organism).gene
        if self.gene_ids is not None:
            ids = NameList(np.array([text if isinstance(text, str) else "" for text in self.gene_ids], dtype=object))
            of_id = resolve_gene_names(ids, self.organism).gene
            gene = np.where(of_id >= 0, of_id, gene)
        columns: dict[int, list[int]] = {}
        for column, number in enumerate(gene.tolist()):
            if number >= 0:
                columns.setdefault(number, []).append(column)
        # Old data may hold a gene under two names; where neither is its current one, none is for sure.
        chosen = {
            number: found if len(found) == 1 else [column for column in found if self.symbols[column] == current]
            for (number, found), current in zip(columns.items(), table.symbols[list(columns)], strict=True)
        }
        return {number: found[0] for number, found in chosen.items() if len(found) == 1}


def map_gene_names(names: np.ndarray | NameList, panel: PanelNames, columns: np.ndarray) -> MappedGenes:
    """The panel genes that an input has under other names.

    `names`: [input genes], none or the empty string for an unknown one. `columns`: int32 [input genes], what is known
    already, -1 for names that are not the panel's; never changed. Ids of the panel come first, then the organism's
    table, then spelling alone (case, dots for dashes, a genome's prefix) for names that the table does not know.
    """
    listed = names if isinstance(names, NameList) else NameList(names)
    measured = np.zeros(len(panel.symbols), dtype=bool)
    measured[columns[columns >= 0]] = True
    if measured.all() or len(columns) == 0:
        return MappedGenes(columns)
    free = columns < 0
    resolved = resolve_gene_names(listed, panel.organism) if panel.organism else None
    choices: list[tuple[int, int, int]] = []  # name, panel column, way
    ambiguous: dict[int, AmbiguousName] = {}
    known = np.zeros(len(columns), dtype=bool)
    if resolved is not None:
        known = resolved.way != NO_WAY
        target = _columns_of_genes(panel, resolved.gene)
        rows = np.flatnonzero(free & (target >= 0))
        rows = rows[~measured[target[rows]]]
        choices += zip(rows.tolist(), target[rows].tolist(), resolved.way[rows].tolist(), strict=True)
        ambiguous = _ambiguous(listed.names, panel, resolved, free)
    choices += [
        (row, column, way)
        for row, column, way in _by_panel_alone(listed.names, panel, np.flatnonzero(free & ~known))
        if not measured[column]
    ]
    chosen, doubtful = best_choices(choices)
    name = listed.names
    ambiguous |= {row: AmbiguousName(str(name[row]), (panel.symbols[column],), (column,)) for row, column in doubtful}
    result = columns.copy()
    for row, column, _ in chosen:
        result[row] = column
        measured[column] = True
    return MappedGenes(
        result,
        tuple((str(name[row]), panel.symbols[column], WAYS[way]) for row, column, way in sorted(chosen)),
        tuple(doubt for _, doubt in sorted(ambiguous.items()) if not measured[list(doubt.columns)].all()),
        tuple(map(str, name[free & ~known & (result < 0)])) if panel.organism else (),
    )


def _columns_of_genes(panel: PanelNames, gene: np.ndarray) -> np.ndarray:
    """The panel's column of each gene number, int32, -1 for one outside the panel."""
    lookup = np.full(int(max([*panel.gene, *gene.tolist(), 0])) + 1, -1, dtype=np.int32)
    lookup[list(panel.gene)] = list(panel.gene.values())
    return np.asarray(np.where(gene >= 0, lookup[np.maximum(gene, 0)], np.int32(-1)))


def _ambiguous(
    names: np.ndarray, panel: PanelNames, resolved: ResolvedNames, free: np.ndarray
) -> dict[int, AmbiguousName]:
    """Names that may mean a gene of the panel or another, by their row."""
    assert panel.organism is not None  # noqa: S101
    table = load_gene_table(panel.organism)
    found = {row: list(genes) for row, genes in resolved.candidates.items() if free[row]}
    # Names with several genes in the table; most names have one.
    several = free & (resolved.place >= 0)
    several &= np.diff(table.starts)[np.maximum(resolved.place, 0)] > 1
    for row in np.flatnonzero(several).tolist():
        candidates = table.candidates(int(resolved.place[row]))
        best = candidates[0][1]
        # Beside the symbol of a gene outside the panel, a previous symbol of one inside is a serious doubt.
        is_other = best == SYMBOL and resolved.gene[row] not in panel.gene
        serious = [gene for gene, kind in candidates if kind == best or (is_other and kind == PREVIOUS)]
        if len(serious) > 1:
            found[row] = serious
    doubts = {}
    for row, genes in found.items():
        if columns := tuple(panel.gene[gene] for gene in genes if gene in panel.gene):
            doubts[row] = AmbiguousName(str(names[row]), tuple(map(str, table.symbols[genes])), columns)
    return doubts


def _by_panel_alone(names: np.ndarray, panel: PanelNames, rows: np.ndarray) -> list[tuple[int, int, int]]:
    """Names that no table knows: by the panel's own ids, and by its symbols in another spelling."""
    if len(rows) == 0:
        return []
    split = [genome_prefix(str(names[row]).strip()) for row in rows]
    fitting = [panel.organism is None or of in (None, panel.organism) for of, _ in split]
    rows, bare = rows[fitting], [name for (_, name), fits in zip(split, fitting, strict=True) if fits]
    found: list[tuple[int, int, int]] = []
    if panel.gene_ids is not None:
        own = {_bare_id(text): column for column, text in enumerate(panel.gene_ids) if isinstance(text, str)}
        found += [
            (int(row), own[_bare_id(name)], ENSEMBL)
            for row, name in zip(rows, bare, strict=True)
            if _bare_id(name) in own
        ]
    keys = pd.Index(loose_keys([_bare_id(symbol) for symbol in panel.symbols]), dtype=object)
    columns = np.flatnonzero(~keys.duplicated(keep=False))
    index = keys[columns]
    spelled = index.get_indexer(pd.Index(loose_keys([_bare_id(name) for name in bare]), dtype=object))
    with_x = index.get_indexer(pd.Index(loose_keys([without_x(name) or name for name in bare]), dtype=object))
    spelled = np.where(spelled >= 0, spelled, with_x)
    taken = {row for row, _, _ in found}
    found += [
        (int(row), int(columns[place]), SPELLING)
        for row, place in zip(rows, spelled, strict=True)
        if place >= 0 and int(row) not in taken
    ]
    return found


def _bare_id(name: str) -> str:
    found = ensembl_id(name)
    return found[0] if found else name


def best_choices(choices: list[tuple[int, int, int]]) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
    """The names for each panel gene by the best way: all of them or, where only one can be right, none."""
    by_column: dict[int, list[tuple[int, int, int]]] = {}
    for choice in choices:
        by_column.setdefault(choice[1], []).append(choice)
    chosen, doubtful = [], []
    for found in by_column.values():
        order = min(_ORDER[way] for _, _, way in found)
        best = [choice for choice in found if _ORDER[choice[2]] == order]
        if len(best) == 1 or all(way in _SUMMED for _, _, way in best):
            chosen += best
        else:
            doubtful += [(row, column) for row, column, _ in best]
    return chosen, doubtful
