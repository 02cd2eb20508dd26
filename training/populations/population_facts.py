"""What a new population is like, and what is said of cells that are too few to be one.

Whom its cells resemble, where they come from, and whether they are good cells.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cellmark.schemas.calls.new_populations import CalledCells
from cellmark.schemas.errors import Finding
from cellmark.schemas.quality.quality_table import find_mitochondrial

SHALLOW = 0.5
"""A population with less than this share of called types' library size, or genes, is called shallow."""
MITOCHONDRIAL_TIMES, MITOCHONDRIAL_MORE = 2.0, 0.05
"""One with so many times their mitochondrial share, and so much more of it, may be dying."""
FEW_MARKERS = 3
"""With fewer genes of its own a population is hardly a new type."""
MANY_MARKERS = 10
"""With so many it is no mixture of called types, which has no gene above both."""


@dataclass(frozen=True)
class CellQuality:
    """Float [cells]: `library_size`, `genes_detected`, `mitochondrial_share`; NaN where not measured."""

    library_size: np.ndarray
    genes_detected: np.ndarray
    mitochondrial_share: np.ndarray


def cell_quality(cells: CalledCells) -> CellQuality:
    """From the counts of all genes."""
    columns = find_mitochondrial(cells.gene_symbols)
    share = np.full(len(cells.best), np.nan)
    if columns is not None:
        share = np.asarray(cells.counts[:, columns].sum(axis=1), dtype=np.float64).ravel() / cells.library_size
    sizes = np.full(len(share), np.nan) if cells.normalised else cells.library_size
    return CellQuality(sizes, np.diff(cells.counts.indptr).astype(np.float64), share)


def quality_facts(quality: CellQuality, rows: np.ndarray, called: list[np.ndarray]) -> dict[str, float]:
    """Medians over the cells `rows`, and over called types of theirs. `called`: numbers of each type's cells."""
    facts = {}
    for name in ("library_size", "genes_detected", "mitochondrial_share"):
        values = getattr(quality, name)
        facts[name] = float(np.median(values[rows]))
        facts[f"{name}_called"] = float(np.median([np.median(values[of]) for of in called])) if called else np.nan
    return facts


def shares_in_words(names: np.ndarray, *, most: int = 4) -> str:
    """`B cells 62 %, CD4 T cells 38 %`, the most frequent first; the others, and those below 1 %, are counted."""
    found, counts = np.unique(names.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    told = [place for place in order[:most] if counts[place] >= 0.01 * len(names)]
    parts = [f"{found[place]} {counts[place] / len(names):.0%}".replace("%", " %") for place in told]
    left = len(order) - len(told)
    return ", ".join(parts) + (f" and {left} more" if left > 0 else "")


def origin_facts(cells: CalledCells, rows: np.ndarray) -> dict[str, Any]:
    """Size, best guesses, novelty and donors of the cells `rows`."""
    best = cells.best[rows]
    counts = np.bincount(best, minlength=len(cells.cell_types))
    facts: dict[str, Any] = {
        "n_cells": len(rows),
        "share": len(rows) / cells.n_cells,
        "best_cell_type": cells.cell_types[int(counts.argmax())],
        "best_share": counts.max() / len(rows),
        "best_cell_types": shares_in_words(np.array(cells.cell_types)[best]),
        "novelty": float(np.median(cells.novelty[rows])),
        "threshold": cells.threshold if cells.thresholds is None else float(np.median(cells.thresholds[rows])),
    }
    if cells.donors is not None:
        of = cells.donors[rows]
        facts |= {"n_donors": len(np.unique(of)), "donors": shares_in_words(of)}
    return facts


def alike_facts(cells: CalledCells, rows: np.ndarray) -> dict[str, Any]:
    """Called cells `rows` that are like a population; those of a type that was drawn from stand for all of it."""
    kept = np.bincount(cells.best[~cells.unassigned], minlength=len(cells.cell_types))
    counts = np.bincount(cells.best[rows], minlength=len(cells.cell_types)) * cells.n_called / np.maximum(kept, 1)
    names = np.repeat(np.array(cells.cell_types, dtype=object), np.rint(counts).astype(int))
    return {"n_alike": len(names), "alike_cell_types": shares_in_words(names) if len(names) else None}


def warnings_of(facts: dict[str, Any], *, compared: bool) -> list[str]:
    """What speaks against a new type. `compared`: whether there were called types to compare with."""
    found = []
    for name, what in (("library_size", "counts"), ("genes_detected", "genes")):
        own, others = facts[name], facts[f"{name}_called"]
        if own < SHALLOW * others:
            found.append(f"shallow: {own:,.0f} {what} a cell, called types {others:,.0f}")
            break
    own, others = facts["mitochondrial_share"], facts["mitochondrial_share_called"]
    if own > MITOCHONDRIAL_TIMES * others and own - others > MITOCHONDRIAL_MORE:
        found.append(f"dying cells? {own:.0%} mitochondrial counts, called types {others:.0%}".replace("%", " %"))
    if facts.get("mixture_of"):
        found.append(f"doublets? like a mixture of {facts['mixture_of']}")
    elif compared and facts["n_markers"] < FEW_MARKERS:
        found.append("hardly a gene of its own: perhaps known cells, refused")
    return found


MIN_CALLED = 5
"""Called cells of a type that it takes to compare with it."""


def few_findings(n_unassigned: int, cells: CalledCells, min_cells: int) -> tuple[Finding, ...]:
    if n_unassigned == 0:
        return (
            Finding(
                "NOVEL_CELLS_NONE",
                where="novelty",
                expected=f"cells with a novelty above {cells.threshold:.2f}"
                + (", or the thresholds of this sample's types" if cells.is_of_sample else ""),
                found=f"none among {cells.n_cells:,}",
                remedy="All cells are called: there is nothing to group.",
                severity="info",
            ),
        )
    if n_unassigned >= 2 * min_cells:
        return ()
    remedy = (
        "Look at them one by one, pool several samples in one file, or include cells with a lower novelty (--above)."
    )
    return (
        Finding(
            "NOVEL_CELLS_FEW",
            where="novelty",
            expected=f"at least {2 * min_cells} unassigned cells, to group them",
            found=f"{n_unassigned} among {cells.n_cells:,}",
            remedy=remedy,
            severity="info",
        ),
    )


def left_out(n_cells: int, min_cells: int) -> Finding:
    return Finding(
        "NOVEL_CELLS_FEW",
        where="min_cells",
        expected=f"groups of at least {min_cells} cells",
        found=f"{n_cells} cells in smaller ones",
        remedy="They are in no population.",
        severity="info",
    )


def lacking_types(cells: CalledCells, compared: list[int]) -> tuple[Finding, ...]:
    lacking = [name for code, name in enumerate(cells.cell_types) if code not in compared]
    if not lacking:
        return ()
    remedy = "Markers may be shared with these types: a file that holds them too would tell."
    return (
        Finding(
            "CALLED_CELLS_FEW",
            where="calls",
            expected=f"at least {MIN_CALLED} called cells of every type, to compare with",
            found=f"fewer of {len(lacking)} types",
            remedy=remedy,
            severity="info" if compared else "warning",
            examples=tuple(lacking[:5]),
        ),
    )
