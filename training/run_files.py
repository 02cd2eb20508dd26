"""Files that a run keeps in MLflow."""

import json
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from .run import TrainedModel
    from .tune import Tuned


def figures_of(model: "TrainedModel") -> dict[str, bytes]:
    """The run's figures as PNG, by their place among the artifacts."""
    from .figures import confusion_figure, learning_figure, markers_figure, per_type_figure, png

    figures = {
        "learning": learning_figure(model.fitted.epochs, best_epoch=model.fitted.best_epoch),
        "markers": markers_figure(model.bundle.markers),
    }
    for part, measured in model.manifest.metrics.items():
        if measured.get("confusion"):
            names = model.manifest.cell_type_names
            figures[f"confusion_{part}"] = confusion_figure(measured["confusion"], names, part=part)
            figures[f"f1_{part}"] = per_type_figure(measured["per_type"], part=part)
    return {f"figures/{name}.png": png(figure) for name, figure in figures.items()}


def write_figures(model: "TrainedModel", folder: Path) -> None:
    """Keep the run's figures, and the history of its search, in a new folder."""
    folder.mkdir(parents=True)
    for name, content in {**figures_of(model), **tuning_files(model.tuned)}.items():
        if name.endswith(".png"):
            (folder / name.replace("figures/", "").replace("/", "_")).write_bytes(content)


def tuning_files(tuned: "Tuned | None") -> dict[str, Any]:
    """The search's trials as a table and a figure, by their place among the artifacts; nothing without a search."""
    if tuned is None:
        return {}
    from .figures import png
    from .tuning_figure import tuning_figure

    figure = tuning_figure(tuned.trials, metric=tuned.metric, best_number=tuned.best_number)
    return {"tuning/trials.csv": tuned.trials, "tuning/history.png": png(figure)}


def write_content(path: Path, content: Any) -> None:
    """Write a file as its suffix and its content's type say."""
    if isinstance(content, pd.DataFrame) and path.suffix == ".parquet":
        content.to_parquet(path, index=False)
    elif isinstance(content, pd.DataFrame):
        content.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def installed_packages() -> list[str]:
    """What is installed, one `name==version` each, sorted by name."""
    found = {str(package.metadata["Name"]): package.version for package in distributions()}
    return [f"{name}=={found[name]}" for name in sorted(found, key=str.lower)]
