"""What became of a marker, in one word, by rules that are written down."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GAINED, LOST, STRONGER, WEAKER = "gained", "lost", "stronger", "weaker"
KEPT, UNDECIDED, NO_MARKER, NOT_COMPARED = "kept", "undecided", "no marker", "not compared"
VERDICTS = {
    GAINED: "a marker in the condition, not in the reference, and the change is decided",
    LOST: "a marker in the reference, not in the condition, and the change is decided",
    STRONGER: "a marker in both, and more so in the condition: the change is decided",
    WEAKER: "a marker in both, and less so in the condition: the change is decided",
    KEPT: "a marker in both, and the whole interval of the change is smaller than what counts as one",
    UNDECIDED: "none of these can be said: the interval is too wide, or there is none",
    NO_MARKER: "a marker in neither",
    NOT_COMPARED: "the type has too few cells in the condition or in the reference",
}


@dataclass(frozen=True)
class ChangeRules:
    """When a gene is a marker, and when a change is one.

    A gene marks a type where its log2 fold change against the average other type is at least `min_log2_fold_change`
    and at least `min_fraction` of the type's cells express it. A change is decided where its adjusted p-value is at
    most `alpha` and it is at least `min_change` (log2) in size. Intervals hold 1 - `alpha`.
    """

    min_log2_fold_change: float = 1.0
    min_fraction: float = 0.1
    min_change: float = 1.0
    alpha: float = 0.05

    def is_marker(self, log2_fold_change: np.ndarray, fraction: np.ndarray) -> np.ndarray:
        """The rule's answer for each gene, bool [genes]."""
        found: np.ndarray = (log2_fold_change >= self.min_log2_fold_change) & (fraction >= self.min_fraction)
        return found

    def is_candidate(
        self, log2_fold_change: Sequence[np.ndarray], fraction: Sequence[np.ndarray], *, n_donors: Sequence[int]
    ) -> np.ndarray:
        """Genes worth a test, bool [genes]: those whose mean over all donors does not rule out a marker of either side.

        `log2_fold_change`, `fraction`: of the reference and of the condition, [genes] each; `n_donors`: of both. A gene
        that just is a marker in the side with fewer donors, and nothing in the other, is a candidate. The mean over all
        donors says nothing of the difference between two groups of them, so p-values stay what they are (Bourgon et al.
        2010, doi:10.1073/pnas.0914005107); genes chosen by the larger side would be those that chance made large there.
        """
        shares = np.array(n_donors) / sum(n_donors)
        effect = shares[0] * log2_fold_change[0] + shares[1] * log2_fold_change[1]
        expressed = shares[0] * fraction[0] + shares[1] * fraction[1]
        found: np.ndarray = (effect >= shares.min() * self.min_log2_fold_change) & (
            expressed >= shares.min() * self.min_fraction
        )
        return found

    def verdicts(
        self,
        marker_before: np.ndarray,
        marker_after: np.ndarray,
        *,
        change: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        p_value_adj: np.ndarray,
    ) -> np.ndarray:
        """Words of `VERDICTS`, [genes]. `marker_before`: in the reference; `marker_after`: in the condition."""
        decided = (p_value_adj <= self.alpha) & (np.abs(change) >= self.min_change)
        up, both = change > 0, marker_before & marker_after
        found: np.ndarray = np.select(
            [
                ~marker_before & ~marker_after,
                decided & both & up,
                decided & both & ~up,
                decided & marker_after & ~both & up,
                decided & marker_before & ~both & ~up,
                both & (low > -self.min_change) & (high < self.min_change),
            ],
            [NO_MARKER, STRONGER, WEAKER, GAINED, LOST, KEPT],
            default=UNDECIDED,
        )
        return found
