"""What training offers to serving through entry points, since neither imports the other."""

from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from cellmark.schemas.errors import SetupError

TRAINING_STEPS = "cellmark.training_steps"
TRAINING_NEEDS = ("torch", "onnx", "sklearn", "mlflow")
CLUSTERS_NEED = ("scanpy", "graspologic_native")
INSTALL_CLUSTERS = "pip install 'cellmark[clusters]'"
INSTALL_TRAINING = "pip install 'cellmark[train,cpu]'"


def load_training_step(name: str) -> Any:
    """What training offers to a command of serving under that name (entry points `cellmark.training_steps`), which
    needs the training extra. Raises `SetupError` (`EXTRA_MISSING`) without it.
    """
    if missing_training():
        raise needs_training(name)
    return _step(name)


def load_clusters_step() -> Any:
    """The step `clusters`: it needs the extra `clusters`, and neither torch nor anything else of the training extra.

    Raises `SetupError` (`EXTRA_MISSING`) without them.
    """
    missing = [package for package in CLUSTERS_NEED if find_spec(package) is None]
    if missing:
        raise SetupError.of(
            "EXTRA_MISSING",
            where="clusters",
            expected="the extra clusters",
            found=f"no {', '.join(missing)}",
            remedy=f"Install it with: {INSTALL_CLUSTERS}",
        )
    return _step("clusters")


def _step(name: str) -> Any:
    (entry,) = entry_points(group=TRAINING_STEPS, name=name)
    return entry.load()


def missing_training() -> list[str]:
    """Packages of the extra `train` that are not installed."""
    return [name for name in TRAINING_NEEDS if find_spec(name) is None]


def needs_training(name: str) -> SetupError:
    """The error of a step or command of training on a machine without the extra."""
    found = f"no {', '.join(missing_training())}" if missing_training() else "an installation without it"
    return SetupError.of(
        "EXTRA_MISSING",
        where=name,
        expected="the training extra",
        found=found,
        remedy=f"Install it with: {INSTALL_TRAINING}",
    )
