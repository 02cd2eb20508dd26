"""Training genes under ids, with a genome's prefix or with R's punctuation get their symbols, as an input's would."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import CellSource, RowChunk
from cellmark.schemas.errors import Finding
from cellmark.schemas.genes.fit_genes import ID_COLUMNS, VAR_NAMES, other_names
from cellmark.schemas.genes.gene_findings import N_EXAMPLES
from cellmark.schemas.genes.gene_ids import SOME, detect_listed_names
from cellmark.schemas.genes.gene_tables import ENSEMBL, ENTREZ, ORGANISMS, RELEASE, Organism, load_gene_table
from cellmark.schemas.genes.mangled_gene_names import ensembl_id, genome_prefix, loose_keys, without_x
from cellmark.schemas.genes.name_list import NameList
from cellmark.schemas.genes.resolve_gene_names import SPELLING, WAYS, resolve_gene_names

IDS = "gene_ids"


def name_genes(source: CellSource) -> CellSource:
    """The same cells with symbols for genes that are named by Ensembl or Entrez ids, or with a genome's prefix.

    A symbol in another column of `var` is taken first, since it is the file's own word; then the organism's table.
    Genes that neither names stay as they are, and so does a file of which few genes are named so, or that holds genes
    of two organisms. Punctuation that R's `make.names` changed is repaired. Ensembl ids are kept in `var["gene_ids"]`.
    A note says what was done.
    """
    names = NameList(source.var_names)
    bare = [genome_prefix(str(name).strip()) for name in names.names]
    is_id = np.array([ensembl_id(name) is not None or (name.isascii() and name.isdigit()) for _, name in bare])
    prefixed = np.array([genome is not None for genome, _ in bare])
    if source.n_vars == 0:
        return source
    if np.mean(is_id | prefixed) < SOME:
        is_id, prefixed = np.zeros_like(is_id), np.zeros_like(prefixed)
    listed_ids = is_id.copy()
    found = detect_listed_names(names).organism
    organism = next((name for name in ORGANISMS if name == found), None)
    symbols = names.names.copy()
    ways: Counter[str] = Counter()
    for number in np.flatnonzero(prefixed & ~is_id) if found != "mixed" else ():
        symbols[number] = bare[number][1]
        ways["without the genome's name"] += 1
    for where, listed in other_names(source.var):
        # Symbols come first among the columns; ids would name nothing.
        if where.lower() in {f"var[{column!r}]" for column in ID_COLUMNS}:
            continue
        for number in np.flatnonzero(is_id):
            given = str(listed.names[number]).strip()
            if given and given.lower() != "nan" and ensembl_id(given) is None and not given.isdigit():
                symbols[number], is_id[number] = given, False
                ways[f"by {where}"] += 1
        break
    if organism is not None and is_id.any():
        resolved, table = resolve_gene_names(names, organism), load_gene_table(organism)
        known = is_id & (resolved.gene >= 0) & np.isin(resolved.way, (ENSEMBL, ENTREZ))
        symbols[known] = table.symbols[resolved.gene[known]]
        ways.update(f"by {WAYS[way]}" for way in resolved.way[known].tolist())
    for place, name in _repaired(symbols, organism).items() if organism is not None else ():
        symbols[place] = name
        ways["repaired, as R writes dots for dashes"] += 1
    changed = np.flatnonzero(symbols != names.names)
    if len(changed) == 0:
        return source
    n_left = int((is_id & (symbols == names.names)).sum())
    left = f"; {n_left:,} ids have no symbol and stay" if n_left else ""
    note = Finding(
        "GENES_MAPPED",
        where=VAR_NAMES,
        expected="symbols of genes",
        found=f"{len(changed):,} other names: "
        f"{', '.join(f'{count:,} {way}' for way, count in ways.most_common())}{left}",
        remedy=f"Nothing needs to be done. The model names its genes by these symbols, with {RELEASE} where the file "
        "has none, and keeps their Ensembl ids.",
        severity="info",
        examples=tuple(f"{names.names[number]} = {symbols[number]}" for number in changed[:N_EXAMPLES]),
    )
    ids = [ensembl_id(name) if is_named_so else None for (_, name), is_named_so in zip(bare, listed_ids, strict=True)]
    return NamedCells(source, symbols.astype(str), np.array([given[0] if given else "" for given in ids]), note)


def _repaired(symbols: np.ndarray, organism: Organism) -> dict[int, str]:
    """Names whose punctuation R's `make.names` changed (`HLA.DRA`, `X7SK`), and how the tables spell them.

    Not where the file has that name too, or two names would become one: such a pair may be a gene and its protein.
    """
    resolved, table = resolve_gene_names(NameList(symbols), organism), load_gene_table(organism)
    found: dict[int, str] = {}
    for number in np.flatnonzero((resolved.way == SPELLING) & (resolved.place >= 0)).tolist():
        name, spelled = str(symbols[number]).strip(), str(table.names[resolved.place[number]])
        same = loose_keys([name, without_x(name) or name])
        if name.upper() != spelled.upper() and loose_keys([spelled])[0] in same:
            found[number] = spelled
    taken = Counter([*map(str, symbols), *found.values()])
    return {number: name for number, name in found.items() if taken[name] == 1}


@dataclass
class NamedCells(CellSource):
    """A source whose genes have other names. `symbols`: str [genes]; `ids`: str [genes], Ensembl ids or empty."""

    source: CellSource
    symbols: np.ndarray
    ids: np.ndarray
    note: Finding

    def __post_init__(self) -> None:
        inner = self.source
        self.name, self.obs, self.uns, self.others = inner.name, inner.obs, getattr(inner, "uns", {}), inner.others
        self.var_names, self.counts_from = self.symbols, inner.counts_from
        self.var = inner.var if (self.ids == "").all() else inner.var.assign(**{IDS: self.ids})
        self.notes, self.normalised = (*inner.notes, self.note), inner.normalised

    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        return self.source.chunks(n_rows)

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        return self.source.take(rows)

    def close(self) -> None:
        self.source.close()
