"""The body of a request, received up to its limit, and the cells in it: JSON, `.npz`, `.h5ad` or 10x `.h5`.

JSON comes into memory, a file into a folder that is always removed. The readers are those of every other door. A file
is not opened by the service's own process, but by one that can be killed (`open_apart.py`), and so is large JSON; a
small `.npz` is read here.
"""

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import anyio.to_thread
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from cellmark.schemas.api.requests import LARGE_BODY
from cellmark.schemas.api.strict_json import printable
from cellmark.schemas.errors import RequestError

from ..context import context_of
from ..limits.body_files import BodyFolder, body_folder
from .answer_types import ARROW, HDF5, JSON
from .settings import ServiceSettings

if TYPE_CHECKING:
    import tempfile

DECODED = ("gzip", "zstd")
MULTIPART = "multipart/form-data"
NPZ = "application/x-npz"
ARROW_FILE = "application/vnd.apache.arrow.file"
ANY_FILE = "application/octet-stream"
MEDIA_TYPES = (JSON, MULTIPART, HDF5, NPZ, ARROW, ARROW_FILE, ANY_FILE)
COMPRESSIBLE = (JSON, ARROW, ARROW_FILE)
"""Bodies that may come with a Content-Encoding; the others are compressed by themselves."""
FILE_FIELD = "file"
MOST_FIELDS = 20
BLOCK = 1024**2


@dataclass(frozen=True)
class Body:
    """A received body: `json` or the `path` of a file. `name`: of the file, as the request calls it. `fields`: the
    other fields of a form.
    """

    json: bytes | bytearray | None = None
    path: Path | None = None
    name: str = "body"
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def folder(self) -> str:
        """Where the file lies, to be taken out of messages."""
        return "" if self.path is None else f"{self.path.parent}/"


@asynccontextmanager
async def receive(request: Request, settings: ServiceSettings) -> AsyncIterator[Body]:
    """The body of a request; its file is gone after the `with` block. The request's context gets its digest: of the
    body, or of the file in a form, whose boundaries differ each time.

    Raises `RequestError`: a Content-Type that is none of `MEDIA_TYPES`, a body that is too large, a broken form.
    """
    media_type = media_type_of(request)
    limit = settings.max_json_bytes if media_type == JSON else settings.max_upload_bytes
    digest = hashlib.sha256()
    context = context_of(request.scope)
    stream = limited(request, limit)
    encoding = encoding_of(request)
    if media_type == JSON or encoding is not None:
        received = bytearray()
        async for block in stream:
            received += block
            digest.update(block)
        context.input_digest = digest.hexdigest()
        # A large body is handed on as it is: a copy would hold the loop, and its bytes twice.
        content: bytes | bytearray = received if len(received) >= LARGE_BODY else bytes(received)
        del received
        if encoding is not None:
            content = await anyio.to_thread.run_sync(decompress, content, encoding, limit)
            unpacked = await anyio.to_thread.run_sync(hashlib.sha256, content)
            context.input_digest = unpacked.hexdigest()
        if media_type == JSON:
            yield Body(json=content)
            return
        with body_folder() as folder:
            file = folder.create("body")
            await anyio.to_thread.run_sync(file.write, content)
            file.flush()
            yield Body(path=folder.path / "body")
        return
    with body_folder() as folder:
        if media_type == MULTIPART:
            body = await _receive_form(request, stream, folder, digest)
        else:
            body = Body(path=folder.path / "body")
            await _write(stream, folder.create("body"), digest)
        context.input_digest = digest.hexdigest()
        yield body


async def receive_bytes(request: Request, limit: int) -> bytes:
    """A whole body in memory; the request's context gets its digest. Raises `RequestError` (`REQUEST_TOO_LARGE`)."""
    digest, received = hashlib.sha256(), bytearray()
    async for block in limited(request, limit):
        received += block
        digest.update(block)
    context_of(request.scope).input_digest = digest.hexdigest()
    return bytes(received)


