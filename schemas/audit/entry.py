"""One row's content: who did what, when, with which model, and what came of it; no expression, genes or cell ids."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """`time`: as of `timestamp`. `who`: the id of a key or the user; None where nobody had to say. `action`: a route
    (`POST /annotate`) or a step (`registry.promote`). `verdict`: `ok`, or the code of the refusal. `input_digest`:
    SHA-256 of what came in, `options_digest`: of the options. `service`: version of cellmark. `details`: facts of
    other actions, such as an alias.
    """

    time: str
    who: str | None
    action: str
    verdict: str = OK
    request_id: str | None = None
    receipt: str | None = None
    model: str | None = None
    model_version: str | None = None
    bundle_digest: str | None = None
    input_digest: str | None = None
    options_digest: str | None = None
    calls_digest: str | None = None
    n_cells: int | None = None
    service: str | None = None
    details: Mapping[str, str] | None = None

    def body(self) -> str:
        """The entry as a row keeps it: JSON in ASCII with sorted names, without what is None."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(known, sort_keys=True, separators=(",", ":"))


def timestamp(moment: datetime | None = None) -> str:
    """A moment (now, by default) in UTC, to the millisecond, as ISO 8601 writes it: `2026-11-29T16:00:00.123Z`."""
    at = (moment or datetime.now(UTC)).astimezone(UTC)
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
