"""Tensors of the Open Inference Protocol (version 2), as JSON or behind it as bytes, to arrays and back."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cellmark.schemas.api.strict_json import kind_of, parse_json, printable, write_json
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
MOST_JSON_BYTES = 4 * 1024**2
"""A body that is JSON throughout: reading it holds Python's lock, for which all other requests wait."""
MOST_HEADER_BYTES = 1024**2
"""The JSON before bytes: names and shapes."""
MOST_INPUTS = 16


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
    told = parse_json(body[:n_json])
    if not isinstance(told, dict) or not isinstance(told.get("inputs"), list):
        raise invalid("body", 'an object with a list "inputs"', kind_of(told))
    left = memoryview(body)[n_json:]
    inputs: dict[str, np.ndarray] = {}
    if len(told["inputs"]) > MOST_INPUTS:
        raise invalid("inputs", "the model's inputs", f"{len(told['inputs'])} tensors")
    for number, tensor in enumerate(told["inputs"]):
        name, values, left = _read_tensor(tensor, f"inputs[{number}]", left)
        if name in inputs:
            raise invalid(f"inputs[{number}]", "each input once", f"{printable(name)!r} again")
        inputs[name] = values
    if len(left):
        raise invalid("body", "as many bytes behind the JSON as binary_data_size says", f"{len(left):,} more")
    identity = told.get("id")
    if not isinstance(identity, str | None):
        raise invalid("id", "a string", kind_of(identity))
    return InferRequest(identity, inputs, _wanted(told.get("outputs")), _flag(told, "binary_data_output", "parameters"))


def _read_tensor(told: Any, where: str, left: memoryview) -> tuple[str, np.ndarray, memoryview]:
    """Name and values of a tensor, and the bytes that are left behind its own."""
    if not isinstance(told, dict):
        raise invalid(where, "an object", kind_of(told))
    name, datatype, shape = told.get("name"), told.get("datatype"), told.get("shape")
    if not isinstance(name, str):
        raise invalid(f"{where}.name", "a string", kind_of(name))
    if datatype not in (*NUMBERS, TEXT):
        found = printable(datatype) if isinstance(datatype, str) else kind_of(datatype)
        raise invalid(f"{where}.datatype", ", ".join((*NUMBERS, TEXT)), found)
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise invalid(f"{where}.shape", "whole numbers of at least 0", kind_of(shape))
    if not 1 <= len(shape) <= 2:
        raise invalid(f"{where}.shape", "one or two dimensions", str(len(shape)))
    n_values = int(np.prod(shape, dtype=np.int64))
    size = _parameters(told, where).get("binary_data_size")
    if size is None:
        values = _from_json(told.get("data"), datatype, n_values, where)
    else:
        if type(size) is not int or not 0 <= size <= len(left):
            raise invalid(f"{where}.parameters.binary_data_size", f"a number of bytes, at most {len(left)}", repr(size))
        values = _from_bytes(left[:size], datatype, n_values, where)
        left = left[size:]
    return name, values.reshape(shape), left


def _from_json(data: Any, datatype: str, n_values: int, where: str) -> np.ndarray:
    if not isinstance(data, list):
        raise invalid(f"{where}.data", "a list of values", kind_of(data))
    if datatype == TEXT:
        flat = [text for row in data for text in (row if isinstance(row, list) else [row])]
        if len(flat) != n_values or not all(isinstance(text, str) for text in flat):
            raise invalid(f"{where}.data", f"{n_values} strings", f"{len(flat)} values")
        return np.array(flat, dtype=object)
    try:
        values = np.array(data) if data else np.zeros(0)
    except ValueError:
        raise invalid(f"{where}.data", f"{n_values} numbers", "lists of unequal length or too deep") from None
    if values.size != n_values or (values.size and values.dtype.kind not in "iuf"):
        raise invalid(f"{where}.data", f"{n_values} numbers", f"{values.size} values")
    kind = np.dtype(NUMBERS[datatype])
    if kind.kind in "iu" and values.size:
        limits = np.iinfo(kind)
        if values.dtype.kind == "f" or values.min() < limits.min or values.max() > limits.max:
            raise invalid(f"{where}.data", f"whole numbers that {datatype} holds", "others")
    with np.errstate(over="ignore"):
        return values.astype(kind).ravel()


def _from_bytes(data: memoryview, datatype: str, n_values: int, where: str) -> np.ndarray:
    if datatype == TEXT:
        texts = _texts(data, where)
        if len(texts) != n_values:
            raise invalid(where, f"{n_values} strings", f"{len(texts)}")
        return np.array(texts, dtype=object)
    kind = np.dtype(NUMBERS[datatype])
    if len(data) != n_values * kind.itemsize:
        raise invalid(where, f"{n_values * kind.itemsize:,} bytes, as its shape says", f"{len(data):,}")
    return np.frombuffer(data, dtype=kind)


def _texts(data: memoryview, where: str) -> list[str]:
    texts, at = [], 0
    while at < len(data):
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


def _parameters(told: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    parameters = told.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise invalid(f"{where}.parameters", "an object", kind_of(parameters))
    return parameters


def _flag(told: Mapping[str, Any], name: str, where: str, *, default: bool = False) -> bool:
    flag = _parameters(told, where).get(name, default)
    if not isinstance(flag, bool):
        raise invalid(f"{where}.{name}", "true or false", kind_of(flag))
    return flag


def _wanted(told: Any) -> tuple[Wanted, ...] | None:
    if not told:
        if told not in (None, []):
            raise invalid("outputs", "a list", kind_of(told))
        return None
    if not isinstance(told, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in told
    ):
        raise invalid("outputs", "a list of objects with a name", kind_of(told))
    return tuple(
        Wanted(one["name"], _flag(one, "binary_data", f"outputs[{number}]")) for number, one in enumerate(told)
    )


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
