"""What a reader process and the process that asks it say to each other: JSON, and arrays as plain bytes.

A reader has opened an untrusted file, so nothing it says is trusted: there is no pickle, every size and
type is checked before memory is taken for it, and of a finding only plain text is kept.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from cellmark.schemas import errors
from cellmark.schemas.errors import CellmarkError, Finding

LONGEST_HEADER = 16 * 1024**2
MOST_ARRAYS = 100_000
MOST_FINDINGS = 100
LONGEST_TEXT = 4000
MOST_EXAMPLES = 10
TYPES = frozenset(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)) | {"f4", "f8", "b1"}
"""Arrays that are sent: whole numbers, floats and truth values in this machine's byte order."""
ERRORS: dict[str, type[CellmarkError]] = {
    kind.__name__: kind
    for kind in (
        errors.InputError,
        errors.ReadError,
        errors.CountsError,
        errors.LabelError,
        errors.GeneOverlapError,
        errors.RequestError,
        errors.ParameterError,
    )
}


class BrokenMessageError(ValueError):
    """A message that is not of the form that readers use."""


@dataclass(frozen=True, slots=True)
class Message:
    """`facts`: JSON. `arrays`: of one dimension each."""

    facts: dict[str, Any]
    arrays: tuple[np.ndarray, ...] = ()


def pack(message: Message) -> list[memoryview]:
    """The bytes of a message; those of arrays are not copied."""
    arrays = [np.ascontiguousarray(array).ravel() for array in message.arrays]
    header = json.dumps({"facts": message.facts, "arrays": [[_type(array), len(array)] for array in arrays]}).encode()
    parts = [memoryview(len(header).to_bytes(8, "little") + header)]
    return parts + [memoryview(array.view(np.uint8).data) for array in arrays if array.nbytes]


def receive_message(fill: Callable[[memoryview], None], *, most_bytes: int) -> Message:
    """The next message. `fill` fills a buffer. Raises `BrokenMessageError`, as for arrays of over `most_bytes`."""
    start = bytearray(8)
    fill(memoryview(start))
    length = int.from_bytes(start, "little")
    if length > LONGEST_HEADER:
        raise BrokenMessageError(f"a header of {length} bytes")
    header = bytearray(length)
    fill(memoryview(header))
    facts, declared = _parse_header(bytes(header), most_bytes)
    arrays = []
    for dtype, size in declared:
        array = np.empty(size, dtype=dtype)
        if array.nbytes:
            fill(memoryview(array.view(np.uint8).data))
        arrays.append(array)
    return Message(facts, tuple(arrays))


def _parse_header(header: bytes, most_bytes: int) -> tuple[dict[str, Any], list[tuple[np.dtype[Any], int]]]:
    try:
        parsed = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise BrokenMessageError("a header that is no JSON") from error
    if not isinstance(parsed, dict) or not isinstance(parsed.get("facts"), dict):
        raise BrokenMessageError("a header without facts")
    listed = parsed.get("arrays")
    if not isinstance(listed, list) or len(listed) > MOST_ARRAYS:
        raise BrokenMessageError("a header without its arrays")
    declared = []
    total = 0
    for entry in listed:
        if not isinstance(entry, list) or len(entry) != 2 or entry[0] not in TYPES or not is_count(entry[1]):
            raise BrokenMessageError("an array of an unknown type")
        dtype = np.dtype(entry[0])
        total += dtype.itemsize * entry[1]
        if total > most_bytes:
            raise BrokenMessageError(f"arrays of more than {most_bytes} bytes")
        declared.append((dtype, entry[1]))
    return parsed["facts"], declared


def _type(array: np.ndarray) -> str:
    name = f"{array.dtype.kind}{array.dtype.itemsize}"
    if name not in TYPES or not array.dtype.isnative:
        raise BrokenMessageError(f"an array of {array.dtype}")
    return name


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number of at least 0 that fits 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


# Findings and errors


