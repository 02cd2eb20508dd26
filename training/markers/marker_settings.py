"""How genes are ranked as markers of a type."""

from dataclasses import dataclass

from ..choices import BaselineKind, Ranking
from ..setting_bounds import AtLeast0, AtLeast1


@dataclass(frozen=True)
class MarkerSettings:
    """How markers are chosen and tested.

    `ranking`: `evidence` (see `marker_ranking.py`); `published`, the marker score of Zhang et al. 2026 (bbag223);
    `contribution`, by what the network uses alone. `baseline`: what a gene's contribution is measured against: the
    `mean` of types, `zero`, or one `random` cell. `n_permutations`: of labels, for p-values. `n_bootstraps`: draws of
    cells, for a rank's stability. `n_candidates`: at most so many genes of a type are scored by `published`.
    `include_genes`: symbols, the only ones that may be markers (empty: all); `exclude_genes`: symbols that may not. The
    network sees all genes of the panel all the same.
    """

    ranking: Ranking = "evidence"
    baseline: BaselineKind = "mean"
    n_permutations: AtLeast1 = 1000
    n_bootstraps: AtLeast0 = 50
    n_candidates: AtLeast1 = 50
    include_genes: tuple[str, ...] = ()
    exclude_genes: tuple[str, ...] = ()
