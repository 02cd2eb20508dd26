"""What a pipeline asks of `cellmark drift`: from which verdict on it is to stop, and where runs are logged."""

from cellmark.schemas.drift.drift_report import ORDER, Severity
from cellmark.schemas.errors import ParameterError


def check_fail_on(fail_on: str | None) -> None:
    """Raise `ParameterError` unless it is None, `moved` or `far`."""
    if fail_on not in (None, "moved", "far"):
        raise ParameterError.not_a_choice("fail_on", choices="moved or far", found=repr(fail_on))


def check_experiment(experiment: str | None, *, log_to_mlflow: bool) -> None:
    """Raise `ParameterError` for an experiment into which nothing would be logged."""
    if experiment is not None and not log_to_mlflow:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="experiment",
            expected="with --log-to-mlflow",
            found=repr(experiment),
            remedy="Add --log-to-mlflow, or omit --experiment.",
        )


def fails(severity: Severity | None, fail_on: str | None) -> bool:
    """Whether a verdict is at least `fail_on`. One that could not be made, None, fails too: nothing was shown to be as
    it should.
    """
    if fail_on is None:
        return False
    return severity is None or ORDER[severity] >= (ORDER["far"] if fail_on == "far" else ORDER["moved"])
