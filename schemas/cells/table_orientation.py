"""Is a table the wrong way round? Told from its names alone, without a database of genes."""

import re
from collections import Counter
from collections.abc import Sequence

from .table_headers import CELL_NAMES, GENE_NAMES, plain_header

ENSEMBL = re.compile(r"ENS[A-Z]{0,5}G\d{6,}(\.\d+)?", re.IGNORECASE)
HOUSEKEEPING = re.compile(r"MT-(ND\d|ND4L|CO[123]|ATP[68]|CYB|RNR[12])|RP[LS]P?\d+[AXYL]?\d?", re.IGNORECASE)
"""Genes of the mitochondrial genome and of the ribosome, by their official symbols: almost every table has some."""

SYMBOL = re.compile(r"[A-Z][A-Z0-9]{2,11}(-[A-Z0-9]{1,5}|\.\d+)?|C[0-9XY]+orf\d+|[A-Z][a-z]+\d+[a-z]?\d*")
BARCODE = re.compile(r"(?<![A-Za-z])[ACGTN]{8,}(?![A-Za-z])")
NUMBERED_CELL = re.compile(r".*?(cell|barcode|sample|spot|well|plate|donor|patient|lib).*?\d.*", re.IGNORECASE)
NUMBER = re.compile(r"\d+")

MOST = 0.8
ENOUGH = 0.6
N_HOUSEKEEPING = 3
N_NUMBERED = 5
N_FEW = 10
"""With fewer row names than this, names of columns must say that they are cells: IL2, IL4 and IL6 are genes."""


def names_swapped(
    *, gene_names: Sequence[str], cell_ids: Sequence[str], rows_are: str = "", genes_in_rows: bool = False
) -> bool:
    """Whether the supposed genes are cells, and the reverse.

    `rows_are`: the header of the column of row names, which often says what rows are. `genes_in_rows`: where the genes
    were taken from. Several signs must agree unless one is beyond doubt: barcodes, Ensembl ids, genes of the
    mitochondria and the ribosome.
    """
    if _surely_genes(gene_names) or _surely_cells(cell_ids):
        return False
    if _surely_genes(cell_ids) or _surely_cells(gene_names):
        return True
    corner = plain_header(rows_are)
    fits, contradicts = (GENE_NAMES, CELL_NAMES) if genes_in_rows else (CELL_NAMES, GENE_NAMES)
    if corner in fits or _maybe_genes(gene_names):
        return False
    if corner in contradicts:
        return True
    in_doubt = len(cell_ids) < N_FEW
    return _maybe_genes(cell_ids) and (_called_cells(gene_names) if in_doubt else _maybe_cells(gene_names))


def names_gene(name: str) -> bool:
    """Whether a name by itself looks like a gene's."""
    return any(pattern.fullmatch(name) is not None for pattern in (ENSEMBL, HOUSEKEEPING, SYMBOL))


def names_cell(name: str) -> bool:
    """Whether a name by itself looks like a cell's."""
    return BARCODE.search(name) is not None or NUMBERED_CELL.fullmatch(name) is not None


def _share(names: Sequence[str], pattern: re.Pattern[str], *, anywhere: bool = False) -> float:
    match = pattern.search if anywhere else pattern.fullmatch
    return sum(match(name) is not None for name in names) / max(len(names), 1)


def _surely_genes(names: Sequence[str]) -> bool:
    housekeeping = {name.upper() for name in names if HOUSEKEEPING.fullmatch(name)}
    return _share(names, ENSEMBL) >= ENOUGH or len(housekeeping) >= N_HOUSEKEEPING


def _surely_cells(names: Sequence[str]) -> bool:
    return _share(names, BARCODE, anywhere=True) >= MOST


def _maybe_genes(names: Sequence[str]) -> bool:
    """Symbols such as CD3D, LYZ, Cd3e: most names, at least one with a digit, and not one stem with a number."""
    has_digit = any(NUMBER.search(name) for name in names)
    return has_digit and _share(names, SYMBOL) >= ENOUGH and not _maybe_cells(names)


def _maybe_cells(names: Sequence[str]) -> bool:
    """Names that say cell or the like, or that differ in their numbers only."""
    families = Counter(NUMBER.sub("#", name) for name in names if NUMBER.search(name))
    one_family = len(names) >= N_NUMBERED and max(families.values(), default=0) >= MOST * len(names)
    return one_family or _called_cells(names)


def _called_cells(names: Sequence[str]) -> bool:
    """Names such as cell_12, Sample3, plate1_A14."""
    return _share(names, NUMBERED_CELL) >= MOST
