"""Numbers in the words of the report of a job."""


def number(value: int, noun: str) -> str:
    """`1 cell`, `1,234 cells`."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def share(part: float, of: float) -> str:
    """In per cent, with one digit where that is needed to see it."""
    value = 100 * part / max(of, 1)
    return f"{value:.0f}\u00a0%" if value >= 10 or value == 0 else f"{value:.1f}\u00a0%"
