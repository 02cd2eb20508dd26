"""The Dockerfile gets what its build needs, and leads to a service without root; CI runs its install steps for real."""

import fnmatch
import json
import re

import pytest

from fixtures.places import PACKAGES, ROOT

SOURCE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", SOURCE, flags=re.MULTILINE)).splitlines()


def arguments(instruction: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in INSTRUCTIONS if line.startswith(f"{instruction} ")]


def copied() -> list[str]:
    """What the build takes from the checkout."""
    return [source for words in arguments("COPY") if "--from" not in words for source in words.split()[:-1]]


@pytest.mark.parametrize("source", copied())
def test_every_file_that_is_copied_exists_and_reaches_the_build(source: str) -> None:
    assert (ROOT / source).exists()
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert any(fnmatch.fnmatch(source, pattern) for pattern in kept)


def test_the_build_gets_every_package_and_the_pins() -> None:
    assert {*PACKAGES, "pyproject.toml", "constraints.txt", "README.md", "LICENSE"} <= set(copied())


def test_the_script_that_ci_proves_is_the_one_that_installs() -> None:
    script = ".ci/install_serving.sh"
    assert any(script in step for step in arguments("RUN"))
    assert script in (ROOT / ".ci" / "run").read_text()


def test_the_service_runs_without_root_as_a_number() -> None:
    users = arguments("USER")
    assert len(users) == 1
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[0])


def test_the_image_serves_the_model_that_a_variable_names() -> None:
    assert json.loads(arguments("ENTRYPOINT")[0]) == ["cellmark"]
    assert json.loads(arguments("CMD")[0]) == ["serve", "--host", "0.0.0.0", "--port", "3000"]
    assert "CELLMARK_MODEL=/model" in arguments("ENV")[0].split()
    assert "CELLMARK_KEY_FILE=/keys/keys.jsonl" in arguments("ENV")[0].split()  # without it, 0.0.0.0 would be refused
    assert arguments("EXPOSE") == ["3000"]


def test_the_health_check_asks_whether_the_model_is_ready() -> None:
    command = json.loads(arguments("HEALTHCHECK")[0].split("CMD ", 1)[1])
    assert command[:2] == ["python", "-c"]
    assert "http://127.0.0.1:3000/readyz" in command[2]
    compile(command[2], "HEALTHCHECK", "exec")
