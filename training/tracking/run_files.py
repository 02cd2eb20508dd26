"""Files that a run keeps in MLflow."""

import json
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cellmark.schemas.normalization import normalize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..run import TrainedModel
    from ..tuning.tune import Tuned


MIN_TEST_CELLS = 300
"""With fewer test cells than this, the UMAP shows all cells."""


def figures_of(model: "TrainedModel") -> dict[str, bytes]:
    """The run's figures as PNG, by their place among the artifacts."""
    from ..figures.figure_files import png

    return {f"figures/{name}.png": png(figure) for name, figure in draw_figures(model).items()}


def draw_figures(model: "TrainedModel") -> "dict[str, Figure]":
    """The run's figures, by name."""
    from ..figures.figures import confusion_figure, learning_figure

    members = [result.epochs for result in model.fitted.results]
    figures = {
        "learning": learning_figure(model.fitted.epochs, best_epoch=model.fitted.best_epoch, members=members),
        **_figures_of_cells(model),
    }
    for part, measured in model.manifest.metrics.items():
        if measured.get("confusion"):
            names = measured.get("cell_types", model.manifest.cell_type_names)
            figures[f"confusion_{part}"] = confusion_figure(measured["confusion"], names, part=part)
    return figures


def _figures_of_cells(model: "TrainedModel") -> "dict[str, Figure]":
    """Markers in the cells they were found in; the embedding of test cells, or of all where those are few."""
    from ..figures.embedding_figure import embedding_figure
    from ..figures.marker_figures import marker_figures
    from ..network.folded_network import embed

    cells, split, seed = model.cells, model.split, model.split.seed
    number = {symbol: column for column, symbol in enumerate(cells.gene_symbols)}
    symbols = model.bundle.panel.symbols
    x = normalize(cells.counts[:, [number[symbol] for symbol in symbols]], cells.library_size)
    seen = np.sort(np.concatenate([split.train, split.validation]))
    figures = marker_figures(
        model.bundle.markers, x[seen], cells.codes[seen], cell_types=cells.cell_types, gene_symbols=symbols, seed=seed
    )
    enough = len(split.test) >= MIN_TEST_CELLS
    rows = split.test if enough else np.arange(cells.n_obs)
    figures["embedding"] = embedding_figure(
        embed(model.members, x[rows], *model.embedding),
        cells.codes[rows],
        model.calls[rows],
        cell_types=cells.cell_types,
        part="test" if enough else "",
        seed=seed,
    )
    return figures


def write_figures(model: "TrainedModel", folder: Path) -> None:
    """Keep the run's figures, and the history of its search, in a new folder: all or none of them."""
    from ..figures.figure_files import save_figures
    from ..figures.figures import tuning_figure

    figures, tuned = draw_figures(model), model.tuned
    if tuned is not None:
        figures["tuning_history"] = tuning_figure(tuned.trials, metric=tuned.metric, best_number=tuned.best_number)
    save_figures(figures, folder)


def tuning_files(tuned: "Tuned | None") -> dict[str, Any]:
    """The search's trials as a table and a figure, by their place among the artifacts; nothing without a search."""
    if tuned is None:
        return {}
    from ..figures.figure_files import png
    from ..figures.figures import tuning_figure

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
