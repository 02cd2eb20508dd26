"""Numbers and intervals as the report writes them."""

from ..manifest.manifest_evaluation import Estimate

NOT_MEASURED = "not measured"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in per cent; `not measured` without one."""
    return NOT_MEASURED if share is None else f"{100 * share:.{digits}f} %"


def score(value: float | None) -> str:
    """Three decimals; `not measured` without a value."""
    return NOT_MEASURED if value is None else f"{value:.3f}"


def interval(estimate: Estimate | None) -> str:
    """The 95 % interval in words, empty without one."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    how = "of" if estimate.value == 1 else "bootstrap over"
    over = f", {how} {estimate.over}" if estimate.over else ""
    return f"95 % interval {estimate.low:.3f} to {estimate.high:.3f}{over}"


def count(value: int, one: str, many: str | None = None) -> str:
    """`1 donor`, `1,204 donors`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def listed(names: list[str], most: int = 8) -> str:
    """Names with commas; how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
