"""What a pipeline asks of `cellmark drift`: from which verdict on it is to stop, and where runs are logged."""

from cellmark.schemas.drift.drift_report import ORDER, Severity
from cellmark.schemas.errors import Finding, ParameterError


def check_fail_on(fail_on: str | None) -> None:
    """Raise `ParameterError` unless it is None, `moved` or `far`."""
    if fail_on not in (None, "moved", "far"):
        raise ParameterError(
            Finding("PARAMETER_INVALID", "fail_on", "moved or far", repr(fail_on), "Name one of them.")
        )


def check_experiment(experiment: str | None, *, log_to_mlflow: bool) -> None:
    """Raise `ParameterError` for an experiment into which nothing would be logged."""
    if experiment is not None and not log_to_mlflow:
        raise ParameterError(
            Finding("PARAMETER_INVALID", "experiment", "with --log-to-mlflow", repr(experiment),
                    "Add --log-to-mlflow, or omit --experiment.")
        )  # fmt: skip


def fails(severity: Severity | None, fail_on: str | None) -> bool:
    """Whether a verdict is at least `fail_on`. One that could not be made, None, fails too: nothing was shown to be as
    it should.
    """
    if fail_on is None:
        return False
    return severity is None or ORDER[severity] >= (ORDER["far"] if fail_on == "far" else ORDER["moved"])
