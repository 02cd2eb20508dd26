"""Refusals and warnings of the front door: remedies name keywords, not flags of the command line."""

import functools
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ParamSpec, TypeVar

from cellmark.schemas.errors import CellmarkError, Finding
from cellmark.schemas.spoken import in_python

P = ParamSpec("P")
R = TypeVar("R")


class CellmarkWarning(UserWarning):
    """Something about the cells that their answer is to be read with.

    Examples
    --------
    >>> import warnings
    >>> adata.obs["total"] = 5000.0
    >>> with warnings.catch_warnings(record=True, action="always") as heard:
    ...     model.annotate(adata, library_size="total")
    >>> {one.category.__name__ for one in heard}
    {'CellmarkWarning'}
    """


def speaks_python(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, whose errors of ours say what to do in Python."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except CellmarkError as error:
            error.findings = tuple(map(_in_python, error.findings))
            error.args = ("\n".join(map(str, error.findings)),)
            raise

    return run


def warn(notes: Iterable[Finding]) -> None:
    """Say what is more than a remark as a Python warning; remarks stay in the facts."""
    for note in notes:
        if note.severity == "warning":
            warnings.warn(str(_in_python(note)), CellmarkWarning, stacklevel=4)


def _in_python(finding: Finding) -> Finding:
    return replace(
        finding,
        where=finding.where.removeprefix("--"),
        expected=in_python(finding.expected),
        found=in_python(finding.found),
        remedy=in_python(finding.remedy),
    )
