"""Where real cells are, for the tests that need them; synthetic cells and a small model, for all others."""

import contextlib
import gc
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from cellmark.schemas.bundle import Bundle
from fixtures.places import ARCHIVES, SHARED, TESTS
from fixtures.quick_guard import QuickGuard
from fixtures.quiet_listener import QuietListener
from fixtures.synthetic_cells import draw_cells
from fixtures.without_torch import WithoutTorch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cellmark.training.network.classifier import Classifier
    from cellmark.training.run import TrainedModel

# Answers of the service are validated against their models, also in servers that tests start.
os.environ["CELLMARK_DEBUG"] = "1"

# Nobody's own settings and models are read, or written.
HOME = tempfile.TemporaryDirectory(prefix="cellmark-home-")
os.environ["CELLMARK_HOME"] = HOME.name

# A busy machine is no fault of the code under test.
settings.register_profile("cellmark", deadline=None)
settings.load_profile("cellmark")

WHOLE_MARKS = ("slow", "gpu", "fuzz", "chromium", "postgres", "spark")
"""Marks of tests that `make quick` omits."""
WHOLE = tuple(line for line in (TESTS / "whole.txt").read_text().splitlines() if line and not line.startswith("#"))
"""Folders, files and tests that it omits as well."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="only tests that start no process, no server and no training (make quick)"
    )
    parser.addoption(
        "--without-torch", action="store_true", help="only tests that need no torch, as if it were not installed"
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what runs in the background with SIGINT ignored, and every program that a test starts and
    # interrupts would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # The controller of pytest-xdist starts processes and runs no test.
    if config.getoption("quick") and not (
        config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    ):
        config.pluginmanager.register(QuickGuard())
    if config.getoption("without_torch"):
        config.pluginmanager.register(WithoutTorch())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take long: at the end one process would run them while the others have nothing left.

    With `--quick`, leave out what is marked and whatever needs the fixture `trained`.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    whole = [item for item in items if is_whole(item)]
    long = {item.path for item in whole}
    items.sort(key=lambda item: (item.path not in slow, item.path not in long))
    if config.getoption("quick"):
        config.hook.pytest_deselected(items=whole)
        items[:] = [item for item in items if not is_whole(item)]


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of every later collection of garbage, which looks at all else."""
    gc.collect()
    gc.freeze()


