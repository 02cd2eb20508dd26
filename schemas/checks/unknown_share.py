"""How many of all counts are of names that no gene table knows: what is no gene and on no list either."""

import re
from collections import Counter
from functools import lru_cache

import numpy as np
import scipy.sparse as sp

from ..cells.cell_source import CellSource
from ..errors import Finding, ParameterError
from ..genes.declared_organism import declared_organism
from ..genes.gene_panel import GenePanel
from ..genes.gene_tables import ALIAS, ORGANISMS, Organism, load_gene_table
from ..genes.mangled_gene_names import copied_from, ensembl_id
from ..genes.name_list import NameList, names_of
from ..genes.resolve_gene_names import NO_WAY, SPELLING, resolve_gene_names

NOTED_SHARE, NOTED_NAME = 0.05, 0.01
"""Shares of all counts from which on unknown names, or one of them, are noted."""
DOUBTFUL_SHARE, MOST_UNKNOWN_SHARE = 0.15, 0.25
"""Shares of a warning and of a refusal. Clean human and mouse data have 0.0 to 3.8 %; transgenes may have 10 % more."""
LEAST_KNOWN = 0.5
"""Share of the names that a table must have in their very spelling: names of another species are not judged by it."""
SHORT = 3
"""Letters of an alias that may be something else."""
_CLONES = re.compile(
    r"(RP|CT|XX|KB|LL|GS)\w*-\w+\.\d+|[A-Z]{1,2}\d{5,6}\.\d+|LOC\d+|LINC\d+|[NX][MR]_\d+.*|Gm\d+|\d+Rik"
)
_OTHER_SPECIES = re.compile(r"(zgc|si|im|wu):.+|RGD\d+")
_NUMBERED = re.compile(r"([A-Za-z]{2,})\d+[A-Za-z]{0,2}\d*")
FAMILY = 10
"""Genes whose symbols are one word with different numbers, from which on the word is known."""
_N_NAMED, MOST_NAMED, FEW_CELLS = 5, 40, 8


def check_unknown_share(share: float | None) -> None:
    """Raise `ParameterError` unless a share is from 0 to 1."""
    if share is not None and not 0 <= share <= 1:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="max_unknown_share",
            expected="from 0 to 1",
            found=str(share),
            remedy="Give a share such as 0.25.",
        )


def names_unknown(
    source: CellSource, panel: GenePanel, *, but: np.ndarray | None = None, organism: str | None = None
) -> np.ndarray | None:
    """Bool [genes of `source`]: in no table, or only as a short alias, such as `y` and `MT`, which columns are called.

    `but`: bool [genes], those that are known otherwise. `organism`: of the cells, where it is known not to be the
    model's. None where names are not judged: of organisms other than human and mouse, and where half of them are
    unknown.
    """
    if organism is None:
        declared = declared_organism(source.uns, source.obs) if source.annotated else None
        organism = declared[0] if declared is not None else panel.organism_of_names
    known = next((name for name in ORGANISMS if name == organism), None)
    names = names_of(source)
    unknown = _unknown(names, known) if known is not None else None
    if known is None or unknown is None or but is None:
        return unknown
    left: np.ndarray = unknown & (~but | _aliases_of_others(names, known, panel))
    return left


@lru_cache(maxsize=8)
def _aliases_of_others(names: NameList, organism: Organism, panel: GenePanel) -> np.ndarray:
    """Bool [names]: short aliases of genes. Such a one is known to the model only where it was trained on that very
    name. Remembered for the last lists of names.
    """
    found = np.zeros(len(names.names), dtype=bool)
    unknown = _unknown(names, organism)
    if unknown is not None:
        aliases = np.flatnonzero(unknown & (resolve_gene_names(names, organism).way == ALIAS))
        found[aliases] = panel.names.columns_of(names.names[aliases]) < 0
    return found