def pack_findings(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [finding.to_dict() for finding in findings[:MOST_FINDINGS]]


def unpack_findings(given: object) -> tuple[Finding, ...]:
    """Findings as plain text of limited length. Raises `BrokenMessageError`."""
    if not isinstance(given, list) or len(given) > MOST_FINDINGS:
        raise BrokenMessageError("invalid findings")
    return tuple(_finding(entry) for entry in given)


def _finding(entry: object) -> Finding:
    names = ("code", "where", "expected", "found", "remedy", "severity")
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in names):
        raise BrokenMessageError("an invalid finding")
    examples = entry.get("examples")
    if not isinstance(examples, list) or not all(isinstance(text, str) for text in examples):
        raise BrokenMessageError("examples that are no text")
    if entry["severity"] not in ("error", "warning", "info"):
        raise BrokenMessageError("a finding of unknown severity")
    code, where, expected, found, remedy = (entry[name][:LONGEST_TEXT] for name in names[:-1])
    try:
        shown = tuple(text[:LONGEST_TEXT] for text in examples[:MOST_EXAMPLES])
        return Finding(
            code, where=where, expected=expected, found=found, remedy=remedy, severity=entry["severity"], examples=shown
        )
    except ValueError as error:
        raise BrokenMessageError("a finding of an unknown code") from error


def pack_error(error: CellmarkError) -> dict[str, Any]:
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__name__ in ERRORS]
    return {"error": kinds[0] if kinds else "ReadError", "findings": pack_findings(error.findings)}


def unpack_error(facts: dict[str, Any]) -> CellmarkError:
    """The error of an answer. Raises `BrokenMessageError`."""
    findings = unpack_findings(facts.get("findings"))
    kind = ERRORS.get(str(facts.get("error")))
    if kind is None or not findings:
        raise BrokenMessageError("an invalid error")
    return kind(*findings)


# Frames


def pack_frame(frame: pd.DataFrame) -> Message:
    """A frame whose columns are numbers, truth values, text or categories; others become text."""
    facts: list[dict[str, Any]] = []
    arrays: list[np.ndarray] = []
    index = frame.index
    for name, values in [("", pd.Series(index)), *frame.items()]:
        kind, parts = _pack_column(values)
        facts.append({"name": str(name), "kind": kind, "arrays": len(parts)})
        arrays += parts
    names = None if index.name is None else str(index.name)
    names_kind = _text_kind(frame.columns.dtype)
    header = {"columns": facts, "names": names_kind, "rows": len(frame), "index_name": names}
    return Message(header, tuple(arrays))


def _pack_column(values: pd.Series) -> tuple[str, list[np.ndarray]]:
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        codes = values.cat.codes.to_numpy()
        kind = "ordered" if dtype.ordered else "categories"
        if _text_kind(dtype.categories.dtype) == "str":
            kind += " of str"
        return kind, [codes.astype(np.int32), *pack_text(dtype.categories.to_series())]
    if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
        array = values.to_numpy()
        if dtype.kind == "f" and dtype.itemsize not in (4, 8):
            array = array.astype(np.float32 if dtype.itemsize < 4 else np.float64)
        return "numbers", [array.astype(array.dtype.newbyteorder("="), copy=False)]
    if pd.api.types.is_numeric_dtype(dtype):  # pandas' own, which know missing values
        return "numbers", [values.to_numpy(dtype=np.float64, na_value=np.nan)]
    return _text_kind(dtype), pack_text(values)


def _text_kind(dtype: Any) -> str:
    """`str`: the text of pandas from 3 on, of which a missing one is nan. `text`: objects."""
    return "str" if isinstance(dtype, pd.StringDtype) and dtype.na_value is not pd.NA else "text"


def pack_text(values: pd.Series) -> list[np.ndarray]:
    """All text as one in UTF-8, and the characters of each, -1 where it is missing."""
    missing = values.isna().to_numpy()
    texts = list(map(str, values.astype(object).where(~missing, "") if missing.any() else values))
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    lengths[missing] = -1
    return [np.frombuffer("".join(texts).encode("utf-8", "surrogatepass"), dtype=np.uint8), lengths]


