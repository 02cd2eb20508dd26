"""From which effect a measure counts as moved and as far: conventions, widened to what training donors differ by."""

from typing import NamedTuple

from ..reference_profile import RATIOS, ReferenceProfile
from .drift_report import Severity


class Limits(NamedTuple):
    """Where a measure counts as `moved` and as `far`, and of which effect. `donors`: the largest effect of any training
    donor beside the others, as it is judged; None where there were no donors.
    """

    effect: str
    moved: float
    far: float
    donors: float | None = None


LIMITS = {
    "library_size": Limits("ratio of medians within types, either way", 1.5, 4.0),
    "genes_detected": Limits("ratio of medians within types, either way", 1.3, 2.5),
    "mitochondrial_share": Limits("difference of medians within types, either way", 0.03, 0.10),
    "confidence": Limits("share of cells less confident than 95 % of held-out cells of their type", 0.15, 0.30),
    "novelty": Limits("share of cells more novel than 95 % of held-out cells of their type", 0.15, 0.30),
    "unassigned": Limits("share of cells above what is expected", 0.03, 0.10),
    "panel_overlap": Limits("share of the panel's genes that were not measured", 0.10, 0.30),
    "detection": Limits("mean difference of detection rates beyond chance, over genes of the panel", 0.05, 0.15),
    "composition": Limits("total variation between the shares of called types; no fault by itself", 0.10, 0.30),
}
"""Conventions. The docs give the reasons."""


def judged_size(name: str, effect: float) -> float:
    """An effect as limits judge it: ratios as how many times larger or smaller, differences without their sign."""
    if name in RATIOS:
        return max(effect, 1 / effect) if effect > 0 else float("inf")
    return abs(effect) if name == "mitochondrial_share" else effect


def limits_of(profile: ReferenceProfile) -> dict[str, Limits]:
    """The conventions, and where training donors differ by more: `moved` from the largest effect of any of them, `far`
    from twice it (of a ratio, its square).
    """
    found = {}
    for name, limits in LIMITS.items():
        sizes = [judged_size(name, donor.effects[name]) for donor in profile.donors.values() if name in donor.effects]
        if not sizes:
            found[name] = limits
            continue
        largest = max(sizes)
        twice = largest**2 if name in RATIOS else 2 * largest
        found[name] = Limits(
            limits.effect,
            max(limits.moved, largest),
            max(limits.far, twice) if largest > limits.moved else limits.far,
            largest,
        )
    return found


def severity_of(limits: Limits, size: float) -> Severity:
    """By the limits of a measure. `size`: see `judged_size`."""
    if size >= limits.far:
        return "far"
    # What a training donor showed is no drift.
    return "moved" if size >= limits.moved and (limits.donors is None or size > limits.donors) else "ok"
