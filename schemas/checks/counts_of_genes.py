"""The genes of an input and nothing else: what is no gene counts neither as expression nor in the library size.

Every door hands its cells through `counts_of_genes` before anything is made of them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from ..cells.cell_source import CellSource, OtherMatrix, RowChunk
from ..errors import CellmarkError, Finding
from ..genes.feature_names import NO_GENES, TWINS, names_of_no_genes
from ..genes.feature_types import features_by_type
from ..genes.gene_tables import ORGANISMS, load_gene_table
from ..genes.name_list import names_of

FEATURE_RULE = 1
"""Version of the rule that says what is a gene. A bundle states the one that it was trained by."""
N_EXAMPLES = 5
SAMPLED, FEWEST_SAMPLED = 8, 3
"""Cells that are looked at for a column of totals, and how many with counts it takes."""
NO_GENES_LEFT = "Provide the part of the experiment that counted genes."
TOTALS = "columns of totals over others"


def counts_of_genes(source: CellSource, *, rule: int | None = FEATURE_RULE) -> CellSource:
    """The same cells with the features that are genes, and notes that name the others; `source` itself where all are.

    Features are judged by the types that `var` gives them, then by their names, then by the values of a few cells.
    `rule`: that of the model, None for one that was trained on all features: then none is left out, and a note says
    so. Errors are among the notes too, so that `CheckedCells` raises them with all others.
    """
    if isinstance(source, GeneCells):
        return source
    by_type: dict[str, dict[str, np.ndarray]] = {}
    is_gene, errors = np.ones(source.n_vars, dtype=bool), tuple[Finding, ...]()
    if source.annotated:
        is_gene, by_type, errors = features_by_type(source.var)
    findings = list(errors if rule is not None else ())
    findings += [_dropped(where, others, source.var_names) for where, others in by_type.items()]
    listed = names_of_no_genes(names_of(source))
    by_name = {kind: left for kind, numbers in listed.items() if len(left := numbers[is_gene[numbers]])}
    for numbers in by_name.values():
        is_gene[numbers] = False
    if len(totals := _totals(source, is_gene)):
        by_name[TOTALS] = totals
        is_gene[totals] = False
    if by_name:
        findings.append(_dropped("var_names", by_name, source.var_names))
    if not findings:
        return source
    if rule is None:
        return GeneCells(source, None, tuple(_kept_as_trained(finding) for finding in findings))
    if not is_gene.any():
        none_left = replace(findings[-1], code="FEATURES_NOT_GENES", severity="error", remedy=NO_GENES_LEFT)
        return GeneCells(source, None, (none_left,))
    return GeneCells(source, None if is_gene.all() else np.flatnonzero(is_gene), tuple(findings))


def _totals(source: CellSource, is_gene: np.ndarray) -> np.ndarray:
    """Numbers of the features that equal the sum of all others, or of all other genes, in each of a few cells.

    Not of names that a gene table has. At most two such columns are found, as counts and a copy of them.
    """
    rows = np.unique(np.linspace(0, source.n_obs - 1, SAMPLED).astype(int)) if source.n_obs else np.zeros(0, dtype=int)
    if len(rows) < FEWEST_SAMPLED or source.n_vars < 3:
        return np.zeros(0, dtype=np.int64)
    try:
        X = source.take(rows)
    except (CellmarkError, ValueError, TypeError, IndexError, OSError):
        return np.zeros(0, dtype=np.int64)  # whoever reads the values next says what is wrong with them
    if len(empty := np.flatnonzero(np.diff(X.indptr) == 0)):
        X = X[np.setdiff1d(np.arange(X.shape[0]), empty)]
    found = np.zeros(source.n_vars, dtype=bool)
    if X.shape[0] < FEWEST_SAMPLED or not np.isfinite(X.data).all():
        return np.flatnonzero(found)
    values, starts = X.data.astype(np.float64), X.indptr[:-1]
    largest = np.maximum.reduceat(values, starts)
    for among in (values,) if is_gene.all() else (values, values * is_gene[X.indices]):
        sums = np.add.reduceat(among, starts)
        for times in (1, 2):
            if (largest > 0).all() and (np.abs(largest * (times + 1) - sums) <= 1e-6 * sums).all():
                equal = np.isclose(values, np.repeat(largest, np.diff(X.indptr)), rtol=1e-6)
                found |= is_gene & (np.bincount(X.indices[equal], minlength=source.n_vars) >= X.shape[0])
    candidates = np.flatnonzero(found)
    if len(candidates) == 0:
        return candidates
    names = [str(name).strip() for name in source.var_names[candidates]]
    known = np.any([load_gene_table(organism).find(names) >= 0 for organism in ORGANISMS], axis=0)
    return np.asarray(candidates[~known])


def _dropped(where: str, others: dict[str, np.ndarray], names: np.ndarray) -> Finding:
    listed = np.concatenate([numbers[: max(1, N_EXAMPLES - len(others) + 1)] for numbers in others.values()])
    return Finding(
        "FEATURES_DROPPED",
        where=where,
        expected="genes",
        found="; ".join(f"{len(numbers):,} {_counted(kind, len(numbers))}" for kind, numbers in others.items()),
        remedy="They were left out of the counts and of the library sizes; nothing needs to be done.",
        severity="info",
        examples=tuple(map(str, names[listed[:N_EXAMPLES]])),
    )


def _counted(kind: str, number: int) -> str:
    """`1 column of metadata`, `2 columns of metadata`; a file's own words stay."""
    if number > 1 or kind not in (*NO_GENES, TWINS, TOTALS):
        return kind
    return re.sub(r"(column|row|in|probe|hashtag|guide|peak|twin)s\b", r"\1", kind.replace("bodies", "body"), count=1)


def _kept_as_trained(finding: Finding) -> Finding:
    return replace(
        finding,
        code="FEATURES_KEPT",
        remedy="They were counted, as in the training of this model, which an earlier version or another tool made. "
        "Train it again to leave them out.",
    )


@dataclass
class GeneCells(CellSource):
    """A source without its features that are no genes. `kept`: numbers of the others, None for all."""

    source: CellSource
    kept: np.ndarray | None
    findings: tuple[Finding, ...]

    def __post_init__(self) -> None:
        inner, kept = self.source, self.kept
        self.name, self.obs, self.uns, self.counts_from = inner.name, inner.obs, inner.uns, inner.counts_from
        self.var_names = inner.var_names if kept is None else inner.var_names[kept]
        self.var = inner.var if kept is None else inner.var.iloc[kept]
        self.others = tuple(replace(other, take=self._taking(other)) for other in inner.others)
        self.notes, self.normalised = (*inner.notes, *self.findings), inner.normalised
        self.lies_at(inner.first_row, inner.n_total)

    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        for chunk in self.source.chunks(n_rows):
            yield RowChunk(chunk.start, self._genes_of(chunk.X))

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        return self._genes_of(self.source.take(rows))

    def close(self) -> None:
        self.source.close()

    def _genes_of(self, X: sp.csr_matrix) -> sp.csr_matrix:
        return X if self.kept is None else X[:, self.kept]

    def _taking(self, other: OtherMatrix) -> Callable[[np.ndarray], sp.csr_matrix]:
        n_vars = self.source.n_vars

        def take(rows: np.ndarray) -> sp.csr_matrix:
            X = other.take(rows)
            # `raw` may have other genes than `X`.
            return self._genes_of(X) if X.shape[1] == n_vars else X

        return take
