"""How `make` installs: PyTorch's CPU build where there is no GPU, uv where it is there; against a local index."""

import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.places import ROOT

PIN = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
VERSION = PIN.removeprefix("torch==") + "+cpu"
PLACES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the package index's own torch is a CPU build"
)


class Index(http.server.ThreadingHTTPServer):
    """An index with one package, a torch of a few bytes, that keeps what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        name = f"torch-{VERSION}-py3-none-any.whl"
        (folder / "torch").mkdir(parents=True)
        with zipfile.ZipFile(folder / "torch" / name, "w") as wheel:
            info = f"torch-{VERSION}.dist-info"
            wheel.writestr("torch/__init__.py", "")
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {VERSION}\nRequires-Dist: sympy\n"
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        digest = hashlib.sha256((folder / "torch" / name).read_bytes()).hexdigest()
        link = f'<a href="{name.replace("+", "%2B")}#sha256={digest}">{name}</a>'
        (folder / "torch" / "index.html").write_text(f"<!DOCTYPE html><html><body>{link}</body></html>")
        index = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

            def log_message(self, *_: object) -> None:
                index.asked.append(self.path)

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index(tmp_path / "index") as index:
        thread = threading.Thread(target=index.serve_forever)
        thread.start()
        yield index
        index.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("install") / "venv"
    venv.create(folder, with_pip=True, symlinks=True)
    return folder / "bin" / "python"


def program(folder: Path, name: str, text: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
    (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def run(script: str, *arguments: str | Path, **settings: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in (*PLACES, "TORCH_INDEX")}
    done = subprocess.run(
        ["bash", str(ROOT / ".ci" / script), *map(str, arguments)],
        env={**kept, "no_proxy": "127.0.0.1", **settings}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(python: Path) -> str:
    shown = subprocess.run([python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True)
    return "\n".join(line for line in shown.stdout.splitlines() if line.startswith(("torch", "sympy")))


def no_gpu(tmp_path: Path) -> str:
    return program(tmp_path / "bin", "nvidia-smi", "exit 9")


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA GPU")
def test_without_a_gpu_torch_alone_comes_from_the_index_of_cpu_builds(
    python: Path, index: Index, tmp_path: Path
) -> None:
    said = run("install_torch.sh", python, PATH=no_gpu(tmp_path), TORCH_CPU_INDEX=index.address)
    assert PIN in said
    assert "CPU builds" in said
    assert installed(python) == f"torch=={VERSION}"
    assert all(path.startswith("/torch/") for path in index.asked)

    # What is installed is kept, without a question to anyone.
    index.asked.clear()
    assert run("install_torch.sh", python, PATH=no_gpu(tmp_path), TORCH_CPU_INDEX=index.address) == ""
    assert index.asked == []
    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "torch"], check=True)


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA GPU")
def test_an_index_that_is_silent_holds_nothing_up(python: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        said = run("install_torch.sh", python, PATH=no_gpu(tmp_path), TORCH_CPU_INDEX=address)
    assert "does not answer" in said
    assert time.monotonic() - started < 10
    assert installed(python) == ""


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA GPU")
def test_an_index_without_torch_is_no_use(python: Path, index: Index, tmp_path: Path) -> None:
    said = run("install_torch.sh", python, PATH=no_gpu(tmp_path), TORCH_CPU_INDEX=f"{index.address}/elsewhere")
    assert "does not answer" in said
    assert installed(python) == ""


@pytest.mark.parametrize("reason", ["GPU", "TORCH_INDEX"])
def test_a_gpu_or_an_index_that_was_named_decides(reason: str, python: Path, index: Index, tmp_path: Path) -> None:
    with_gpu = program(tmp_path / "gpu", "nvidia-smi", 'echo "GPU 0"')
    settings = {"PATH": with_gpu} if reason == "GPU" else {"PATH": no_gpu(tmp_path), "TORCH_INDEX": index.address}
    assert run("install_torch.sh", python, TORCH_CPU_INDEX=index.address, **settings) == ""
    assert index.asked == []


# pip's configuration on the machine of the test must not decide.
@pytest.mark.parametrize(
    ("pip_places", "uv_places", "taken"),
    [
        ({}, {}, "uv"),
        ({"PIP_FIND_LINKS": "/somewhere"}, {}, "pip"),
        ({"PIP_FIND_LINKS": "/somewhere"}, {"UV_FIND_LINKS": "/somewhere"}, "uv"),
    ],
    ids=["uv is there", "only pip knows the place", "both know a place"],
)
def test_uv_installs_where_it_knows_as_much_as_pip(
    pip_places: dict[str, str], uv_places: dict[str, str], taken: str, python: Path, tmp_path: Path
) -> None:
    path = program(tmp_path / "uv", "uv", 'echo "uv $*"')
    # An empty folder: pip answers "nothing to install" for a requirements file without lines.
    (tmp_path / "none.txt").write_text("")
    settings = {"PIP_CONFIG_FILE": os.devnull, **pip_places, **uv_places, "PATH": path}
    said = run("install.sh", python, "--requirement", tmp_path / "none.txt", **settings)
    assert said.startswith("Installing with uv") is (taken == "uv")
    assert ("uv pip install --python" in said) is (taken == "uv")


def test_without_uv_pip_installs(python: Path, tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("")
    without = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "uv").exists()
    )
    assert "uv" not in run("install.sh", python, "--requirement", tmp_path / "none.txt", PATH=without)
