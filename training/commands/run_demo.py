"""The demo: train on cells that scanpy ships, register, serve, ask over HTTP, show."""

import shlex
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from sklearn.metrics import accuracy_score, f1_score

from cellmark.schemas.atomic_output import unwritable, whole_file
from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_ID, CELL_TYPE, CONFIDENCE, UNASSIGNED
from cellmark.schemas.tracking.tracking_uri import DATABASE, SQLITE, VARIABLE, sqlite_uri, tracking_uri

from ..config import TrainingConfig
from ..train_and_register import RegisteredModel, train_and_register
from .demo_cells import MIN_CELLS, load_demo_cells
from .demo_service import post_file, running_service

NAME = "pbmc-demo"
CELLS = "pbmc68k.h5ad"
TEST_CELLS = "test_cells.h5ad"
LIBRARY_SIZE = "n_counts"
N_EXPLAINED = 3
N_GENES = 5
N_MARKERS = 5


def run_demo(folder: Path, *, seed: int = 0, console: Console | None = None) -> None:
    """Run the whole path in `folder` and print what came of it. A second run adds a version to the same registry."""
    console = console or Console(highlight=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    cells = load_demo_cells()
    _write(cells, folder / CELLS)
    n_types = cells.obs["cell_type"].nunique()
    console.print(f"[bold]1 Train and register[/] {cells.n_obs} PBMCs x {cells.n_vars} genes, {n_types} types")
    config = TrainingConfig(data=folder / CELLS, name=NAME, library_size=LIBRARY_SIZE, min_cells=MIN_CELLS, seed=seed)
    uri = sqlite_uri(folder / DATABASE)
    registered = train_and_register(config, uri=uri)
    test_ids = registered.model.cells.cell_ids[registered.model.split.test]
    test_cells = cells[test_ids].copy()
    labels = test_cells.obs.pop("cell_type")
    _write(test_cells, folder / TEST_CELLS)

    model = f"models:/{registered.version.name}/{registered.version.version}"
    console.print(f"\n[bold]2 Serve[/] {model}")
    starting = "Starting the service, which verifies and tests the model first"
    if not console.is_terminal:
        console.print(f"  {starting} …")
    with (
        console.status(starting) as status,
        running_service(model, tracking_uri=uri, log=folder / "service.log") as address,
    ):
        console.print(f"  ready at {address}")
        console.print(f"\n[bold]3 Annotate and explain[/] {len(test_ids)} test cells over HTTP")
        status.update("Asking the service")
        calls = post_file(address, "annotate", folder / TEST_CELLS, library_size=LIBRARY_SIZE)
        reasons = post_file(address, "attribute", folder / TEST_CELLS, library_size=LIBRARY_SIZE, top=N_GENES)
        status.update("Stopping the service")
    show_accuracy(console, calls, labels)
    show_reasons(console, reasons, calls, labels)
    show_markers(console, registered)
    show_commands(console, folder, model)


def show_accuracy(console: Console, calls: dict[str, Any], labels: pd.Series) -> None:
    """Accuracy and macro-F1 of the served best types against the labels, and how many cells were left unassigned."""
    called = {row[CELL_ID]: row[BEST_CELL_TYPE] for row in calls["cells"]}
    n_unassigned = sum(row[CELL_TYPE] == UNASSIGNED for row in calls["cells"])
    predicted = np.array([called[str(cell_id)] for cell_id in labels.index])
    truth = labels.to_numpy(dtype=str)
    console.print(
        f"  served calls against labels: accuracy [bold]{accuracy_score(truth, predicted):.3f}[/], "
        f"macro-F1 [bold]{f1_score(truth, predicted, average='macro'):.3f}[/]; {n_unassigned} of {len(truth)} cells "
        "left unassigned"
    )


def show_reasons(console: Console, reasons: dict[str, Any], calls: dict[str, Any], labels: pd.Series) -> None:
    """For three cells of three types: the call, its confidence and the genes that drove it."""
    confidence = {row[CELL_ID]: row[CONFIDENCE] for row in calls["cells"]}
    shown: set[str] = set()
    console.print(
        f"\n  [bold]Why[/]: the {N_GENES} strongest genes of {N_EXPLAINED} cells, signed, of the call's logit"
    )
    for cell in reasons["cells"]:
        called, cell_id = cell["cell_type"], cell[CELL_ID]
        if called in shown or len(shown) == N_EXPLAINED:
            continue
        shown.add(called)
        console.print(f"  {cell_id}: [bold]{called}[/] (label {labels[cell_id]}), confidence {confidence[cell_id]:.3f}")
        table = Table(box=None, padding=(0, 2), show_header=len(shown) == 1)
        for column in ("gene", "attribution", "counts", "direction"):
            table.add_column(column, justify="right" if column in ("attribution", "counts") else "left", width=14)
        for gene in cell["genes"]:
            row = gene["gene_symbol"], f"{gene['attribution']:+.3f}", f"{gene['counts']:.0f}", gene["direction"]
            table.add_row(*row, style=None if gene["attribution"] > 0 else "magenta")
        console.print(Padding(table, (0, 4)))


def show_markers(console: Console, registered: RegisteredModel) -> None:
    """The first markers of each type."""
    markers = registered.model.bundle.markers
    table = Table(title="Top markers of each type")
    table.add_column("cell type")
    table.add_column("genes, best first")
    for name, rows in markers[markers["rank"] <= N_MARKERS].groupby("cell_type", sort=False, observed=True):
        table.add_row(str(name), ", ".join(rows["gene_symbol"]))
    console.print(table)


def show_commands(console: Console, folder: Path, model: str) -> None:
    """Where the registry is, how to look at it, and each step by hand."""

    def line(text: str = "") -> None:
        console.print(text, markup=False, soft_wrap=True)

    console.print("\n[bold]4 Your turn[/]")
    line(f"  MLflow's database is {folder / DATABASE}. Look at it, and repeat each step by hand, with:")
    line(f"    cd {shlex.quote(str(folder))}")
    if tracking_uri(folder=folder) != sqlite_uri(folder / DATABASE):
        line(f"    export {VARIABLE}={SQLITE}{DATABASE}")  # another registry than the demo's is chosen
    data = f"{TEST_CELLS} --library-size {LIBRARY_SIZE}"
    for command in (
        f"mlflow ui --backend-store-uri sqlite:///{DATABASE} --host 127.0.0.1",
        f"cellmark train {CELLS} --label cell_type --library-size {LIBRARY_SIZE} --min-cells {MIN_CELLS} --name {NAME}",
        f"cellmark models show {NAME}",
        f"cellmark report --model {model} -o report.html",
        f"cellmark validate {data} --model {model}",
        f"cellmark annotate {data} --model {model} -o calls.csv",
        f"cellmark explain {data} --model {model} --top {N_GENES} -o why.csv",
        f"cellmark markers --model {model} --top {N_MARKERS}",
        f"cellmark serve --model {model} --port 3000",
        f"curl -F file=@{TEST_CELLS} -F library_size={LIBRARY_SIZE} http://127.0.0.1:3000/annotate",
    ):
        line(f"    {command}")


def _write(cells: ad.AnnData, path: Path) -> None:
    with whole_file(path, force=True) as draft:
        cells.write_h5ad(draft)
