"""Lists of numbers on the command line."""

from cellmark.schemas.errors import Finding, ParameterError


def whole_numbers(text: str, name: str) -> tuple[int, ...]:
    """Positive whole numbers between commas. Raises `ParameterError` for anything else."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise ParameterError(
            Finding("PARAMETER_INVALID", name, "positive whole numbers between commas, such as 256 or 512,256",
                    repr(text), "Correct the list.")
        )  # fmt: skip
    return tuple(int(part) for part in parts)


def check_range(name: str, value: float, expected: str, *, low: float, high: float = float("inf")) -> None:
    """Raise `ParameterError` for a number that is not from `low` to `high`. `expected`: that, in words."""
    if not low <= value <= high:
        raise ParameterError(
            Finding("PARAMETER_INVALID", name, expected, f"{value:g}", f"Correct --{name.replace('_', '-')}.")
        )