def unpack_frame(message: Message) -> pd.DataFrame:
    """The frame again. Raises `BrokenMessageError` unless all its parts fit together."""
    columns, n_rows, index_name = (message.facts.get(key) for key in ("columns", "rows", "index_name"))
    if not isinstance(columns, list) or not columns or not is_count(n_rows):
        raise BrokenMessageError("a frame without columns")
    if not (index_name is None or isinstance(index_name, str)):
        raise BrokenMessageError("an index whose name is no text")
    arrays = list(message.arrays)
    unpacked: list[tuple[str, Any]] = []
    for entry in columns:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise BrokenMessageError("a column without a name")
        values = _unpack_column(entry.get("kind"), arrays)
        if len(values) != n_rows:
            raise BrokenMessageError("a column of another length")
        unpacked.append((entry["name"], values))
    if arrays:
        raise BrokenMessageError("arrays that belong to no column")
    first = unpacked[0][1]
    index = pd.Index(first, dtype=first.dtype, name=index_name)
    names = np.array([name for name, _ in unpacked[1:]], dtype=object)
    frame = pd.DataFrame(dict(enumerate(values for _, values in unpacked[1:])), index=pd.RangeIndex(n_rows))
    frame.index = index
    frame.columns = pd.Index(_text_series(names, message.facts.get("names")))
    return frame


def _unpack_column(kind: object, arrays: list[np.ndarray]) -> Any:
    match kind:
        case "numbers" if arrays:
            return arrays.pop(0)
        case "text" | "str":
            return _text_series(unpack_text(arrays), kind)
        case "categories" | "ordered" | "categories of str" | "ordered of str" if arrays:
            codes, categories = arrays.pop(0), unpack_text(arrays)
            if codes.dtype != np.int32 or (len(codes) and not -1 <= codes.min() <= codes.max() < len(categories)):
                raise BrokenMessageError("codes without a category")
            if len(set(categories)) < len(categories) or None in set(categories):
                raise BrokenMessageError("categories that come twice")
            index = pd.Index(_text_series(categories, "str" if kind.endswith("str") else "text"))
            return pd.Categorical.from_codes(codes, categories=index, ordered=kind.startswith("ordered"))
        case _:
            raise BrokenMessageError("a column of an unknown kind")


def _text_series(values: np.ndarray, kind: object) -> pd.Series:
    """Text with the dtype that it had: pandas from 3 on would make `str` of objects, and nan of None."""
    try:
        return pd.Series(values, dtype="str" if kind == "str" else object)
    except UnicodeEncodeError as error:  # half a surrogate pair, which `str` does not hold
        raise BrokenMessageError("text that is not Unicode") from error


def unpack_text(arrays: list[np.ndarray]) -> np.ndarray:
    """Text as an array of objects; missing ones are None."""
    if len(arrays) < 2:
        raise BrokenMessageError("text without its lengths")
    content, lengths = arrays.pop(0), arrays.pop(0)
    if content.dtype != np.uint8 or lengths.dtype != np.int64:
        raise BrokenMessageError("invalid text")
    try:
        text = content.tobytes().decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise BrokenMessageError("text that is not UTF-8") from error
    if len(lengths) and not -1 <= lengths.min() <= lengths.max() <= len(text):
        raise BrokenMessageError("text of another length")
    ends = np.cumsum(np.maximum(lengths, 0))
    if (int(ends[-1]) if len(ends) else 0) != len(text):
        raise BrokenMessageError("text of another length")
    ends_of_each = ends.tolist()
    values = np.empty(len(lengths), dtype=object)
    values[:] = [text[start:end] for start, end in zip([0, *ends_of_each[:-1]], ends_of_each, strict=len(ends) > 0)]
    values[lengths < 0] = None
    return values
