"""What a file really is, by its first bytes, when it is not what its name says: the message then names the mistake."""

from pathlib import Path

LOOKED_AT = 512
SIGNS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x1f\x8b", "a file packed by gzip (unpack it: gunzip)"),
    (b"PK\x03\x04", "a zip archive, as an .npz, a workbook or a packed folder is"),
    (b"BZh", "a file packed by bzip2 (unpack it: bunzip2)"),
    (b"\xfd7zXZ\x00", "a file packed by xz (unpack it: unxz)"),
    (b"\x93NUMPY", "a single array of NumPy (.npy)"),
    (b"%PDF", "a PDF"),
    (b"version https://git-lfs", "a pointer of git-lfs in the file's place (git lfs pull fetches the file)"),
)
MARKUP = (
    (b"<!doctype html", "a web page: what was downloaded is a message or a login, not the file"),
    (b"<html", "a web page: what was downloaded is a message or a login, not the file"),
    (b"<?xml", "an XML document, as servers send in place of a file that they refuse"),
)


def file_kind(path: Path) -> str:
    """What the file is, in words: `an empty file`, `a web page: ...`, `a text`, or `a file of no known kind`."""
    with path.open("rb") as file:
        start = file.read(LOOKED_AT)
    if not start:
        return "an empty file"
    for sign, name in SIGNS:
        if start.startswith(sign):
            return name
    shown = start.lstrip().lower()
    for sign, name in MARKUP:
        if shown.startswith(sign):
            return name
    if b"\0" in start:
        return "a file of no known kind"
    try:
        # The last letter may be cut.
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:
            return "a file of no known kind"
    return "a text"
