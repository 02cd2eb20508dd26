"""Where and when a model was made: code, environment and date, without the name of a host or a path."""

import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ENVIRONMENT = ("cellmark", "torch", "onnx", "onnxruntime", "numpy", "scipy", "pandas", "anndata")


def code_facts() -> dict[str, str | None]:
    """Version of cellmark, and the commit of the checkout that it runs from, where it runs from one."""
    checkout = Path(__file__).resolve().parents[2]
    return {"version": importlib.metadata.version("cellmark"), "commit": _commit_of(checkout)}


def _commit_of(checkout: Path) -> str | None:
    if not (checkout / ".git").exists():
        return None
    try:
        asked = subprocess.run(  # noqa: S603
            ["git", "-C", str(checkout), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        # A machine without git, or with a hanging one: the commit is a courtesy, no reason to lose the model.
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def environment_facts() -> dict[str, str]:
    """Python, platform and the versions of what shaped the model; no host names, no paths."""
    facts = {"python": platform.python_version(), "platform": f"{platform.system()}-{platform.machine()}"}
    for name in ENVIRONMENT:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return facts


def now() -> str:
    """The date of a manifest: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
