"""Moving an alias of a registered model, with who, when and from which version."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cellmark.schemas.errors import Finding, ParameterError
from cellmark.schemas.tracking import registry_tags as tags
from cellmark.schemas.tracking.tracking_uri import current_user

from .find_version import VersionUri, find_restored, find_version
from .registry import open_registry, refusals


@dataclass(frozen=True)
class Promotion:
    """What moved. `old`: the version that had the alias, None for none. `new` equals `old`: nothing moved. `verdict`:
    whether the new one is weak, in a sentence; None where an earlier cellmark registered it.
    """

    name: str
    alias: str
    old: str | None
    new: str
    who: str
    when: str
    verdict: str | None = None

    @property
    def moved(self) -> bool:
        return self.old != self.new


def promote(
    name: str,
    *,
    version: str | None = None,
    alias: str | None = None,
    to: str = tags.CHAMPION,
    who: str | None = None,
    uri: str | None = None,
    on_note: Callable[[Finding], None] = lambda note: None,
) -> Promotion:
    """Give the alias `to` to a version, named by its number or by an alias that it has (default: `challenger`).

    The version is tagged with who, when (UTC) and the version that had the alias before; that one is tagged with until
    when it had it and what replaced it. `who`: by default the user of this process. `on_note`: is called when the
    name was never given a champion and its oldest version got it first. Raises `ParameterError` for both
    `version` and `alias`, or an alias that MLflow does not take, and `RegistryError` (`MODEL_UNKNOWN`,
    `ALIAS_MISSING` among others).
    """
    _check(version, alias, to)
    client = open_registry(uri)
    model = find_restored(client, name, on_note)
    wanted = VersionUri(name, version=version) if version else VersionUri(name, alias=alias or tags.CHALLENGER)
    found = find_version(client, wanted)
    new, old = str(found.version), model.aliases.get(to)
    promotion = Promotion(name, to, old, new, who or current_user(), _now(), (found.tags or {}).get(tags.VERDICT))
    if not promotion.moved:
        return promotion
    until, replaced_by = tags.until(to), tags.replaced_by(to)
    with refusals(client.tracking_uri):
        # Told of the old version first: whatever happens after this line, which one it was is not lost.
        told = {
            tags.PROMOTED_TO: to,
            tags.PROMOTED_BY: promotion.who,
            tags.PROMOTED_AT: promotion.when,
            tags.PROMOTED_FROM: old or "",
        }
        for key, value in told.items():
            client.set_model_version_tag(name, new, key, value)
        client.set_registered_model_alias(name, to, new)
        if old is not None:
            client.set_model_version_tag(name, old, until, promotion.when)
            client.set_model_version_tag(name, old, replaced_by, new)
        for key in {until, replaced_by} & set(client.get_model_version(name, new).tags):
            # It had the alias once and has it again.
            client.delete_model_version_tag(name, new, key)
    return promotion


def _check(version: str | None, alias: str | None, to: str) -> None:
    problems = []
    if version is not None and alias is not None:
        problems.append(
            Finding(
                "PARAMETER_INVALID",
                where="version",
                expected="a version or an alias of it",
                found=f"both, {version} and {alias}",
                remedy="Omit one of them.",
            )
        )
    if version is not None and not re.fullmatch(r"[1-9]\d*", version):
        problems.append(
            Finding(
                "PARAMETER_INVALID",
                where="version",
                expected="a whole number above 0",
                found=repr(version),
                remedy="`cellmark models show` lists the versions.",
            )
        )
    if not re.fullmatch(r"[\w-]+", to) or re.fullmatch(r"[vV]\d+|latest", to):
        problems.append(
            Finding(
                "PARAMETER_INVALID",
                where="to",
                expected="an alias of letters, digits, - and _, unlike v1 and latest",
                found=repr(to),
                remedy="Name another alias, such as champion.",
            )
        )
    if problems:
        raise ParameterError(*problems)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
