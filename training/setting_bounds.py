"""Bounds of settings, stated once at their fields and checked by pydantic; what is wrong is said as ours.

A field's type carries its limits (`Annotated[int, Field(ge=1)]`) or its choices (`Literal`), and where the usual words
are not enough, an `Advice`. Settings stay plain frozen dataclasses; NaN is never within bounds.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from cellmark.schemas.errors import Finding, ParameterError

RAISE = "Raise it."


@dataclass(frozen=True)
class Advice:
    """What a refusal of a field says. `expected`: by default its limits in words."""

    remedy: str = RAISE
    expected: str = ""


AtLeast0 = Annotated[int, Field(ge=0)]
AtLeast1 = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
BelowOne = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
NotBlank = Annotated[str, StringConstraints(pattern=r"\S")]
ShareAboveZero = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


def problems_in(settings: Any, *, prefix: str = "") -> list[Finding]:
    """What is outside its bounds, field by field. `prefix`: before a field's name in findings."""
    problems = []
    for name, (adapter, advice) in _checks(settings.__class__).items():
        value = getattr(settings, name)
        try:
            adapter.validate_python(value, strict=True)
        except ValidationError:
            problems.append(problem(prefix + name, advice.expected, repr(value), advice.remedy))
    return problems


def problem(where: str, expected: str, found: str, remedy: str) -> Finding:
    """A setting that cannot be used."""
    return Finding(code="PARAMETER_INVALID", where=where, expected=expected, found=found, remedy=remedy)


@cache
def _checks(settings: type[Any]) -> dict[str, tuple[TypeAdapter[Any], Advice]]:
    """Adapter and words of each field that has limits or choices, by its name."""
    hints = get_type_hints(settings, include_extras=True)
    found = {}
    for field in fields(settings):
        hint = hints[field.name]
        metadata = _metadata(hint)
        advice = next((one for one in metadata if isinstance(one, Advice)), Advice())
        if get_origin(hint) is Literal:
            choices = " or ".join(map(str, get_args(hint)))
            found[field.name] = TypeAdapter(hint), Advice("Name one of them.", choices)
        elif metadata:
            found[field.name] = TypeAdapter(hint), Advice(advice.remedy, advice.expected or _in_words(metadata))
    return found


def _metadata(hint: Any) -> list[Any]:
    """Metadata of a type and, as in `Annotated[int, ...] | None`, of its parts, the outermost first."""
    own = list(getattr(hint, "__metadata__", ()))
    return [*own, *(one for part in get_args(hint) if get_origin(hint) is not Literal for one in _metadata(part))]


def _in_words(metadata: list[Any]) -> str:
    limits = [limit for one in metadata if isinstance(one, FieldInfo) for limit in one.metadata]
    words = {Gt: "above {0.gt:g}", Ge: "at least {0.ge:g}", Lt: "below {0.lt:g}", Le: "at most {0.le:g}"}
    return ", ".join(words[type(limit)].format(limit) for limit in limits if type(limit) in words)


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


def check_range(
    name: str, value: float, expected: str, *, low: float, high: float = float("inf"), remedy: str = ""
) -> None:
    """Raise `ParameterError` for a number that is not from `low` to `high`. `expected`: that, in words."""
    if not low <= value <= high:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where=name,
            expected=expected,
            found=f"{value:g}",
            remedy=remedy or f"Correct --{name.replace('_', '-')}.",
        )
