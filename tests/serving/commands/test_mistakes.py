"""Everyday mistakes at the command line: each message fits three lines, and its remedy, pasted, lets the command end
well.
"""

import gzip
import math
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.checks.check_labelled import labelled_findings
from cellmark.schemas.short_message import WIDTH, short_message
from fixtures.places import ROOT
from fixtures.without_training import WITHOUT_TRAINING

Cellmark = Callable[..., Any]
MEANT = re.compile(r"Did you mean (?!-)(?:'(?P<quoted>[^']*)'|(?P<plain>\S+?))(?:\?| or |, )")
FLAG = re.compile(r"(?P<name>--?[a-z][a-z-]*)(?: (?P<value>'[^']*'|[\w.:/@+-]*\w))?")
IN_SHELL = re.compile(r"(?:^|: )(?P<line>(?:gunzip|mv|chmod|python|export) .*)$")


def messages(err: str) -> list[str]:
    """The errors of a command; each has at most three rows, the last of which says what to do."""
    found = re.findall(r"^error: .*(?:\n  .*)*", err, flags=re.MULTILINE)
    assert found, err
    for message in found:
        assert sum(math.ceil(len(line) / WIDTH) for line in message.splitlines()) <= 3, message
        assert len(message.splitlines()) in (2, 3)
    return found


def followed(command: Sequence[str], remedy: str, wrong: str | None) -> list[str]:
    """The command, changed as the remedy says: what it names is run, put in the place of `wrong`, or added."""
    if remedy.startswith("cellmark "):
        return shlex.split(remedy)[1:]
    if found := IN_SHELL.search(remedy):
        line = found["line"].replace("python ", f"{shlex.quote(sys.executable)} ", 1)
        ran = subprocess.run(["bash", "-c", f"{line} && env -0"], capture_output=True, text=True, check=True)
        told = dict(pair.split("=", 1) for pair in ran.stdout.split("\0") if "=" in pair)
        os.environ |= {name: value for name, value in told.items() if name.startswith("MLFLOW_")}
        return list(command)
    if found := MEANT.search(remedy):
        return [(found["quoted"] or found["plain"]) if word == wrong else word for word in command]
    found = FLAG.search(remedy)
    assert found is not None, remedy
    value = [] if found["value"] is None else shlex.split(found["value"])
    changed = list(command)
    if "Omit" in remedy and found["name"] in command:
        del changed[changed.index(found["name"]) : changed.index(found["name"]) + 2]
    elif found["name"] in command:
        changed[command.index(found["name"]) + 1] = value[0]
    else:
        changed += [found["name"], *value]
    return changed


@pytest.fixture
def refused_then_ended_well(
    cellmark: Cellmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[list[str], Any]]:
    """Runs a line, follows the remedies of all its messages, and runs it again; gives both answers."""
    monkeypatch.chdir(tmp_path)
    # What a remedy exports ends with the test.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", os.environ.get("MLFLOW_TRACKING_URI", ""))

    def run(line: str, *, wrong: str | None = None, renamed: tuple[str, str] | None = None) -> tuple[list[str], Any]:
        command = shlex.split(line)
        ran = cellmark(*command)
        assert ran.status in (1, 2)
        found = messages(ran.err)
        for message in found:
            command = followed(command, message.splitlines()[-1].strip(), wrong)
        if renamed is not None:
            command = [renamed[1] if word == renamed[0] else word for word in command]
        again = cellmark(*command)
        assert again.status == 0, again.err
        return found, again

    return run


@pytest.fixture
def cells(new_cells: ad.AnnData) -> ad.AnnData:
    cells = new_cells.copy()
    cells.X = cells.X.copy()
    cells.obs["total_counts"] = np.asarray(cells.X.sum(axis=1)).ravel()
    cells.obs["leiden"] = pd.Categorical(np.arange(cells.n_obs) % 3 + 1)
    return cells


@pytest.fixture
def m(tiny_bundle: Bundle) -> str:
    return str(tiny_bundle.folder)


def test_1_wrong_column(refused_then_ended_well: Any, cells: ad.AnnData, tmp_path: Path, m: str) -> None:
    cells.write_h5ad(tmp_path / "c.h5ad")
    for option, wrong, right in (
        ("--library-size", "totalcounts", "total_counts"),
        ("--over", "leidn", "leiden"),
        ("--sample", "doner", "donor"),
    ):
        (message,), _ = refused_then_ended_well(f"annotate c.h5ad -m {m} -o {right}.csv {option} {wrong}")
        assert f"{option} '{right}'" in message


