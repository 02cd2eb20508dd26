"""The command line as a user meets it: results, refusals, exit statuses, and what is left on disk."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import Finding
from cellmark.serving.annotator import Annotator
from cellmark.serving.terminal.show_notes import show_notes
from fixtures.without_training import WITHOUT_TRAINING

MODULE = [sys.executable, "-m", "cellmark.serving.commands.cli"]
COMMANDS = ("train", "annotate", "explain", "markers", "validate", "models", "bundle", "serve", "demo")
SUBCOMMANDS = (
    "markers novel",
    "markers rank",
    "markers compare",
    "models list",
    "models show",
    "models promote",
    "bundle verify",
    "bundle export",
    "bundle import",
    "export cas",
)
Cellmark = Callable[..., Any]


def words(text: str) -> str:
    """Text of a help page without frames and line breaks."""
    return " ".join(text.replace("│", " ").split())


# help


def test_help_lists_every_command_of_both_worlds(cellmark: Cellmark) -> None:
    ran = cellmark("--help")
    assert ran.status == 0
    for name in COMMANDS:
        assert f"│ {name} " in ran.out


def test_help_takes_less_than_a_second_of_a_processor() -> None:
    """Processor time, the best of three: this machine may be busy with other things."""
    times = []
    for _ in range(3):
        with subprocess.Popen([*MODULE, "--help"], stdout=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        times.append(usage.ru_utime + usage.ru_stime)
    assert min(times) < 1


@pytest.mark.parametrize("name", [*COMMANDS[:5], *COMMANDS[7:], *SUBCOMMANDS])
def test_help_of_a_command_shows_how_it_is_used(cellmark: Cellmark, name: str) -> None:
    ran = cellmark(*name.split(), "--help")
    assert ran.status == 0
    text = words(ran.out)
    assert text.startswith(f"Usage: cellmark {name}")
    assert text.count(f"cellmark {name}") >= 2, "an example beside the usage line"
    assert "--install-completion" not in text


def test_version_is_that_of_the_package(cellmark: Cellmark) -> None:
    assert cellmark("--version").out == f"cellmark {version('cellmark')}\n"


# results


def test_annotate_writes_what_the_python_door_says(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    out = tmp_path / "a new folder" / "calls é.csv"
    ran = cellmark("annotate", new_file, "--model", tiny_bundle.folder, "-o", out)
    assert ran.status == 0
    expected = Annotator.load(tiny_bundle.folder).annotate(new_cells)
    written = pd.read_csv(out, index_col="cell_id")
    assert list(written.columns) == list(expected.columns)
    assert list(written["cellmark_cell_type"]) == list(expected["cellmark_cell_type"])
    np.testing.assert_allclose(written["cellmark_margin"], expected["cellmark_margin"], atol=1e-6)
    assert f"Written to {out}" in ran.out
    assert "library size summed" in ran.out
    for name, n_cells in expected["cellmark_cell_type"].value_counts().items():
        row = next(line for line in ran.out.splitlines() if line.startswith(f"│ {name} "))
        assert row.split("│")[2].strip() == str(n_cells)


def test_annotate_takes_one_cell(
    cellmark: Cellmark, tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    new_cells[:1].write_h5ad(tmp_path / "one.h5ad")
    ran = cellmark("annotate", tmp_path / "one.h5ad", "-m", tiny_bundle.folder, "-o", tmp_path / "one.csv")
    assert ran.status == 0
    assert "1 cell in one.csv" in ran.out
    assert len(pd.read_csv(tmp_path / "one.csv")) == 1


def test_annotate_uses_the_layer_and_the_library_size_that_are_named(
    cellmark: Cellmark, tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = new_cells.copy()
    cells.layers["counts"] = cells.X.copy()
    cells.X = cells.X.copy()
    cells.X.data = np.log1p(cells.X.data)
    totals = 2.0 * np.asarray(cells.layers["counts"].sum(axis=1)).ravel()
    cells.obs["total [all genes]"] = totals
    path, out = tmp_path / "cells.h5ad", tmp_path / "out.parquet"
    cells.write_h5ad(path)
    options = ("--layer", "counts", "--library-size", "total [all genes]")
    assert cellmark("annotate", path, "-m", tiny_bundle.folder, "-o", out, *options).status == 0
    expected = Annotator.load(tiny_bundle.folder).annotate(new_cells, library_size=totals)
    np.testing.assert_allclose(pd.read_parquet(out)["cellmark_confidence"], expected["cellmark_confidence"], rtol=1e-6)
    assert json.loads(out.with_suffix(".json").read_text())["library_size_source"] == "given"


def test_names_with_brackets_are_shown_as_they_are(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    """Rich takes [red] for a colour."""
    path, out = tmp_path / "c [red].h5ad", tmp_path / "o [bold].csv"
    path.write_bytes(new_file.read_bytes())
    ran = cellmark("annotate", path, "-m", tiny_bundle.folder, "-o", out)
    assert ran.status == 0
    assert "in o [bold].csv" in ran.out
    ran = cellmark("annotate", path, "-m", tmp_path / "no [model]", "-o", tmp_path / "x.csv")
    assert "/no [model]: no such bundle" in ran.err


def test_explain_writes_the_top_genes_of_every_cell(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    out = tmp_path / "why.parquet"
    ran = cellmark("explain", new_file, "-m", tiny_bundle.folder, "-o", out, "--top", 3, "--against", "second")
    assert ran.status == 0
    written = pd.read_parquet(out)
    expected = Annotator.load(tiny_bundle.folder).explain(new_cells, against="second", top=3)
    pd.testing.assert_frame_equal(written, expected, check_like=False)
    assert len(written) == 3 * new_cells.n_obs
    facts = json.loads((tmp_path / "why.json").read_text())
    assert facts["against"] == "second"
    assert facts["max_convergence_delta"] == pytest.approx(expected["convergence_delta"].abs().max())


def test_markers_are_listed_or_written_with_all_columns(
    cellmark: Cellmark, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    ran = cellmark("markers", "-m", tiny_bundle.folder, "--cell-type", "B cell", "--top", 2)
    assert ran.status == 0
    rows = [line.removeprefix("B cell ").split() for line in ran.out.splitlines() if line.startswith("B cell ")]
    expected = tiny_bundle.markers.query("cell_type == 'B cell' and rank <= 2")
    assert [row[:2] for row in rows] == [["1", expected["gene_symbol"].iloc[0]], ["2", expected["gene_symbol"].iloc[1]]]
    assert cellmark("markers", "-m", tiny_bundle.folder, "--top", 0, "-o", tmp_path / "all.parquet").status == 0
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "all.parquet"), tiny_bundle.markers)


def test_validate_says_that_good_cells_can_be_used(cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path) -> None:
    ran = cellmark("validate", new_file, "-m", tiny_bundle.folder)
    assert ran.status == 0
    assert "120 cells x 120 genes can be used" in ran.out


def test_validate_prints_json_alone_on_standard_output(cellmark: Cellmark, tiny_bundle: Bundle, bad_file: Path) -> None:
    ran = cellmark("validate", bad_file, "-m", tiny_bundle.folder, "--json")
    assert ran.status == 1
    report = json.loads(ran.out)
    assert report["valid"] is False
    assert {finding["code"] for finding in report["findings"]} == {"COUNTS_NEGATIVE", "COUNTS_NOT_WHOLE"}


def test_a_bundle_travels_as_one_file(cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, tmp_path: Path) -> None:
    archive, folder = tmp_path / "model.tar", tmp_path / "imported"
    assert cellmark("bundle", "export", "-m", tiny_bundle.folder, "-o", archive).status == 0
    assert cellmark("bundle", "import", archive, "-o", folder).status == 0
    ran = cellmark("bundle", "verify", folder)
    assert ran.status == 0
    assert tiny_bundle.digest in ran.out
    assert "golden cells gave the numbers" in ran.out
    assert cellmark("annotate", new_file, "-m", folder, "-o", tmp_path / "calls.csv").status == 0


@pytest.mark.training
def test_train_registers_a_model_that_the_next_command_uses(
    cellmark: Cellmark, mlflow_store: str, tiny_file: Path, new_file: Path, tmp_path: Path
) -> None:
    options = (
        "--name",
        "tiny [red]",
        "--donor",
        "donor",
        "--hold-out",
        "d1",
        "--max-epochs",
        4,
        "--hidden-units",
        "32,16",
    )
    ran = cellmark("train", tiny_file, *options, "--bundle", tmp_path / "bundle")
    assert ran.status == 0, ran.err
    manifest = Bundle.open(tmp_path / "bundle").manifest
    assert manifest.split.test.donors == ["d1"]
    assert manifest.network.hidden_units == [[32, 16]] * 5
    assert "tiny [red] version 1" in ran.out
    test = manifest.metrics["test"]
    assert f"{test['accuracy']:.3f}" in ran.out
    (words,) = (shlex.split(line) for line in ran.out.splitlines() if line.startswith("  cellmark markers"))
    uri = words[words.index("--model") + 1]
    assert uri == "models:/tiny [red]/1"
    assert cellmark(*words[1:]).status == 0
    out = tmp_path / "calls.csv"
    assert cellmark("annotate", new_file, "-m", uri, "-o", out).status == 0
    assert json.loads(out.with_suffix(".json").read_text())["model_version"] == "1"


# refusals


@pytest.fixture
def bad_file(new_cells: ad.AnnData, tmp_path: Path) -> Path:
    """Cells with a negative value and one that is not whole."""
    cells = new_cells.copy()
    cells.X = cells.X.copy()
    cells.X.data[0], cells.X.data[-1] = -1, 0.5
    path = tmp_path / "bad.h5ad"
    cells.write_h5ad(path)
    return path


def test_all_problems_of_an_input_come_at_once_and_nothing_is_written(
    cellmark: Cellmark, tiny_bundle: Bundle, bad_file: Path, tmp_path: Path
) -> None:
    ran = cellmark("annotate", bad_file, "-m", tiny_bundle.folder, "-o", tmp_path / "out.csv")
    assert ran.status == 1
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert [line.rsplit("[")[-1] for line in errors] == ["COUNTS_NEGATIVE]", "COUNTS_NOT_WHOLE]"]
    assert ran.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["bad.h5ad"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("annotate {new} -m {model} -o {tmp}/out.txt", "OUTPUT_FORMAT_UNKNOWN"),
        ("annotate {new} -m {model} -o {tmp}/out", "OUTPUT_FORMAT_UNKNOWN"),
        ("annotate {new} -m {model} -o {tmp}/taken.csv", "OUTPUT_EXISTS"),
        ("annotate {new} -m {model} -o {tmp}/taken.csv/out.csv", "OUTPUT_UNWRITABLE"),
        ("annotate {new} -m {model} -o {tmp}/{long}.csv", "OUTPUT_UNWRITABLE"),
        ("annotate {new} {new} -m {model} -o {tmp}/out.csv", "PARAMETER_INVALID"),
        ("annotate {new} {new} -m {model} -o {tmp}/taken.csv", "PARAMETER_INVALID"),
        ("annotate {new} {new} -m {model} -o {tmp}/out --format xls", "PARAMETER_INVALID"),
        ("annotate {new} -m {model} -o {tmp}/out.csv --device tpu", "PARAMETER_INVALID"),
        ("annotate {new} -m {model} -o {tmp}/out.csv --layer nope", "LAYER_UNKNOWN"),
        ("annotate {new} -m {model} -o {tmp}/out.csv --library-size nope", "LIBRARY_SIZE_COLUMN_UNKNOWN"),
        ("annotate {new} -m {model} -o {tmp}/out.csv --genes-by-cells", "PARAMETER_INVALID"),
        ("annotate {tmp}/none.h5ad -m {model} -o {tmp}/out.csv", "FILE_NOT_FOUND"),
        ("annotate {tmp}/{long}.h5ad -m {model} -o {tmp}/out.csv", "FILE_NOT_FOUND"),
        ("annotate {tmp}/truncated.h5ad -m {model} -o {tmp}/out.csv", "FILE_UNREADABLE"),
        ("annotate {tmp}/taken.csv -m {model} -o {tmp}/out.csv", "NO_CELLS|NO_GENES"),
        ("annotate {new} -m {tmp}/none -o {tmp}/out.csv", "MODEL_UNKNOWN"),
        ("annotate {new} -m {long} -o {tmp}/out.csv", "MODEL_UNKNOWN"),
        ("annotate {new} -m {new} -o {tmp}/out.csv", "MODEL_UNKNOWN"),
        ("annotate {new} -m {tmp} -o {tmp}/out.csv", "BUNDLE_MANIFEST_INVALID"),
        ("explain {new} -m {model} -o {tmp}/out.h5ad", "OUTPUT_FORMAT_UNKNOWN"),
        ("explain {new} -m {model} -o {tmp}/taken.csv", "OUTPUT_EXISTS"),
        ("explain {new} -m {model} -o {tmp}/out.csv --top 0", "PARAMETER_INVALID"),
        ("explain {new} -m {model} -o {tmp}/out.csv --target Nope", "CELL_TYPE_UNKNOWN"),
        ("explain {new} -m {model} -o {tmp}/out.csv --against Nope", "CELL_TYPE_UNKNOWN"),
        ("markers -m {model} --cell-type Nope", "CELL_TYPE_UNKNOWN"),
        ("markers -m {model} --top -1", "PARAMETER_INVALID"),
        ("markers -m {model} -o {tmp}/out.h5ad", "OUTPUT_FORMAT_UNKNOWN"),
        ("markers -m {model} --into {new} -o {tmp}/out.csv", "OUTPUT_FORMAT_UNKNOWN"),
        ("markers -m {model} --into {tmp}/none.h5ad -o {tmp}/out.h5ad", "FILE_NOT_FOUND"),
        ("markers -m {model} --into {tmp}/taken.csv -o {tmp}/out.h5ad", "FILE_FORMAT_UNKNOWN"),
        ("markers -m {model} --into {tmp}/truncated.h5ad -o {tmp}/out.h5ad", "FILE_UNREADABLE"),
        ("markers -m {model} --into {new} -o {tmp}/out.h5ad", "LABEL_COLUMN_UNKNOWN"),
        ("markers -m {model} --into {new} -o {tmp}/out.h5ad --groupby donor", "LABEL_COLUMN_UNKNOWN"),
        ("markers -m {model} -o {tmp}/taken.csv", "OUTPUT_EXISTS"),
        ("validate {new} -m {tmp}/none", "MODEL_UNKNOWN"),
        ("validate {new} -m {model} --data-docs {tmp}", "OUTPUT_EXISTS"),
        ("bundle verify {tmp}/none", "MODEL_UNKNOWN"),
        ("bundle export -m {model} -o {tmp}/out.tar.gz", "OUTPUT_FORMAT_UNKNOWN"),
        ("bundle export -m {model} -o {tmp} --force", "OUTPUT_EXISTS"),
        ("bundle import {tmp}/none.tar -o {tmp}/out", "FILE_NOT_FOUND"),
        ("bundle import {new} -o {tmp}/out", "BUNDLE_CONTENT_INVALID"),
        ("train {tmp}/none.h5ad", "FILE_NOT_FOUND"),
        ("train {new} --label nope", "LABEL_COLUMN_UNKNOWN"),
        ("train {new} --donor nope", "DONOR_COLUMN_UNKNOWN"),
        ("train {new} --hold-out d0", "PARAMETER_INVALID"),
        ("train {new} --donor donor --hold-out nope", "HOLD_OUT_UNKNOWN"),
        ("train {new} --hidden-units 12,x", "PARAMETER_INVALID"),
        ("train {new} --device tpu", "PARAMETER_INVALID"),
        ("train {new} --max-epochs 0 --patience 0 --seed -1", "PARAMETER_INVALID"),
        ("train {new} --name a/b", "PARAMETER_INVALID"),
        ("train {new} --bundle {tmp}/taken.csv", "OUTPUT_EXISTS"),
        ("train {new} --test {tmp}/none.h5ad", "FILE_NOT_FOUND"),
    ],
)
def test_bad_input_ends_in_one_message_and_status_1_and_leaves_nothing(
    cellmark: Cellmark,
    tiny_bundle: Bundle,
    new_file: Path,
    tmp_path: Path,
    mlflow_store: str,
    arguments: str,
    code: str,
) -> None:
    (tmp_path / "taken.csv").write_text("")
    (tmp_path / "truncated.h5ad").write_bytes(new_file.read_bytes()[:5000])
    before = sorted(tmp_path.iterdir())
    places = {"new": new_file, "model": tiny_bundle.folder, "tmp": tmp_path, "long": "n" * 300}
    given = [part.format(**places) for part in arguments.split()]
    ran = cellmark(*given)
    assert ran.status == 1
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert errors
    assert all(line.rsplit("[")[-1].rstrip("]") in code.split("|") for line in errors), ran.err
    # A command to paste that is longer than a row takes the place of what was found, which --verbose then says.
    told = ran if ran.err.count("found ") >= len(errors) else cellmark(*given, "--verbose")
    assert told.err.count("found ") >= len(errors)
    for message in re.split(r"^(?=error: )", ran.err, flags=re.MULTILINE)[1:]:
        assert len(message.splitlines()) <= 3, message
    assert ran.out == ""
    assert sorted(set(tmp_path.iterdir()) - {tmp_path / "mlflow"}) == sorted(set(before) - {tmp_path / "mlflow"})


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("nope", "nope"),
        ("annotate {new} -o out.csv", "--model"),
        ("annotate {new} -m {model}", "--out"),
        ("annotate -m {model} -o out.csv", "data"),
        ("explain {new} -m {model} -o out.csv --top many", "--top"),
        ("validate {new} -m {model} --jsn", "--jsn"),
        ("markers", "--model"),
        ("markers -m {model} --negative --combination", "--negative"),
        ("markers -m {model} --into {new}", "--into"),
        ("markers -m {model} rank {new}", "--model"),
        ("bundle nope", "nope"),
    ],
)
def test_a_wrong_command_line_ends_with_status_2_and_names_what_is_wrong(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, arguments: str, named: str
) -> None:
    ran = cellmark(*(part.format(new=new_file, model=tiny_bundle.folder) for part in arguments.split()))
    assert ran.status == 2
    assert named in ran.err
    assert "Traceback" not in ran.err


def test_force_replaces_an_output_and_a_failure_keeps_it(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, bad_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    assert cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", out).status == 0
    content = out.read_bytes()
    assert cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", out).status == 1
    assert cellmark("annotate", bad_file, "-m", tiny_bundle.folder, "-o", out, "--force").status == 1
    assert out.read_bytes() == content
    options = ("--probabilities", "--force")
    assert cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", out, *options).status == 0
    assert out.read_bytes() != content


def test_an_h5ad_may_be_annotated_in_place(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cells.h5ad"
    path.write_bytes(new_file.read_bytes())
    assert cellmark("annotate", path, "-m", tiny_bundle.folder, "-o", path).status == 1
    assert path.read_bytes() == new_file.read_bytes()
    assert cellmark("annotate", path, "-m", tiny_bundle.folder, "-o", path, "--force").status == 0
    assert "cellmark_cell_type" in ad.read_h5ad(path).obs
    assert os.listdir(tmp_path) == ["cells.h5ad"]


def test_a_batch_is_never_read_directly(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    ran = cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", f"{tmp_path}/calls/", "--trusted")
    assert ran.status == 1
    assert "PARAMETER_INVALID" in ran.err
    assert os.listdir(tmp_path) == []


# processes


STOPPED_WHILE_WRITING = """
import sys, time
import cellmark.serving.outputs.write_calls as write_calls
from cellmark.serving.commands.cli import main
from cellmark.serving.reader.reader_cells import ReaderCells

