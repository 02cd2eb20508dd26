"""Keys are random, kept as hashes, written whole, and looked up as the file is now."""

import os
import re
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cellmark.schemas.errors import OutputError, ParameterError, RequestError, SetupError
from cellmark.serving.access.api_key import ApiKey, KeyRecord
from cellmark.serving.access.key_file import add_key, read_key_file, revoke_key
from cellmark.serving.access.key_lines import LineError, parse_lines, write_lines
from cellmark.serving.access.key_ring import KeyRing

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ANNOTATE = frozenset({"annotate"})


def record_of(key: ApiKey, expires: datetime | None = None) -> KeyRecord:
    return KeyRecord.of(key, ANNOTATE, created=NOW, expires=expires, name="pipeline")


def test_keys_are_random_and_read_back() -> None:
    keys = [ApiKey.new() for _ in range(200)]
    assert len({key.secret for key in keys}) == len({key.key_id for key in keys}) == 200
    for key in keys:
        assert re.fullmatch(r"cm_[a-z2-7]{8}_[a-z2-7]{52}", str(key))
        assert ApiKey.parse(str(key)) == key
        assert key.secret not in repr(key)


@pytest.mark.parametrize("text", ["", "cm_", "cm_abcdefgh_", "CM_abcdefgh_" + "a" * 52, "cm_abcdefgh_" + "a" * 53, "é"])
def test_other_texts_are_no_keys(text: str) -> None:
    assert ApiKey.parse(text) is None


def test_a_record_knows_its_key_and_no_other() -> None:
    key = ApiKey.new()
    record = record_of(key)
    assert record.matches(key)
    assert not record.matches(ApiKey(key.key_id, ApiKey.new().secret))
    assert not record.matches(ApiKey(key.key_id, ("b" if key.secret[0] == "a" else "a") + key.secret[1:]))
    assert record_of(key).digest != record.digest  # another salt


def test_lines_hold_no_secret_and_read_back() -> None:
    keys = [ApiKey.new(), ApiKey.new()]
    records = (record_of(keys[0]), record_of(keys[1], NOW + timedelta(days=1)))
    text = write_lines(records)
    assert parse_lines("# a remark\n\n" + text) == records
    assert not any(key.secret in text for key in keys)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda line: line.replace("annotate", "root"), "line 1: scopes"),
        (lambda line: line.replace('"annotate"', ""), "line 1: scopes"),
        (lambda line: line.replace("blake2b-256", "md5"), "line 1: algorithm"),
        (lambda line: line[:40], "line 1: Invalid JSON"),
        (lambda line: line + "\n" + line, "line 2: the id"),
        (lambda line: line.replace('"id"', '"admin": true, "id"'), "line 1: admin"),
    ],
)  # fmt: skip
def test_lines_that_are_no_keys_are_refused(change, found: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(LineError, match=re.escape(found)):
        parse_lines(change(write_lines([record_of(ApiKey.new())]).strip()))


def test_the_file_is_its_owners_alone_and_others_files_stay(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys.jsonl"
    keys = [ApiKey.new() for _ in range(3)]
    for key in keys:
        add_key(path, record_of(key))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [record.key_id for record in read_key_file(path)] == [key.key_id for key in keys]
    assert list(path.parent.iterdir()) == [path]


def test_writers_at_once_lose_no_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    keys = [ApiKey.new() for _ in range(16)]
    threads = [threading.Thread(target=add_key, args=(path, record_of(key))) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {record.key_id for record in read_key_file(path)} == {key.key_id for key in keys}


def test_a_link_to_the_file_stays_a_link_and_its_mode_stays(tmp_path: Path) -> None:
    path, link = tmp_path / "keys.jsonl", tmp_path / "link"
    add_key(path, record_of(ApiKey.new()))
    path.chmod(0o640)
    link.symlink_to(path)
    add_key(link, record_of(ApiKey.new()))
    assert link.is_symlink()
    assert len(read_key_file(path)) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_revoked_key_stays_with_its_first_time(tmp_path: Path) -> None:
    path, key = tmp_path / "keys.jsonl", ApiKey.new()
    add_key(path, record_of(key))
    assert revoke_key(path, key.key_id, NOW).revoked == NOW
    assert revoke_key(path, key.key_id, NOW + timedelta(days=1)).revoked == NOW
    with pytest.raises(ParameterError, match="KEY_UNKNOWN"):
        revoke_key(path, "aaaaaaaa", NOW)


def test_files_that_are_no_key_files_are_refused_with_a_remedy(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "keys.jsonl"
    with pytest.raises(SetupError, match="cellmark keys create --key-file"):
        read_key_file(missing)
    with pytest.raises(SetupError, match="KEY_FILE_INVALID"):
        revoke_key(missing, "aaaaaaaa", NOW)
    wide = tmp_path / "keys.jsonl"
    add_key(wide, record_of(ApiKey.new()))
    wide.chmod(0o622)
    with pytest.raises(SetupError, match="chmod 600"):
        read_key_file(wide)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "bytes", tmp_path):
        with pytest.raises(SetupError, match="KEY_FILE_INVALID"):
            read_key_file(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="OUTPUT_UNWRITABLE"):
        add_key(tmp_path / "keys.jsonl", record_of(ApiKey.new()))


def test_the_ring_follows_the_file(tmp_path: Path) -> None:
    path, first, second, fixed = tmp_path / "keys.jsonl", ApiKey.new(), ApiKey.new(), ApiKey.new()
    add_key(path, record_of(first))
    ring = KeyRing(path, [record_of(fixed)])
    assert ring.find(first) is not None
    assert ring.find(fixed) is not None
    assert ring.find(second) is None
    add_key(path, record_of(second))
    assert ring.find(second) is not None
    revoke_key(path, first.key_id, NOW)
    found = ring.find(first)
    assert found is not None
    assert found.revoked == NOW
    assert ring.find(ApiKey(first.key_id, second.secret)) is None


def test_a_file_that_cannot_be_read_lets_nobody_in_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, key = tmp_path / "keys.jsonl", ApiKey.new()
    add_key(path, record_of(key))
    ring = KeyRing(path)
    assert ring.find(key) is not None
    content = path.read_bytes()
    for broken in (b"{}", None):
        path.unlink() if broken is None else path.write_bytes(broken)
        for _ in range(2):
            with pytest.raises(RequestError) as raised:
                ring.find(key)
        assert raised.value.status == 503
        assert str(tmp_path) not in str(raised.value)
    assert len(caplog.records) == 1  # the reason is logged, once
    path.touch(0o600)
    path.write_bytes(content)
    assert ring.find(key) is not None
