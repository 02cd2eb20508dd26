"""Tensors of the Open Inference Protocol (version 2), as JSON or behind it as bytes, to arrays and back."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct

from cellmark.schemas.api.strict_json import printable, write_json
from cellmark.schemas.errors import RequestError

NUMBERS: dict[str, str] = {
    "FP32": "<f4",
    "FP64": "<f8",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
}
TEXT = "BYTES"
MOST_JSON_BYTES = 2 * 1024**2
"""A body that is JSON throughout: reading it holds Python's lock, for which all other requests wait."""
MOST_HEADER_BYTES = 1024**2
"""The JSON before bytes: names and shapes."""
MOST_INPUTS = 16
NOTHING = Raw(b"null")
"""The data of a tensor that has none in the JSON."""


@dataclass(frozen=True)
class Wanted:
    """An output that a request asks for. `binary`: as bytes behind the JSON."""

    name: str
    binary: bool


@dataclass(frozen=True)
class InferRequest:
    """A request for inference. `outputs`: None for all, and `binary` says in which form."""

    id: str | None
    inputs: dict[str, np.ndarray]
    outputs: tuple[Wanted, ...] | None
    binary: bool


class _OfRequest(Struct, frozen=True):
    binary_data_output: bool = False


class _OfTensor(Struct, frozen=True):
    binary_data_size: Annotated[int, Meta(ge=0)] | None = None
    binary_data: bool = False


class _Tensor(Struct):
    name: str
    datatype: str
    shape: Annotated[list[Annotated[int, Meta(ge=0, lt=2**31)]], Meta(min_length=1, max_length=2)]
    parameters: _OfTensor = _OfTensor()
    data: Raw = NOTHING


class _Output(Struct):
    name: str
    parameters: _OfTensor = _OfTensor()


class _Body(Struct):
    inputs: Annotated[list[_Tensor], Meta(max_length=MOST_INPUTS)]
    id: str | None = None
    parameters: _OfRequest = _OfRequest()
    outputs: Annotated[list[_Output], Meta(max_length=MOST_INPUTS)] | None = None


# Made by what they may hold: a list where a number belongs ends the reading there, before it becomes objects.
_body = msgspec.json.Decoder(_Body)
_numbers, _rows = msgspec.json.Decoder(list[float]), msgspec.json.Decoder(list[list[float]])
_texts_of = msgspec.json.Decoder(list[str])


def invalid(where: str, expected: str, found: str) -> RequestError:
    """The error of a body that is no request of the protocol."""
    return RequestError.of(
        "REQUEST_INVALID",
        where=where,
        expected=expected,
        found=found,
        remedy="GET /v2/models/NAME lists inputs and outputs with their types and shapes.",
    )


def read_request(body: bytes, header_length: int | None) -> InferRequest:
    """The request in a body. `header_length`: bytes of JSON before the tensors' bytes, None where all is JSON.

    Raises `RequestError`: no JSON, other fields than the protocol's, tensors that do not fit their shapes.
    """
    limit = MOST_JSON_BYTES if header_length is None else MOST_HEADER_BYTES
    n_json = len(body) if header_length is None else header_length
    if n_json > limit:
        raise RequestError.of(
            "REQUEST_TOO_LARGE",
            where="body",
            expected=f"at most {limit:,} bytes of JSON",
            found=f"{n_json:,}",
            remedy="Send tensors as bytes behind the JSON (binary_data_size), or fewer cells at a time.",
        )
    if n_json > len(body):
        raise invalid("Inference-Header-Content-Length", f"at most {len(body)}, the length of the body", str(n_json))
    try:
        told = _body.decode(memoryview(body)[:n_json])
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise invalid("body", "a request of the protocol, in JSON", printable(str(error))) from None
    left = memoryview(body)[n_json:]
    inputs: dict[str, np.ndarray] = {}
    for number, tensor in enumerate(told.inputs):
        values, left = _read_tensor(tensor, f"inputs[{number}]", left)
        if tensor.name in inputs:
            raise invalid(f"inputs[{number}]", "each input once", f"{printable(tensor.name)!r} again")
        inputs[tensor.name] = values
    if len(left):
        raise invalid("body", "as many bytes behind the JSON as binary_data_size says", f"{len(left):,} more")
    wanted = tuple(Wanted(one.name, one.parameters.binary_data) for one in told.outputs or ())
    if len({one.name for one in wanted}) < len(wanted):
        raise invalid("outputs", "each output once", "one that comes again")
    return InferRequest(told.id, inputs, wanted or None, told.parameters.binary_data_output)


