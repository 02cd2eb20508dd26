"""The receipt of an answer, made where its calls are known."""

import json
import secrets
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from cellmark.schemas.audit.entry import timestamp
from cellmark.schemas.audit.receipt import calls_digest, options_digest

from ..context import RequestContext, current

if TYPE_CHECKING:
    from ..annotator import Annotator

RECEIPT = "receipt"
"""Name of the receipt in the context's `extra`, and in answers."""
OPTIONS = "options"


def make_receipt(
    annotator: "Annotator", codes: np.ndarray | None, *, sample_shift: str | None = None
) -> dict[str, Any] | None:
    """The receipt of the answer to the current request, which keeps it; None outside of requests.

    `codes`: [cells], see `calls_digest`; None for an answer without calls. `sample_shift`: see `Receipt`.
    """
    context = current()
    if context is None or context.input_digest is None:
        return None
    options: dict[str, str] = context.extra.get(OPTIONS, {})
    source = annotator.source
    receipt = {
        "id": secrets.token_hex(16),
        "route": context.route,
        "model": source.name,
        "model_version": source.version,
        "bundle_digest": annotator.bundle.digest,
        "input_digest": context.input_digest,
        "options": options,
        "options_digest": options_digest(options),
        "calls_digest": None if codes is None else calls_digest(codes),
        "service_version": _version(),
        "time": timestamp(),
        **({} if sample_shift is None else {"sample_shift": sample_shift}),
    }
    context.extra[RECEIPT] = receipt
    return receipt


def note_question(context: RequestContext, path: str, options: BaseModel) -> None:
    """What was asked, for the receipt."""
    context.route = context.route or path
    context.extra[OPTIONS] = options_given(options)


def options_given(options: BaseModel) -> dict[str, str]:
    """The options that a request gave, as texts that give them again."""
    given = options.model_dump(mode="json", exclude_unset=True)
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in sorted(given.items())}


@cache
def _version() -> str:
    return version("cellmark")
