"""What an answer says of itself: enough to find its row in the audit log, and to ask the same question again."""

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

DIGEST = r"^[0-9a-f]{64}$"


class Receipt(BaseModel):
    """`id`: of this answer alone. `route`: what was asked, `options`: with which options, as text; those that were not
    given are not there. `input_digest`: SHA-256 of the body, of a form's file, or of what a compressed body unpacks to.
    `calls_digest`: see `calls_digest`, null where the answer calls no cells. `sample_shift`: what became of the cells
    as one sample (see `SampleShift`), null where the model's novelty threshold was used for each cell by itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    id: str = Field(pattern=r"^[0-9a-f]{32}$")
    route: str
    model: str
    model_version: str | None
    bundle_digest: str = Field(pattern=DIGEST)
    input_digest: str = Field(pattern=DIGEST)
    options: dict[str, str]
    options_digest: str = Field(pattern=DIGEST)
    calls_digest: str | None = Field(pattern=DIGEST)
    service_version: str
    time: str
    sample_shift: Literal["shifted", "not_shifted", "beyond", "few"] | None = None


def options_digest(options: Mapping[str, str]) -> str:
    """SHA-256 of options as JSON with sorted names, `{}` where none were given."""
    text = json.dumps(dict(options), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def calls_digest(codes: np.ndarray) -> str:
    """SHA-256 of the calls alone, in the cells' order: int32, little-endian, the place of each cell's type among the
    model's, -1 for `unassigned`. Confidences differ in their last digits between processors; calls do not.
    """
    return hashlib.sha256(np.ascontiguousarray(codes, dtype="<i4").data).hexdigest()
