"""The genes of an input and nothing else: what is no gene counts neither as expression nor in the library size.

Every door hands its cells through `counts_of_genes` before anything is made of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from ..cells.cell_source import CellSource, OtherMatrix, RowChunk
from ..errors import Finding
from ..genes.feature_types import features_by_type

FEATURE_RULE = 1
"""Version of the rule that says what is a gene. A bundle states the one that it was trained by."""
N_EXAMPLES = 5


def counts_of_genes(source: CellSource, *, rule: int | None = FEATURE_RULE) -> CellSource:
    """The same cells with the features that are genes, and notes that name the others; `source` itself where all are.

    `rule`: that of the model, None for one that was trained on all features: then none is left out, and a note says
    so. Errors are among the notes too, so that `CheckedCells` raises them with all others.
    """
    is_gene, by_type, errors = features_by_type(source.var)
    findings = list(errors if rule is not None else ())
    if by_type:
        findings.append(_dropped("var", by_type, source.var_names))
    if not findings:
        return source
    if rule is None:
        return GeneCells(source, None, tuple(_kept_as_trained(finding) for finding in findings))
    return GeneCells(source, None if is_gene.all() else np.flatnonzero(is_gene), tuple(findings))


def _dropped(where: str, others: dict[str, np.ndarray], names: np.ndarray) -> Finding:
    listed = np.concatenate(list(others.values()))
    return Finding(
        "FEATURES_DROPPED",
        where=where,
        expected="genes",
        found=", ".join(f"{len(columns):,} {kind}" for kind, columns in others.items()),
        remedy="They were left out of the counts and of the library sizes; nothing needs to be done.",
        severity="info",
        examples=tuple(map(str, names[listed[:N_EXAMPLES]])),
    )


def _kept_as_trained(finding: Finding) -> Finding:
    return replace(
        finding,
        code="FEATURES_KEPT",
        remedy="They were counted, as in the training of this model, which an earlier version made. Train it again to "
        "leave them out.",
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
        self.notes = (*inner.notes, *self.findings)

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