def is_whole(item: pytest.Item) -> bool:
    marked = any(item.get_closest_marker(name) for name in WHOLE_MARKS)
    return marked or "trained" in getattr(item, "fixturenames", ()) or item.nodeid.split("[")[0].startswith(WHOLE)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real cells beside the project; skips where it is missing."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("real cells (../shared/data) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The published method's results beside the project; skips where they are missing."""
    folder = SHARED / "reference" / "pbmc68k"
    if not folder.is_dir():
        pytest.skip("the reference results (../shared/reference) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def tiny_cells() -> ad.AnnData:
    """Labelled synthetic cells; copy before changing."""
    return draw_cells()


@pytest.fixture(scope="session")
def new_cells() -> ad.AnnData:
    """Other cells of the same three types, in another gene order; copy before changing."""
    cells = draw_cells(seed=1)
    return cells[:, np.random.default_rng(2).permutation(cells.n_vars)].copy()


@pytest.fixture(scope="session")
def tiny_file(tiny_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cells") / "tiny.h5ad"
    tiny_cells.write_h5ad(path)
    return path


@pytest.fixture(scope="session")
def new_file(new_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cells") / "new.h5ad"
    new_cells.write_h5ad(path)
    return path


@pytest.fixture(scope="session")
def trained(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> "TrainedModel":
    """A small model, really trained; its bundle must not be changed (copy the folder first)."""
    pytest.importorskip("torch")
    from cellmark.training.config import TrainingConfig
    from cellmark.training.network.fit import FitSettings
    from cellmark.training.run import train

    settings = FitSettings(max_epochs=15)
    config = TrainingConfig(data=tiny_file, name="tiny", fit=settings)
    return train(config, tmp_path_factory.mktemp("model") / "bundle", QuietListener())


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The archived bundle of small networks, for which nothing is trained; copy its folder before changing it."""
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    shutil.copytree(ARCHIVES / "tiny", folder)
    return Bundle.open(folder)


@pytest.fixture(scope="session")
def full_markers(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The archived bundle with a marker table that lacks nothing: drawn numbers, five negative markers a type, and its
    first two genes as its minimal combination.
    """
    from cellmark.schemas.manifest.bundle_files import MARKERS, write_manifest
    from cellmark.schemas.manifest.marker_table import COLUMNS, marker_table

    folder = tmp_path_factory.mktemp("markers") / "bundle"
    shutil.copytree(ARCHIVES / "v1", folder)
    given = pd.read_parquet(folder / MARKERS)[["cell_type", "rank", "gene_symbol", "ranking"]]
    generator = np.random.default_rng(0)
    numbers = {name for name, column in COLUMNS.items() if column.dtype == "float64"}
    drawn = {name: generator.uniform(0, 1, len(given)) for name in sorted(numbers)}
    last = given.groupby("cell_type")["rank"].transform("max")
    negative = given["rank"] > last - 5
    combined = given["rank"] <= 2
    drawn["combination_threshold"] = np.where(given["rank"] == 1, 0.5, 1.25)
    for name, value in (("precision", 0.9), ("recall", 0.8), ("f_beta", 0.8780)):
        drawn[f"combination_{name}"] = np.full(len(given), value)
    drawn |= {name: np.where(combined, drawn[name], np.nan) for name in drawn if name.startswith("combination_")}
    table = marker_table(
        **given, **drawn, n_donors_holding=3, n_donors=4, gene_id="ENSG00000156738",
        direction=np.where(negative, "negative", "positive"),
        negative_rank=(last - given["rank"] + 1).where(negative), in_minimal_combination=combined,
    )  # fmt: skip
    table.to_parquet(folder / MARKERS, index=False)
    raw = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    write_manifest(folder, {name: value for name, value in raw.items() if name != "files"})
    return Bundle.open(folder)


class Ran(NamedTuple):
    """What a command left behind: its exit status and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def cellmark(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs `cellmark ARGUMENTS` in this process, as on a wide terminal without colours."""
    from cellmark.serving.commands.cli import main

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["cellmark", *map(str, arguments)])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # typer sets its own
        monkeypatch.setenv("COLUMNS", "300")
        monkeypatch.delenv("FORCE_COLOR", raising=False)
        handler = signal.getsignal(signal.SIGTERM)
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        finally:
            signal.signal(signal.SIGTERM, handler)
        return Ran(status, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def draw_classifier() -> Callable[..., "Classifier"]:
    """Makes networks in evaluation mode with drawn weights, BatchNorm statistics and standardisation."""
    torch = pytest.importorskip("torch")
    from cellmark.training.network.classifier import Classifier, NetworkShape

    def draw(hidden_units: tuple[int, ...], *, seed: int = 0, n_genes: int = 30, n_types: int = 4) -> "Classifier":
        generator = np.random.default_rng(seed)
        torch.manual_seed(seed)
        mean, scale = generator.uniform(0, 2, n_genes), generator.uniform(0.1, 1.5, n_genes)
        classifier = Classifier(n_genes, n_types, NetworkShape(hidden_units), mean=mean, scale=scale)
        for layer in classifier.layers:
            if isinstance(layer, torch.nn.BatchNorm1d):
                torch.nn.init.uniform_(layer.weight, 0.5, 2)
                torch.nn.init.normal_(layer.bias)
                torch.nn.init.normal_(layer.running_mean)
                torch.nn.init.uniform_(layer.running_var, 0.2, 3)
        return classifier.eval()

    return draw


@pytest.fixture(scope="session")
def empty_mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with MLflow's tables, made once, since that takes seconds; copy it."""
    from cellmark.schemas.tracking.tracking_uri import sqlite_uri
    from cellmark.training.tracking.open_run import open_client

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with contextlib.chdir(path.parent):  # where MLflow's experiment "Default" is to keep its files
        open_client(sqlite_uri(path))
    return path


@pytest.fixture
def no_mlflow_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment without anything that says where MLflow is or which run goes on."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_") and "URI" in name]:
        monkeypatch.delenv(name)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mlflow_store(
    empty_mlflow_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_mlflow_settings: None
) -> str:
    """URI of an empty store of this test's own, which `MLFLOW_TRACKING_URI` names."""
    from cellmark.schemas.tracking.tracking_uri import sqlite_uri

    path = tmp_path / "mlflow" / "mlflow.db"
    path.parent.mkdir()
    shutil.copyfile(empty_mlflow_database, path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_uri(path))
    return sqlite_uri(path)


@pytest.fixture(scope="session")
def registered_database(
    empty_mlflow_database: Path, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A SQLite file in which `tiny_bundle` is registered as `tiny`, version 1; copy it, its artifacts stay in place."""
    from cellmark.schemas.tracking.tracking_uri import artifact_root, sqlite_uri
    from cellmark.training.tracking.open_run import open_client
    from cellmark.training.tracking.register import register_bundle

    path = tmp_path_factory.mktemp("registered") / "mlflow.db"
    shutil.copyfile(empty_mlflow_database, path)
    client = open_client(sqlite_uri(path))
    experiment = client.create_experiment("cellmark", artifact_location=str(artifact_root(sqlite_uri(path))))
    run = client.create_run(experiment)
    register_bundle(tiny_bundle, name="tiny", run_id=run.info.run_id, client=client)
    client.set_terminated(run.info.run_id)
    return path


@pytest.fixture
def registry(mlflow_store: str, registered_database: Path) -> str:
    """URI of a store of this test's own with `tiny` version 1, which `MLFLOW_TRACKING_URI` names."""
    from cellmark.schemas.tracking.tracking_uri import sqlite_path

    path = sqlite_path(mlflow_store)
    assert path is not None
    shutil.copyfile(registered_database, path)
    return mlflow_store


@pytest.fixture(scope="session")
def check_readable() -> Callable[["Figure"], None]:
    """Checks that axes have titles and labels, and that their ticks' labels are in the picture and apart."""

    def check(figure: "Figure") -> None:
        figure.draw_without_rendering()
        frame = figure.bbox
        for axes in figure.axes:
            if not axes.get_title():
                continue  # the bar of colours
            assert axes.get_xlabel()
            for labels, side in ((axes.get_xticklabels(), 0), (axes.get_yticklabels(), 1)):
                boxes = [label.get_window_extent() for label in labels if label.get_text()]
                assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 + 1 for box in boxes)
                assert all(frame.y0 <= box.y0 and box.y1 <= frame.y1 + 1 for box in boxes)
                starts, ends = [sorted(getattr(box, name)[side] for box in boxes) for name in ("min", "max")]
                assert all(end <= start + 0.5 for end, start in zip(ends, starts[1:], strict=False))

    return check
