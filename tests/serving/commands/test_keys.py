"""`cellmark keys`: a key is shown once, the file never holds it, and what happened is said."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cellmark.schemas.errors import CellmarkError
from cellmark.serving.access.api_key import ApiKey
from cellmark.serving.access.key_file import read_key_file
from cellmark.serving.commands.keys import keys

RUNNER = CliRunner()


def run(*arguments: str, path: Path) -> tuple[str, str]:
    """Standard output and standard error of a command that ends well."""
    result = RUNNER.invoke(keys, [*arguments, "--key-file", str(path)], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout, result.stderr


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


def listed(path: Path) -> list[dict[str, object]]:
    return list(json.loads(run("list", "--json", path=path)[0]))


def test_the_key_alone_goes_to_the_standard_output(path: Path) -> None:
    shown, said = run("create", "--name", "pipeline", path=path)
    key = ApiKey.parse(shown.rstrip("\n"))
    assert key is not None
    assert read_key_file(path)[0].matches(key)
    assert key.secret not in path.read_text() + said
    assert key.key_id in said


def test_scopes_days_and_name_are_kept(path: Path) -> None:
    run("create", path=path)
    run("create", "-s", "admin", "-s", "explain", "--days", "30", "--name", "operator", path=path)
    first, second = listed(path)
    assert (first["scopes"], first["expires"], first["state"]) == (["annotate", "explain"], None, "valid")
    assert (second["scopes"], second["name"]) == (["admin", "explain"], "operator")
    expires = datetime.fromisoformat(str(second["expires"]))
    assert timedelta(days=29) < expires - datetime.now(UTC) <= timedelta(days=30)


def test_what_is_listed_holds_no_hash(path: Path) -> None:
    key = ApiKey.parse(run("create", path=path)[0].strip())
    assert key is not None
    record = read_key_file(path)[0]
    for text in (run("list", path=path)[0], run("list", "--json", path=path)[0]):
        assert key.key_id in text
        assert record.digest.hex() not in text
        assert record.salt.hex() not in text


def test_a_revoked_key_is_listed_as_such(path: Path) -> None:
    key = ApiKey.parse(run("create", path=path)[0].strip())
    assert key is not None
    assert "revoked" in run("revoke", key.key_id, path=path)[1]
    assert listed(path)[0]["state"] == "revoked"
    assert "revoked" in run("list", path=path)[0]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("create", "--scope", "root"), "PARAMETER_INVALID"),
        (("create", "--name", "two\nlines"), "PARAMETER_INVALID"),
        (("create", "--name", "x" * 101), "PARAMETER_INVALID"),
        (("list",), "KEY_FILE_INVALID"),
        (("revoke", "abcdefgh"), "KEY_FILE_INVALID"),
    ],
)
def test_what_is_wrong_is_refused_and_writes_nothing(path: Path, arguments: tuple[str, ...], code: str) -> None:
    with pytest.raises(CellmarkError) as raised:
        run(*arguments, path=path)
    assert raised.value.code == code
    assert not path.exists()
