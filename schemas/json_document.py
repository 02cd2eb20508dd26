"""One JSON document on standard output, as commands with `--json` give it; all other text goes to standard error."""

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

_output: ContextVar[TextIO | None] = ContextVar("output", default=None)


def print_document(value: Any) -> None:
    """Print a value as JSON. Within `documents_alone`, nothing else goes to standard output."""
    print(json_text(value), file=_output.get() or sys.stdout)


@contextlib.contextmanager
def documents_alone() -> Iterator[None]:
    """In the block standard output is left to `print_document`; what else is printed goes to standard error."""
    token = _output.set(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _output.reset(token)


def json_text(value: Any) -> str:
    """JSON that every parser reads: what is no number is null, numpy's values are Python's, a path is text."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
