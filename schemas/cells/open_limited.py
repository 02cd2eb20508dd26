"""Opening a file that may be compressed, up to a number of bytes: a few kilobytes of gzip can unpack to gigabytes."""

import gzip
import io
from pathlib import Path
from typing import IO, Any

from ..errors import ReadError


class _LimitedStream(io.RawIOBase):
    """`stream`, of which at most `most_bytes` can be read between two rewinds."""

    def __init__(self, stream: IO[bytes], path: Path, most_bytes: int, *, is_text: bool) -> None:
        self._stream, self._path, self._most, self._read = stream, path, most_bytes, 0
        self._is_text = is_text

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._read = self._stream.seek(offset, whence)
        return self._read

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        block = self._stream.read(len(view))
        view[: len(block)] = block
        self._read += len(block)
        if self._read > self._most:
            raise ReadError.of(
                "INPUT_TOO_LARGE",
                where=str(self._path),
                expected=f"at most {self._most:,} bytes unpacked",
                found="more",
                remedy="Divide it into files of fewer cells, or raise CELLMARK_MAX_UNPACKED_BYTES.",
            )
        if self._is_text and b"\0" in block:
            raise ReadError.of(
                "TABLE_INVALID",
                where=str(self._path),
                expected="text in UTF-8",
                found="zero bytes, which text does not contain",
                remedy="Write the table as UTF-8 (UTF-16 is not read), or check that the file is a table.",
            )
        return len(block)

    def close(self) -> None:
        self._stream.close()
        super().close()


def open_limited(path: Path, most_bytes: int, *, is_text: bool = False) -> IO[bytes]:
    """The bytes of `path`, unpacked where its name ends in `.gz`. Reading on raises `ReadError` (`INPUT_TOO_LARGE`)
    beyond `most_bytes`, and `TABLE_INVALID` for zero bytes where `is_text`.
    """
    opened = gzip.GzipFile if path.suffix.lower() == ".gz" else open
    stream: Any = opened(path, "rb")
    return io.BufferedReader(_LimitedStream(stream, path, most_bytes, is_text=is_text), 1024**2)
