"""Shell completion, as shells ask for it: options, models, cell types and columns of obs."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anndata as ad
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.tracking.tracking_uri import sqlite_path
from cellmark.schemas.typed_columns import obs_columns

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Complete:
    """What bash is offered for the last of the words."""
    from typer.testing import CliRunner

    from cellmark.serving.commands.cli import app

    def ask(*words: object) -> list[str]:
        typed = ["cellmark", *map(str, words)]
        variables = {
            "_CELLMARK_COMPLETE": "complete_bash",
            "COMP_WORDS": "\n".join(typed),
            "COMP_CWORD": str(len(typed) - 1),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        shown = CliRunner().invoke(app, prog_name="cellmark", env=variables).stdout
        return [line for line in shown.splitlines() if line]

    return ask


def test_commands_and_options(complete: Complete) -> None:
    assert complete("mar") == ["markers"]
    assert complete("train", "--genes") == ["--genes-of", "--genes-by-cells"]


def test_registered_models_by_name_or_uri_and_bundles_by_folder(
    complete: Complete, registry: str, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_bundle.folder, tmp_path / "work" / "my bundle")
    monkeypatch.chdir(tmp_path / "work")
    assert complete("annotate", "cells.h5ad", "-m", "") == ["my\\ bundle", "tiny"]
    assert complete("explain", "cells.h5ad", "--model", "t") == ["tiny"]
    assert "models:/tiny@champion" in complete("report", "-m", "models:/t")
    assert complete("serve", "-m", "x") == []


def test_the_types_of_a_bundle_and_of_a_registered_model(
    complete: Complete, registry: str, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complete("markers", "-m", tiny_bundle.folder, "--cell-type", "B") == ["B\\ cell"]
    assert complete("explain", "c.h5ad", "-m", tiny_bundle.folder, "--target", "N") == ["NK\\ cell"]
    for name in ("tiny", "models:/tiny@champion", "models:/tiny/1"):
        assert complete("markers", "-m", name, "--cell-type", "B") == ["B\\ cell"], name
    # Artifacts elsewhere: the copy in the cache is looked at.
    path = sqlite_path(registry)
    assert path is not None
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE model_versions SET storage_location = 's3://bucket/tiny'")
    monkeypatch.setenv("CELLMARK_CACHE", str(tmp_path / "cache"))
    assert complete("markers", "-m", "tiny", "--cell-type", "B") == []
    digest = tiny_bundle.manifest.manifest_digest
    shutil.copytree(tiny_bundle.folder, tmp_path / "cache" / "bundles" / digest)
    assert complete("markers", "-m", "tiny", "--cell-type", "B") == ["B\\ cell"]


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_columns_of_obs(complete: Complete, new_cells: ad.AnnData, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"new cells{suffix}"
    cells = new_cells.copy()
    cells.obs["total counts"] = 1.0
    cells.write_h5ad(path) if suffix == ".h5ad" else cells.write_zarr(path)
    assert obs_columns(path) == list(cells.obs)
    quoted = str(path).replace(" ", "\\ ")
    assert complete("train", quoted, "--label", "c") == ["cell_type"]
    assert complete("train", quoted, "--name", "x", "--donor", "") == [*list(new_cells.obs), "total\\ counts"]
    assert complete("annotate", quoted, "-o", "calls.csv", "--library-size", "to") == ["total\\ counts"]


def test_what_cannot_be_told_is_left_to_the_user(
    complete: Complete, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.h5ad").write_bytes(b"no cells")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("CELLMARK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert complete("train", "broken.h5ad", "--label", "") == []
    assert complete("train", "none.h5ad", "--label", "") == []
    sqlite3.connect(tmp_path / "mlflow.db").close()
    assert complete("annotate", "x.h5ad", "-m", "p") == []
    (tmp_path / "mlflow.db").write_bytes(b"no database at all, for sure")
    assert complete("annotate", "x.h5ad", "-m", "p") == []
    (tmp_path / "home" / "config.toml").write_text("broken")
    assert complete("markers", "-m", "p", "--cell-type", "") == []


@pytest.mark.parametrize(
    ("shell", "expected"),
    [("bash", "complete -o default -F"), ("zsh", "#compdef cellmark"), ("fish", "complete --command cellmark")],
)
def test_the_script_of_the_shell_that_is_named_is_shown(shell: str, expected: str) -> None:
    """Whichever shell runs, or none."""
    command = [sys.executable, "-m", "cellmark.serving.commands.cli", "--show-completion", shell]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "_CELLMARK_COMPLETE" in shown
    assert expected in shown


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")
def test_bash_completes_with_the_script(new_file: Path) -> None:
    script = 'eval "$(cellmark --show-completion bash)"; COMP_WORDS=(cellmark train "$1" --label cell); COMP_CWORD=4; '
    script += '_cellmark_completion cellmark; echo "${COMPREPLY[@]}"'
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    ran = subprocess.run(["bash", "-c", script, "bash", str(new_file)], capture_output=True, text=True, env=environment)
    assert ran.stdout == "cell_type\n", ran.stderr


def test_a_key_is_not_kept_waiting(tiny_bundle: Bundle) -> None:
    """No library of the worlds is loaded for a name."""
    program = (
        "import sys; from cellmark.serving.commands.complete import complete_model; complete_model('x');"
        "print([name for name in ('mlflow', 'torch', 'pandas', 'pydantic', 'bentoml') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
