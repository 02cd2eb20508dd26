"""The genes that a model looks at, and the alignment of any input to them."""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import Finding, GeneOverlapError, ParameterError
from ..normalization import COUNTS_PER, unchecked_csr
from .declared_organism import organism_name
from .gene_ids import detect_gene_names
from .gene_tables import ORGANISMS
from .mangled_gene_names import ensembl_id
from .map_gene_names import PanelNames
from .panel_evidence import PanelEvidence, evidence_findings, floored

MIN_PANEL_SHARE = 0.5
"""Share of the panel that an input must have measured, unless the caller sets another floor."""
N_NAMES, ENSEMBL_WITHIN = 100, r"ENS[A-Z]*G\d{11}"
"""Names looked at for Ensembl ids within them, as in `MS4A1_ENSG00000156738`."""
THRESHOLD, PERCENTILE = 0.01, 80.0
"""Bounds of a panel's filter as published: counts per 10,000, and the share of a type's cells below it in percent."""


def check_share(share: float) -> None:
    """Raise `ParameterError` unless a floor is above 0 and at most 1."""
    if not 0 < share <= 1:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="min_panel_share",
            expected="above 0, at most 1",
            found=str(share),
            remedy="Give a share such as 0.5.",
        )


@dataclass(frozen=True, eq=False)
class GeneMatch:
    """How the genes of one input fit a panel; made once per input and used for every chunk of it.

    `columns`: int32 [input genes], the panel column of each input gene, -1 for a gene outside the panel. `measured`:
    bool [panel genes]. `missing`: panel genes that the input did not measure. `duplicated`: panel genes that occur more
    than once in the input, whose counts are summed.
    """

    columns: np.ndarray
    measured: np.ndarray
    missing: tuple[str, ...]
    duplicated: tuple[str, ...]

    @property
    def n_matched(self) -> int:
        return int(self.measured.sum())

    @property
    def share(self) -> float:
        """Share of the panel's genes that the input measured."""
        return float(self.measured.mean())

    def align(self, X: sp.csr_matrix) -> sp.csr_matrix:
        """Counts of the panel's genes: CSR, float32, cells x panel, panel order. `X`: CSR, cells x input genes."""
        # Most entries are of other genes: which ones stay is asked of a table that fits the fastest cache.
        kept = np.flatnonzero((self.columns >= 0).take(X.indices))
        aligned = unchecked_csr(
            X.data[kept].astype(np.float32, copy=False),
            self.columns.take(X.indices[kept]),
            np.searchsorted(kept, X.indptr),
            (X.shape[0], len(self.measured)),
        )
        if self.duplicated:
            aligned.sum_duplicates()
        return aligned


@dataclass(frozen=True)
class GenePanel:
    """The model's genes in the order of its inputs. `symbols`: names as in the training data, unique. `gene_ids`: their
    Ensembl ids, None where unknown. `organism`: as the training data say, in their words. `evidence`: how much each
    gene's absence matters, None for a model that does not know. `as_named`: whether genes are taken by these names
    alone, as the tool does that the model was imported from.
    """

    symbols: tuple[str, ...]
    gene_ids: tuple[str | None, ...] | None = field(default=None, compare=False)
    organism: str | None = field(default=None, compare=False)
    evidence: PanelEvidence | None = field(default=None, compare=False, repr=False)
    as_named: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        repeated = pd.Index(self.symbols)
        if not repeated.is_unique:
            names = tuple(repeated[repeated.duplicated()].unique()[:5].astype(str))
            raise ParameterError.of(
                "PARAMETER_INVALID",
                where="symbols",
                expected="unique gene symbols",
                found="repeated ones",
                remedy="Name each once.",
                examples=names,
            )

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the symbols in order, one a line."""
        return hashlib.sha256("\n".join(self.symbols).encode()).hexdigest()

    @cached_property
    def known_organism(self) -> str | None:
        """`human`, `mouse` or another species where the training data said so; costs nothing."""
        return organism_name(self.organism)

    @cached_property
    def organism_of_names(self) -> str | None:
        """As `known_organism`, else what the names of the genes tell; None when neither says."""
        if self.known_organism is not None:
            return self.known_organism
        detected = detect_gene_names(np.array(self.symbols, dtype=object)).organism
        return detected if detected in ORGANISMS else None

    @cached_property
    def names(self) -> PanelNames:
        """What the genes are also called."""
        organism = next((name for name in ORGANISMS if name == self.organism_of_names), None)
        return PanelNames(self.symbols, self.gene_ids, organism)

    @cached_property
    def symbol_array(self) -> np.ndarray:
        """The symbols, object [panel genes]."""
        return np.array(self.symbols, dtype=object)

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(list(self.symbols), dtype=object)

    def match(self, var_names: np.ndarray) -> GeneMatch:
        """Where each gene of an input goes. `var_names`: [input genes], in any order, duplicates and others allowed."""
        return self.match_columns(self.columns_of(var_names))

    def columns_of(self, names: np.ndarray) -> np.ndarray:
        """The column of each name, int32 [names], -1 for one that is not the panel's."""
        return self._index.get_indexer(pd.Index(np.asarray(names, dtype=object), dtype=object)).astype(np.int32)

    def match_columns(self, columns: np.ndarray) -> GeneMatch:
        """As `match`, of genes whose columns are known. `columns`: int32 [input genes], -1 for genes outside."""
        times = np.bincount(columns[columns >= 0], minlength=len(self))
        symbols = self.symbol_array
        return GeneMatch(columns, times > 0, tuple(symbols[times == 0]), tuple(symbols[times > 1]))

    def align(
        self, X: sp.csr_matrix, var_names: np.ndarray, *, min_share: float = MIN_PANEL_SHARE
    ) -> tuple[sp.csr_matrix, GeneMatch]:
        """Counts of the panel's genes and how the input's genes fit.

        `X`: CSR, cells x input genes, raw counts. Returns CSR, float32, cells x panel genes, in panel order (duplicate
        symbols summed), and the match, whose `measured` tells zero from "not measured". Raises `GeneOverlapError` when
        less than `min_share` of the panel was measured.
        """
        match = self.match(var_names)
        findings = overlap_findings(self, match, var_names, min_share=min_share)
        if findings:
            raise GeneOverlapError(*findings)
        return match.align(X), match


