"""The gene of an organism that each name stands for: by symbol, id, previous symbol, alias, or corrected spelling."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .gene_tables import (
    ALIAS,
    AMBIGUOUS,
    ENSEMBL,
    ENTREZ,
    PREVIOUS,
    SYMBOL,
    UNKNOWN,
    GeneTable,
    Organism,
    load_gene_table,
)
from .mangled_gene_names import (
    copied_from,
    dated_symbols,
    ensembl_id,
    genome_prefix,
    loose_keys,
    without_x,
)
from .name_list import NameList

SPELLING, DATE, COPY = 5, 6, 7
WAYS = {
    SYMBOL: "current symbol",
    ENSEMBL: "Ensembl id",
    ENTREZ: "Entrez id",
    PREVIOUS: "previous symbol",
    ALIAS: "alias",
    SPELLING: "spelling",
    DATE: "date",
    COPY: "number after a name that is there too",
}
"""How a name led to its gene. The first five are the kinds of `gene_tables`."""
NO_WAY = 255
LEAST_KNOWN_NUMBERS = 0.8
ROW_NUMBERS_END = 50_000
MISSING = ("NA", "NaN", "nan", "None", "<NA>")
"""What R and pandas write for a missing name, though `NA` was once XK's symbol."""


@dataclass(frozen=True)
class ResolvedNames:
    """`gene`: int32 [names], number in the organism's table, `UNKNOWN` or `AMBIGUOUS`. `way`: uint8 [names], a key of
    `WAYS`, or `NO_WAY` for a name that is unknown. `place`: int64 [names], the name's place in the table, or below 0.
    `candidates`: of each ambiguous name that is not in the table as it is, the genes that it may stand for.
    """

    gene: np.ndarray
    way: np.ndarray
    place: np.ndarray
    candidates: dict[int, tuple[int, ...]]


def current_symbols(names: NameList, organism: Organism) -> np.ndarray:
    """Object [names]: the current symbol of each name that stands for one gene, others as they are."""
    gene = resolve_gene_names(names, organism).gene
    return np.asarray(np.where(gene >= 0, load_gene_table(organism).symbols[gene], names.names))


@lru_cache(maxsize=8)
def resolve_gene_names(names: NameList, organism: Organism) -> ResolvedNames:
    """What each name stands for in an organism. Remembered for the last lists of names.

    A name in its own spelling is looked up first, then without a genome's prefix or an Ensembl version, then without
    regard to case and punctuation, then as a date. A name numbered by `make.unique` is never resolved: whether
    `CD4.1` is a second copy of the gene or a protein of that name, the name does not say.
    """
    table = load_gene_table(organism)
    given = names.names
    n_names = len(given)
    gene, way = np.full(n_names, UNKNOWN, dtype=np.int32), np.full(n_names, NO_WAY, dtype=np.uint8)
    place = table.find(given)
    candidates: dict[int, tuple[int, ...]] = {}
    place[(place >= 0) & _forbidden_numbers(given, place, table)] = UNKNOWN
    is_missing = np.isin(given, MISSING)
    place[is_missing] = UNKNOWN
    _take(table, np.flatnonzero(place >= 0), place, gene, way)

    bare = _without_additions(given, np.flatnonzero((place < 0) & ~is_missing), organism)
    changed = np.array([number for number, name in bare.items() if name != given[number]], dtype=np.int64)
    if len(changed):
        place[changed] = table.find([bare[number] for number in changed])
        _take(table, changed[place[changed] >= 0], place, gene, way, spelled=True)
    left = {number: name for number, name in bare.items() if place[number] < 0}
    _find_loosely(table, left, place, gene, way, candidates)
    with_x = {number: name for number in left if (name := without_x(left[number])) and place[number] == UNKNOWN}
    _find_loosely(table, with_x, place, gene, way, candidates)

    left = {number: name for number, name in left.items() if place[number] == UNKNOWN}
    for number, name in left.items():
        if (dated := dated_symbols(name)) and (genes := _official(organism, dated)):
            gene[number], way[number] = genes[0] if len(genes) == 1 else AMBIGUOUS, DATE
            if len(genes) > 1:
                candidates[number] = genes
    numbered = {number: base for number, name in left.items() if way[number] == NO_WAY and (base := copied_from(name))}
    there = set(given) if numbered else set()
    numbered = {number: base for number, base in numbered.items() if base in there}
    for number, found in zip(numbered, table.find(list(numbered.values())).tolist(), strict=True):
        if found >= 0 and table.gene[found] >= 0:
            gene[number], way[number] = AMBIGUOUS, COPY
            candidates[number] = (int(table.gene[found]),)
    return ResolvedNames(gene, way, place, candidates)


