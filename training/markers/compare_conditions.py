"""Markers that a condition gains or loses, type by type, with donors as the units of inference.

The steps: means per donor and type (`pseudobulk`); how specific each gene is for each type within each donor
(`specificity`), where the other types weigh the same, so that a shift of composition is no change; the difference of
its mean over donors between condition and reference, with a moderated t interval over donors (`donor_spread`,
`moderated_interval`); a word for it (`change_verdict`). Without donors there are differences and no intervals: cells of
one donor are not independent, and an interval over cells would be far too narrow (Squair et al. 2021,
doi:10.1038/s41467-021-25960-2).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.manifest.marker_table import MarkerColumn

from ..cells.cell_groups import membership
from .contrasts import NO_DONORS, Contrast, moderated_interval, plan_contrasts, take_samples
from .marker_changes import KEPT, NO_MARKER, NOT_COMPARED, NUMBERS, UNDECIDED, ChangeRules, marker_changes, shared_types

CHUNK_VALUES = 2**22
"""Values of samples x types x genes that are dense at a time."""
MIN_CELLS = 10
ORDER = {UNDECIDED: 1, KEPT: 2, NO_MARKER: 3, NOT_COMPARED: 4}
"""Within a type; decided changes come before."""


COLUMNS: dict[str, MarkerColumn] = {
    "cell_type": MarkerColumn("string", "the cell type that the gene marks"),
    "condition": MarkerColumn("string", "the condition that is compared"),
    "reference": MarkerColumn("string", "what it is compared with: a condition, or all others together"),
    "gene_symbol": MarkerColumn("string", "the gene; null in the one row of a type that cannot be compared"),
    "gene_id": MarkerColumn("string", "Ensembl id, where known"),
    "verdict": MarkerColumn("string", "gained, lost, stronger, weaker, kept, undecided, no marker or not compared"),
    "log2_fold_change_reference": MarkerColumn(
        "float64",
        "in the reference, log2 of (mean counts per 10,000 in the type + 1) over (mean of the other types' means + 1); "
        "mean over donors",
    ),
    "log2_fold_change_condition": MarkerColumn("float64", "the same in the condition"),
    "change": MarkerColumn("float64", "condition minus reference: 1 is twice as specific, -1 half as specific"),
    "change_low": MarkerColumn("float64", "lower end of the interval of the change over donors"),
    "change_high": MarkerColumn("float64", "its upper end"),
    "p_value": MarkerColumn("float64", "moderated t-test of no change, with donors as its units"),
    "p_value_adj": MarkerColumn(
        "float64", "the same after Benjamini-Hochberg over all types and genes tested in the comparison"
    ),
    "change_in_type": MarkerColumn("float64", "part of the change that the type's own expression made (log2)"),
    "change_in_rest": MarkerColumn(
        "float64", "rise of the gene in the other types (log2), which takes from the change: change = type - rest"
    ),
    "fraction_reference": MarkerColumn("float64", "fraction of the type's cells with a count, mean over donors"),
    "fraction_condition": MarkerColumn("float64", "the same in the condition"),
    "n_donors_reference": MarkerColumn("Int64", "donors with enough cells of the type; null without donors"),
    "n_donors_condition": MarkerColumn("Int64", "the same in the condition"),
    "n_cells_reference": MarkerColumn("Int64", "cells of the type in the reference"),
    "n_cells_condition": MarkerColumn("Int64", "the same in the condition"),
    "design": MarkerColumn(
        "string", "independent: other donors in each; paired: the same donors in both; single: one donor against others"
    ),
    "reason": MarkerColumn("string", "why there is no interval or no comparison; null where there is one"),
}


def change_table(rows: pd.DataFrame) -> pd.DataFrame:
    """All columns in their order and dtypes. `rows`: with any of them; what is missing is null."""
    return pd.DataFrame(
        {
            name: rows[name].astype(column.dtype)  # type: ignore[call-overload]
            if name in rows
            else pd.Series([pd.NA] * len(rows), dtype=column.dtype if column.dtype != "float64" else "Float64").astype(
                column.dtype  # type: ignore[call-overload]
            )
            for name, column in COLUMNS.items()
        }
    )


@dataclass(frozen=True)
class Comparison:
    """`table`: as `change_table` describes. `n_tested`: genes of all types with a p-value, per contrast."""

    table: pd.DataFrame
    contrasts: tuple[Contrast, ...]
    n_tested: tuple[int, ...]


def compare_conditions(
    x: sp.csr_matrix,
    codes: np.ndarray,
    conditions: np.ndarray,
    *,
    donors: np.ndarray | None,
    cell_types: Sequence[str],
    gene_symbols: Sequence[str],
    gene_ids: Sequence[str | None],
    reference: str | None = None,
    chosen: np.ndarray | None = None,
    min_cells: int = MIN_CELLS,
    rules: ChangeRules | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """Compare each condition with the reference (see `plan_contrasts`).

    `x`: CSR, cells x genes, ln(1 + counts per 10,000); `codes`: int [cells], numbers of `cell_types`; `conditions`,
    `donors`: str [cells]. `chosen`: bool [types, genes], the genes to look at; without it those that are candidates
    (`ChangeRules.is_candidate`), of which the table keeps the markers of either side. A donor counts for a type with
    at least `min_cells` cells of it. `on_progress` is called with the number of genes done.

    Within a contrast and type, decided changes come first, then undecided ones, then what is kept; larger ones first.
    A type that one side lacks has one row with the verdict `not compared`, and is no part of the rest of the other
    types. Raises what `plan_contrasts` does.
    """
    rules = rules or ChangeRules()
    samples = take_samples(conditions, donors)
    contrasts = plan_contrasts(samples, reference=reference)
    bulk = pseudobulk(x, codes, samples.numbers, n_types=len(cell_types), n_samples=len(samples.conditions))
    enough = bulk.n_cells >= min_cells
    pieces: list[list[pd.DataFrame]] = [[] for _ in contrasts]
    width = max(1, CHUNK_VALUES // bulk.n_cells.size)
    for start in range(0, len(gene_symbols), width):
        genes = slice(start, start + width)
        log2_means, fractions = bulk.log2_means(genes), bulk.fractions(genes)
        wanted = None if chosen is None else chosen[:, genes]
        for contrast, found in zip(contrasts, pieces, strict=True):
            for rows in marker_changes(log2_means, fractions, enough, contrast, chosen=wanted, rules=rules):
                found.append(rows.assign(gene=rows["gene"] + start))
        on_progress(min(width, len(gene_symbols) - start))
    tables = []
    for contrast, found in zip(contrasts, pieces, strict=True):
        missing = missing_types(bulk.n_cells, contrast, min_cells=min_cells)
        lacking = pd.DataFrame({"type": list(missing), "reason": list(missing.values())})
        parts = [part for part in (*found, lacking) if len(part)]
        rows = judge(pd.concat(parts, ignore_index=True) if parts else lacking, rules)
        tables.append(_with_facts(rows, contrast, np.where(enough, bulk.n_cells, 0)))
    table = pd.concat(tables, ignore_index=True)
    n_tested = tuple(int(of["p_value"].notna().sum()) for of in tables)
    if chosen is None:
        table = table[table["verdict"] != NO_MARKER]
    for column, names, number in (
        ("cell_type", cell_types, "type"),
        ("gene_symbol", gene_symbols, "gene"),
        ("gene_id", gene_ids, "gene"),
    ):
        table[column] = [None if pd.isna(place) else names[int(place)] for place in table[number]]
    return Comparison(change_table(table), tuple(contrasts), n_tested)


def missing_types(n_cells: np.ndarray, contrast: Contrast, *, min_cells: int) -> dict[int, str]:
    """Numbers of the types that cannot be compared, and why. `n_cells`: int [samples, types]."""
    shared = shared_types(n_cells >= min_cells, contrast)
    found = {}
    for code in range(n_cells.shape[1]):
        lacking = []
        for name, donors in ((contrast.reference, contrast.before), (contrast.condition, contrast.after)):
            most = int(n_cells[contrast.samples(donors), code].max())
            who = "" if contrast.reason == NO_DONORS else "no donor of "
            has = (
                f"has only {most} cells" if contrast.reason == NO_DONORS else f"has {min_cells} cells (at most {most})"
            )
            if most < min_cells:
                lacking.append(f"{who}{name} {has}")
        if lacking:
            found[code] = ", ".join(lacking)
        elif len(shared) < 2:
            found[code] = "no other type has enough cells in both"
    return found


def judge(rows: pd.DataFrame, rules: ChangeRules) -> pd.DataFrame:
    """The rows of one contrast with intervals, `p_value_adj` (Benjamini-Hochberg over all rows) and `verdict`.

    Rows without a gene stand for types that cannot be compared.
    """
    from scipy.stats import false_discovery_control

    rows = rows.reindex(columns=[*NUMBERS, "change_low", "change_high", "p_value"])
    values = {name: rows[name].to_numpy(dtype=float, copy=True) for name in rows.columns if name != "reason"}
    for code in np.unique(values["type"]):
        of_type = np.flatnonzero((values["type"] == code) & (values["df"] > 0))
        if len(of_type):
            found = moderated_interval(
                values["change"][of_type],
                values["variance"][of_type],
                df=int(values["df"][of_type[0]]),
                scale=float(values["scale"][of_type[0]]),
                confidence=1 - rules.alpha,
            )
            for name, interval in zip(("change_low", "change_high", "p_value"), found, strict=True):
                values[name][of_type] = interval
    adjusted = values["p_value"].copy()
    tested = ~np.isnan(adjusted)
    if tested.any():
        adjusted[tested] = false_discovery_control(adjusted[tested])
    verdict = rules.verdicts(
        rules.is_marker(values["log2_fold_change_reference"], values["fraction_reference"]),
        rules.is_marker(values["log2_fold_change_condition"], values["fraction_condition"]),
        change=values["change"],
        low=values["change_low"],
        high=values["change_high"],
        p_value_adj=adjusted,
    )
    compared = ~np.isnan(values["gene"])
    unknown = compared & ~tested & rows["reason"].isna().to_numpy()
    return rows.assign(
        change_low=values["change_low"],
        change_high=values["change_high"],
        p_value=values["p_value"],
        p_value_adj=adjusted,
        verdict=np.where(compared, verdict, NOT_COMPARED),
        reason=rows["reason"].mask(unknown, "no donor differs from another"),
    )


def _with_facts(rows: pd.DataFrame, contrast: Contrast, cells: np.ndarray) -> pd.DataFrame:
    """Sorted, with what is the same for all genes of a type. `cells`: those that count, int [samples, types]."""
    order = pd.DataFrame(
        {"type": rows["type"], "verdict": rows["verdict"].map(ORDER).fillna(0), "size": -rows["change"].abs()}
    )
    rows = rows.loc[order.sort_values(["type", "verdict", "size"], kind="stable").index]
    of_type = rows["type"].to_numpy(dtype=int)
    return rows.assign(
        condition=contrast.condition,
        reference=contrast.reference,
        design=contrast.design,
        n_cells_reference=cells[contrast.samples(contrast.before)].sum(axis=0)[of_type],
        n_cells_condition=cells[contrast.samples(contrast.after)].sum(axis=0)[of_type],
    )


@dataclass(frozen=True)
class Pseudobulk:
    """Means over the cells of each sample and type.

    `expression`: CSR, counts per 10,000; `fraction`: CSR, of cells with at least one count. The rows of both are
    samples x types, the type running fastest; columns are genes. `n_cells`: int [samples, types].
    """

    expression: sp.csr_matrix
    fraction: sp.csr_matrix
    n_cells: np.ndarray

    def log2_means(self, genes: slice) -> np.ndarray:
        """log2(mean counts per 10,000 + 1), [samples, types, genes]."""
        dense: np.ndarray = np.log2(self.expression[:, genes].toarray() + 1)
        return dense.reshape(*self.n_cells.shape, -1)

    def fractions(self, genes: slice) -> np.ndarray:
        """Fraction of cells expressing, [samples, types, genes]."""
        dense: np.ndarray = self.fraction[:, genes].toarray()
        return dense.reshape(*self.n_cells.shape, -1)


def pseudobulk(x: sp.csr_matrix, codes: np.ndarray, samples: np.ndarray, *, n_types: int, n_samples: int) -> Pseudobulk:
    """Means per sample and type; zeros where a sample has no cell of a type.

    `x`: CSR, cells x genes, ln(1 + counts per 10,000); `codes`, `samples`: int [cells]. The mean is taken of counts
    per 10,000, not of their logarithm: that one rises with the depth of sequencing, this one does not.
    """
    rows = samples * n_types + codes
    sizes = np.bincount(rows, minlength=n_samples * n_types)
    members = membership(rows, len(sizes))
    counts = sp.csr_matrix((np.expm1(x.data.astype(np.float64)), x.indices, x.indptr), shape=x.shape)
    expressed = sp.csr_matrix(((x.data > 0).astype(np.float64), x.indices, x.indptr), shape=x.shape)
    means = sp.diags(1 / np.maximum(sizes, 1))
    expression, fraction = (sp.csr_matrix(means @ (members @ of)) for of in (counts, expressed))
    return Pseudobulk(expression, fraction, sizes.reshape(n_samples, n_types))
