"""What `make` would run, and the interpreter it picks; nothing is installed here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.places import ROOT


def make(*arguments: str) -> str:
    """What `make --dry-run` would run, with an environment folder that does not exist."""
    command = ["make", "--dry-run", "--no-print-directory", "VENV=.venv-not-there", *arguments]
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "TORCH_INDEX", "MAKEFLAGS")}
    return subprocess.run(command, cwd=ROOT, env=clean, check=True, capture_output=True, text=True, timeout=60).stdout


def make_venv(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(ROOT / ".ci" / "make_venv.sh"), str(folder)]
    return subprocess.run(
        command, env={**os.environ, "PYTHON": python}, capture_output=True, text=True, timeout=120
    )  # fmt: skip


def test_demo_installs_with_pins_before_it_runs() -> None:
    lines = make("demo", "FOLDER=elsewhere").splitlines()
    installs = [line for line in lines if "--editable" in line]
    assert installs == [
        line for line in installs if "--constraint constraints.txt" in line and '".[cpu,train]"' in line
    ]
    assert len(installs) == 1
    assert lines[-1].endswith('/cellmark demo "elsewhere" ')
    assert lines.index(installs[0]) < len(lines) - 1


def test_an_additional_index_is_used_only_when_it_is_named() -> None:
    assert "index-url" not in make("demo")
    assert "--extra-index-url https://example.org/cpu --editable" in make("demo", "TORCH_INDEX=https://example.org/cpu")


@pytest.mark.parametrize(("runtime", "other"), [("cpu", "onnxruntime-gpu"), ("gpu", "onnxruntime")])
def test_choosing_a_runtime_takes_the_other_one_away(runtime: str, other: str) -> None:
    text = make("demo", f"RUNTIME={runtime}")
    assert f'".[{runtime},train]"' in text
    assert re.search(rf"uninstall --quiet --yes {other}\s", text)


def test_the_suite_runs_with_its_extra_and_the_options_given() -> None:
    text = make("test", "TEST_ARGS=-k panel")
    assert '".[cpu,train,test]"' in text
    assert text.splitlines()[-1].endswith("/python -m pytest -n 2 --dist worksteal -k panel")
    without = make("test-serving", "TEST_ARGS=-k panel").splitlines()[-1]
    assert without.endswith("/python -m pytest --without-torch -n 2 --dist worksteal -k panel")


def test_check_covers_format_lint_types_imports_and_the_image() -> None:
    text = make("check")
    for program in ("ruff format --check", "ruff check", "mypy", "lint-imports", "hadolint Dockerfile"):
        assert f"/bin/{program}" in text


def test_help_lists_every_target_that_is_no_file() -> None:
    source = (ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (.*)$", source, re.MULTILINE)[0].split()
    shown = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    assert set(re.findall(r"^  make (\S+)", shown, re.MULTILINE)) == set(phony)


def test_a_python_that_does_not_fit_is_refused_with_a_way_out(tmp_path: Path) -> None:
    answer = make_venv(tmp_path / "venv", "false")
    assert answer.returncode == 1
    assert "Python 3.11 to 3.14" in answer.stderr
    assert "make PYTHON=" in answer.stderr
    assert not (tmp_path / "venv").exists()


def test_an_environment_that_fits_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    assert make_venv(folder, sys.executable).stdout == ""
    assert [file.name for file in folder.iterdir()] == ["bin"]
