"""The demo as a user runs it; what it prints is compared with what its files say."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from cellmark.serving.annotator import Annotator

pytestmark = pytest.mark.slow


class Demo(NamedTuple):
    """A demo that was run, and what it printed. `named`: its folder as it was asked for. `written`: the names in its
    folder's parent, and in its folder. `folder`: to work in.
    """

    folder: Path
    named: str
    written: tuple[list[str], list[str]]
    out: str
    err: str
    environment: dict[str, str]

    @property
    def commands(self) -> list[list[str]]:
        """The commands that it tells to type, after `cd`."""
        lines = self.out[self.out.index("4 Your turn") :].splitlines()
        return [shlex.split(line) for line in lines if line.startswith("    ")]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """In a folder with a space, behind a proxy that does not answer and beside another registry.

    `.ci/run` has run one so, which `CELLMARK_DEMO` names; a copy of it is worked in.
    """
    place = tmp_path_factory.mktemp("demo")
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{place}/another.db",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "COLUMNS": "120",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for name in ("NO_PROXY", "no_proxy"):
        environment.pop(name, None)
    if "CELLMARK_DEMO" in os.environ:
        before = Path(os.environ["CELLMARK_DEMO"])
        shutil.copytree(before / "my demo", place / "my demo")
        out, err = (before.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".out", ".err"))
        return Demo(place / "my demo", f"{before}/my demo", names_in(before), out, err, environment)
    ran = subprocess.run(
        [sys.executable, "-m", "cellmark.serving.commands.cli", "demo", "my demo"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    return Demo(place / "my demo", "my demo", names_in(place), ran.stdout, ran.stderr, environment)


def names_in(place: Path) -> tuple[list[str], list[str]]:
    return os.listdir(place), sorted(os.listdir(place / "my demo"))


@pytest.fixture(scope="module")
def annotator(demo: Demo) -> Iterator[Annotator]:
    """The registered model, fetched from the demo's registry."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{demo.folder / 'mlflow.db'}")
        yield Annotator.load("models:/pbmc-demo@champion")


@pytest.fixture(scope="module")
def test_cells(demo: Demo) -> ad.AnnData:
    return ad.read_h5ad(demo.folder / "test_cells.h5ad")


@pytest.fixture(scope="module")
def labels(demo: Demo, test_cells: ad.AnnData) -> "pd.Series[str]":
    cells = ad.read_h5ad(demo.folder / "pbmc68k.h5ad")
    return cells.obs.loc[test_cells.obs_names, "cell_type"].astype(str)


def test_the_printed_accuracy_is_that_of_the_model_on_its_test_cells(
    demo: Demo, annotator: Annotator, test_cells: ad.AnnData, labels: "pd.Series[str]"
) -> None:
    frame = annotator.annotate(test_cells, library_size="n_counts")
    calls = frame["cellmark_best_cell_type"].astype(str)
    printed = re.search(r"accuracy (\d\.\d{3}), macro-F1 (\d\.\d{3})", demo.out)
    assert printed is not None
    n_unassigned = (frame["cellmark_cell_type"] == "unassigned").sum()
    assert f"{n_unassigned} of {len(labels)} cells left unassigned" in " ".join(demo.out.split())
    assert float(printed[1]) == pytest.approx(accuracy_score(labels, calls), abs=5.1e-4)
    assert float(printed[2]) == pytest.approx(f1_score(labels, calls, average="macro"), abs=5.1e-4)
    assert accuracy_score(labels, calls) > 0.8
    stored = annotator.bundle.manifest.metrics["test"]
    assert stored["accuracy"] == pytest.approx(accuracy_score(labels, calls), abs=1e-3)
    assert stored["n_cells"] == len(labels)


def test_test_cells_were_not_seen_in_training_and_carry_no_label(
    demo: Demo, annotator: Annotator, test_cells: ad.AnnData
) -> None:
    assert "cell_type" not in test_cells.obs
    split = annotator.bundle.manifest.split
    assert split.test.n_cells == test_cells.n_obs
    n_all = ad.read_h5ad(demo.folder / "pbmc68k.h5ad").n_obs
    assert split.train.n_cells + split.validation.n_cells + split.test.n_cells == n_all


