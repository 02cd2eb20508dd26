"""What a file is that is not what its name says."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from cellmark.schemas.cells.file_kind import file_kind
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.errors import ReadError


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.eye(2))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (gzip.compress(b"x", mtime=0), "gunzip"),
        (b"PK\x03\x04...", "zip archive"),
        (npy(), ".npy"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\n <!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
        (b'<?xml version="1.0"?><Error>AccessDenied</Error>', "XML"),
        ("gène,celle\n".encode() * 100, "a text"),
        (bytes(range(256)), "no known kind"),
        (b"\xff\xfe\xfa" * 50, "no known kind"),
    ],
)
@pytest.mark.parametrize("name", ["cells.h5ad", "cells.h5"])
def test_a_file_of_another_kind_is_named(content: bytes, words: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert words in file_kind(tmp_path / name)
    with pytest.raises(ReadError) as caught:
        open_cells(tmp_path / name)
    assert caught.value.code == "FILE_UNREADABLE"
    assert words in caught.value.findings[0].found