def _read_tensor(told: _Tensor, where: str, left: memoryview) -> tuple[np.ndarray, memoryview]:
    """The values of a tensor, and the bytes that are left behind its own."""
    if told.datatype not in (*NUMBERS, TEXT):
        raise invalid(f"{where}.datatype", ", ".join((*NUMBERS, TEXT)), printable(told.datatype))
    n_values = int(np.prod(told.shape, dtype=np.int64))
    size = told.parameters.binary_data_size
    if size is None:
        values = _from_json(told.data, told.datatype, told.shape[0], n_values, where)
    elif size > len(left):
        raise invalid(f"{where}.parameters.binary_data_size", f"at most {len(left)}, the bytes left", str(size))
    else:
        values = _from_bytes(left[:size], told.datatype, n_values, where)
        left = left[size:]
    return values.reshape(told.shape), left


def _from_json(data: Raw, datatype: str, n_rows: int, n_values: int, where: str) -> np.ndarray:
    kind = "strings in one list" if datatype == TEXT else "numbers, in one list or one for each row"
    values: list[Any]
    try:
        # As many lists as rows: empty ones by the million would take seconds to make.
        if datatype != TEXT and bytes(data).count(b"[") == n_rows + 1:
            values = list(chain.from_iterable(_rows.decode(data)))
        else:
            values = (_texts_of if datatype == TEXT else _numbers).decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise invalid(f"{where}.data", f"{n_values} {kind}", "others") from None
    if len(values) != n_values:
        raise invalid(f"{where}.data", f"{n_values} values, as its shape says", f"{len(values)}")
    if datatype == TEXT:
        return np.array(values, dtype=object)
    numbers, kind_of_number = np.fromiter(values, np.float64, n_values), np.dtype(NUMBERS[datatype])
    if kind_of_number.kind in "iu" and len(numbers):
        limits = np.iinfo(kind_of_number)
        if numbers.min() < limits.min or numbers.max() > limits.max or (numbers % 1 != 0).any():
            raise invalid(f"{where}.data", f"whole numbers that {datatype} holds", "others")
    with np.errstate(over="ignore"):
        return numbers.astype(kind_of_number)


def _from_bytes(data: memoryview, datatype: str, n_values: int, where: str) -> np.ndarray:
    if datatype == TEXT:
        texts = _texts(data, n_values, where)
        if len(texts) != n_values:
            raise invalid(where, f"{n_values} strings", f"{len(texts)}")
        return np.array(texts, dtype=object)
    kind = np.dtype(NUMBERS[datatype])
    if len(data) != n_values * kind.itemsize:
        raise invalid(where, f"{n_values * kind.itemsize:,} bytes, as its shape says", f"{len(data):,}")
    return np.frombuffer(data, dtype=kind)


def _texts(data: memoryview, n_values: int, where: str) -> list[str]:
    texts: list[str] = []
    at = 0
    while at < len(data):
        if len(texts) == n_values:
            raise invalid(where, f"{n_values} strings", "more")
        if at + 4 > len(data):
            raise invalid(where, "a length of four bytes before each string", "fewer bytes")
        (length,) = struct.unpack_from("<I", data, at)
        if at + 4 + length > len(data):
            raise invalid(where, "strings as long as their lengths say", "fewer bytes")
        try:
            texts.append(str(data[at + 4 : at + 4 + length], "utf-8"))
        except UnicodeDecodeError:
            raise invalid(where, "strings in UTF-8", "other bytes") from None
        at += 4 + length
    return texts


def write_response(
    facts: Mapping[str, Any], outputs: Sequence[tuple[Wanted, str, np.ndarray]]
) -> tuple[bytes, int | None]:
    """The body of an answer, and the bytes of JSON in it where others follow.

    `facts`: what stands before the outputs. `outputs`: each with its datatype and values; text is object.
    """
    told, blobs = [], []
    for wanted, datatype, values in outputs:
        tensor: dict[str, Any] = {"name": wanted.name, "datatype": datatype, "shape": list(values.shape)}
        if wanted.binary:
            blob = b"".join(_packed(values)) if datatype == TEXT else values.astype(NUMBERS[datatype]).tobytes()
            tensor["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        else:
            tensor["data"] = _finite(values, wanted.name).ravel().tolist()
        told.append(tensor)
    header = write_json({**facts, "outputs": told})
    return (b"".join((header, *blobs)), len(header)) if blobs else (header, None)


def _packed(values: np.ndarray) -> Iterator[bytes]:
    for text in values.ravel().tolist():
        encoded = text.encode()
        yield struct.pack("<I", len(encoded))
        yield encoded


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype != object and not np.isfinite(values).all():
        raise invalid(f"outputs.{name}", "finite numbers, which alone JSON has", "others: ask for binary_data")
    return values
