"""Settings of following, swapping and shadows: environment variables, as those of the service."""

import json
import re
import secrets
from dataclasses import dataclass as plain_dataclass

from pydantic import Field
from pydantic.dataclasses import dataclass

from cellmark.schemas.errors import ParameterError

from ..environment_settings import MIB, Count, EnvironmentSettings
from .version_record import ServedVersion

RESOLVED = "CELLMARK_RESOLVED"
STATE = "CELLMARK_STATE"


@plain_dataclass(frozen=True)
class Wish:
    """One model to serve. `key`: its URI or folder. `initial`: what `cellmark serve` has found for it, `cached` when
    the registry did not answer and this machine's last good version was taken.
    """

    key: str
    initial: ServedVersion | None = None
    cached: bool = False


@dataclass(frozen=True)
class FollowSettings(EnvironmentSettings):
    """How the service follows its models' aliases."""

    follow_seconds: float = Field(
        default=30, ge=0, le=86400, description="seconds between two questions to the registry; 0: none"
    )
    webhook_secret: str | None = Field(default=None, description="secret of MLflow's webhook")
    model_memory: Count = Field(
        default=1024 * MIB, description="bytes that versions asked for by number may take in one worker"
    )
    shadow: str | None = Field(default=None, description="MLflow URI of a challenger that answers unseen")
    shadow_share: float = Field(default=0.1, ge=0, le=1, description="share of requests that the challenger gets")
    state: str | None = Field(default=None, description="folder that the workers of a server share")
    resolved: str | None = Field(default=None, description="what `cellmark serve` has found, for its workers")

    @property
    def wishes(self) -> tuple[Wish, ...]:
        """What `cellmark serve` has found; nothing where another program has started the service."""
        listed = json.loads(self.resolved)["resolved"] if self.resolved else []
        return tuple(
            Wish(entry["key"], None if entry["initial"] is None else ServedVersion(**entry["initial"]), entry["cached"])
            for entry in listed
        )

    @property
    def start(self) -> str:
        """Name of the start that found it, empty for none."""
        return str(json.loads(self.resolved)["start"]) if self.resolved else ""


def models_of(text: str) -> tuple[str, ...]:
    """The models that `CELLMARK_MODEL` names: one folder or URI, URIs with commas between them, or a JSON list."""
    if text.startswith("["):
        try:
            listed = json.loads(text)
        except ValueError:
            listed = None
        if not isinstance(listed, list) or not listed or not all(isinstance(entry, str) for entry in listed):
            raise ParameterError.of(
                "PARAMETER_INVALID",
                where="CELLMARK_MODEL",
                expected="a bundle folder, an MLflow URI, or a JSON list of them",
                found=repr(text[:80]),
                remedy="""Write it like ["models:/pbmc@champion", "models:/lung@champion"].""",
            )
        return tuple(listed)
    parts = [part.strip() for part in re.split(r",(?=\s*(?:models|runs):/)", text)]
    return tuple(part for part in parts if part)


def wishes_to(wishes: tuple[Wish, ...]) -> str:
    """Wishes as the variable `CELLMARK_RESOLVED`, for one start of a server."""
    listed = [
        {"key": wish.key, "cached": wish.cached, "initial": None if wish.initial is None else vars(wish.initial)}
        for wish in wishes
    ]
    return json.dumps({"start": secrets.token_hex(8), "resolved": listed})
