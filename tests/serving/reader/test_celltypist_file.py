"""Models of CellTypist taken apart: arrays as scikit-learn holds them, and hostile files refused within limits."""

import pickle
import re
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest

from cellmark.schemas.errors import ReadError
from cellmark.schemas.imported_model import ImportedModel
from cellmark.serving.reader.celltypist_file import KNOWN, read_celltypist
from cellmark.serving.reader.inert_pickle import NUMPY
from cellmark.serving.reader.model_message import pack_model, unpack_model
from cellmark.serving.reader.open_apart import celltypist_apart
from cellmark.serving.reader.reader_messages import BrokenMessageError, Message
from cellmark.serving.reader.reader_process import ReaderBudget
from cellmark.serving.reader.reader_server import reader_server
from cellmark.serving.reader.reading_rules import ReadingRules
from fixtures.celltypist_models import KINDS, Kind, as_object, fitted, written
from fixtures.places import ROOT

pytest.importorskip("sklearn")
SMALL = ReadingRules(budget=ReaderBudget(seconds=3.0, memory_bytes=300 * 1024**2))


@pytest.fixture(scope="module")
def model(tiny_cells: ad.AnnData) -> dict[str, Any]:
    return fitted(tiny_cells)


def same(found: ImportedModel, expected: ImportedModel) -> bool:
    arrays = ("mean", "scale", "weights", "intercepts")
    texts = ("gene_symbols", "cell_types", "centred", "n_cells", "classifier", "description")
    equal = all(getattr(found, name) == getattr(expected, name) for name in texts)
    return equal and all((getattr(found, name) == getattr(expected, name)).all() for name in arrays)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_the_arrays_are_those_of_scikit_learn(
    kind: Kind, protocol: int, tiny_cells: ad.AnnData, tmp_path: Path
) -> None:
    model = fitted(tiny_cells, kind)
    classifier, scaler = model["Model"], model["Scaler_"]
    found = read_celltypist(written(model, tmp_path / "model.pkl", protocol=protocol))
    assert found.gene_symbols == tuple(classifier.features)
    assert found.cell_types == tuple(classifier.classes_)
    assert (found.mean == scaler.mean_).all()
    assert (found.scale == scaler.scale_).all()
    assert found.centred == (kind != "mean not subtracted")
    if kind == "two types":  # one score, which speaks against the first type as it speaks for the second
        assert (found.weights == np.vstack([-classifier.coef_, classifier.coef_])).all()
        assert (found.intercepts == np.concatenate([-classifier.intercept_, classifier.intercept_])).all()
    else:
        assert (found.weights == classifier.coef_).all()
        assert (found.intercepts == classifier.intercept_).all()
    assert found.n_cells == scaler.n_samples_seen_
    assert found.classifier == type(classifier).__name__
    assert found.description == {"date": "2026-11-30", "details": "drawn cells", "source": "none", "version": "v1"}


def test_an_object_of_celltypists_own_class_is_read_as_its_dictionary_is(model: dict[str, Any], tmp_path: Path) -> None:
    by_hand = read_celltypist(written(as_object(model), tmp_path / "object.pkl"))
    assert same(by_hand, read_celltypist(written(model, tmp_path / "model.pkl")))


def test_names_that_are_whole_numbers_become_text(model: dict[str, Any], tmp_path: Path) -> None:
    numbered = deepcopy(model)
    numbered["Model"].classes_ = np.arange(3)
    assert read_celltypist(written(numbered, tmp_path / "model.pkl")).cell_types == ("0", "1", "2")


def changed(model: dict[str, Any], change: Callable[[Any, Any], None]) -> dict[str, Any]:
    copy = deepcopy(model)
    change(copy["Model"], copy["Scaler_"])
    return copy


