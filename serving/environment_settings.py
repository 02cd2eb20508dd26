"""Settings as `CELLMARK_...` environment variables, so that a server, its workers and a container read the same."""

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, ModelWrapValidatorHandler, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from cellmark.schemas.errors import Finding, ParameterError

PREFIX = "CELLMARK_"
MIB = 1024**2
Count = Annotated[int, Field(ge=1, le=10**15)]
WHOLE = "a whole number from 1 to 10^15"
KINDS = {
    "string_type": "text",
    "float_parsing": "a number",
    "greater_than": "a number above 0",
    "less_than_equal": "a smaller number",
}
"""What is expected where it is no count, by pydantic's name of the error."""


@dataclass(frozen=True)
class EnvironmentSettings:
    """Base of settings: the variable of a field `max_cells` is `CELLMARK_MAX_CELLS`. Raises `ParameterError` with all
    that is wrong.
    """

    PATHS: ClassVar[tuple[str, ...]] = ()
    """Settings that are paths: workers run in another folder, so their variables hold whole ones."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **defaults: Any) -> Self:
        """Settings of `CELLMARK_...` variables; an empty one counts as not set."""
        given = os.environ if environment is None else environment
        texts = {entry.name: given.get(PREFIX + entry.name.upper(), "").strip() for entry in fields(cls)}
        return cls(**{**defaults, **{name: text for name, text in texts.items() if text}})

    def to_environment(self) -> dict[str, str]:
        """The variables that give these settings again."""
        values = {name: "" if value is None else str(value) for name, value in asdict(self).items()}
        whole = {name: os.path.abspath(values[name]) for name in self.PATHS if values[name]}
        return {PREFIX + name.upper(): value for name, value in {**values, **whole}.items()}

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise ParameterError(*(cls._finding(problem) for problem in error.errors())) from None

    @classmethod
    def _finding(cls, problem: Mapping[str, Any]) -> Finding:
        name = str(problem["loc"][0])
        meaning = TypeAdapter(cls).json_schema()["properties"][name]["description"]
        facts = problem.get("ctx", {})
        kinds = {**KINDS, "literal_error": str(facts.get("expected")).replace("'", "")}
        if facts.get("ge") == 0:
            kinds["greater_than_equal"] = "a number, 0 or more"
        return Finding(
            "PARAMETER_INVALID",
            where=PREFIX + name.upper(),
            expected=kinds.get(problem["type"], WHOLE),
            found=repr(str(problem["input"])[:40]),
            remedy=f"Set {PREFIX}{name.upper()}: {meaning}.",
        )