def test_1_wrong_layer(refused_then_ended_well: Any, cells: ad.AnnData, tmp_path: Path, m: str) -> None:
    cells.layers["counts"] = cells.X
    cells.write_h5ad(tmp_path / "c.h5ad")
    (message,), _ = refused_then_ended_well(f"annotate c.h5ad -m {m} -o o.csv --layer count")
    assert "--layer 'counts'" in message
    (message,), _ = refused_then_ended_well(f"annotate c.h5ad -m {m} -o o2.csv --layer zzz")


@pytest.mark.parametrize("kept", [False, True])
def test_2_log_values(refused_then_ended_well: Any, cells: ad.AnnData, tmp_path: Path, m: str, kept: bool) -> None:
    """Counts per the median, not per 10,000; the counts are in a layer, or can be recovered."""
    counts = cells.X.toarray()
    if kept:
        cells.layers["counts"] = cells.X.copy()
    totals = counts.sum(axis=1, keepdims=True)
    cells.X = sp.csr_matrix(np.log1p(counts / totals * np.median(totals)))
    cells.write_h5ad(tmp_path / "c.h5ad")
    (message,), _ = refused_then_ended_well(f"annotate c.h5ad -m {m} -o o.csv")
    assert ("--layer counts" if kept else "--recover-counts") in message


@pytest.mark.parametrize("name", ["total_counts", "nCount_RNA", "n_umi", "library size"])
def test_3_no_library_size(
    refused_then_ended_well: Any, cells: ad.AnnData, tiny_bundle: Bundle, tmp_path: Path, name: str
) -> None:
    """The panel's first genes alone: fewer than half of those that training measured."""
    cells.obs = cells.obs.rename(columns={"total_counts": name})
    cells[:, list(tiny_bundle.panel.symbols[:55])].copy().write_h5ad(tmp_path / "c.h5ad")
    (message,), _ = refused_then_ended_well(f"annotate c.h5ad -m {tiny_bundle.folder} -o o.csv")
    assert f"--library-size '{name}'" in message


def test_4_wrong_name(refused_then_ended_well: Any, registry: str, new_file: Path) -> None:
    uri = "models:/tniy@champion"
    (message,), _ = refused_then_ended_well(f"annotate {new_file} -m {uri} -o o.csv", wrong=uri)
    assert "registered are: tiny" in message


def test_5_typo(refused_then_ended_well: Any, new_file: Path, tmp_path: Path, m: str) -> None:
    shutil.copy(new_file, tmp_path / "cells.h5ad")
    refused_then_ended_well(f"anotate cells.h5ad -m {m} -o a.csv")
    refused_then_ended_well(f"annotate cells.h5ad -m {m} -o b.csv --probabilites")
    refused_then_ended_well(f"annotate cels.h5ad -m {m} -o c.csv", wrong="cels.h5ad")
    refused_then_ended_well(f"annotate cells.h5ad -m {m} -o d.cvs", wrong="d.cvs")


