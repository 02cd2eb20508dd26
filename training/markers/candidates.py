"""Candidate genes of each type, from contributions alone, as published."""

import numpy as np

RATIOS = (0.1, 0.2, 0.3, 0.5)
SHARES = (0.3, 0.1, 0.0)
MIN_SHARE = 0.5


def candidates(contributions: np.ndarray, codes: np.ndarray, *, n_types: int, n: int = 50) -> list[np.ndarray]:
    """Genes of each type, best first, int [at most n] each; empty for a type without cells.

    `contributions`: cells x genes, dense; `codes`: int [cells]. A type's value of a gene is the median, and the mean,
    of its cells' contributions, negative ones set to 0. In order, until there are `n`:

    1. genes with both values positive, contributing in half of the type's cells, and with every other type's value
       below r times the type's own in both, for the first r of 0.1, 0.2, 0.3, 0.5 that gives `n` (else 0.5);
    2. those that keep below r in one of the two;
    3. any gene with a positive value that contributes in a share of 0.3, then 0.1, then 0 of the type's cells.

    Each part goes by falling median, then mean, then gene number. Zhang et al. 2026 (bbag223), step 7 of the method;
    where medians of 0 come in part 3 is not published, and here they come last.
    """
    present = np.flatnonzero(np.bincount(codes, minlength=n_types))
    groups = [contributions[codes == code] for code in present]
    median = np.stack([np.median(group, axis=0) for group in groups]).clip(min=0)
    mean = np.stack([group.mean(axis=0, dtype=np.float64) for group in groups]).clip(min=0)
    share = np.stack([(group > 0).mean(axis=0) for group in groups])
    found = [np.zeros(0, dtype=np.intp)] * n_types
    for row, code in enumerate(present):
        found[code] = _of_type(row, median, mean, share, n)
    return found


def _of_type(row: int, median: np.ndarray, mean: np.ndarray, share: np.ndarray, n: int) -> np.ndarray:
    order = np.lexsort((-mean[row], -median[row]))
    others = np.arange(len(median)) != row

    def below(values: np.ndarray, ratio: float) -> np.ndarray:
        kept: np.ndarray = values[others].max(axis=0, initial=0) < ratio * values[row]
        return kept

    both_positive = (median[row] > 0) & (mean[row] > 0) & (share[row] >= MIN_SHARE)
    for ratio in RATIOS:
        strict = both_positive & below(median, ratio) & below(mean, ratio)
        if strict.sum() >= n:
            break
    either = both_positive & (below(median, ratio) | below(mean, ratio))
    any_positive = (median[row] > 0) | (mean[row] > 0)
    chosen: np.ndarray = np.zeros(0, dtype=np.intp)
    for passing in (strict, either, *(any_positive & (share[row] >= least) for least in SHARES)):
        chosen = np.concatenate([chosen, order[passing[order] & ~np.isin(order, chosen)]])
    return chosen[:n]