MISFITS: dict[str, Callable[[Any, Any], None]] = {
    "not fitted": lambda classifier, _: delattr(classifier, "coef_"),
    "no genes": lambda classifier, _: delattr(classifier, "features"),
    "a scaler that was not fitted": lambda _, scaler: delattr(scaler, "scale_"),
    "fewer genes": lambda classifier, _: setattr(classifier, "features", classifier.features[1:]),
    "fewer types": lambda classifier, _: setattr(classifier, "classes_", classifier.classes_[1:]),
    "one type": lambda classifier, _: (
        setattr(classifier, "classes_", classifier.classes_[:1]),
        setattr(classifier, "coef_", classifier.coef_[:1]),
        setattr(classifier, "intercept_", classifier.intercept_[:1]),
    ),
    "a gene twice": lambda classifier, _: setattr(
        classifier, "features", np.array([*classifier.features[1:], classifier.features[1]])
    ),
    "a type without a name": lambda classifier, _: setattr(classifier, "classes_", np.array(["", "a", "b"])),
    "no number": lambda classifier, _: setattr(classifier, "coef_", classifier.coef_ * np.nan),
    "no spread": lambda _, scaler: setattr(scaler, "scale_", scaler.scale_ * 0),
    "no spread known": lambda _, scaler: setattr(scaler, "scale_", None),
    "no mean": lambda _, scaler: setattr(scaler, "mean_", None),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_model_whose_parts_do_not_fit_is_refused(name: str, model: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ReadError) as error:
        read_celltypist(written(changed(model, MISFITS[name]), tmp_path / "model.pkl"))
    assert error.value.code == "IMPORT_INVALID"


@pytest.mark.parametrize("value", [[1, 2], "text", {"Model": 1, "Scaler_": 2}, {}, None, np.zeros(3)])
def test_another_pickle_is_no_model(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ReadError) as error:
        read_celltypist(written(value, tmp_path / "model.pkl"))
    assert error.value.code == "IMPORT_INVALID"


def test_a_forest_is_named_and_refused(model: dict[str, Any], tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    with pytest.raises(ReadError, match="RandomForestClassifier") as error:
        read_celltypist(written({**model, "Model": RandomForestClassifier()}, tmp_path / "model.pkl"))
    assert error.value.code == "PICKLE_REFUSED"


def test_reading_imports_neither_scikit_learn_nor_celltypist(model: dict[str, Any], tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from cellmark.serving.reader.celltypist_file import read_celltypist; "
        "read_celltypist(Path(sys.argv[1])); print([name for name in ('sklearn', 'celltypist') if name in sys.modules])"
    )
    path = written(model, tmp_path / "model.pkl")
    told = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_page_lists_every_name_that_is_stood_in_for_and_no_other() -> None:
    page = (ROOT / "docs" / "celltypist.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (`.*`) \| (?:NumPy|scikit-learn|CellTypist)", page, flags=re.MULTILINE)
    names = {name for row in listed for name in re.findall(r"`(\w+)`", row)}
    assert names == {name.rpartition(".")[2] for name in (*KNOWN, *NUMPY)}


def test_read_apart_it_is_the_same(model: dict[str, Any], tmp_path: Path) -> None:
    path = written(model, tmp_path / "model.pkl")
    assert same(celltypist_apart(path), read_celltypist(path))
    assert not reader_server().readers()


def nested_key() -> bytes:
    """A dictionary whose key is a tuple in a tuple, a million deep: to look it up is to go down all the way."""
    return b"\x80\x04}" + b")" + b"\x85" * 1_000_000 + b"K\x01s."


def laughs() -> bytes:
    """Lists of two lists of two lists: 2 to the 60th of them, for whoever counts."""
    return b"\x80\x04]" + b"".join(b"\x94]" + b"h" + bytes([n]) + b"ah" + bytes([n]) + b"a" for n in range(60)) + b"."


HOSTILE: dict[str, bytes] = {
    "a billion laughs": laughs(),
    "a key that is nested": nested_key(),
    "bytes that are not there": b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b".",
    "text that is not there": b"\x80\x04\x8d" + (2**40).to_bytes(8, "little") + b".",
    "a frame that is not there": b"\x80\x04\x95" + (2**62).to_bytes(8, "little") + b".",
    "a memo of gigabytes": b"\x80\x04Nr\xff\xff\xff\x7f.",
    "a number of many digits": b"\x80\x04L" + b"9" * 3_000_000 + b"L\n.",
    "many small objects": b"\x80\x04]" + b"(" + b"}" * 8_000_000 + b"e.",
    "marks alone": b"\x80\x04" + b"(" * 5_000_000 + b".",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_within_limits(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(HOSTILE[name])
    started = time.monotonic()
    with pytest.raises(ReadError) as error:
        celltypist_apart(path, rules=SMALL)
    assert error.value.code in ("FILE_UNREADABLE", "IMPORT_INVALID")
    assert time.monotonic() - started < 60
    assert not reader_server().readers()


@pytest.mark.parametrize("cut", range(0, 100, 10))
def test_a_file_that_was_cut_short_is_refused(cut: int, model: dict[str, Any], tmp_path: Path) -> None:
    content = pickle.dumps(model)
    path = tmp_path / "model.pkl"
    path.write_bytes(content[: len(content) * cut // 100])
    with pytest.raises(ReadError):
        celltypist_apart(path, rules=SMALL)


def test_a_file_with_one_bit_flipped_is_refused_or_a_model(model: dict[str, Any], tmp_path: Path) -> None:
    content, path, refused = pickle.dumps(model), tmp_path / "model.pkl", 0
    for number in range(40):
        place = int(np.random.default_rng(number).integers(len(content) * 8))
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert np.isfinite(celltypist_apart(path, rules=SMALL).weights).all()
        except ReadError:
            refused += 1
    assert refused


def test_a_file_of_gigabytes_is_not_even_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    with path.open("wb") as file:
        file.truncate(2 * 1024**3)  # a hole, which takes no room
    with pytest.raises(ReadError) as error:
        read_celltypist(path)
    assert error.value.code == "INPUT_TOO_LARGE"


def small() -> ImportedModel:
    return ImportedModel(
        ("a", "b", "c"), ("x", "y"), np.zeros(3), np.ones(3), np.ones((2, 3)), np.zeros(2), n_cells=4, classifier="Some"
    )


def test_a_model_comes_through_a_message_as_it_was() -> None:
    assert same(unpack_model(pack_model(small())), small())


BROKEN: dict[str, Callable[[dict[str, Any], list[np.ndarray]], None]] = {
    "an array less": lambda _, arrays: arrays.pop(),
    "an array more": lambda _, arrays: arrays.append(np.zeros(1)),
    "numbers of another kind": lambda _, arrays: arrays.__setitem__(6, arrays[6].astype(np.float32)),
    "fewer numbers": lambda _, arrays: arrays.__setitem__(6, arrays[6].ravel()[1:]),
    "no number": lambda _, arrays: arrays.__setitem__(4, arrays[4] + np.nan),
    "no spread": lambda _, arrays: arrays.__setitem__(5, arrays[5] * 0),
    "a gene without a name": lambda _, arrays: arrays.__setitem__(1, np.array([1, 2, -1])),
    "a type twice": lambda _, arrays: arrays.__setitem__(2, np.frombuffer(b"xx", dtype=np.uint8)),
    "a description of another kind": lambda facts, _: facts.__setitem__("description", [1]),
    "a number of cells below none": lambda facts, _: facts.__setitem__("n_cells", -1),
    "no answer on the mean": lambda facts, _: facts.pop("centred"),
    "a classifier that is no text": lambda facts, _: facts.__setitem__("classifier", 3),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_message_whose_parts_do_not_fit_is_refused(name: str) -> None:
    message = pack_model(small())
    facts, arrays = dict(message.facts), [np.ascontiguousarray(array).ravel() for array in message.arrays]
    assert same(unpack_model(Message(facts, tuple(arrays))), small())
    BROKEN[name](facts, arrays)
    with pytest.raises(BrokenMessageError):
        unpack_model(Message(facts, tuple(arrays)))
