"""How a version on this machine becomes a model in memory, and what a service is to serve."""

from collections.abc import Callable
from dataclasses import dataclass

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ParameterError

from ..annotator import Annotator
from ..models.model_source import ModelSource
from ..observe.novelty_rank import novelty_buckets
from ..observe.served_versions import no_longer_serving, now_serving
from ..scoring.session import Device, ModelSession
from .fetch_version import verified
from .settings import FollowSettings, Wish, models_of
from .version_record import ServedVersion


@dataclass(frozen=True)
class Loading:
    """How models come into memory. `model_name`, `model_version`: in place of the first model's own. `accept`: further
    checks of a bundle, such as its signature, each of which raises `BundleError` to keep a version out.
    """

    device: Device = "cpu"
    threads: int = 1
    model_name: str | None = None
    model_version: str | None = None
    accept: tuple[Callable[[Bundle], None], ...] = ()

    def load(self, version: ServedVersion) -> Annotator:
        """A model, its digests verified, its golden cells run, its tables read. Raises `CellmarkError`."""
        bundle = verified(version)
        for check in self.accept:
            check(bundle)
        source = ModelSource(bundle, version.name, version.version, version.folder)
        annotator = Annotator(source, ModelSession(bundle, device=self.device, threads=self.threads))
        # What the first request would otherwise wait for.
        annotator.rules()
        _ = bundle.panel, bundle.library_size_range, bundle.panel_fraction, bundle.markers
        return annotator


def announce(before: Annotator | None, after: Annotator) -> None:
    """Let the metrics know the version that this worker serves from now on, and the one that it serves no more."""
    if before is not None:
        no_longer_serving(before.source.name, before.source.version, before.bundle.digest)
    source, bundle = after.source, after.bundle
    novelty = novelty_buckets(bundle)
    now_serving(source.name, source.version, bundle.digest, cell_types=after.cell_types, novelty=novelty)


def wishes_of(model: str | None, settings: FollowSettings) -> tuple[Wish, ...]:
    """What to serve, the default first. Raises `ParameterError` for nothing, or one model twice."""
    if settings.wishes:
        return settings.wishes
    keys = models_of(model) if model else ()
    if not keys:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="CELLMARK_MODEL",
            expected="a bundle folder or an MLflow URI",
            found="nothing",
            remedy="Start the service with `cellmark serve --model MODEL`, or set CELLMARK_MODEL.",
        )
    if len(set(keys)) < len(keys) or settings.shadow in keys:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="CELLMARK_MODEL",
            expected="each model once, and another for CELLMARK_SHADOW",
            found="one that is there twice",
            remedy="Remove it from CELLMARK_MODEL or CELLMARK_SHADOW.",
        )
    return tuple(Wish(key) for key in keys)
