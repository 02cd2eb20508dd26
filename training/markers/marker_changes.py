"""One comparison in numbers: how specific genes are on either side, by how much that differs, and a word for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .contrasts import MIN_DONORS, NO_DONORS, Contrast, Spread, donor_spread, enough_donors

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


NUMBERS = (
    "type",
    "gene",
    "log2_fold_change_reference",
    "log2_fold_change_condition",
    "change",
    "variance",
    "df",
    "scale",
    "change_in_type",
    "change_in_rest",
    "fraction_reference",
    "fraction_condition",
    "n_donors_reference",
    "n_donors_condition",
    "reason",
)
"""Columns of a frame of changes: `type` and `gene` are numbers, `variance`, `df` and `scale` as of `donor_spread`, all
else as in `change_table`."""


def specificity(log2_means: np.ndarray, present: np.ndarray) -> np.ndarray:
    """log2 of (mean in the type + 1) over (mean of the other types' means + 1), [samples, types, genes].

    `log2_means`: log2(mean counts per 10,000 + 1), [samples, types, genes]; `present`: bool [samples, types], where
    they can be relied on. The other types weigh the same however many cells they have, so a sample in which a type is
    more frequent shows the same specificity. A type that is not present in a sample has NaN there, and stands in the
    rest of the other types with the value that `complete` gives it.
    """
    n_types = log2_means.shape[1]
    filled = complete(log2_means, present)
    means = np.maximum(np.exp2(filled) - 1, 0)
    others = (means.sum(axis=1, keepdims=True) - means) / (n_types - 1)
    return np.where(present[..., None], log2_means - np.log2(np.maximum(others, 0) + 1), np.nan)


def complete(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Values of all types in all samples: those not present as an additive model of samples and types has them.

    `values`: [samples, types, genes]; `present`: bool [samples, types]. The model is fitted by least squares to the
    values that are present. Without it, a sample that lacks a type would be compared with another rest.
    """
    if present.all():
        return values
    n_samples, n_types = present.shape
    rows = np.indices(present.shape)
    design = np.concatenate([np.eye(n_samples)[rows[0].ravel()], np.eye(n_types)[rows[1].ravel()]], axis=1)
    known = present.ravel()
    observed = values.reshape(n_samples * n_types, -1)[known]
    fitted = design @ np.linalg.lstsq(design[known], observed, rcond=None)[0]
    return np.where(present[..., None], values, fitted.reshape(values.shape))


@dataclass(frozen=True)
class Side:
    """The donors of one side. `own`: log2 mean of the type; `specific`: against the average other type; `fraction`: of
    cells expressing; [donors, shared types, genes] each. `present`: bool [donors, shared types].
    """

    own: np.ndarray
    specific: np.ndarray
    fraction: np.ndarray
    present: np.ndarray


def marker_changes(
    log2_means: np.ndarray,
    fractions: np.ndarray,
    enough: np.ndarray,
    contrast: Contrast,
    *,
    chosen: np.ndarray | None,
    rules: ChangeRules,
) -> Iterator[pd.DataFrame]:
    """A frame with the columns `NUMBERS` for each type that both sides have.

    `log2_means`, `fractions`: as of `Pseudobulk`, [samples, types, genes]; `enough`: bool [samples, types], where a
    sample has cells enough. `chosen`: bool [types, genes]; without it the genes that are candidates.
    """
    shared = shared_types(enough, contrast)
    if len(shared) < 2:
        return
    before, after = (side_of(log2_means, fractions, enough, of, shared) for of in (contrast.before, contrast.after))
    for place, code in enumerate(shared):
        rows = np.flatnonzero(before.present[:, place]), np.flatnonzero(after.present[:, place])
        reason = contrast.reason
        if contrast.design == "paired":
            pairs = np.intersect1d(*rows)
            rows = (pairs, pairs) if len(pairs) else rows
        if reason is None and not enough_donors(len(rows[0]), len(rows[1]), contrast.design):
            reason = f"{len(rows[0])} and {len(rows[1])} donors with enough cells of the type; {MIN_DONORS} are needed"
        elif contrast.design == "paired" and not len(pairs):
            reason = "no donor has enough cells of the type in both"
        fraction = [side.fraction[of, place].mean(axis=0) for side, of in zip((before, after), rows, strict=True)]
        own = [side.own[of, place].mean(axis=0) for side, of in zip((before, after), rows, strict=True)]
        specific = [side.specific[of, place] for side, of in zip((before, after), rows, strict=True)]
        mean = [values.mean(axis=0) for values in specific]
        n_donors = [len(of) for of in rows]
        wanted = chosen[code] if chosen is not None else rules.is_candidate(mean, fraction, n_donors=n_donors)
        genes = np.flatnonzero(wanted)
        spread = Spread(np.full(len(genes), np.nan), 0, np.nan)
        if reason is None and contrast.design is not None:
            spread = donor_spread(specific[0][:, genes], specific[1][:, genes], design=contrast.design)
        change, in_type = (mean[1] - mean[0])[genes], (own[1] - own[0])[genes]
        yield pd.DataFrame(
            {
                "type": code,
                "gene": genes,
                "log2_fold_change_reference": mean[0][genes],
                "log2_fold_change_condition": mean[1][genes],
                "change": change,
                "variance": spread.variance,
                "df": spread.df,
                "scale": spread.scale,
                "change_in_type": in_type,
                "change_in_rest": in_type - change,
                "fraction_reference": fraction[0][genes],
                "fraction_condition": fraction[1][genes],
                "n_donors_reference": len(rows[0]) if contrast.reason != NO_DONORS else None,
                "n_donors_condition": len(rows[1]) if contrast.reason != NO_DONORS else None,
                "reason": reason,
            },
            columns=NUMBERS,
        )


def shared_types(enough: np.ndarray, contrast: Contrast) -> np.ndarray:
    """Numbers of the types that some donor of either side has. `enough`: bool [samples, types]."""
    sides = [enough[contrast.samples(of)].any(axis=0) for of in (contrast.before, contrast.after)]
    return np.flatnonzero(sides[0] & sides[1])


def side_of(
    log2_means: np.ndarray,
    fractions: np.ndarray,
    enough: np.ndarray,
    donors: tuple[tuple[int, ...], ...],
    shared: np.ndarray,
) -> Side:
    """The donors of one side, with the shared types only. A donor's samples weigh the same.

    `donors`: of each donor, its samples; all else as in `marker_changes`.
    """
    rows = [list(of) for of in donors]
    counted = [enough[of][:, shared] for of in rows]
    present = np.stack([of.any(axis=0) for of in counted])

    def merged(values: np.ndarray) -> np.ndarray:
        means = [
            np.einsum("st,stg->tg", samples / np.maximum(samples.sum(axis=0), 1), values[of][:, shared])
            for samples, of in zip(counted, rows, strict=True)
        ]
        return np.stack(means)

    own = merged(log2_means)
    return Side(own, specificity(own, present), merged(fractions), present)
