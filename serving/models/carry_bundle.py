"""A bundle as one `.tar` file, out and in again; an archive is not trusted until every digest matches."""

import errno
import io
import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from cellmark.schemas.atomic_output import whole_file, whole_folder
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import BundleError, OutputError, ReadError
from cellmark.schemas.manifest.manifest import MANIFEST_NAME

LARGEST_BUNDLE = 4 * 1024**3
"""Bytes that an archive may unpack to."""
MOST_FILES = 10_000
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)
COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip")


def export_bundle(bundle: Bundle, out: Path, *, force: bool = False) -> None:
    """Write a verified bundle to a `.tar` (the same bundle gives the same bytes), or copy it to a folder."""
    names = [MANIFEST_NAME, *sorted(bundle.manifest.files)]
    if out.suffix in COMPRESSED:
        raise OutputError.of(
            "OUTPUT_FORMAT_UNKNOWN",
            where=str(out),
            expected="a .tar file or a new folder",
            found=repr(out.suffix),
            remedy="Name a .tar, and compress it afterwards if need be.",
        )
    if out.suffix != ".tar":
        _spare_other_folders(out)
        with whole_folder(out, force=force) as draft:
            for name in names:
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.path(name), draft / name)
            Bundle.open(draft)
        return
    with whole_file(out, force=force) as draft, tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            data = bundle.path(name).read_bytes()
            # No owner, date or mode of this machine travels along.
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            archive.addfile(info, io.BytesIO(data))


def import_bundle(path: Path, out: Path, *, force: bool = False) -> Bundle:
    """Unpack an archive into a new folder and verify it.

    Raises `ReadError` when there is no such archive, and `BundleError` for links, paths out of the folder, more or
    larger files than a bundle has, and whatever `Bundle.open` refuses.
    """
    if not os.path.isfile(path):
        what = "a folder: a bundle needs no import" if os.path.isdir(path) else "nothing there"
        raise ReadError.of(
            "FILE_NOT_FOUND", where=str(path), expected="a .tar of a bundle", found=what, remedy="Check the path."
        )
    _spare_other_folders(out)
    with whole_folder(out, force=force) as draft:
        try:
            with _opened(path) as handle, tarfile.open(fileobj=handle, mode="r:") as archive:
                _unpack(archive, draft)
        except OSError as error:
            # A full disk is the folder's fault; anything else is a name or a member that no bundle has.
            if error.errno in DISK_ERRORS:
                raise
            raise _odd_archive(path, f"a file in it that cannot be unpacked ({error.strerror})") from error
        except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
            raise _odd_archive(path, str(error)) from error
        Bundle.open(draft)
    return Bundle.open(out)


def _odd_archive(path: Path, found: str) -> BundleError:
    return BundleError.of(
        "BUNDLE_CONTENT_INVALID",
        where=str(path),
        expected="an archive from `cellmark bundle export`",
        found=found,
        remedy="Fetch the archive again.",
    )


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=str(path),
            expected="a .tar of a bundle",
            found=error.strerror or str(error),
            remedy="Check the permissions of the file.",
        ) from error


def _spare_other_folders(out: Path) -> None:
    """Refuse to replace, even with `--force`, what is neither a bundle nor an empty folder."""
    replaceable = os.path.isdir(out) and (os.path.isfile(out / MANIFEST_NAME) or not os.listdir(out))
    if replaceable or not os.path.lexists(out):
        return
    raise OutputError.of(
        "OUTPUT_EXISTS",
        where=str(out),
        expected="a new folder, or a bundle to replace",
        found="something else that exists",
        remedy="Name another folder.",
    )


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    total = 0
    for number, member in enumerate(archive):
        parts = PurePosixPath(member.name)
        unsafe = parts.is_absolute() or ".." in parts.parts or "\\" in member.name or not member.isreg()
        if unsafe:
            raise BundleError.of(
                "BUNDLE_PATH_UNSAFE",
                where=member.name,
                expected="plain files inside the bundle",
                found="a path or link elsewhere",
                remedy="Do not use this archive; fetch it again from where it came.",
            )
        total += member.size
        if total > LARGEST_BUNDLE or number >= MOST_FILES:
            raise BundleError.of(
                "BUNDLE_CONTENT_INVALID",
                where=member.name,
                expected=f"at most {LARGEST_BUNDLE} bytes in {MOST_FILES} files",
                found="more",
                remedy="This is not a bundle.",
            )
        content = archive.extractfile(member)
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        assert content is not None  # noqa: S101  (a regular file has content)
        with content, target.open("xb") as out:
            shutil.copyfileobj(content, out)
