"""What the service knows of one model that it serves, and how that changes: plain values, no clock and no disk."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self

from cellmark.schemas.errors import CellmarkError, Finding

UpdateState = Literal["current", "fetching", "testing", "failed", "registry_unreachable", "pinned", "cached"]
MOST_EARLIER = 5
"""Versions that can be gone back to."""
PASSING = ("REGISTRY_UNREACHABLE", "REGISTRY_REFUSED", "OUTPUT_UNWRITABLE", "SERVICE_FAILED", "INTERNAL_ERROR")
"""Codes of errors that may be gone at the next try; a bundle that is damaged or fails its self-test stays so."""


@dataclass(frozen=True)
class ServedVersion:
    """A bundle on this machine and the name that it answers under. `version`: None for one that is not registered."""

    name: str
    version: str | None
    folder: str
    digest: str


@dataclass(frozen=True)
class Update:
    """How far the service is with the version that its alias names.

    `current`: it serves that one. `fetching`, `testing`: it is about to. `failed`: the wanted version stays out,
    `error` says why, and the one before it serves on. `registry_unreachable`: the registry does not answer. `pinned`:
    an operator went back to an earlier version. `cached`: the registry did not answer at the start; the last good
    version that was kept on this machine serves.
    """

    state: UpdateState = "current"
    wanted_version: str | None = None
    error: tuple[dict[str, Any], ...] = ()

    @property
    def may_pass(self) -> bool:
        return bool(self.error) and self.error[0]["code"] in PASSING


@dataclass(frozen=True)
class ModelRecord:
    """One served model. `key`: the URI or folder that the service was started with. `generation`: counts the changes of
    `current`, so that each worker sees which it has still to make. `pinned_against`: the version that the alias named
    when an operator went back; the pin holds until it names another.
    """

    key: str
    current: ServedVersion | None = None
    generation: int = 0
    update: Update = field(default_factory=Update)
    pinned_against: str | None = None
    earlier: tuple[ServedVersion, ...] = ()

    def wants(self, number: str | None) -> bool:
        """Whether the version that the alias names now is to be fetched: neither the current one, nor one that an
        operator went back from, nor one that has failed for good.
        """
        failed = self.update.state == "failed" and self.update.wanted_version == number
        if failed and not self.update.may_pass:
            return False
        if self.current is None:
            return True
        return number != self.current.version and (self.pinned_against is None or number != self.pinned_against)

    def starts_with(self, found: ServedVersion) -> bool:
        """Whether a server that starts anew takes what it has found in place of the record of the start before."""
        return found != self.current and (self.pinned_against is None or self.pinned_against != found.version)

    def moved_to(self, version: ServedVersion, *, cached: bool = False) -> "ModelRecord":
        """The record after a version has passed its self-test."""
        update = Update("cached" if cached else "current")
        if version == self.current:
            return replace(self, update=update, pinned_against=None)
        before = () if self.current is None else (self.current,)
        others = tuple(entry for entry in self.earlier if entry != version)
        earlier = (*before, *others)[:MOST_EARLIER]
        return replace(
            self,
            current=version,
            generation=self.generation + 1,
            update=update,
            pinned_against=None,
            earlier=earlier,
        )

    def rolled_back(self, named: str | None) -> "ModelRecord":
        """The record after going back to the version before. `named`: the version that the alias names meanwhile."""
        back, *others = self.earlier
        return replace(
            self,
            current=back,
            generation=self.generation + 1,
            update=Update("pinned", wanted_version=named),
            pinned_against=named,
            earlier=tuple(others),
        )

    def settled(self, number: str | None) -> "ModelRecord":
        """The record when the alias names `number` and nothing is to be done."""
        if self.pinned_against is not None:
            if number == self.pinned_against:
                return replace(self, update=Update("pinned", wanted_version=number))
            return replace(self, update=Update(), pinned_against=None)
        served = self.current is None or number == self.current.version
        if self.update.state == "current" or (self.update.state == "failed" and not served) or self.current is None:
            return self
        return replace(self, update=Update())

    def with_update(self, state: UpdateState, wanted: str | None = None) -> "ModelRecord":
        return replace(self, update=Update(state, wanted))

    def failed(self, error: CellmarkError, wanted: str | None) -> "ModelRecord":
        """The record after an update that did not succeed; what served before serves on."""
        unreachable = error.code == "REGISTRY_UNREACHABLE"
        state: UpdateState = "registry_unreachable" if unreachable else "failed"
        if unreachable and self.update.state == "cached":
            state = "cached"
        return replace(self, update=Update(state, wanted, findings_of(error)))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        raw = json.loads(text)
        current = None if raw["current"] is None else ServedVersion(**raw["current"])
        earlier = tuple(ServedVersion(**entry) for entry in raw["earlier"])
        update = Update(raw["update"]["state"], raw["update"]["wanted_version"], tuple(raw["update"]["error"]))
        return cls(raw["key"], current, raw["generation"], update, raw["pinned_against"], earlier)


def findings_of(error: CellmarkError) -> tuple[dict[str, Any], ...]:
    """The findings of an error as plain values."""
    return tuple(finding.to_dict() for finding in error.findings)


def findings_from(values: tuple[dict[str, Any], ...] | list[dict[str, Any]]) -> tuple[Finding, ...]:
    """The same findings again."""
    return tuple(Finding(**{**value, "examples": tuple(value["examples"])}) for value in values)
