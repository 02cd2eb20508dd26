"""Answers validated against their documented models before they are sent, in tests and in debug mode: it costs time."""

import os

from pydantic import BaseModel

DEBUG = "CELLMARK_DEBUG"


def checked(model: type[BaseModel], answer: bytes) -> bytes:
    """The same JSON. Where the environment sets `CELLMARK_DEBUG`, raises pydantic's `ValidationError` for an answer
    that is not as `/openapi.json` says, which the service answers with `INTERNAL_ERROR`.
    """
    if os.environ.get(DEBUG, ""):
        model.model_validate_json(answer, strict=True)
    return answer
