"""Messages of readers: what fits comes back, what does not is refused before memory is taken for it."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.errors import CountsError, Finding
from cellmark.serving.reader.reader_messages import (
    BrokenMessageError,
    Message,
    pack,
    pack_error,
    pack_frame,
    receive_message,
    unpack_error,
    unpack_findings,
    unpack_frame,
)


def through(content: bytes, most_bytes: int = 10**6) -> Message:
    left = memoryview(content)

    def fill(view: memoryview) -> None:
        nonlocal left
        if len(left) < len(view):
            raise EOFError
        view[:] = left[: len(view)]
        left = left[len(view) :]

    return receive_message(fill, most_bytes=most_bytes)


def sent(message: Message) -> Message:
    return through(b"".join(pack(message)))


def raw(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float32", "float64", "bool"])
def test_arrays_come_back_as_they_were(dtype: str) -> None:
    array = np.array([0, 1, 2, 3]).astype(dtype)
    message = sent(Message({"a": "ä", "b": None}, (array, array[:0], array[::2])))
    assert message.facts == {"a": "ä", "b": None}
    for ours, theirs in zip(message.arrays, (array, array[:0], array[::2]), strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours == theirs).all()


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.array([1j]), np.array([1], dtype=">i4")])
def test_other_arrays_are_never_sent(array: np.ndarray) -> None:
    with pytest.raises(BrokenMessageError):
        pack(Message({}, (array,)))


@pytest.mark.parametrize(
    "content",
    [
        (2**40).to_bytes(8, "little"),
        raw(b"{"),
        raw(b"[" * 100_000),
        raw([]),
        raw({"facts": []}),
        raw({"facts": {}}),
        raw({"facts": {}, "arrays": 1}),
        raw({"facts": {}, "arrays": [["O8", 1]]}, b"x" * 8),
        raw({"facts": {}, "arrays": [["f8", -1]]}),
        raw({"facts": {}, "arrays": [["f8", 1.5]]}),
        raw({"facts": {}, "arrays": [["f8", True]]}),
        raw({"facts": {}, "arrays": [["f8", 2**61]]}),
        raw({"facts": {}, "arrays": [["f8", 10**5], ["f8", 10**5]]}),
        raw({"facts": {}, "arrays": [["f8", 0]] * 100_001}),
    ],
)
def test_what_does_not_fit_is_refused(content: bytes) -> None:
    with pytest.raises(BrokenMessageError):
        through(content)


def test_a_message_that_is_cut_is_an_end() -> None:
    whole = b"".join(pack(Message({"a": 1}, (np.arange(5),))))
    for length in range(len(whole)):
        with pytest.raises(EOFError):
            through(whole[:length])


texts = st.lists(st.none() | st.text(), max_size=8)


@given(texts, st.text())
def test_text_of_any_kind_comes_back(values: list[str | None], name: str) -> None:
    index = [f"c{number}" for number in range(len(values))]
    frame = pd.DataFrame({name: pd.Series(values, dtype=object, index=index)})
    back = unpack_frame(sent(pack_frame(frame)))
    assert back[name].tolist() == values
    assert back.index.tolist() == frame.index.tolist()


def test_columns_keep_their_kind_and_twins_stay_two() -> None:
    frame = pd.DataFrame(
        {
            "a": pd.Categorical(["x", None, "y"], categories=["y", "x", "z"], ordered=True),
            "b": np.array([1, 2, 3], dtype=np.int16),
            "c": [True, False, True],
            "d": pd.array([1, None, 3], dtype="Int64"),
            "e": np.array([0.5, np.nan, 2], dtype=np.float16),
        },
        index=pd.Index(["i", "j", "i"], name="cell"),
    )
    frame.columns = pd.Index(["a", "b", "c", "b", "e"])
    back = unpack_frame(sent(pack_frame(frame)))
    assert back.columns.tolist() == ["a", "b", "c", "b", "e"]
    assert back.index.tolist() == ["i", "j", "i"]
    assert back.index.name == "cell"
    assert back["a"].tolist()[::2] == ["x", "y"]
    assert back["a"].cat.categories.tolist() == ["y", "x", "z"]
    assert back["a"].cat.ordered
    assert back.iloc[:, 1].dtype == np.int16
    assert back["c"].dtype == bool
    assert back.iloc[:, 3].isna().tolist() == [False, True, False]


def broken_frames() -> list[Message]:
    good = pack_frame(pd.DataFrame({"a": pd.Categorical(["x", "y"])}, index=["i", "j"]))
    index_text, index_lengths, codes, text, lengths = good.arrays
    columns = good.facts["columns"]
    return [
        Message({**good.facts, "rows": 3}, good.arrays),
        Message({**good.facts, "rows": True}, good.arrays),
        Message({**good.facts, "columns": []}, good.arrays),
        Message({**good.facts, "columns": [{"name": 1, "kind": "text"}, columns[1]]}, good.arrays),
        Message({**good.facts, "columns": [columns[0], {"name": "a", "kind": "pickle"}]}, good.arrays),
        Message({**good.facts, "index_name": {}}, good.arrays),
        Message(good.facts, good.arrays[:-1]),
        Message(good.facts, (*good.arrays, codes)),
        Message(good.facts, (index_text, index_lengths, codes + 2, text, lengths)),
        Message(good.facts, (index_text, index_lengths, codes - 2, text, lengths)),
        Message(good.facts, (index_text, index_lengths, codes.astype(np.int64), text, lengths)),
        Message(good.facts, (index_text, index_lengths, codes, np.array([255, 255], dtype=np.uint8), lengths)),
        Message(good.facts, (index_text, index_lengths, codes, np.array([120, 120], dtype=np.uint8), lengths)),
        Message(good.facts, (index_text, index_lengths, codes, text, lengths + 1)),
        Message(good.facts, (index_text, index_lengths, codes, text, lengths - 3)),
        Message(good.facts, (index_text, index_lengths, codes, text, np.array([2**62, 2**62]))),
        Message(good.facts, (index_text, index_lengths.astype(float), codes, text, lengths)),
    ]


@pytest.mark.parametrize("message", broken_frames())
def test_a_frame_whose_parts_do_not_fit_is_refused(message: Message) -> None:
    with pytest.raises(BrokenMessageError):
        unpack_frame(message)


def test_an_error_comes_back_as_itself() -> None:
    finding = Finding("COUNTS_NEGATIVE", where="X", expected="counts", found="-1", remedy="Mend it.", examples=("c1",))
    error = unpack_error(sent(Message(pack_error(CountsError(finding)))).facts)
    assert type(error) is CountsError
    assert error.findings == (finding,)


@pytest.mark.parametrize(
    "facts",
    [
        {
            "error": "SystemExit",
            "findings": [Finding("NO_CELLS", where="", expected="", found="", remedy="").to_dict()],
        },
        {"error": "ReadError", "findings": []},
        {"error": "ReadError", "findings": [{"code": "NO_CELLS"}]},
        {
            "error": "ReadError",
            "findings": [
                {**Finding("NO_CELLS", where="", expected="", found="", remedy="").to_dict(), "code": "NOT_A_CODE"}
            ],
        },
        {
            "error": "ReadError",
            "findings": [
                {**Finding("NO_CELLS", where="", expected="", found="", remedy="").to_dict(), "examples": [1]}
            ],
        },
        {
            "error": "ReadError",
            "findings": [
                {**Finding("NO_CELLS", where="", expected="", found="", remedy="").to_dict(), "severity": "fatal"}
            ],
        },
    ],
)
def test_an_error_that_is_none_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(BrokenMessageError):
        unpack_error(facts)


def test_long_texts_of_a_finding_are_cut() -> None:
    told = {
        **Finding("NO_CELLS", where="", expected="", found="", remedy="").to_dict(),
        "found": "x" * 10**6,
        "examples": ["y" * 10**6] * 50,
    }
    (finding,) = unpack_findings([told])
    assert len(finding.found) <= 4000
    assert len(finding.examples) <= 10
