"""What the service answers about versions: which are served, what an administrator did, how a challenger does."""

from typing import Literal

from .responses import Answer, FindingAnswer, ModelName, UpdateAnswer


class ServedModelAnswer(ModelName):
    """A served model. `versions`: others of it that this worker has in memory."""

    versions: list[str]
    update: UpdateAnswer | None


class ModelsAnswer(Answer):
    """The models that are served, the default of the routes without a name first."""

    models: list[ServedModelAnswer]


class VersionFacts(Answer):
    """A version of a model."""

    model_version: str | None
    bundle_digest: str


class ReloadedModel(Answer):
    """What happened to one model. `state`, `wanted_version`, `error`: as in the model's `update`."""

    model: str
    before: VersionFacts | None
    after: VersionFacts | None
    state: Literal["current", "fetching", "testing", "failed", "registry_unreachable", "pinned", "cached"]
    wanted_version: str | None
    error: list[FindingAnswer]


class AdminAnswer(Answer):
    """What happened. `done`: every worker serves what `after` says; false (status 202) when it takes longer than two
    minutes, and goes on.
    """

    done: bool
    models: list[ReloadedModel]


class WebhookAnswer(Answer):
    """`accepted`: the registry is asked now. `ignored`: the event is about no alias that is followed. `known`: the same
    message came before.
    """

    state: Literal["accepted", "ignored", "known"]


class ShadowDifference(Answer):
    """Cells that champion and challenger call differently."""

    champion: str
    challenger: str
    cells: int


class ShadowPair(Answer):
    """What a challenger did beside a champion. `agreement`: share of cells of the same call, `unassigned` among the
    calls; `agreement_best_type`: of the same best type. `confidence_*`, `unassigned_*`: means over cells;
    `seconds_*`: means over requests. `refused`: requests that the challenger could not answer; `dropped`: that came
    while the queue was full; `skipped`: that were uploaded files or too large. `differences`: the most frequent ones.
    """

    champion: str
    challenger: str
    requests: int
    cells: int
    agreement: float | None
    agreement_best_type: float | None
    confidence_champion: float | None
    confidence_challenger: float | None
    confidence_shift: float | None
    unassigned_champion: float | None
    unassigned_challenger: float | None
    seconds_champion: float | None
    seconds_challenger: float | None
    refused: int
    dropped: int
    skipped: int
    differences: list[ShadowDifference]


class ShadowAnswer(Answer):
    """The challenger that scores a share of the requests in the background, and how it compares. `challenger`: its URI,
    null when there is none.
    """

    challenger: str | None
    challenger_version: str | None
    update: UpdateAnswer | None
    pairs: list[ShadowPair]
