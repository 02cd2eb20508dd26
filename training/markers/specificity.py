"""How specific a gene is for a type, within each sample: its log2 fold change against the average other type."""

import numpy as np


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
