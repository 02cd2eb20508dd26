"""What pyproject.toml promises of the installed package is true of the sources, and of the wheel built from them."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points, packages_distributions, requires
from typing import Any

import pytest

from fixtures.places import PACKAGES, ROOT

WORLDS = tuple(PACKAGES)
FIRST_PARTY = {"cellmark"}
COMMAND_GROUPS = ("cellmark.commands", "cellmark.markers.commands")
EXTRAS_OF_SERVING = {"onnxruntime"}
"""Neither build is a base dependency: the extras `cpu` and `gpu` choose one."""


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy of the sources without the index (setuptools is in the environment)."""
    pytest.importorskip("setuptools")
    source = tmp_path_factory.mktemp("source")
    for world in WORLDS:
        shutil.copytree(ROOT / world, source / world, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "import setuptools.build_meta as backend, sys; print(backend.build_wheel(sys.argv[1]))"
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=source, check=True, capture_output=True, timeout=120)
    return zipfile.ZipFile(next(folder.glob("cellmark-*.whl")))


def distribution_names(requirements: list[str]) -> set[str]:
    """Normalised names of what a list of requirements asks for."""
    names = [re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements]
    return {re.sub(r"[-_.]+", "-", name.group()).lower() for name in names if name}


def third_party_imports(world: str) -> dict[str, str]:
    """Top-level names imported anywhere in a package (also inside functions), each with a file that does so."""
    found: dict[str, str] = {}
    for file in sorted((ROOT / world).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                found.setdefault(name.split(".")[0], str(file.relative_to(ROOT)))
    return {name: file for name, file in found.items() if name not in sys.stdlib_module_names | FIRST_PARTY}


def test_every_folder_with_modules_is_a_listed_package(project: dict[str, Any]) -> None:
    folders = {
        ".".join((PACKAGES[world], *file.parent.relative_to(ROOT / world).parts))
        for world in WORLDS
        for file in (ROOT / world).rglob("*.py")
    }
    assert set(project["tool"]["setuptools"]["packages"]) == folders


def test_links_for_type_checkers_and_linters_lead_to_every_module() -> None:
    links = {link.name: link.resolve() for link in (ROOT / "tests" / "typing" / "cellmark").iterdir()}
    modules = [path for path in (ROOT / "front").iterdir() if path.name != "__pycache__"]
    worlds = [ROOT / world for world in WORLDS if world != "front"]
    assert links == {path.name: path for path in (*modules, *worlds)}


def test_every_script_and_command_resolves() -> None:
    scripts = [entry for entry in entry_points(group="console_scripts") if entry.module.startswith("cellmark.")]
    assert [entry.name for entry in scripts] == ["cellmark"]
    for entry in [*scripts, *(entry for group in COMMAND_GROUPS for entry in entry_points(group=group))]:
        assert callable(entry.load()), entry


@pytest.mark.parametrize("group", COMMAND_GROUPS)
def test_installed_entry_points_are_those_of_pyproject(project: dict[str, Any], group: str) -> None:
    stated = project["project"]["entry-points"][group]
    installed = {entry.name: entry.value for entry in entry_points(group=group)}
    assert installed == stated, "install again: pip install --editable ."


@pytest.mark.parametrize(
    ("world", "extras"),
    [
        ("schemas", ("postgres", "fast")),
        ("serving", ("jobs", "dask", "remote")),
        ("training", ("train", "rivals", "ontology")),
    ],
)
def test_every_import_is_a_declared_dependency(project: dict[str, Any], world: str, extras: tuple[str, ...]) -> None:
    declared = list(project["project"]["dependencies"])
    for extra in extras:
        declared += project["project"]["optional-dependencies"][extra]
    names = distribution_names(declared)
    providers = packages_distributions()
    for name, file in third_party_imports(world).items():
        if name in EXTRAS_OF_SERVING:
            continue
        provided_by = {re.sub(r"[-_.]+", "-", provider).lower() for provider in providers.get(name, [])}
        assert provided_by, f"{file} imports {name}, which is not installed"
        assert provided_by & names, f"{file} imports {name} of {provided_by}, which pyproject.toml does not name"


def test_torch_and_the_tracking_server_are_no_base_dependencies(project: dict[str, Any]) -> None:
    base = distribution_names(project["project"]["dependencies"])
    assert not base & {
        "torch",
        "onnx",
        "mlflow",
        "scanpy",
        "scikit-learn",
        "matplotlib",
        "onnxruntime",
        "onnxruntime-gpu",
    }


def test_every_declared_dependency_is_pinned(project: dict[str, Any]) -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin) for pin in pins), "a pin is NAME==RELEASE, no more"
    everything = [*project["project"]["dependencies"]]
    for requirements in project["project"]["optional-dependencies"].values():
        everything += requirements
    assert distribution_names(everything) - distribution_names(pins) == set()


def test_the_wheel_holds_every_tracked_file_of_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *WORLDS],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    tracked = {
        f"cellmark/{name.removeprefix('front/')}" for name in listed.stdout.splitlines() if (ROOT / name).exists()
    }
    held = {name for name in wheel.namelist() if not name.startswith("cellmark-")}
    assert held == tracked
    assert {f"{name.replace('.', '/')}/py.typed" for name in PACKAGES.values()} <= held


def test_the_wheel_states_license_python_and_extras(wheel: zipfile.ZipFile) -> None:
    metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    text = wheel.read(metadata).decode()
    assert "License-Expression: Apache-2.0" in text
    assert "Requires-Python: <3.15,>=3.11" in text
    assert {"cpu", "gpu", "train"} <= set(re.findall(r"^Provides-Extra: (\S+)$", text, re.M))
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_the_installed_metadata_asks_for_exactly_one_runtime_by_extra() -> None:
    conditional = [line for line in requires("cellmark") or [] if line.startswith("onnxruntime")]
    assert len(conditional) == 2
    assert {re.findall(r"extra == ['\"](\w+)['\"]", line)[0] for line in conditional} == {"cpu", "gpu"}
