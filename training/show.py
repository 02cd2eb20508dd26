"""What people see of a training in a terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .train_and_register import RegisteredModel

PARTS = ("validation", "test", "independent")


def show_training(registered: RegisteredModel) -> None:
    """Measures, types, and the commands that come next."""
    console = Console(highlight=False)
    metrics = registered.model.manifest.metrics
    overall = Table(title=Text(f"{registered.version.name} version {registered.version.version}"))
    for column in ("part", "cells", "accuracy", "macro-F1"):
        overall.add_column(column, justify="left" if column == "part" else "right")
    for part in PARTS:
        if part in metrics and metrics[part]["accuracy"] is not None:
            values = metrics[part]
            overall.add_row(part, str(values["n_cells"]), f"{values['accuracy']:.3f}", f"{values['macro_f1']:.3f}")
    console.print(overall)
    shown = next(
        (part for part in ("test", "independent", "validation") if metrics.get(part, {}).get("per_type")), None
    )
    if shown is not None:
        console.print(types_table(metrics[shown], part=shown))
    if "distilled" in metrics:
        told = metrics["distilled"]
        same, cells = told["agreement"]["same_call"], f"{told['n_cells']} {told['part']} cells"
        console.print(
            f"The distilled annotator calls {same:.1%} of {cells} as the ensemble does; "
            f"macro-F1 {told['macro_f1']:.3f}. Use it with annotate --distilled.",
            soft_wrap=True,
        )
    uri = f"models:/{registered.version.name}/{registered.version.version}"
    console.print(f"MLflow: {registered.tracking_uri}", markup=False, soft_wrap=True)
    console.print("Next:")
    for command in (
        f"cellmark annotate CELLS.h5ad --model {uri} -o calls.parquet",
        f"cellmark markers --model {uri}",
        f"cellmark serve --model {uri}",
    ):
        console.print(f"  {command}", markup=False, soft_wrap=True)


def types_table(evaluation: dict[str, Any], *, part: str = "test") -> Table:
    """Precision, recall, F1 and support of each type on the cells of a part."""
    table = Table(title=f"{part.capitalize()} cells")
    for column in ("cell type", "precision", "recall", "F1", "cells"):
        table.add_column(column, justify="left" if column == "cell type" else "right")
    for name, values in evaluation["per_type"].items():
        numbers = (f"{values[key]:.3f}" for key in ("precision", "recall", "f1"))
        table.add_row(Text(name), *numbers, str(values["support"]))
    return table
