"""Lists of numbers on the command line."""

from cellmark.schemas.errors import ParameterError


def whole_numbers(text: str, name: str) -> tuple[int, ...]:
    """Positive whole numbers between commas. Raises `ParameterError` for anything else."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where=name,
            expected="positive whole numbers between commas, such as 256 or 512,256",
            found=repr(text),
            remedy="Correct the list.",
        )
    return tuple(int(part) for part in parts)


def check_range(name: str, value: float, expected: str, *, low: float, high: float = float("inf")) -> None:
    """Raise `ParameterError` for a number that is not from `low` to `high`. `expected`: that, in words."""
    if not low <= value <= high:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where=name,
            expected=expected,
            found=f"{value:g}",
            remedy=f"Correct --{name.replace('_', '-')}.",
        )