def overlap_findings(
    panel: GenePanel,
    match: GeneMatch,
    var_names: np.ndarray,
    *,
    min_share: float = MIN_PANEL_SHARE,
    min_mass: float | None = None,
) -> tuple[Finding, ...]:
    """Errors of an input that measured too little of the panel, by number of genes and by what these carry, or a
    warning of what it says little of. `min_mass`: see `evidence_findings`.
    """
    if match.n_matched == 0:
        theirs, ours = ", ".join(map(str, var_names[:3])), ", ".join(panel.symbols[:3])
        remedy = f"Name the genes as the training data did; the input's begin with {theirs}."
        some = [str(name) for name in var_names[:N_NAMES]]
        if all(re.search(ENSEMBL_WITHIN, name) for name in some) and not all(map(ensembl_id, some)):
            remedy = (
                "Keep the Ensembl ids that the names hold: adata.var_names = "
                f"adata.var_names.str.extract(r'({ENSEMBL_WITHIN})', expand=False).fillna('unknown')."
            )
        return (
            Finding(
                "NO_GENES_SHARED",
                where="var_names",
                expected=f"gene symbols such as {ours}",
                found=f"{len(var_names)} names of which none is among the model's {len(panel)} genes",
                remedy=remedy,
                examples=tuple(str(name) for name in var_names[:5]),
            ),
        )
    evidence = panel.evidence
    by_mass = () if evidence is None else evidence_findings(evidence, panel.symbols, match, min_mass=min_mass)
    if match.share < min_share:
        missing = match.missing[:5]
        if evidence is not None:
            missing = (
                tuple(panel.symbols[column] for column in evidence.most_important(match.measured, top=5)) or missing
            )
        return (
            Finding(
                "TOO_FEW_GENES",
                where="var_names",
                expected=f"at least {min_share:.0%} of the model's {len(panel)} genes",
                found=f"{match.n_matched} of them ({match.share:.1%})",
                remedy=f"Provide all genes measured. Or accept worse calls: --min-panel-share {floored(match.share)}. "
                "Genes without counts belong to those measured. A model trained on shared genes calls better.",
                examples=missing,
            ),
            *by_mass,
        )
    return by_mass


def duplicate_notes(match: GeneMatch) -> tuple[Finding, ...]:
    """A note when gene names of the panel occur more than once in an input."""
    if not match.duplicated:
        return ()
    return (
        Finding(
            "GENES_DUPLICATED",
            where="var_names",
            expected="each gene once",
            found=f"{len(match.duplicated)} of the model's genes more than once",
            remedy="Their counts were summed.",
            severity="info",
            examples=match.duplicated[:5],
        ),
    )


def expressed_genes(
    counts: sp.csr_matrix,
    library_size: np.ndarray,
    codes: np.ndarray,
    *,
    threshold: float = THRESHOLD,
    percentile: float = PERCENTILE,
) -> np.ndarray:
    """Genes that at least one type expresses: the published method's filter.

    `counts`: CSR, cells x genes, raw. `library_size`: [cells]. `codes`: int [cells], number of each cell's type.
    Returns bool [genes]: True where counts per 10,000 reach `threshold` somewhere and their `percentile` (linear
    interpolation, as NumPy's default) exceeds it in at least one type.

    Only columns whose percentile falls between a value below and one above the threshold are ever sorted; for all
    others a count of the values above it decides.

    Source: Zhang et al. 2026, Briefings in Bioinformatics 27(3), bbag223.
    """
    scaled = sp.csr_matrix(
        (counts.data * np.repeat(COUNTS_PER / library_size, np.diff(counts.indptr)), counts.indices, counts.indptr),
        shape=counts.shape,
    )
    reached = np.zeros(counts.shape[1], dtype=bool)
    if scaled.nnz:
        reached = scaled.max(axis=0).toarray().ravel() >= threshold
    kept = np.zeros(counts.shape[1], dtype=bool)
    for code in np.unique(codes):
        of_type = scaled[codes == code]
        n_cells = of_type.shape[0]
        position = percentile / 100 * (n_cells - 1)
        low = int(np.floor(position))
        above = np.bincount(of_type.indices[of_type.data > threshold], minlength=counts.shape[1])
        kept |= above >= n_cells - low
        if position > low:
            undecided = np.flatnonzero((above == n_cells - low - 1) & ~kept)
            values = of_type[:, undecided].toarray()
            kept[undecided] = np.percentile(values, percentile, axis=0) > threshold
    return kept & reached