def add_calls(*arguments, **options):
    print("writing", flush=True)
    time.sleep(60)

write_calls.add_calls = ReaderCells.write_into = add_calls
main()
"""


@pytest.mark.parametrize("trusted", [[], ["--trusted"]])
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_annotate_that_is_stopped_while_it_writes_leaves_no_output(
    tiny_bundle: Bundle, new_file: Path, tmp_path: Path, sent: signal.Signals, status: int, trusted: list[str]
) -> None:
    out = tmp_path / "out.h5ad"
    command = [sys.executable, "-c", STOPPED_WHILE_WRITING, "annotate", new_file, "-m", tiny_bundle.folder, "-o", out]
    command += trusted
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert not out.exists()
        assert len(os.listdir(tmp_path)) == 1
        process.send_signal(sent)
        _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in err
    assert not out.exists()
    if sent != signal.SIGKILL:
        assert os.listdir(tmp_path) == []
    if sent == signal.SIGINT:
        assert "Interrupted; nothing half-written was left behind." in err


@pytest.mark.training
def test_training_that_is_interrupted_leaves_no_bundle_and_says_so_in_mlflow(
    tiny_file: Path, mlflow_store: str, tmp_path: Path
) -> None:
    scratch, bundle = tmp_path / "scratch", tmp_path / "bundle"
    scratch.mkdir()
    command = [*MODULE, "train", tiny_file, "--bundle", bundle, "--max-epochs", "100000", "--patience", "100000"]
    environment = {**os.environ, "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("Fitting the network" in line for line in lines)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not bundle.exists()
    assert [name for name in os.listdir(tmp_path) if name.startswith(".bundle")] == []
    assert [name for name in os.listdir(scratch) if "cellmark" in name] == []

    from mlflow import MlflowClient

    client = MlflowClient(mlflow_store)
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert run.info.status == "KILLED"
    assert client.search_registered_models() == []


def test_a_reader_that_leaves_early_is_no_error(tiny_bundle: Bundle) -> None:
    """As `cellmark markers ... | head` does: the pipe is closed before anything is printed."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [*MODULE, "markers", "-m", tiny_bundle.folder, "--top", "0"]
    ran = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert ran.stderr == ""


