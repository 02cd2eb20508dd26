"""A whole training as users ask for it: tracked while it runs, its bundle kept and registered at the end."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from cellmark.schemas.atomic_output import refuse_existing
from cellmark.schemas.tracking.tracking_uri import public_uri

from .config import TrainingConfig
from .run import TrainedModel, train
from .tracking.listeners import Several, Terminal
from .tracking.register import RegisteredVersion
from .tracking.register_kept import keeping
from .tracking.run_files import write_figures
from .tracking.track import open_tracker


@dataclass(frozen=True)
class RegisteredModel:
    """What a training left behind. `tracking_uri`: where MLflow's database or server is. `pages`: the command that
    opens MLflow in a browser, None for a server, and the page of the experiment's runs.
    """

    model: TrainedModel
    version: RegisteredVersion
    tracking_uri: str
    bundle_folder: Path | None
    pages: tuple[str | None, str]


def train_and_register(
    config: TrainingConfig, *, bundle_folder: Path | None = None, uri: str | None = None
) -> RegisteredModel:
    """Train under an MLflow run and register a version.

    A failed run is marked so in MLflow, registers nothing and leaves no bundle. A finished model that could not be
    registered leaves its bundle (see `keeping` in `tracking/register_kept.py`), which the error names.

    Parameters
    ----------
    config
        The data and all settings.
    bundle_folder
        A new folder for a copy of the bundle.
    uri
        Where MLflow is, by default as `schemas/tracking/tracking_uri.py` says.

    Raises
    ------
    RegistryError
        When MLflow does not answer.
    OutputError
        When `bundle_folder` or the folder for figures exists.
    InputError, LabelError, ExportError
        As `train` does.
    """
    for folder in (bundle_folder, config.figures):
        if folder is not None:
            refuse_existing(folder, force=None)
    with (
        tempfile.TemporaryDirectory(prefix="cellmark-") as scratch,
        Terminal(max_epochs=config.fit.max_epochs) as screen,
        open_tracker(
            config, uri=uri, on_step=screen.step, on_note=screen.note, record=Path(scratch) / "run"
        ) as tracker,
    ):
        folder = bundle_folder or Path(scratch) / "bundle"
        model = train(config, folder, Several([screen, tracker]))
        with keeping(folder, Path(scratch) / "run", name=config.name, given=bundle_folder is not None):
            version = tracker.register(model)
        for note in version.notes:
            screen.note(note)
        if config.figures is not None:
            screen.step("Writing figures")
            write_figures(model, config.figures)
        tracked_at, pages = public_uri(tracker.tracking_uri), tracker.pages
    return RegisteredModel(model, version, tracked_at, bundle_folder, pages)
