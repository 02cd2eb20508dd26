"""`cellmark demo`: the whole path on real cells, with no network."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[
        Path, typer.Argument(help="Where data, MLflow's database and results go; made if it is not there.")
    ] = Path("cellmark-demo"),
    seed: Annotated[int, typer.Option("--seed")] = 0,
) -> None:
    """See the whole path work on real PBMC cells, in about a minute.

    Trains on the 700 cells that scanpy ships, registers the model in an MLflow database in FOLDER, starts the service,
    sends it the test cells over HTTP, and shows calls, the genes behind them, markers, and how to repeat each step.

    Example: `cellmark demo ./my-demo`
    """
    from rich.console import Console

    # Seconds on a busy machine, and nothing else would be seen of them.
    Console(stderr=True, highlight=False).print("Loading PyTorch …", style="dim")
    from .run_demo import run_demo

    run_demo(folder, seed=seed)