def test_output_without_a_terminal_has_no_escape_codes_and_is_ascii_where_the_locale_is(
    tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    command = [*MODULE, "annotate", new_file, "-m", tiny_bundle.folder, "-o", tmp_path / "é.csv"]
    ran = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert b"\x1b" not in ran.stdout + ran.stderr
    assert max(map(len, ran.stdout.decode("ascii").splitlines()[:-1])) <= 80


@pytest.mark.parametrize("name", ["train", "demo"])
def test_without_the_training_extra_its_commands_are_listed_and_name_the_remedy(name: str) -> None:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_TRAINING, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )

    remedy = "pip install 'cellmark[train,cpu]'"
    listed = run("--help")
    assert listed.returncode == 0, listed.stderr
    row = next(line for line in listed.stdout.splitlines() if line.startswith(f"│ {name} "))
    assert remedy in row
    assert remedy in words(run(name, "--help").stdout)
    ran = run(name, "cells.h5ad", "--label", "cell_type")
    assert ran.returncode == 1
    assert remedy in ran.stderr
    assert "torch" in ran.stderr
    assert "[EXTRA_MISSING]" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_without_the_training_extra_cells_are_annotated(tiny_bundle: Bundle, new_file: Path, tmp_path: Path) -> None:
    command = ["annotate", new_file, "-m", tiny_bundle.folder, "-o", tmp_path / "calls.csv"]
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRAINING, *command], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert len(pd.read_csv(tmp_path / "calls.csv")) == 120


def test_refusals_and_notes_on_the_command_line_name_flags_alone(capsys: pytest.CaptureFixture[str]) -> None:
    finding = Finding(
        "LAYER_UNKNOWN", where="layer", expected="a layer", found="none", remedy="Name one: --layer (layer= in Python)."
    )
    show_notes([finding])
    assert capsys.readouterr().err.splitlines()[-1] == "  Name one: --layer."