def test_6_no_right_to_write(
    refused_then_ended_well: Any, new_file: Path, tmp_path: Path, m: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The superuser may write everywhere, so the system's refusal is played."""
    import tempfile

    closed, make = tmp_path / "closed", tempfile.mkstemp
    closed.mkdir(mode=0o500)

    def mkstemp(*given: Any, dir: Any = None, **named: Any) -> Any:  # noqa: A002
        if dir is not None and not Path(dir).stat().st_mode & 0o200:
            raise PermissionError(13, "Permission denied")
        return make(*given, dir=dir, **named)

    monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
    (message,), _ = refused_then_ended_well(f"annotate {new_file} -m {m} -o closed/o.csv")
    assert "Permission denied" in message


def test_6_no_right_to_read(
    refused_then_ended_well: Any, new_file: Path, tmp_path: Path, m: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import h5py

    shutil.copy(new_file, tmp_path / "c.h5ad")
    (tmp_path / "c.h5ad").chmod(0)
    is_hdf5 = h5py.is_hdf5

    def looked_at(path: Path) -> bool:
        if not path.stat().st_mode & 0o400:
            raise PermissionError(13, "Permission denied")
        return bool(is_hdf5(path))

    monkeypatch.setattr(h5py, "is_hdf5", looked_at)
    (message,), _ = refused_then_ended_well(f"annotate c.h5ad -m {m} -o o.csv --trusted")
    assert "chmod u+r c.h5ad" in message


def test_7_exists(refused_then_ended_well: Any, new_file: Path, tmp_path: Path, m: str) -> None:
    (tmp_path / "o.csv").write_text("mine")
    (message,), _ = refused_then_ended_well(f"annotate {new_file} -m {m} -o o.csv")
    assert "a file of 4 bytes, written " in message
    assert len(pd.read_csv(tmp_path / "o.csv")) == 120


def test_8_empty(cellmark: Cellmark, cells: ad.AnnData, tmp_path: Path, m: str) -> None:
    """A download that failed, and a filter that kept nothing: no command helps, only the file itself."""
    path = tmp_path / "c.h5ad"
    for remedy, broken in (
        ("copy or download it again", lambda: path.write_bytes(b"")),
        ("Write it again from the cells before it was subset", lambda: cells[:0].copy().write_h5ad(path)),
    ):
        broken()
        command = ("annotate", path, "-m", m, "-o", tmp_path / "o.csv", "--force")
        (message,) = messages(cellmark(*command).err)
        assert remedy in message
        cells.write_h5ad(path)
        assert cellmark(*command).status == 0


def test_9_mouse(
    refused_then_ended_well: Any, cells: ad.AnnData, tmp_path: Path, m: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellmark.serving.annotator import Annotator

    pairs = pd.read_parquet(ROOT / "schemas" / "data" / "orthologs_human_mouse.parquet")
    human, mouse = (pairs[name].to_numpy(dtype=str)[: cells.n_vars] for name in ("human", "mouse"))
    load, names = Annotator.load, list(cells.var_names)

    def load_human(*given: Any, **named: Any) -> Annotator:
        annotator = load(*given, **named)
        panel = annotator.bundle.panel
        renamed = tuple(human[names.index(name)] for name in panel.symbols)
        annotator.bundle.__dict__["panel"] = replace(panel, symbols=renamed, organism="human")
        return annotator

    monkeypatch.setattr(Annotator, "load", load_human)
    cells.var_names = mouse
    cells.write_h5ad(tmp_path / "c.h5ad")
    (message,), _ = refused_then_ended_well(f"annotate c.h5ad -m {m} -o o.csv")
    assert "names of mouse genes" in message


def test_10_too_few(
    refused_then_ended_well: Any, cells: ad.AnnData, tiny_bundle: Bundle, tmp_path: Path, m: str
) -> None:
    """Few genes, and then few cells of each type."""
    kept = list(tiny_bundle.panel.symbols[:30])
    cells[:, kept].copy().write_h5ad(tmp_path / "c.h5ad")
    found, _ = refused_then_ended_well(f"annotate c.h5ad -m {m} -o o.csv")
    assert "found 30 of them (32.6%)" in found[0]
    assert "--min-panel-share 0.32" in found[0]


@pytest.fixture
def trained_with(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Configurations that a training began with; it ends there."""
    pytest.importorskip("torch")
    import typer

    begun: list[Any] = []

    def begin(config: Any, **_: Any) -> None:
        begun.append(config)
        raise typer.Exit

    monkeypatch.setattr("cellmark.training.train_and_register.train_and_register", begin)
    return begun


@pytest.mark.parametrize("wrong", ["celltype", "total_counts"])
def test_11_labels_that_are_numbers_or_not_there(
    refused_then_ended_well: Any, cells: ad.AnnData, tmp_path: Path, trained_with: list[Any], wrong: str
) -> None:
    cells.write_h5ad(tmp_path / "c.h5ad")
    (message,), _ = refused_then_ended_well(f"train c.h5ad --label {wrong}")
    assert "--label 'cell_type'" in message
    assert [config.label for config in trained_with] == ["cell_type"]


def test_11_numbers_of_clusters_are_a_warning_with_the_column_of_names(cells: ad.AnnData) -> None:
    def codes(label: str) -> dict[str, Any]:
        return {
            one.code: one for one in labelled_findings(cells.obs, label=label, donor=None, min_cells=10, held_out=False)
        }

    rows = short_message(codes("leiden")["LABEL_PLACEHOLDER"])
    assert len(rows) == 3
    label = FLAG.search(rows[-1])
    assert label is not None
    assert label[0] == "--label 'cell_type'"
    assert codes("cell_type") == {}


def test_11_wrong_columns_of_train_are_told_in_two_seconds_without_torch(cells: ad.AnnData, tmp_path: Path) -> None:
    """Two seconds of a processor, since the machine may be busy with other things."""
    cells.write_h5ad(tmp_path / "c.h5ad")
    program = (
        "import sys, time; from cellmark.serving.commands.cli import main\n"
        "try: main()\n"
        "finally: print(time.process_time(), {'torch', 'mlflow', 'anndata', 'sklearn'} & set(sys.modules) or 'none')"
    )
    wrong = ["--label", "celltype", "--donor", "dnor", "--library-size", "total"]
    ran = subprocess.run(
        [sys.executable, "-c", program, "train", tmp_path / "c.h5ad", *wrong],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds, loaded = ran.stdout.split()
    assert loaded == "none"
    assert float(seconds) < 2
    assert len(messages(ran.stderr)) == 3


def test_12_no_registry(
    refused_then_ended_well: Any, no_mlflow_settings: None, registered_database: Path, new_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A folder beside that of the registry."""
    (tmp_path / "models").mkdir()
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(registered_database, tmp_path / "models" / "mlflow.db")
    monkeypatch.chdir(tmp_path / "elsewhere")
    (message,), _ = refused_then_ended_well(f"annotate {new_file} -m models:/tiny@champion -o o.csv")
    assert "mlflow.db: MLflow's server or database does not answer" in message


def test_13_port(refused_then_ended_well: Any, m: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def begin(_path: str, arguments: list[str], _environment: Any) -> None:
        begun.append(arguments)
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", begin)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (message,), _ = refused_then_ended_well(f"serve -m {m} --port {port}")
    assert "in use" in message
    (arguments,) = begun
    assert int(arguments[arguments.index("--port") + 1]) != port


def test_14_extra_missing() -> None:
    """Nothing is installed here: the extras that the remedy names are those of this package."""
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRAINING, "train", "c.h5ad"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    (message,) = messages(ran.stderr)
    found = re.search(r"pip install 'cellmark\[(.*)\]'$", message)
    assert found is not None
    assert set(found[1].split(",")) <= set(metadata("cellmark").get_all("Provides-Extra") or [])


@pytest.mark.parametrize("name", ["c.h5ad.gz", "c.h5ad"])
def test_15_packed_by_gzip(refused_then_ended_well: Any, new_file: Path, tmp_path: Path, m: str, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(new_file.read_bytes(), 1))
    refused_then_ended_well(f"annotate {name} -m {m} -o o.csv", renamed=(name, "c.h5ad"))


def test_16_rds(cellmark: Cellmark, new_file: Path, tmp_path: Path, m: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """R is not here: that the line can be pasted and names the file that then comes is all that is tested."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.rds").write_bytes(gzip.compress(b"X\n\0\0"))
    (message,) = messages(cellmark("annotate", "c.rds", "-m", m, "-o", "o.csv").err)
    words = shlex.split(message.splitlines()[-1].partition("R: ")[2])
    assert words[:2] == ["Rscript", "-e"]
    assert all(words[2].count(one) == words[2].count(other) for one, other in ("()", "[]"))
    assert 'readRDS("c.rds")' in words[2]
    assert '"c.h5ad"' in words[2]


def test_17_transposed(refused_then_ended_well: Any, cells: ad.AnnData, tmp_path: Path, m: str) -> None:
    (tmp_path / "runs").mkdir()
    cells.T.write_h5ad(tmp_path / "runs" / "c.h5ad")
    refused_then_ended_well(f"annotate runs/c.h5ad -m {m} -o o.csv", renamed=("runs/c.h5ad", "runs/c.T.h5ad"))
    cells.to_df().T.to_csv(tmp_path / "c.csv")
    (message,), _ = refused_then_ended_well(f"annotate c.csv -m {m} -o o2.csv")
    assert "--genes-by-cells" in message


def test_18_unknown_type(refused_then_ended_well: Any, new_file: Path, m: str) -> None:
    (message,), again = refused_then_ended_well(f"markers -m {m} --cell-type 'b-cel'")
    assert "--cell-type 'B cell'" in message
    assert "B cell" in again.out
    refused_then_ended_well(f"explain {new_file} -m {m} -o o.csv --target NK")


def test_19_bare_name(
    cellmark: Cellmark, refused_then_ended_well: Any, registry: str, tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    ran = cellmark("annotate", new_file, "-m", "tiny", "-o", "a.csv")
    assert ran.status == 0
    assert "Model tiny: models:/tiny@champion" in ran.err
    assert "tiny version 1" in ran.out
    (message,), _ = refused_then_ended_well(f"annotate {new_file} -m tniy -o b.csv")
    assert "registered are: tiny" in message
    shutil.copytree(tiny_bundle.folder, tmp_path / "tiny")
    ran = cellmark("annotate", new_file, "-m", "tiny", "-o", "c.csv")
    assert ran.status == 0
    assert "models:/" not in ran.err
    assert "version 1" not in ran.out
    (message,), _ = refused_then_ended_well(f"annotate {new_file} -m tinny -o d.csv")


def test_20_wrong_alias_and_version(refused_then_ended_well: Any, registry: str, new_file: Path) -> None:
    for uri, right in (("models:/tiny@champoin", "models:/tiny@champion"), ("models:/tiny@", "models:/tiny@champion")):
        (message,), _ = refused_then_ended_well(f"markers -m {uri}", wrong=uri)
        assert right in message
    (message,), _ = refused_then_ended_well("markers -m models:/tiny/7", wrong="models:/tiny/7")
