"""From which verdict on a pipeline is to stop."""

from cellmark.schemas.drift_report import ORDER, Severity
from cellmark.schemas.errors import Finding, ParameterError


def check_fail_on(fail_on: str | None) -> None:
    """Raise `ParameterError` unless it is None, `moved` or `far`."""
    if fail_on not in (None, "moved", "far"):
        raise ParameterError(
            Finding("PARAMETER_INVALID", "fail_on", "moved or far", repr(fail_on), "Name one of them.")
        )


def fails(severity: Severity | None, fail_on: str | None) -> bool:
    """Whether a verdict is at least `fail_on`. One that could not be made, None, fails too: nothing was shown to be as
    it should.
    """
    if fail_on is None:
        return False
    return severity is None or ORDER[severity] >= (ORDER["far"] if fail_on == "far" else ORDER["moved"])
