"""In which form an answer is sent: chosen by the header Accept, compressed as Accept-Encoding allows."""

from collections.abc import Iterator, Sequence

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cellmark.schemas.api.strict_json import printable
from cellmark.schemas.errors import RequestError

JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
ARROW = "application/vnd.apache.arrow.stream"
HDF5 = "application/x-hdf5"
TABLES = (CSV, PARQUET, ARROW)
ANSWERS = (JSON, *TABLES)
COMPRESSED_ALREADY = (PARQUET, HDF5)
ENCODINGS = ("zstd", "gzip")
"""Preferred first."""
LEVELS = {"zstd": 3, "gzip": 5}
LEAST_BYTES = 1400
"""Below this an answer fits into a packet, and compressing it gains nothing."""


def wishes(header: str) -> dict[str, float]:
    """What a header such as Accept lists, with how much it is liked, 0 to 1."""
    listed: dict[str, float] = {}
    for part in header.split(","):
        kind, *parameters = (text.strip().lower() for text in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = min(max(float(parameter[2:]), 0.0), 1.0)
                except ValueError:
                    quality = 0.0
        if kind:
            listed[kind] = quality
    return listed


def chosen_type(accept: str, offered: Sequence[str], *, strict: bool = True) -> str:
    """The offered media type that the header Accept likes best; of equal ones the first offered, and so without a
    header. Raises `RequestError` (`NOT_ACCEPTABLE`) where it takes none of them; where that is not `strict`, the first
    offered is sent anyway.
    """
    listed = wishes(accept)
    if not listed:
        return offered[0]

    def liked(kind: str) -> float:
        # The most specific entry counts, as RFC 9110 has it.
        for pattern in (kind, f"{kind.split('/')[0]}/*", "*/*"):
            if pattern in listed:
                return listed[pattern]
        return 0.0

    best = max(offered, key=liked)
    if liked(best) == 0 and strict:
        raise RequestError.of(
            "NOT_ACCEPTABLE",
            where="Accept",
            expected="one of " + ", ".join(offered),
            found=printable(accept),
            remedy=f"Name one of these in the header Accept, or omit it for {offered[0]}.",
        )
    return best


def chosen_encoding(accept_encoding: str) -> str | None:
    """How to compress an answer, None for not at all."""
    listed = wishes(accept_encoding)
    liked = {name: listed.get(name, listed.get("*", 0.0)) for name in ENCODINGS}
    best = max(ENCODINGS, key=lambda name: liked[name])
    return best if liked[best] > 0 and liked[best] >= listed.get("identity", 0.0) else None


def only_json(media_type: str) -> None:
    """Raise `RequestError` (`NOT_ACCEPTABLE`) where another answer than JSON is asked of what has no other."""
    if media_type != JSON:
        raise RequestError.of(
            "NOT_ACCEPTABLE",
            where="Accept",
            expected=f"{JSON}, the only form of a sparse answer",
            found=media_type,
            remedy="Omit layout=csr, or the header Accept.",
        )


async def response(request: Request, content: bytes | Iterator[bytes], media_type: str) -> Response:
    """The answer, compressed as the request allows and where that gains something."""
    headers = {"Vary": "Accept, Accept-Encoding"}
    if not isinstance(content, bytes):
        return StreamingResponse(content, media_type=media_type, headers=headers)
    encoding = chosen_encoding(request.headers.get("accept-encoding", ""))
    if encoding is not None and len(content) >= LEAST_BYTES and media_type not in COMPRESSED_ALREADY:
        content = await anyio.to_thread.run_sync(compress, content, encoding)
        headers["Content-Encoding"] = encoding
    return Response(content, media_type=media_type, headers=headers)


def compress(content: bytes, encoding: str) -> bytes:
    """The same bytes, compressed. The interpreter is free meanwhile."""
    import pyarrow as pa

    compressed: bytes = pa.Codec(encoding, compression_level=LEVELS[encoding]).compress(content, asbytes=True)
    return compressed
