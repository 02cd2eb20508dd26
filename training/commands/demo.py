"""`cellmark demo`: the whole path on real cells, with no network."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[
        Path, typer.Argument(help="Folder for data, MLflow's database and results. Created if missing.")
    ] = Path("cellmark-demo"),
    seed: Annotated[int, typer.Option("--seed", help="Random seed.")] = 0,
) -> None:
    """Run the whole path on real blood cells, in about a minute.

    Trains on 660 cells that scanpy ships and registers the model in an MLflow database in FOLDER. Then starts the
    service, sends it the test cells over HTTP, and shows the calls, the genes behind them, markers, and how to repeat
    each step.

    Example: `cellmark demo ./my-demo`
    """
    from rich.console import Console

    # Seconds on a busy machine, and nothing else would be seen of them.
    Console(stderr=True, highlight=False).print("Loading PyTorch …", style="dim")
    from .run_demo import run_demo

    run_demo(folder, seed=seed)
