"""Where labels of a map are written, so that none covers another."""

import numpy as np

STEPS = 400
GAP = 2.0


def place_labels(
    anchors: np.ndarray, sizes: np.ndarray, *, width: float, height: float, steps: int = STEPS
) -> tuple[np.ndarray, bool]:
    """Centres of labels as near to `anchors` as they get without overlap, [labels, 2], and whether none overlap.

    All in pixels: `anchors`, [labels, 2], in a frame of `width` x `height`, which labels stay in; `sizes`: width and
    height of each, [labels, 2]. Two labels that overlap part along the axis that takes the shorter way.
    """
    half = (np.asarray(sizes, dtype=float) + GAP) / 2
    frame = np.array([width, height], dtype=float)

    def inside(centres: np.ndarray) -> np.ndarray:
        clipped: np.ndarray = np.clip(centres, np.minimum(half, frame / 2), np.maximum(frame - half, frame / 2))
        return clipped

    centres = inside(np.array(anchors, dtype=float))
    order = np.arange(len(centres))
    before = order[:, None] < order[None, :]
    for _ in range(steps):
        apart = centres[:, None, :] - centres[None, :, :]
        overlap = half[:, None, :] + half[None, :, :] - np.abs(apart)
        covered = (overlap > 1e-6).all(axis=2) & (order[:, None] != order[None, :])
        if not covered.any():
            return centres, True
        axis = overlap.argmin(axis=2)[..., None] == np.arange(2)
        away = np.where(apart > 0, 1.0, np.where(apart < 0, -1.0, np.where(before, -1.0, 1.0)[..., None]))
        push = np.where(covered[..., None] & axis, 0.5 * (overlap + 0.5) * away, 0)
        centres = inside(centres + push.sum(axis=1) / np.maximum(covered.sum(axis=1, keepdims=True), 1))
    return centres, False
