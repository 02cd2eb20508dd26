"""How keys are written: one JSON object in a line, the hash and never the key."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cellmark.schemas.errors import ParameterError

from .api_key import SALT_BYTES, KeyRecord
from .scopes import Scope

ALGORITHM = "blake2b-256"
LONGEST_NAME = 100
Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$")]


class KeyLine(BaseModel):
    """One line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z2-7]{8}$")
    name: str = Field(default="", max_length=LONGEST_NAME)
    scopes: frozenset[Scope] = Field(min_length=1)
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    algorithm: str = Field(pattern=f"^{ALGORITHM}$")
    salt: Hex = Field(min_length=2 * SALT_BYTES, max_length=2 * SALT_BYTES)
    hash: Hex = Field(min_length=64, max_length=64)


class LineError(ValueError):
    """A line that is no key. `found`: what is wrong, without the line's content."""

    def __init__(self, number: int, found: str) -> None:
        self.found = f"line {number}: {found}"
        super().__init__(self.found)


def parse_lines(text: str) -> tuple[KeyRecord, ...]:
    """The keys in order. Raises `LineError`; empty lines and lines that start with # are skipped."""
    records: dict[str, KeyRecord] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            entry = KeyLine.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise LineError(number, f"{place}: {first['msg']}" if place else first["msg"]) from None
        if entry.id in records:
            raise LineError(number, f"the id {entry.id} a second time")
        records[entry.id] = _record(entry)
    return tuple(records.values())


def write_lines(records: Iterable[KeyRecord]) -> str:
    """The lines, which `parse_lines` reads again."""
    return "".join(json.dumps(_line(record)) + "\n" for record in records)


def describe(record: KeyRecord, now: float) -> dict[str, Any]:
    """What may be shown of a key, with its `state`: valid, expired or revoked."""
    state = "revoked" if record.revoked else "expired" if record.has_expired(now) else "valid"
    shown = _line(record)
    return {name: shown[name] for name in ("id", "name", "scopes", "created", "expires", "revoked")} | {"state": state}


def checked_name(name: str) -> str:
    """The name of a key, on one line. Raises `ParameterError`."""
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="name",
            expected=f"at most {LONGEST_NAME} printable characters",
            found=f"{len(name)} characters" if name.isprintable() else "others",
            remedy="Shorten the name.",
        )
    return name


def seconds(moment: datetime) -> str:
    """ISO 8601, UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _record(entry: KeyLine) -> KeyRecord:
    return KeyRecord(
        entry.id,
        bytes.fromhex(entry.salt),
        bytes.fromhex(entry.hash),
        frozenset(entry.scopes),
        entry.created,
        entry.expires,
        entry.revoked,
        entry.name,
    )


def _line(record: KeyRecord) -> dict[str, Any]:
    return {
        "id": record.key_id,
        "name": record.name,
        "scopes": sorted(record.scopes),
        "created": seconds(record.created),
        "expires": seconds(record.expires) if record.expires else None,
        "revoked": seconds(record.revoked) if record.revoked else None,
        "algorithm": ALGORITHM,
        "salt": record.salt.hex(),
        "hash": record.digest.hex(),
    }
