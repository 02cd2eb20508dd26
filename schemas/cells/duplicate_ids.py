"""Ids that occur more than once among millions, found with eight bytes for each."""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

MOST_COMPARED = 50_000
"""Hashes that come twice whose ids are compared as text; whoever made more of them collide has ids that are no good."""


def find_duplicates(
    blocks: Callable[[], Iterable[np.ndarray]], n_ids: int, *, n_examples: int
) -> tuple[int, list[str]]:
    """The number of ids that occur more than once, and some of them in the order in which they come again.

    `blocks`: reads all ids in order, object of `str`; called again only where hashes come twice. Those of ids that
    differ are no duplicates: up to `MOST_COMPARED`, ids are compared as text.
    """
    hashes = np.empty(n_ids, dtype=np.uint64)
    filled = 0
    for ids in blocks():
        hashes[filled : filled + len(ids)] = _hashes(ids)
        filled += len(ids)
    if filled != n_ids:
        raise ValueError(f"{filled} ids of {n_ids} cells")
    hashes.sort()
    repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    del hashes
    if len(repeated) == 0:
        return 0, []
    compared = repeated[:MOST_COMPARED]
    seen: Counter[str] = Counter()
    again: list[str] = []
    for ids in blocks():
        for text in ids[np.isin(_hashes(ids), compared)]:
            seen[text] += 1
            if seen[text] == 2:
                again.append(text)
    return len(again) + len(repeated) - len(compared), again[:n_examples]


def _hashes(ids: np.ndarray) -> np.ndarray:
    return pd.util.hash_array(ids, categorize=False)
