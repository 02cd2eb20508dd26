"""Genes that may be markers: lists by symbol, by Ensembl id, from a file, or built in. The network sees all genes."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmark.schemas.errors import Finding, ParameterError, ReadError, Severity

from .marker_settings import MarkerSettings
from .surface_genes import SURFACE_GENES

FILE_SUFFIXES = (".txt", ".list", ".csv", ".tsv")
N_EXAMPLES = 5
IS_SURFACE = frozenset(symbol.casefold() for symbol in SURFACE_GENES).__contains__

# Cytosolic ribosomal proteins with their paralogs and pseudogenes; RPS6KA1 and other kinases, RPS19BP1, antisense and
# read-through genes differ in their ends.
RIBOSOMAL = re.compile(r"(rpsa2?|rplp[0-2]|rp[ls]\d+[axyl]{0,2}\d?)(p\d*|-ps\d*)?")
MITOCHONDRIAL = re.compile(r"mt[-.].+")
HEMOGLOBIN = re.compile(r"hb(a[12]?|b|d|e1|g[12]|m|q1[ab]?|z|[ab]-[a-z0-9]+)")

BUILT_IN: dict[str, Callable[[str], object]] = {
    "ribosomal": RIBOSOMAL.fullmatch,
    "mitochondrial": MITOCHONDRIAL.fullmatch,
    "hemoglobin": HEMOGLOBIN.fullmatch,
    "surface": IS_SURFACE,
}
"""Lists that may be named in place of genes; each tells of a symbol in lower case whether it is in the list."""


@dataclass(frozen=True)
class GeneSelection:
    """`allowed`: bool [genes], which may be ranked. `findings`: of entries of a list that are not among the genes."""

    allowed: np.ndarray
    findings: tuple[Finding, ...]


def gene_list(text: str) -> tuple[str, ...]:
    """Entries of a list that was given as text: genes, built-in names and files between commas, in any mixture.

    What holds a slash or ends in one of `FILE_SUFFIXES` is a file, with one symbol, Ensembl id or built-in name a line;
    behind a `#` is a comment. Each entry comes once. Raises `ReadError` for a file that cannot be read and
    `ParameterError` where nothing is named.
    """
    entries: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        is_file = os.sep in part or "/" in part or part.lower().endswith(FILE_SUFFIXES)
        entries += read_gene_list(Path(part)) if is_file else [part] if part else []
    if not entries:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="genes",
            expected=f"genes, a file of them, or {', '.join(BUILT_IN)}",
            found=repr(text),
            remedy="Name at least one gene, or omit the option.",
        )
    return tuple(dict.fromkeys(entries))


def read_gene_list(path: Path) -> list[str]:
    """The genes in a file, one a line. Raises `ReadError`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise ReadError.of(
            "FILE_NOT_FOUND",
            where=str(path),
            expected="a file of genes",
            found="nothing there",
            remedy="Check the path.",
        ) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or "bytes that are not UTF-8 text") from error
    genes = [line.split("#")[0].strip() for line in lines]
    several = [gene for gene in genes if re.search(r"[,;\t]", gene)]
    if several:
        raise _unreadable(path, f"lines with several, such as {several[0][:60]!r}")
    return [gene for gene in genes if gene]


def select(
    gene_symbols: Sequence[str],
    gene_ids: Sequence[str | None] | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> GeneSelection:
    """The genes that may be ranked: those of `include` (all where it is empty) without those of `exclude`.

    Entries are symbols, Ensembl ids (their version does not count) or names of `BUILT_IN`, whatever their case, so that
    lists of human symbols also serve for mouse genes of the same name. Raises `ParameterError` when no gene is left.
    """
    symbols = [str(symbol).casefold() for symbol in gene_symbols]
    places: dict[str, list[int]] = {}
    for number, symbol in enumerate(symbols):
        places.setdefault(symbol, []).append(number)
    for number, gene_id in enumerate(gene_ids or ()):
        if gene_id:
            places.setdefault(_without_version(gene_id), []).append(number)
    included, unknown_included = _members(symbols, places, include)
    excluded, unknown_excluded = _members(symbols, places, exclude)
    allowed = (included if include else np.ones(len(symbols), dtype=bool)) & ~excluded
    if not allowed.any():
        examples = unknown_included or tuple(include) or tuple(exclude)
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="include_genes" if include else "exclude_genes",
            expected=f"lists that leave at least one of the {len(symbols)} genes, such as "
            f"{', '.join(gene_symbols[:3])}",
            found="none left",
            remedy="Name genes as the data do, by symbol or Ensembl id, or shorten the other list.",
            examples=examples[:N_EXAMPLES],
        )
    return GeneSelection(
        allowed,
        (
            *_unmatched("include_genes", unknown_included, len(include), "warning"),
            *_unmatched("exclude_genes", unknown_excluded, len(exclude), "info"),
        ),
    )


def _members(
    symbols: list[str], places: dict[str, list[int]], entries: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Genes that the entries name, bool [genes], and the entries that name neither a gene nor a list."""
    named = np.zeros(len(symbols), dtype=bool)
    unknown = []
    for entry in entries:
        if entry.casefold() in BUILT_IN:
            holds = BUILT_IN[entry.casefold()]
            named |= np.array([bool(holds(symbol)) for symbol in symbols], dtype=bool)
            continue
        found = places.get(entry.casefold()) or places.get(_without_version(entry))
        if found is None:
            unknown.append(entry)
        else:
            named[found] = True
    return named, tuple(unknown)


def _without_version(gene_id: str) -> str:
    """`ENSG00000156738.17` as `ensg00000156738`; symbols with a dot keep it."""
    folded = gene_id.casefold()
    return folded.split(".")[0] if folded.startswith("ens") else folded


def _unmatched(where: str, unknown: tuple[str, ...], n_entries: int, severity: Severity) -> tuple[Finding, ...]:
    if not unknown:
        return ()
    return (
        Finding(
            "GENE_LIST_UNMATCHED",
            where=where,
            expected="genes that can be ranked: of the panel, named as in the data",
            found=f"{len(unknown)} of {n_entries} entries that are not",
            remedy="They were ignored. Check their spelling, or that the panel's filter kept them.",
            severity=severity,
            examples=unknown[:N_EXAMPLES],
        ),
    )


def _unreadable(path: Path, found: str) -> ReadError:
    return ReadError.of(
        "FILE_UNREADABLE",
        where=str(path),
        expected="a text file with one gene a line",
        found=found,
        remedy="Write one symbol or Ensembl id a line; behind # is a comment.",
    )


def allowed_markers(
    symbols: Sequence[str],
    gene_ids: Sequence[str | None],
    settings: MarkerSettings,
    *,
    on_finding: Callable[[Finding], None],
) -> np.ndarray:
    """Whether a gene may be a marker, bool [genes]; `on_finding` is called with what a list names in vain."""
    chosen = select(symbols, gene_ids, include=settings.include_genes, exclude=settings.exclude_genes)
    for finding in chosen.findings:
        on_finding(finding)
    return chosen.allowed
