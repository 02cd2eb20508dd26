"""Mutations of sound inputs. Each is drawn from a generator alone, so a number makes the same case again."""

import copy
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Random = np.random.Generator
LARGE = (0, 1, 255, 2**31 - 1, 2**32, 2**53 + 1, 2**63 - 1, -1, -(2**31), -(2**63))

# bytes of any form


def flip_bits(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for place in random.integers(len(content) * 8, size=int(random.integers(1, 9))):
        changed[place // 8] ^= 1 << (place % 8)
    return bytes(changed)


def flip_early_bits(content: bytes, random: Random) -> bytes:
    """In the first kilobytes, where HDF5 and zip keep what everything else hangs on."""
    head = min(len(content), 4096)
    return flip_bits(content[:head], random) + content[head:]


def truncate(content: bytes, random: Random) -> bytes:
    return content[: int(random.integers(len(content)))]


def overwrite(content: bytes, random: Random) -> bytes:
    start, length = _stretch(content, random)
    filler = [bytes(length), b"\xff" * length, random.bytes(length)][random.integers(3)]
    return content[:start] + filler + content[start + length :]


def cut_out(content: bytes, random: Random) -> bytes:
    start, length = _stretch(content, random)
    return content[:start] + content[start + length :]


def repeat(content: bytes, random: Random) -> bytes:
    start, length = _stretch(content, random)
    return content[: start + length] + content[start:]


def swap_stretches(content: bytes, random: Random) -> bytes:
    length = int(random.integers(1, max(2, len(content) // 8)))
    first, second = sorted(int(place) for place in random.integers(len(content) - length + 1, size=2))
    if first + length > second:
        return flip_bits(content, random)
    return (content[:first] + content[second : second + length] + content[first + length : second]
            + content[first : first + length] + content[second + length :])  # fmt: skip


def overwrite_number(content: bytes, random: Random) -> bytes:
    """Eight bytes that may be a size, an offset or an address, made a number that is none."""
    start = int(random.integers(max(1, len(content) - 8)))
    number = int(LARGE[random.integers(len(LARGE))]).to_bytes(8, "little", signed=True)
    return content[:start] + number + content[start + 8 :]


def append(content: bytes, random: Random) -> bytes:
    return content + random.bytes(int(random.integers(1, 2000)))


def _stretch(content: bytes, random: Random) -> tuple[int, int]:
    length = int(random.integers(1, max(2, min(4096, len(content) // 4))))
    return int(random.integers(len(content) - length + 1)), length


BYTES = (flip_bits, flip_bits, flip_early_bits, truncate, overwrite, cut_out, repeat, swap_stretches, overwrite_number,
         append)  # fmt: skip

# fields of HDF5 files


def edit_hdf5(content: bytes, random: Random) -> bytes:
    """One to three objects or attributes removed, swapped, or replaced by values of other types and shapes."""
    with io.BytesIO(content) as buffer:
        with h5py.File(buffer, "r+") as file:
            for _ in range(int(random.integers(1, 4))):
                edit = HDF5_EDITS[random.integers(len(HDF5_EDITS))]
                try:
                    edit(file, _names(file), random)
                except (OSError, ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, AttributeError):
                    continue  # not every edit fits every object
        return buffer.getvalue()


def _names(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return found


def _pick(names: list[str], random: Random) -> str:
    return names[random.integers(len(names))]


def _datasets(file: h5py.File, names: list[str]) -> list[str]:
    """Those that may be read: one may have been made to claim any size by an edit before."""
    found = [(name, file[name]) for name in names]
    return [name for name, element in found if isinstance(element, h5py.Dataset) and (element.size or 0) < 10**6]


def _remove(file: h5py.File, names: list[str], random: Random) -> None:
    del file[_pick(names, random)]


def _swap(file: h5py.File, names: list[str], random: Random) -> None:
    first, second = _pick(names, random), _pick(names, random)
    file.move(first, "aside")
    file.move(second, first)
    file.move("aside", second)


def _move(file: h5py.File, names: list[str], random: Random) -> None:
    file.move(_pick(names, random), ("X", "obs", "raw", "layers/counts", "deep/deeper/X")[random.integers(5)])


def _link(file: h5py.File, names: list[str], random: Random) -> None:
    name = _pick(names, random)
    target = (h5py.SoftLink("/" + _pick(names, random)), h5py.ExternalLink("other.h5", "/X"))[random.integers(2)]
    del file[name]
    file[name] = target


def _retype(file: h5py.File, names: list[str], random: Random) -> None:
    """The same place and attributes, other values."""
    name = _pick(_datasets(file, names), random)
    attributes, old = dict(file[name].attrs), file[name]
    shape = old.shape
    text = h5py.string_dtype()
    others: list[Callable[[], Any]] = [
        lambda: old[()].astype(("f2", "f8", "i1", "u1", "i8", "u8", "c8", "?", ">i4", "S8")[random.integers(10)]),
        lambda: np.array([b"\xff\xfe", b"a\0b"] * 30, dtype="S3")[: shape[0]],
        lambda: np.array(["x" * int(random.integers(1, 5000))] * shape[0], dtype=object),
        lambda: old[()][:-1],
        lambda: np.concatenate([old[()], old[()]]),
        lambda: old[()].reshape(-1, 1),
        lambda: np.full(shape, np.nan, dtype="f4"),
        lambda: np.full(shape, LARGE[random.integers(len(LARGE))], dtype="i8"),
        lambda: random.permutation(old[()]),
        lambda: old[()][:0],
        lambda: 3.5,
        lambda: "text",
        lambda: h5py.Empty("f4"),
        lambda: np.zeros(shape, dtype=[("a", "i4"), ("b", "f8")]),
        lambda: np.full(shape, b"", dtype=text),
    ]
    values = others[random.integers(len(others))]()
    del file[name]
    file.create_dataset(name, data=values)
    for key, value in attributes.items():
        file[name].attrs[key] = value


def _set_values(file: h5py.File, names: list[str], random: Random) -> None:
    dataset = file[_pick(_datasets(file, names), random)]
    values = np.asarray(dataset[()])
    place = int(random.integers(values.size))
    number = (*LARGE, np.nan, np.inf, 0.5, 1e30)[random.integers(len(LARGE) + 4)]
    values.flat[place] = number if values.dtype.kind in "fiu" else ""
    dataset[()] = values


def _declare(file: h5py.File, names: list[str], random: Random) -> None:
    """A dataset that claims a size and holds nothing."""
    name = _pick(_datasets(file, names), random)
    attributes = dict(file[name].attrs)
    shape = (int(10 ** random.integers(1, 14)),) * int(random.integers(1, 3))
    del file[name]
    chunks = tuple(min(length, 1000) for length in shape)
    file.create_dataset(name, shape=shape, dtype=("f4", "i8")[random.integers(2)], chunks=chunks)
    for key, value in attributes.items():
        file[name].attrs[key] = value


def _attribute(file: h5py.File, names: list[str], random: Random) -> None:
    element = file[_pick([name for name in names if len(file[name].attrs)], random)]
    key = _pick(list(element.attrs), random)
    values: tuple[Any, ...] = (
        "csc_matrix", "csr_matrix", "categorical", "dataframe", "string-array", "null", "", "9.9.9", "x" * 3000, 7,
        -1.5, np.array([2**62, 2**62]), np.array([-1, 5]), np.array([], dtype="i8"), h5py.Empty("f4"), b"\xff\xfe",
        True, np.array(["total"], dtype=object), np.array(["total", "total"], dtype=object), np.array([3]),
    )  # fmt: skip
    if random.integers(3) == 0:
        del element.attrs[key]
    else:
        element.attrs[key] = values[random.integers(len(values))]


HDF5_EDITS = (
    _remove,
    _swap,
    _move,
    _link,
    _retype,
    _retype,
    _set_values,
    _set_values,
    _declare,
    _attribute,
    _attribute,
)

# members of an .npz


def edit_npz(content: bytes, random: Random) -> bytes:
    """One array removed, added, renamed, or of another type, shape or header."""
    with np.load(io.BytesIO(content)) as loaded:
        arrays: dict[str, Any] = {key: loaded[key] for key in loaded.files}
    names = list(arrays)
    key = names[random.integers(len(names))]
    old = arrays[key]
    number = LARGE[random.integers(len(LARGE))]
    raw: bytes | None = None
    match int(random.integers(14)):
        case 0:
            del arrays[key]
        case 1:
            arrays[("other", "library_sizes", "../x", "")[random.integers(4)]] = old
        case 2:
            other = names[random.integers(len(names))]
            arrays[key], arrays[other] = arrays[other], arrays[key]
        case 3:
            dtype = ("f2", "f4", "f8", "g", "c8", "i1", "u8", ">i8", "S9", "U9", "?", "M8[s]", "V4")[
                random.integers(13)
            ]
            arrays[key] = np.resize(old, old.shape).astype(dtype) if old.dtype.kind != "U" else np.zeros(5, dtype)
        case 4:
            arrays[key] = old.reshape(1, -1)
        case 5:
            arrays[key] = old[: int(random.integers(len(old)))]
        case 6:
            arrays[key] = np.concatenate([old, old])
        case 7:
            arrays[key] = random.permutation(old)
        case 8 if old.dtype.kind in "if":
            arrays[key] = old.astype("f8" if key == "data" else "i8")
            arrays[key][random.integers(len(old))] = number
        case 9 if old.dtype.kind == "f":
            arrays[key] = old.copy()
            arrays[key][random.integers(len(old))] = (np.nan, np.inf, -1, 0.5, 1e38)[random.integers(5)]
        case 10:
            arrays[key] = np.array([{"a": 1}, [2]], dtype=object)
        case 11:
            arrays[key] = np.array("one" if old.dtype.kind == "U" else 1)
        case 12:
            arrays[key] = np.array(["\ud800", "x" * 300, "\0", ""], dtype=str)
        case _:
            shape = f"({abs(number)},)" if random.integers(2) else "(" * int(random.integers(1, 3000))
            header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}\n".encode()
            raw = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(values))
            written = raw if raw is not None and name == key else member.getvalue()
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), written)  # without a date, so that it is always the same
    return buffer.getvalue()


# JSON

SCALARS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, "", "3", "x" * 300, "\0", "é", "\u202e", [], {}, [[]], {"a": {}}, 2**31, 2**53 + 1,
    2**63, 2**64, 10**30, -(10**30), 1e308, 1e-320, [1] * 50, "GENE0", "cell_ids",
)  # fmt: skip
RAW = (
    "1e400", "-1e400", "NaN", "Infinity", "-Infinity", "9" * 5000, "0." + "9" * 3000, "1E+999999", "-0", "-0.0", "01",
    "+1", "0x10", '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', "'a'", "[1,]", "{,}", "undefined", '"\\x41"', "/* */ 1",
)  # fmt: skip
HOLE = "@@hole@@"


def edit_json(content: bytes, random: Random) -> bytes:
    """One to three places given values of other types, removed, doubled or moved; or a text that is no JSON."""
    value = json.loads(content)
    raw: str | None = None
    for _ in range(int(random.integers(1, 4))):
        where = _places(value, random)
        match int(random.integers(8)):
            case 0 | 1:
                _set(value, where, SCALARS[random.integers(len(SCALARS))])
            case 2:
                _set(value, where, HOLE)
                raw = RAW[random.integers(len(RAW))]
            case 3:
                _delete(value, where)
            case 4:
                _set(value, where, _get(value, _places(value, random)))
            case 5:
                _set(value, where, HOLE)
                depth = int(10 ** random.uniform(1, 5))
                raw = random.choice(["[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth])
            case 6:
                if isinstance(value, dict):
                    key = str(random.choice(["other", "genes ", "cells", "indptr", "__proto__", "é"]))
                    _set(value, [key], SCALARS[random.integers(len(SCALARS))])
            case _:
                found = _get(value, where)
                if isinstance(found, list):
                    _set(value, where, found * 2 if random.integers(2) else found[::-1])
    text = json.dumps(value).replace(f'"{HOLE}"', raw or "null")
    return _edit_text(text, random)


def _edit_text(text: str, random: Random) -> bytes:
    """Mostly as it is; else with a name twice, other encodings or bytes that are not UTF-8."""
    match int(random.integers(14)):
        case 0:
            key = str(random.choice(["genes", "cells", "data", "counts", "GENE0"]))
            return text.replace(f'"{key}":', f'"{key}": null, "{key}":', 1).encode()
        case 1:
            return text.encode(str(random.choice(["utf-16", "utf-32", "utf-8-sig"])))
        case 2:
            place = int(random.integers(len(text)))
            bad = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\0")[random.integers(5)]
            return text[:place].encode() + bad + text[place:].encode()
        case 3:
            return (text + text).encode()
        case 4:
            return text.replace(" ", " \r\n\t" * int(random.integers(1, 20))).encode()
        case _:
            return text.encode()


def _places(value: Any, random: Random) -> list[Any]:
    """A random path into nested lists and objects."""
    path: list[Any] = []
    while isinstance(value, (dict, list)) and value:
        key = list(value)[random.integers(len(value))] if isinstance(value, dict) else int(random.integers(len(value)))
        path.append(key)
        value = value[key]
        if random.random() < 0.3:
            break
    return path


def _get(value: Any, path: list[Any]) -> Any:
    for key in path:
        value = value[key]
    return value


def _set(value: Any, path: list[Any], new: Any) -> None:
    if path:
        _get(value, path[:-1])[path[-1]] = copy.deepcopy(new)


def _delete(value: Any, path: list[Any]) -> None:
    if path:
        del _get(value, path[:-1])[path[-1]]


STRUCTURAL = {"h5ad": edit_hdf5, "h5": edit_hdf5, "npz": edit_npz, "json": edit_json}


def mutate(kind: str, content: bytes, random: Random) -> tuple[str, bytes]:
    """A mutated copy, and the name of what was done. `kind`: as in `SoundInput`."""
    how = STRUCTURAL[kind] if random.random() < 0.5 else BYTES[random.integers(len(BYTES))]
    changed = how(content, random)
    if changed == content:  # what was drawn is as it was before
        how, changed = flip_bits, flip_bits(content, random)
    return how.__name__, changed


def keep(folder: Path, number: int, extension: str, content: bytes) -> Path:
    """Write a case where a person can look at it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"case-{number}.{extension}"
    path.write_bytes(content)
    return path