@lru_cache(maxsize=8)
def _unknown(names: NameList, organism: Organism) -> np.ndarray | None:
    """Remembered for the last lists of names."""
    way = resolve_gene_names(names, organism).way
    if len(way) == 0 or np.mean((way != NO_WAY) & (way != SPELLING)) < LEAST_KNOWN:
        return None
    unknown: np.ndarray = way == NO_WAY
    unknown[[number for number in np.flatnonzero(way == ALIAS) if len(names.names[number]) <= SHORT]] = True
    texts = {number: str(names.names[number]).strip() for number in np.flatnonzero(unknown).tolist()}
    copies = {number: base for number, text in texts.items() if (base := copied_from(text))}
    ways = resolve_gene_names(NameList(np.array([*copies.values()], dtype=object)), organism).way
    genes = {number for number, of_base in zip(copies, ways, strict=True) if of_base != NO_WAY}
    for number, text in texts.items():
        if _OTHER_SPECIES.fullmatch(text):
            return None
        family = _NUMBERED.fullmatch(text)
        is_of_family = family is not None and family[1] in _families(organism)
        unknown[number] = not (is_of_family or number in genes or ensembl_id(text) or _CLONES.fullmatch(text))
    return unknown


@lru_cache(maxsize=len(ORGANISMS))
def _families(organism: Organism) -> frozenset[str]:
    """What numbered genes are called before their number (`ZNF`, `OR`, `Zfp`): annotations of other years have other
    members. Not `CD`, which is what antigens are called.
    """
    stems = [found[1] for symbol in load_gene_table(organism).symbols if (found := _NUMBERED.fullmatch(str(symbol)))]
    return frozenset(stem for stem, number in Counter(stems).items() if number >= FAMILY and stem.upper() != "CD")


def _share_of_few(sample: sp.csr_matrix, unknown: np.ndarray) -> float:
    """The share in a few cells, which tell a clean input at little cost: groups of neighbours, without a copy."""
    n_cells = sample.shape[0]
    of_unknown, total = 0.0, 0.0
    last = max(n_cells - FEW_CELLS, 0)
    for start in sorted({0, last // 3, 2 * last // 3, last}):
        part = slice(sample.indptr[start], sample.indptr[min(start + FEW_CELLS, n_cells)])
        of_unknown += float(sample.data[part][unknown.take(sample.indices[part])].sum())
        total += float(sample.data[part].sum())
    return of_unknown / total if total > 0 else 0.0


def unknown_findings(
    source: CellSource, sample: sp.csr_matrix, unknown: np.ndarray, *, most: float | None = None
) -> tuple[Finding, ...]:
    """What is to be said of counts in unknown names. `sample`: CSR, some cells x genes; `most`: the share from which on
    they are refused, None for `MOST_UNKNOWN_SHARE`.
    """
    most = MOST_UNKNOWN_SHARE if most is None else most
    if _share_of_few(sample, unknown) < min(NOTED_NAME, most) / 2:
        return ()
    counts = np.bincount(sample.indices, weights=sample.data, minlength=source.n_vars)
    total = counts.sum()
    if not total > 0:
        return ()
    shares = np.where(unknown, counts, 0) / total
    share = float(shares.sum())
    if share <= NOTED_SHARE and shares.max() <= NOTED_NAME and share <= most:
        return ()
    ordered = np.argsort(-shares, kind="stable")
    first = [number for number in ordered[:_N_NAMED] if shares[number] > 0]
    severe = share > most
    remedy = "They were counted as genes; nothing needs to be done for transgenes and genes that are new."
    if severe or share > DOUBTFUL_SHARE:
        # Those whose removal is enough.
        gone = np.cumsum(shares[ordered])
        n_enough = int(np.argmax(share - gone <= DOUBTFUL_SHARE * (1 - gone))) + 1
        names = [str(source.var_names[number]) for number in ordered[: min(n_enough, MOST_NAMED)]]
        more = "" if n_enough <= MOST_NAMED else " and the like"
        remedy = (
            "Leave out what is no gene, such as antibodies, barcodes and columns of metadata: adata = adata[:, "
            f"~adata.var_names.isin({names})].copy(){more}. Where these are genes, raise the limit with "
            "--max-unknown-share (max_unknown_share in Python and over HTTP)."
        )
    return (
        Finding(
            "COUNTS_UNKNOWN_NAMES",
            where="var_names",
            expected=f"at most {most:.0%} of all counts in names that no gene table has, or only as a short alias"
            if severe
            else "counts of known genes",
            found=f"{share:.1%} of all counts in such names",
            remedy=remedy,
            severity="error" if severe else "warning" if share > DOUBTFUL_SHARE else "info",
            examples=tuple(f"{source.var_names[number]} ({shares[number]:.1%})" for number in first),
        ),
    )
