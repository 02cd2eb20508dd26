import errno
import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import BundleError, OutputError, ReadError
from cellmark.serving.models import carry_bundle
from cellmark.serving.models.carry_bundle import export_bundle, import_bundle


@pytest.fixture
def archive(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    path = tmp_path / "model.tar"
    export_bundle(tiny_bundle, path)
    return path


def add(archive: Path, name: str, content: bytes = b"x", **fields: object) -> None:
    """Append a member to an archive."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    with tarfile.open(archive, "a") as tar:
        tar.addfile(info, io.BytesIO(content))


def test_a_bundle_that_travelled_has_the_same_bytes(tiny_bundle: Bundle, archive: Path, tmp_path: Path) -> None:
    imported = import_bundle(archive, tmp_path / "imported")
    assert imported.digest == tiny_bundle.digest
    for name in ["manifest.json", *tiny_bundle.manifest.files]:
        assert imported.path(name).read_bytes() == tiny_bundle.path(name).read_bytes()


def test_the_same_bundle_gives_the_same_archive_without_traces_of_the_machine(
    tiny_bundle: Bundle, archive: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(tiny_bundle.folder, tmp_path / "elsewhere")
    os.utime(copied / "manifest.json", (0, 0))
    export_bundle(Bundle.open(copied), tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == archive.read_bytes()
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    assert members[0].name == "manifest.json"
    assert {(member.uid, member.gid, member.uname, member.gname, member.mtime) for member in members} == {
        (0, 0, "", "", 0)
    }


def test_a_bundle_is_copied_to_a_folder_without_files_that_are_not_its_own(tiny_bundle: Bundle, tmp_path: Path) -> None:
    export_bundle(tiny_bundle, tmp_path / "copy")
    assert Bundle.open(tmp_path / "copy").digest == tiny_bundle.digest


def test_a_folder_that_is_no_bundle_is_never_replaced(tiny_bundle: Bundle, archive: Path, tmp_path: Path) -> None:
    """`-o . --force` must not take a project away."""
    precious = tmp_path / "project"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years")
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"):
        export_bundle(tiny_bundle, precious, force=True)
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"):
        import_bundle(archive, precious, force=True)
    assert (precious / "thesis.txt").read_text() == "years"


def test_a_bundle_is_replaced_by_force_alone(tiny_bundle: Bundle, archive: Path, tmp_path: Path) -> None:
    old = shutil.copytree(tiny_bundle.folder, tmp_path / "old")
    (old / "extra").write_text("")
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"):
        import_bundle(archive, old)
    assert (old / "extra").exists()
    assert import_bundle(archive, old, force=True).digest == tiny_bundle.digest
    assert not (old / "extra").exists()
    assert sorted(os.listdir(tmp_path)) == ["model.tar", "old"]


def test_an_archive_that_exists_is_replaced_by_force_alone(tiny_bundle: Bundle, archive: Path) -> None:
    content = archive.read_bytes()
    archive.write_bytes(b"other")
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"):
        export_bundle(tiny_bundle, archive)
    export_bundle(tiny_bundle, archive, force=True)
    assert archive.read_bytes() == content


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("../outside", {}),
        ("/tmp/cellmark-outside", {}),
        ("figures/../../outside", {}),
        ("figures\\outside", {}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("hard", {"type": tarfile.LNKTYPE, "linkname": "manifest.json"}),
        ("pipe", {"type": tarfile.FIFOTYPE}),
        ("folder", {"type": tarfile.DIRTYPE}),
    ],
)
def test_paths_and_links_out_of_the_folder_are_refused(
    archive: Path, tmp_path: Path, name: str, fields: dict[str, object]
) -> None:
    add(archive, name, b"" if fields else b"x", **fields)
    with pytest.raises(BundleError) as caught:
        import_bundle(archive, tmp_path / "deep" / "imported")
    assert caught.value.code == "BUNDLE_PATH_UNSAFE"
    assert name in str(caught.value)
    assert os.listdir(tmp_path / "deep") == []
    assert sorted(os.listdir(tmp_path)) == ["deep", "model.tar"]


def test_files_that_the_manifest_does_not_list_are_refused(archive: Path, tmp_path: Path) -> None:
    add(archive, "figures/extra.png")
    with pytest.raises(BundleError) as caught:
        import_bundle(archive, tmp_path / "imported")
    assert caught.value.code == "BUNDLE_FILE_UNLISTED"
    assert os.listdir(tmp_path) == ["model.tar"]


def test_a_file_that_comes_twice_is_refused(archive: Path, tmp_path: Path) -> None:
    add(archive, "genes.parquet")
    with pytest.raises(BundleError):
        import_bundle(archive, tmp_path / "imported")
    assert os.listdir(tmp_path) == ["model.tar"]


@pytest.mark.parametrize(
    "name", ["genes.parquet", "./genes.parquet", "manifest.json/x", "x" * 300, "a/" * 3000 + "b", ""]
)
def test_an_archive_that_cannot_be_unpacked_is_blamed_and_not_the_folder(
    archive: Path, tmp_path: Path, name: str
) -> None:
    add(archive, name)
    with pytest.raises(BundleError, match=r"model\.tar.*Fetch the archive again") as caught:
        import_bundle(archive, tmp_path / "imported")
    assert caught.value.code == "BUNDLE_CONTENT_INVALID"
    assert os.listdir(tmp_path) == ["model.tar"]


def test_a_full_disk_is_not_the_archives_fault(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(carry_bundle.shutil, "copyfileobj", full)
    with pytest.raises(OutputError, match=r"imported.*No space left"):
        import_bundle(archive, tmp_path / "imported")


def test_one_changed_byte_is_refused(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as tar:
        place = tar.getmember("annotator.onnx").offset_data + 100
    content = bytearray(archive.read_bytes())
    content[place] ^= 1
    archive.write_bytes(content)
    with pytest.raises(BundleError) as caught:
        import_bundle(archive, tmp_path / "imported")
    assert caught.value.code == "BUNDLE_DIGEST_MISMATCH"
    assert "annotator.onnx" in str(caught.value)
    assert os.listdir(tmp_path) == ["model.tar"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_a_truncated_archive_is_refused(archive: Path, tmp_path: Path, share: float) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BundleError):
        import_bundle(archive, tmp_path / "imported")
    assert os.listdir(tmp_path) == ["model.tar"]


def test_something_else_than_an_archive_is_refused(new_file: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        import_bundle(new_file, tmp_path / "imported")
    assert caught.value.code == "BUNDLE_CONTENT_INVALID"
    with pytest.raises(ReadError, match="nothing there"):
        import_bundle(tmp_path / "none.tar", tmp_path / "imported")
    with pytest.raises(ReadError, match="a folder"):
        import_bundle(tmp_path, tmp_path / "imported")
    assert os.listdir(tmp_path) == []


def test_an_archive_of_more_than_a_bundle_can_be_is_refused(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("LARGEST_BUNDLE", 10_000), ("MOST_FILES", 3)):
        with monkeypatch.context() as patched:
            patched.setattr(carry_bundle, name, value)
            with pytest.raises(BundleError, match="at most"):
                import_bundle(archive, tmp_path / "imported")
    assert os.listdir(tmp_path) == ["model.tar"]


def test_compressed_archives_are_not_promised(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="OUTPUT_FORMAT_UNKNOWN"):
        export_bundle(tiny_bundle, tmp_path / "model.tar.gz")