def media_type_of(request: Request) -> str:
    """The body's media type. Raises `RequestError` (`MEDIA_TYPE_UNSUPPORTED`), also for a compressed body."""
    given = request.headers.get("content-type", "")
    media_type = given.split(";")[0].strip().lower()
    encoding = request.headers.get("content-encoding", "identity")
    found = None
    if media_type not in MEDIA_TYPES:
        found = printable(given) or "no Content-Type"
    elif encoding.lower() not in ("identity", *(DECODED if media_type in COMPRESSIBLE else ())):
        found = f"Content-Encoding: {printable(encoding)}"
    if found is not None:
        raise RequestError.of(
            "MEDIA_TYPE_UNSUPPORTED",
            where="Content-Type",
            expected="one of " + ", ".join(MEDIA_TYPES),
            found=found,
            remedy="Name the body's form in the header Content-Type. JSON and Arrow may be compressed (gzip, zstd); "
            "send other files as they are (an .npz or .h5ad is compressed by itself).",
        )
    return media_type


def encoding_of(request: Request) -> str | None:
    """How a body that may be compressed is."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    return None if encoding == "identity" else encoding


def decompress(content: bytes | bytearray, encoding: str, limit: int) -> bytes:
    """A body without its Content-Encoding. Raises `RequestError` for more than `limit` bytes, and for other bytes."""
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(content), encoding) as stream:
            plain: bytes = stream.read(limit + 1)
    except (OSError, pa.ArrowException) as error:
        raise RequestError.of(
            "REQUEST_INVALID",
            where="body",
            expected=f"a body compressed by {encoding}, as Content-Encoding says",
            found=f"other bytes ({printable(str(error))})",
            remedy="Compress the whole body, or omit the header.",
        ) from None
    if len(plain) > limit:
        raise _too_large(limit)
    return plain


async def limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """The body's blocks. Raises `RequestError` (`REQUEST_TOO_LARGE`) at once when the header says so, or on the way."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    received = 0
    async for block in request.stream():
        received += len(block)
        if received > limit:
            raise _too_large(limit)
        yield block


async def _receive_form(
    request: Request, stream: AsyncGenerator[bytes, None], folder: BodyFolder, digest: "hashlib._Hash"
) -> Body:
    _, parameters = parse_options_header(request.headers["content-type"])
    if not parameters.get(b"boundary"):
        raise _broken_form("a boundary in the header Content-Type", "none")
    try:
        form = await MultiPartParser(request.headers, stream, max_files=1, max_fields=MOST_FIELDS).parse()
    except MultiPartException as error:
        raise _broken_form("a multipart form with one file", printable(error.message)) from None
    try:
        files = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(files) != 1 or files[0][0] != FILE_FIELD:
            found = "no file" if not files else f"a file in the field {printable(files[0][0])!r}"
            raise _broken_form(f"a file in the field {FILE_FIELD!r}", found)
        upload = files[0][1]
        path = folder.path / safe_name(upload.filename or "")
        await anyio.to_thread.run_sync(_keep, upload, folder, path.name, digest)
        fields = tuple((name, value) for name, value in form.multi_items() if isinstance(value, str))
        return Body(path=path, name=path.name, fields=fields)
    finally:
        await form.close()


def safe_name(filename: str) -> str:
    """A plain file name with the same extension as the one that a request gives."""
    base = re.split(r"[/\\]", filename)[-1]
    return re.sub(r"[^A-Za-z0-9._-]", "_", base)[-100:].lstrip(".") or "file"


def _keep(upload: UploadFile, folder: BodyFolder, name: str, digest: "hashlib._Hash") -> None:
    while block := upload.file.read(BLOCK):
        digest.update(block)
    folder.adopt(cast("tempfile.SpooledTemporaryFile[bytes]", upload.file), name)


async def _write(stream: AsyncGenerator[bytes, None], file: IO[bytes], digest: "hashlib._Hash") -> None:
    """Write a stream in large blocks, each in a thread: a slow disk must not stop the event loop."""
    waiting = bytearray()
    async for block in stream:
        waiting += block
        digest.update(block)
        if len(waiting) >= BLOCK:
            await anyio.to_thread.run_sync(file.write, bytes(waiting))
            waiting.clear()
    file.write(waiting)
    file.flush()


def _too_large(limit: int) -> RequestError:
    return RequestError.of(
        "REQUEST_TOO_LARGE",
        where="body",
        expected=f"at most {limit:,} bytes",
        found="more",
        remedy="Send fewer cells at a time, or send them as .npz or .h5ad, which are smaller than JSON.",
    )


def _broken_form(expected: str, found: str) -> RequestError:
    return RequestError.of(
        "REQUEST_INVALID",
        where="body",
        expected=expected,
        found=found,
        remedy=f"curl -F {FILE_FIELD}=@cells.h5ad sends such a form.",
    )
