"""Pickles read as data: arrays as they were, and nothing called, imported or allocated that a hostile one asks for."""

import pickle
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellmark.schemas.errors import ReadError
from cellmark.serving.reader.inert_pickle import (
    NUMPY,
    InertUnpickler,
    Standin,
    load_inert,
    read_array,
    read_number,
    read_texts,
)

ARRAYS = {
    "float64": np.linspace(-1, 1, 12).reshape(3, 4),
    "float32": np.arange(6, dtype=np.float32),
    "other byte order": np.arange(6, dtype=">f8"),
    "columns first": np.asfortranarray(np.arange(12, dtype=np.float64).reshape(3, 4)),
    "whole numbers": np.arange(5, dtype=np.int16),
    "text": np.array(["CD3D", "MS4A1", "α-cell"]),
    "objects": np.array(["CD3D", "MS4A1", "α-cell"], dtype=object),
    "nothing": np.zeros((0, 3)),
}


def load(content: bytes, tmp_path: Path, known: tuple[str, ...] = ()) -> Any:
    path = tmp_path / "some.pkl"
    path.write_bytes(content)
    return load_inert(path, known, expected="a model")


def refused(content: bytes, tmp_path: Path) -> str:
    with pytest.raises(ReadError) as error:
        load(content, tmp_path, ("sklearn.linear_model._logistic.LogisticRegression",))
    (finding,) = error.value.findings
    return f"{finding.code}: {finding.found}"


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_what_they_were(name: str, protocol: int, tmp_path: Path) -> None:
    array = ARRAYS[name]
    found = read_array(load(pickle.dumps(array, protocol=protocol), tmp_path))
    assert found.shape == array.shape
    assert found.dtype == array.dtype.newbyteorder("=")
    assert (found == array).all()


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3.0), (np.int64(3), 3.0), (np.float32(0.5), 0.5), (np.array([3, 7]), 7.0), ("3", None), (None, None)],
)
def test_numbers_are_read_whoever_wrote_them(value: Any, expected: float | None, tmp_path: Path) -> None:
    assert read_number(load(pickle.dumps(value), tmp_path)) == expected


def test_names_are_text_and_whole_numbers_and_nothing_else(tmp_path: Path) -> None:
    assert read_texts(load(pickle.dumps(np.array([0, 3, 11])), tmp_path)) == ("0", "3", "11")
    for odd in (np.array([0.5]), np.array([["a"]]), np.array([None, "a"], dtype=object)):
        with pytest.raises(ValueError, match="names"):
            read_texts(load(pickle.dumps(odd), tmp_path))


def call(module: str, name: str, *arguments: Any) -> bytes:
    """A pickle that calls something when it is loaded."""
    names = pickle.SHORT_BINUNICODE + bytes([len(module)]) + module.encode()
    names += pickle.SHORT_BINUNICODE + bytes([len(name)]) + name.encode() + pickle.STACK_GLOBAL
    given = pickle.dumps(tuple(arguments), protocol=4)[2:-1]
    return pickle.PROTO + b"\x04" + names + given + pickle.REDUCE + pickle.STOP


def executing(mark: Path) -> dict[str, bytes]:
    """Pickles that would leave a mark if anything of them were run, in each way that a pickle can name a function."""
    touch = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    inst = pickle.MARK + b"S'touch'\n" + b"iposix\nsystem\n" + pickle.STOP
    return {
        "os.system": call("os", "system", f"touch {mark}"),
        "posix.system": call("posix", "system", f"touch {mark}"),
        "an old opcode": f"cposix\nsystem\n(S'touch {mark}'\ntR.".encode(),
        "an older one": inst,
        "subprocess": call("subprocess", "getoutput", f"touch {mark}"),
        "eval": call("builtins", "eval", touch),
        "exec": call("builtins", "exec", touch),
        "an import": call("importlib", "import_module", "antigravity"),
        "a module as such": call("antigravity", "webbrowser"),
        "a second pickle": call("pickle", "loads", call("builtins", "exec", touch)),
        "numpy's loader": call("numpy", "load", str(mark)),
        "numpy's tests": call("numpy.testing._private.utils", "runstring", touch, {}),
        "an attribute of what is known": call("numpy", "ndarray.tofile", str(mark)),
        "a method of what is known": call("sklearn.linear_model._logistic", "LogisticRegression.fit"),
        "joblib": call("joblib.numpy_pickle", "NumpyArrayWrapper"),
        "attributes": call("operator", "attrgetter", "system"),
        "a name of ours": call("cellmark.serving.reader.inert_pickle", "Standin"),
    }


