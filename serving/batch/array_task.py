"""Which part of a job a task of an array does: named, or read from what SLURM and Kubernetes tell a task."""

import os
from collections.abc import Mapping

from cellmark.schemas.errors import ParameterError

from .run_job import Part

AUTO = "auto"
CHOICES = "I/N, such as 0/10; auto in a SLURM array, and auto/N in a Kubernetes indexed job"


def part_of(text: str, environment: Mapping[str, str] = os.environ) -> Part:
    """`3/10`; `auto` by `SLURM_ARRAY_TASK_ID`, which may start anywhere and have steps, and `SLURM_ARRAY_TASK_COUNT`;
    `auto/10` by `JOB_COMPLETION_INDEX` too, beside which Kubernetes names no number of tasks.

    Raises `ParameterError` for another text, and for `auto` where the environment does not say.
    """
    named, _, count = text.partition("/")
    try:
        if named != AUTO:
            return _part(int(named), int(count))
        return _from(environment, int(count) if count else None)
    except (ValueError, KeyError) as error:
        found = f"{text!r} without {error.args[0]}" if isinstance(error, KeyError) else repr(text)
        raise ParameterError.not_a_choice("array_task", choices=CHOICES, found=found) from None


def _from(environment: Mapping[str, str], count: int | None) -> Part:
    if "SLURM_ARRAY_TASK_ID" not in environment and "JOB_COMPLETION_INDEX" in environment:
        if count is None:
            raise KeyError("the number of tasks, which Kubernetes does not name")
        return _part(int(environment["JOB_COMPLETION_INDEX"]), count)
    first, step = int(environment.get("SLURM_ARRAY_TASK_MIN", 0)), int(environment.get("SLURM_ARRAY_TASK_STEP", 1))
    index = (int(environment["SLURM_ARRAY_TASK_ID"]) - first) // max(step, 1)
    return _part(index, int(environment["SLURM_ARRAY_TASK_COUNT"]) if count is None else count)


def _part(index: int, of: int) -> Part:
    if not 0 <= index < of:
        raise ValueError(index)
    return Part(index, of)
