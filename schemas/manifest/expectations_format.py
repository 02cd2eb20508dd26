"""What `expectations.json` may hold, checked before anything is built from it.

The suites are Great Expectations' own, but only with arguments that are plain values: Great Expectations hands
`row_condition` to `DataFrame.query`, which evaluates Python, and a bundle may come from somewhere else.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ..errors import BundleError, Finding

FORMAT_VERSION = 1
WHERE = "expectations.json"
REMEDY = "Get the bundle again from where it was made, or update cellmark."

Scalar = bool | int | float | str


class ExpectationKwargs(BaseModel):
    """Arguments of one expectation, as Great Expectations names them."""

    model_config = ConfigDict(extra="forbid")
    column: str | None = None
    min_value: float | None = None
    max_value: float | None = None
    mostly: float | None = Field(default=None, ge=0, le=1)
    value: int | None = None
    value_set: list[Scalar] | None = None


class Expectation(BaseModel):
    """One expectation. `notes`: why it is expected. `meta`: room for later notes, not read."""

    model_config = ConfigDict(extra="forbid")
    type: str = Field(pattern=r"^expect_[a-z_]{1,100}$")
    kwargs: ExpectationKwargs
    notes: str | None = None
    severity: Literal["critical", "warning", "info"] = "warning"
    meta: dict[str, JsonValue] = {}

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that were given."""
        return self.kwargs.model_dump(exclude_none=True)


class Suite(BaseModel):
    """One suite. `name`: also a file's name in the HTML pages, so no dots and no separators."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,200}$")
    expectations: list[Expectation] = Field(min_length=1, max_length=1000)
    meta: dict[str, JsonValue] = {}


class Suites(BaseModel):
    """`cells`: of the table with one row per cell. `sample`: of the table with one row."""

    model_config = ConfigDict(extra="forbid")
    cells: Suite
    sample: Suite


class NotMeasuredColumns(BaseModel):
    """Columns of either table that the training data could not measure."""

    model_config = ConfigDict(extra="forbid")
    cells: list[str] = []
    sample: list[str] = []


class Expectations(BaseModel):
    """The whole file. Unknown top-level fields are ignored: adding some does not change the format's version."""

    model_config = ConfigDict(extra="ignore")
    format_version: Literal[1]
    name: str
    suites: Suites
    not_measured: NotMeasuredColumns


def parse_expectations(raw: dict[str, Any]) -> Expectations:
    """Check the content of `expectations.json`. Raises `BundleError` for an unknown version or an unknown content."""
    version = raw.get("format_version")
    if version != FORMAT_VERSION:
        raise BundleError.of(
            "BUNDLE_FORMAT_UNKNOWN",
            where=WHERE,
            expected=f"format_version {FORMAT_VERSION}",
            found=repr(version),
            remedy=REMEDY,
        )
    try:
        return Expectations.model_validate(raw)
    except ValidationError as error:
        raise BundleError(
            *(
                Finding(
                    "BUNDLE_CONTENT_INVALID",
                    where=f"{WHERE}: {_path(problem['loc'])}",
                    expected="the documented form",
                    found=problem["msg"],
                    remedy=REMEDY,
                )
                for problem in error.errors(include_url=False, include_context=False, include_input=False)
            )
        ) from error


def library_size_range(expectations: Expectations) -> tuple[float, float] | None:
    """Where library sizes of single cells lie, widened as `quality_suites` says; None where nothing is expected."""
    for expected in expectations.suites.cells.expectations:
        low, high = expected.kwargs.min_value, expected.kwargs.max_value
        is_range = expected.type == "expect_column_values_to_be_between"
        if is_range and expected.kwargs.column == "total_counts" and low is not None and high is not None:
            return low, high
    return None


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)
