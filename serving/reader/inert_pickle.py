"""A pickle read as data: what it names of a library becomes a stand-in, and nothing that it asks for is called.

Only names on a list are stood in for; a pickle that names anything else is refused. No module is imported, NumPy's own
reconstruction included: arrays are read from their bytes.
"""

import pickle
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cellmark.schemas.errors import ReadError

NUMPY = {
    "numpy.ndarray",
    "numpy.dtype",
    *(
        f"{core}.{name}"
        for core in ("numpy.core", "numpy._core")
        for name in ("multiarray._reconstruct", "multiarray.scalar", "numeric._frombuffer")
    ),
}
"""What arrays and numbers of NumPy 1 and 2 are pickled with, in protocols 3 to 5."""
TYPE_TEXT = re.compile(r"([fiuUOb])(\d{1,9})")
NUMBER_SIZES = {"f": (4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "b": (1,)}
MOST_DIMENSIONS = 2


class Standin:
    """Stands for an object of a library, or for what a function of it would give. `global_name`: the class or function
    that the pickle names; `args`: what it would have been called with; `state`: what it would have been restored from.
    """

    global_name: ClassVar[str] = ""
    state: Any = None

    def __new__(cls, *args: Any, **_keywords: Any) -> "Standin":
        made = super().__new__(cls)
        made.args = args
        return made

    def __init__(self, *_args: Any, **_keywords: Any) -> None:
        self.args: tuple[Any, ...]

    def __setstate__(self, state: Any) -> None:
        self.state = state

    @property
    def fields(self) -> dict[Any, Any]:
        """The attributes of the object, by name; empty where it has none."""
        return self.state if isinstance(self.state, dict) else {}


class ForbiddenNameError(Exception):
    """A pickle names what is not on the list."""


class InertUnpickler(pickle.Unpickler):
    """Finds a stand-in for every name of `known`, and nothing else."""

    def __init__(self, file: Any, known: Iterable[str]) -> None:
        super().__init__(file)
        self._known = {name: type(name.rpartition(".")[2], (Standin,), {"global_name": name}) for name in known}

    def find_class(self, module: str, name: str) -> Any:
        """Called for every class and function that the pickle names."""
        found = self._known.get(f"{module}.{name}")
        if found is None:
            raise ForbiddenNameError(f"{module}.{name}"[:200])
        return found


def load_inert(path: Path, known: Iterable[str], *, expected: str) -> Any:
    """What a pickle holds. `known`: names beside `NUMPY`, as `module.name`. `expected`: what the file should be.

    Raises `ReadError`: `PICKLE_REFUSED` for one that names anything else, `FILE_UNREADABLE` for one that is damaged.
    """
    try:
        with path.open("rb") as file:
            return InertUnpickler(file, {*NUMPY, *known}).load()
    except ForbiddenNameError as error:
        raise ReadError.of(
            "PICKLE_REFUSED",
            where=str(path),
            expected=expected,
            found=f"a pickle that names {error}; nothing of it was run",
            remedy="Do not open it with other programs either, unless you know who made it and why it names that.",
        ) from error
    except (MemoryError, OSError):
        raise
    except Exception as error:  # a damaged pickle raises whatever its objects make of it
        raise unreadable(path, expected, _cause(error)) from error


def unreadable(path: Path, expected: str, cause: str) -> ReadError:
    """The error of a file that is not what it should be, damaged or cut short."""
    return ReadError.of(
        "FILE_UNREADABLE",
        where=str(path),
        expected=expected,
        found=f"something else, or a damaged one ({cause})",
        remedy="Download the file again, or save the model again with its own tool.",
    )


def _cause(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def read_array(value: Any) -> np.ndarray:
    """The array that a stand-in holds: numbers in this machine's byte order, or text and other objects as `object`.

    Raises `ValueError` for what is no array of at most two dimensions, or whose bytes are not as many as its shape
    says: nothing is taken for it before.
    """
    name = value.global_name.rpartition(".")[2] if isinstance(value, Standin) else ""
    if name == "_reconstruct" and isinstance(value.state, tuple) and len(value.state) == 5:
        _, shape, dtype, is_fortran, content = value.state
        order = "F" if is_fortran else "C"
    elif name == "_frombuffer" and len(value.args) == 4:
        content, dtype, shape, order = value.args
    else:
        raise ValueError("no array")
    if not isinstance(shape, tuple) or len(shape) > MOST_DIMENSIONS or order not in ("C", "F"):
        raise ValueError("an array of an unknown shape")
    if not all(isinstance(length, int) and not isinstance(length, bool) and length >= 0 for length in shape):
        raise ValueError("an array of an unknown shape")
    n_values = 1
    for length in shape:
        n_values *= length
    kind = _dtype(dtype)
    if kind == np.dtype(object):
        if not isinstance(content, list) or len(content) != n_values:
            raise ValueError("objects that do not fill their array")
        flat = np.empty(n_values, dtype=object)
        flat[:] = content
    else:
        if not isinstance(content, bytes | bytearray) or len(content) != n_values * kind.itemsize:
            raise ValueError("bytes that do not fill their array")
        flat = np.frombuffer(content, dtype=kind) if n_values else np.empty(0, dtype=kind)
        flat = flat.astype(kind.newbyteorder("="))
    return flat.reshape(shape, order=order)  # type: ignore[call-overload, no-any-return]


def _dtype(value: Any) -> np.dtype[Any]:
    if not isinstance(value, Standin) or value.global_name != "numpy.dtype" or not value.args:
        raise ValueError("an array without a type")
    found = TYPE_TEXT.fullmatch(value.args[0]) if isinstance(value.args[0], str) else None
    if found is None:
        raise ValueError("an array of an unknown type")
    kind, size = found[1], int(found[2])
    if kind == "O":
        return np.dtype(object)
    if kind == "U":
        if not 0 < size <= 10_000:
            raise ValueError("text of an unknown length")
    elif size not in NUMBER_SIZES[kind]:
        raise ValueError("numbers of an unknown size")
    state = value.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
    if order not in ("<", ">", "=", "|"):
        raise ValueError("an array of an unknown byte order")
    return np.dtype(f"{order}{kind}{size}")


def read_number(value: Any) -> float | None:
    """A number as Python or NumPy has it, the largest of an array of them; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, Standin):
        return None
    try:
        if value.global_name.endswith(".scalar") and len(value.args) == 2:
            kind = _dtype(value.args[0])
            content = value.args[1]
            if kind.kind not in "fiu" or not isinstance(content, bytes) or len(content) != kind.itemsize:
                return None
            return float(np.frombuffer(content, dtype=kind)[0])
        array = read_array(value)
        return float(array.max()) if array.dtype.kind in "fiu" and array.size else None
    except ValueError:
        return None


def read_texts(value: Any) -> tuple[str, ...]:
    """Text of an array, and whole numbers as text. Raises `ValueError` for anything else."""
    array = read_array(value)
    if array.ndim != 1:
        raise ValueError("names that are no list")
    texts = []
    for one in array.tolist():
        number = None if isinstance(one, str) else read_number(one)
        if isinstance(one, str):
            texts.append(one)
        elif number is not None and number.is_integer():
            texts.append(str(int(number)))
        else:
            raise ValueError("names that are no text")
    return tuple(texts)