@pytest.mark.parametrize("name", executing(Path("mark")))
def test_a_pickle_that_names_a_program_is_refused_and_nothing_runs(name: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = refused(executing(mark)[name], tmp_path)
    assert text.startswith("PICKLE_REFUSED")
    assert "nothing of it was run" in text
    assert not mark.exists()
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("name", ["os.system", "posix.system", "an old opcode", "eval", "exec"])
def test_these_pickles_do_run_when_python_loads_them(name: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    pickle.loads(executing(mark)[name])
    assert mark.exists()


ODD = {
    "nothing": b"",
    "text": b"gene,mean\nCD3D,1\n",
    "no end": pickle.dumps([1, 2, 3])[:-1],
    "a number of an extension": pickle.PROTO + b"\x02" + pickle.EXT1 + b"\x07" + pickle.STOP,
    "something outside": pickle.PROTO + b"\x04" + pickle.SHORT_BINUNICODE + b"\x01a" + pickle.BINPERSID + pickle.STOP,
    "a buffer outside": pickle.PROTO + b"\x05" + pickle.NEXT_BUFFER + pickle.STOP,
    "a call of text": pickle.PROTO + b"\x04" + pickle.SHORT_BINUNICODE + b"\x01a" + pickle.EMPTY_TUPLE
    + pickle.REDUCE + pickle.STOP,
    "an empty stack": pickle.PROTO + b"\x04" + pickle.REDUCE + pickle.STOP,
    "a memo that is not there": pickle.PROTO + b"\x04" + pickle.BINGET + b"\x09" + pickle.STOP,
    "a protocol to come": pickle.PROTO + b"\x63" + pickle.STOP,
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_whole_pickle_is_refused_as_unreadable(name: str, tmp_path: Path) -> None:
    assert refused(ODD[name], tmp_path).startswith("FILE_UNREADABLE")


def test_a_stand_in_is_never_what_it_stands_for(tmp_path: Path) -> None:
    found = load(call("numpy", "dtype", "O8", False, True), tmp_path)
    assert isinstance(found, Standin)
    assert found.args == ("O8", False, True)
    assert not isinstance(found, np.dtype)


def state(array: np.ndarray, change: Callable[[list[Any]], None]) -> Standin:
    """A stand-in of an array whose state was changed."""
    loaded: Standin = InertUnpickler(BytesIO(pickle.dumps(array, protocol=4)), NUMPY).load()
    parts = list(loaded.state)
    change(parts)
    loaded.state = tuple(parts)
    return loaded


CHANGES: dict[str, Callable[[list[Any]], None]] = {
    "more values than bytes": lambda parts: parts.__setitem__(1, (10**15,)),
    "fewer": lambda parts: parts.__setitem__(1, (2,)),
    "a negative length": lambda parts: parts.__setitem__(1, (-3,)),
    "a truth value as length": lambda parts: parts.__setitem__(1, (True,)),
    "three dimensions": lambda parts: parts.__setitem__(1, (3, 1, 1)),
    "no shape": lambda parts: parts.__setitem__(1, None),
    "no type": lambda parts: parts.__setitem__(2, None),
    "a list in place of bytes": lambda parts: parts.__setitem__(4, [1.0, 2.0, 3.0]),
    "text in place of bytes": lambda parts: parts.__setitem__(4, "a" * 24),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_array_whose_parts_do_not_fit_is_refused_before_memory_is_taken(name: str) -> None:
    with pytest.raises(ValueError, match=r"array|bytes|objects"):
        read_array(state(np.arange(3.0), CHANGES[name]))


@pytest.mark.parametrize("text", ["V8", "f3", "O", "<f8", "f" * 50, "U0", "U99999999", "c16", "M8", 7])
def test_types_that_no_model_has_are_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"type|size|text"):
        read_array(state(np.arange(3.0), lambda parts: setattr(parts[2], "args", (text, False, True))))