def test_three_cells_are_shown_with_the_genes_that_drove_their_calls(
    demo: Demo, annotator: Annotator, test_cells: ad.AnnData, labels: "pd.Series[str]"
) -> None:
    calls = annotator.annotate(test_cells, library_size="n_counts")
    reasons = annotator.explain(test_cells, library_size="n_counts", top=5).set_index("cell_id")
    heads = re.findall(r"^  (\S+): (.+) \(label (.+)\), confidence (\d\.\d{3})$", demo.out, flags=re.MULTILINE)
    assert len(heads) == 3
    assert len({called for _, called, _, _ in heads}) == 3
    for cell_id, called, label, confidence in heads:
        assert called == calls.loc[cell_id, "cellmark_cell_type"]
        assert label == labels[cell_id]
        assert float(confidence) == pytest.approx(calls.loc[cell_id, "cellmark_confidence"], abs=5.1e-4)
        below = demo.out[demo.out.index(f"  {cell_id}: ") :]
        rows = re.findall(r"^ {6}(\S+) +([+-]\d+\.\d{3}) +(\d+) +(\S.*?) *$", below, flags=re.MULTILINE)[:5]
        expected = reasons.loc[cell_id]
        assert [row[0] for row in rows] == list(expected["gene"])
        np.testing.assert_allclose([float(row[1]) for row in rows], expected["attribution"], atol=5.1e-4)
        assert [int(row[2]) for row in rows] == list(expected["counts"])
        assert [row[3] for row in rows] == list(expected["direction"])


def test_the_top_markers_of_each_type_are_the_bundle_s(demo: Demo, annotator: Annotator) -> None:
    markers = annotator.markers(top=5)
    for name, rows in markers.groupby("cell_type", observed=True):
        assert re.search(rf"│ {re.escape(str(name))} +│ {', '.join(rows['gene_symbol'])} +│", demo.out)


def test_progress_is_told_step_by_step(demo: Demo) -> None:
    assert demo.err.startswith("Loading PyTorch …\n")
    for step in ("Fitting the networks", "Exporting and proving the graphs", "Registering the model"):
        assert f"{step} …" in demo.err
        assert f"✓ {step} " in demo.err
    assert "Starting the service" in demo.out


def test_the_service_has_ended(demo: Demo) -> None:
    port = re.search(r"ready at http://127\.0\.0\.1:(\d+)", demo.out)
    assert port is not None
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", int(port[1])))


def test_nothing_was_written_elsewhere(demo: Demo) -> None:
    beside, inside = demo.written
    assert beside == ["my demo"]
    assert inside == [
        "mlartifacts",
        "mlflow.db",
        "pbmc68k.h5ad",
        "service.log",
        "test_cells.h5ad",
    ]


def test_every_printed_command_does_what_it_says(demo: Demo, labels: "pd.Series[str]") -> None:
    """Servers are only asked for their options: other tests start them."""
    change, export, *commands = demo.commands
    assert change == ["cd", demo.named]
    assert export == ["export", "MLFLOW_TRACKING_URI=sqlite:///mlflow.db"]
    names = [" ".join(command[:2]) for command in commands]
    assert names == [
        "mlflow ui",
        "cellmark train",
        "cellmark models",
        "cellmark report",
        "cellmark validate",
        "cellmark annotate",
        "cellmark explain",
        "cellmark markers",
        "cellmark serve",
        "curl -F",
    ]
    environment = {key: value for key, value in demo.environment.items() if key != "MLFLOW_TRACKING_URI"}

    def run(*command: str) -> str:
        ran = subprocess.run(
            command, cwd=demo.folder, env=environment, capture_output=True, text=True, check=False, timeout=200
        )
        assert ran.returncode == 0, (command, ran.stderr)
        return ran.stdout

    for command in commands:
        if command[:2] in (["mlflow", "ui"], ["cellmark", "serve"]):
            known = run(*command[:2], "--help")
            assert all(option in known for option in command if option.startswith("--"))
        elif command[0] != "curl":
            run(*command)
    calls = pd.read_csv(demo.folder / "calls.csv", index_col="cell_id")["cellmark_best_cell_type"]
    printed = re.search(r"accuracy (\d\.\d{3})", demo.out)
    assert printed is not None
    assert accuracy_score(labels, calls.loc[labels.index]) == pytest.approx(float(printed[1]), abs=5.1e-4)
    assert len(pd.read_csv(demo.folder / "why.csv")) == 5 * len(labels)
    assert "pbmc-demo: 2 versions" in run("cellmark", "models", "show", "pbmc-demo")
    # The same data, settings and seed give the same model.
    digests = [
        re.findall(r"bundle ([0-9a-f]{64})", run("cellmark", "bundle", "verify", f"models:/pbmc-demo/{version}"))
        for version in (1, 2)
    ]
    assert len(digests[0]) == 1
    assert digests[0] == digests[1]
