"""What every part of a manifest has in common: its base class, and the one byte form that a digest is taken of."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Part of a manifest. Fields added by later versions are ignored, so they do not need a new format version."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no spaces but a line's end, UTF-8, no NaN, one final newline. Raises `ValueError` on NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