def _without_additions(given: np.ndarray, rows: np.ndarray, organism: Organism) -> dict[int, str]:
    """The names of some rows without a genome's prefix or an Ensembl version; those of another genome are left out."""
    bare = {}
    for number in rows.tolist():
        of, name = genome_prefix(given[number].strip())
        if of in (None, organism):
            found = ensembl_id(name)
            bare[number] = found[0] if found else name
    return bare


def row_numbers(numbers: np.ndarray, n_known: int) -> bool:
    """Whether whole numbers are rather the numbers of rows than Entrez ids. `n_known`: those that are ids of genes.

    The lowest ids are nearly all taken, so row numbers would find a gene each, and the wrong one.
    """
    if len(numbers) == 0:
        return False
    return n_known < LEAST_KNOWN_NUMBERS * len(numbers) or bool(np.mean(numbers > ROW_NUMBERS_END) < 0.1)


def _forbidden_numbers(given: np.ndarray, place: np.ndarray, table: GeneTable) -> np.ndarray:
    """Bool [names]: Entrez ids in a list whose numbers do not look like Entrez ids."""
    is_id: np.ndarray = (place >= 0) & (table.kind[place] == ENTREZ)
    if not is_id.any():
        return is_id
    # Eighteen digits are enough to tell, and fit into int64.
    numbers = np.array([int(name[:18]) for name in given if name.isascii() and name.isdigit()])
    return is_id & row_numbers(numbers, int(is_id.sum()))


def _take(
    table: GeneTable, rows: np.ndarray, place: np.ndarray, gene: np.ndarray, way: np.ndarray, *, spelled: bool = False
) -> None:
    """Note what the table says of the names in `rows`. `spelled`: a symbol was found only by correcting the name."""
    gene[rows] = table.gene[place[rows]]
    kinds = table.kind[place[rows]]
    way[rows] = np.where(kinds == SYMBOL, np.uint8(SPELLING), kinds) if spelled else kinds


def _find_loosely(
    table: GeneTable,
    names: dict[int, str],
    place: np.ndarray,
    gene: np.ndarray,
    way: np.ndarray,
    candidates: dict[int, tuple[int, ...]],
) -> None:
    """Look names up by `loose_keys` and note what is found. `names`: by row."""
    if not names:
        return
    rows, keys = np.array(list(names), dtype=np.int64), loose_keys(list(names.values()))
    place[rows] = table.find_loosely(keys)
    _take(table, rows[place[rows] >= 0], place, gene, way, spelled=True)
    unsure = np.flatnonzero(place[rows] == AMBIGUOUS)
    gene[rows[unsure]], way[rows[unsure]] = AMBIGUOUS, SPELLING
    candidates |= {int(rows[number]): table.alike(keys[number]) for number in unsure}


@lru_cache(maxsize=1024)
def _official(organism: Organism, symbols: tuple[str, ...]) -> tuple[int, ...]:
    """The genes of which any of the symbols is the current or a previous one."""
    table = load_gene_table(organism)
    places = [int(place) for place in table.find(symbols) if place >= 0]
    genes = [gene for place in places for gene, kind in table.candidates(place) if kind in (SYMBOL, PREVIOUS)]
    return tuple(dict.fromkeys(genes))
