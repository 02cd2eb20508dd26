"""Ask the question of a receipt again, through the routes that answered it, and compare."""

import asyncio
import hashlib
import json
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.types import ASGIApp, Message

from cellmark.schemas.api.strict_json import parse_json, printable
from cellmark.schemas.audit.receipt import Receipt
from cellmark.schemas.errors import BundleError, CellmarkError, Finding, ParameterError, ReadError, RequestError

BLOCK = 1024**2
TOLERANCE = 1e-4
"""Relative and absolute: processors add float32 numbers up in other orders."""
RECEIPT = "receipt"
ROUTES = ("annotate", "attribute", "map")
JSON, ANY_FILE = "application/json", "application/octet-stream"


@dataclass(frozen=True)
class Claim:
    """A receipt, and the answer that it came with: its cells, None for a receipt alone."""

    receipt: Receipt
    cells: list[dict[str, Any]] | None = None


@dataclass
class Comparison:
    """`differences`: places and what stands there, a few of `n_differences`. `largest`: of all differences between
    numbers.
    """

    n_differences: int = 0
    differences: list[str] = field(default_factory=list)
    largest: float = 0.0

    def add(self, place: str, before: Any, now: Any) -> None:
        self.n_differences += 1
        if len(self.differences) < 5:
            self.differences.append(f"{place}: {_short(before)} then, {_short(now)} now")


def read_claim(path: Path) -> Claim:
    """A saved answer, or a receipt alone. Raises `ReadError` (`FILE_NOT_FOUND`, `RECEIPT_INVALID`)."""
    try:
        value = parse_json(path.read_bytes())
    except OSError as error:
        raise _no_file(path, error) from error
    except RequestError as error:
        raise _no_receipt(path, error.findings[0].found) from error
    answer = value if isinstance(value, dict) and RECEIPT in value else None
    try:
        receipt = Receipt.model_validate(answer[RECEIPT] if answer is not None else value)
    except ValidationError as error:
        raise _no_receipt(path, f"{len(error.errors())} fields that are missing or wrong") from error
    cells = answer.get("cells") if answer is not None else None
    claim = Claim(receipt, cells if isinstance(cells, list) else None)
    if receipt.route.rpartition("/")[2] not in ROUTES:
        raise _no_receipt(path, f"one of {printable(receipt.route)}, which cannot be asked again from a file")
    if claim.cells is None and receipt.calls_digest is None:
        raise _no_receipt(path, "a receipt without a digest of calls, and no answer to compare with")
    return claim


def check_input(receipt: Receipt, path: Path) -> None:
    """Raise `ReadError` (`RECEIPT_OTHER_INPUT`) unless `path` holds what the receipt was given for."""
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    if digest.hexdigest() != receipt.input_digest:
        raise ReadError.of(
            "RECEIPT_OTHER_INPUT",
            where=str(path),
            expected=f"the input of SHA-256 {receipt.input_digest[:12]}…",
            found=f"one of {digest.hexdigest()[:12]}…",
            remedy="Name the file or the JSON body as it was sent, byte for byte.",
        )


def model_of(receipt: Receipt) -> str:
    """The URI of the model that answered. Raises `ParameterError` for a bare bundle, which no registry knows."""
    if receipt.model_version is None:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="model",
            expected=f"the bundle {receipt.model} of digest {receipt.bundle_digest[:12]}…, which was not registered",
            found="nothing",
            remedy="Name its folder with --model.",
        )
    return f"models:/{receipt.model}/{receipt.model_version}"


def check_bundle(receipt: Receipt, digest: str, *, where: str) -> None:
    """Raise `BundleError` unless the bundle is the one that answered."""
    if digest != receipt.bundle_digest:
        raise BundleError.of(
            "BUNDLE_DIGEST_MISMATCH",
            where=where,
            expected=f"the bundle of digest {receipt.bundle_digest[:12]}… that the receipt names",
            found=f"{digest[:12]}…",
            remedy="Name the bundle that answered with --model.",
        )


def ask_again(app: ASGIApp, receipt: Receipt, path: Path) -> dict[str, Any]:
    """The answer of the service's routes to the same input and options. Raises `RequestError` with a refusal."""
    with path.open("rb") as file:
        kind = JSON if file.read(64).lstrip()[:1] == b"{" else ANY_FILE
    status, body = asyncio.run(_post(app, receipt, path, kind))
    answer: dict[str, Any] = json.loads(body)
    if status != 200:
        raise RequestError(
            *(Finding(**{**found, "examples": tuple(found["examples"])}) for found in answer["findings"])
        )
    return answer


def compare(claim: Claim, answer: dict[str, Any]) -> Comparison:
    """What differs between then and now. Raises `RequestError` (`ANSWER_NOT_REPRODUCED`) when anything does."""
    found = Comparison()
    digest = answer[RECEIPT]["calls_digest"]
    if claim.receipt.calls_digest is not None and digest != claim.receipt.calls_digest:
        found.add("calls", claim.receipt.calls_digest, digest)
    if claim.cells is not None:
        _compare(claim.cells, answer["cells"], "cells", found)
    if found.n_differences:
        raise RequestError.of(
            "ANSWER_NOT_REPRODUCED",
            where=f"receipt {claim.receipt.id}",
            expected="the same answer to the same input from the same model",
            found=f"{found.n_differences} differences, the first: {found.differences[0]}",
            remedy="The answer was changed, or versions of cellmark, onnxruntime or the device differ.",
            examples=tuple(found.differences),
        )
    return found


async def _post(app: ASGIApp, receipt: Receipt, path: Path, kind: str) -> tuple[int, bytes]:
    status, parts = 500, []
    blocks = _messages(path)

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/" + receipt.route.rpartition("/")[2],
        "raw_path": b"",
        "root_path": "",
        "query_string": urlencode(receipt.options).encode("ascii"),
        "headers": [(b"content-type", kind.encode("ascii")), (b"accept", JSON.encode("ascii"))],
        "client": None,
        "server": None,
        "state": {},
    }
    await app(scope, blocks.__anext__, send)
    return status, b"".join(parts)


async def _messages(path: Path) -> AsyncIterator[Message]:
    for block in _blocks(path):
        yield {"type": "http.request", "body": block, "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False}
    await asyncio.Event().wait()  # the client stays until it has its answer


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block
    except OSError as error:
        raise _no_file(path, error) from error


def _compare(before: Any, now: Any, place: str, found: Comparison) -> None:
    numbers = (int, float)
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            _compare(before.get(name), now.get(name), f"{place}.{name}", found)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (old, new) in enumerate(zip(before, now, strict=True)):
            _compare(old, new, f"{place}[{number}]", found)
    elif isinstance(before, numbers) and isinstance(now, numbers) and not isinstance(before, bool):
        found.largest = max(found.largest, abs(before - now))
        if not math.isclose(before, now, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            found.add(place, before, now)
    elif before != now:
        found.add(place, before, now)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:60] + "…"


def _no_file(path: Path, error: OSError) -> CellmarkError:
    return ReadError.of(
        "FILE_NOT_FOUND",
        where=str(path),
        expected="a file that can be read",
        found=error.strerror or str(error),
        remedy="Check the path.",
    )


def _no_receipt(path: Path, found: str) -> CellmarkError:
    return ReadError.of(
        "RECEIPT_INVALID",
        where=str(path),
        expected="an answer of the service saved as JSON, or its receipt",
        found=found,
        remedy="Save the whole answer: curl ... -o answer.json",
    )
