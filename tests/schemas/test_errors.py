"""The tree of errors and what one carries."""

import copy
import json
import pickle

import pytest

from cellmark.schemas import errors
from cellmark.schemas.error_codes import CODES
from cellmark.schemas.errors import CellmarkError, Finding, InputError, LabelError, raise_if_refused

NAN = Finding(
    "COUNTS_NAN",
    where="X",
    expected="counts",
    found="2 missing values",
    remedy="Take them out.",
    examples=("AAAC-1", "AAAG-1"),
)
NOTE = Finding(
    "GENES_DUPLICATED", where="var_names", expected="each gene once", found="3 twice", remedy="Summed.", severity="info"
)


def test_every_code_has_a_status_of_an_error_and_a_meaning() -> None:
    for code, meaning in CODES.items():
        assert code == code.upper()
        assert 400 <= meaning.status < 600
        assert meaning.meaning


def test_a_finding_of_an_undocumented_code_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="error_codes"):
        Finding("COUNTS_STRANGE", where="X", expected="counts", found="strange ones", remedy="Look.")


def test_a_message_names_where_expected_found_remedy_examples_and_code() -> None:
    assert str(NAN) == (
        "X: expected counts; found 2 missing values. Take them out. For example: AAAC-1, AAAG-1. [COUNTS_NAN]"
    )


def test_an_error_carries_all_its_findings_and_the_status_of_the_first() -> None:
    error = InputError(NAN, NOTE)
    assert error.code == "COUNTS_NAN"
    assert error.status == CODES["COUNTS_NAN"].status
    assert str(error).splitlines() == [str(NAN), str(NOTE)]


def test_an_error_needs_a_finding() -> None:
    with pytest.raises(ValueError):
        CellmarkError()


def test_errors_survive_pickling_and_copying_between_processes() -> None:
    for error in (pickle.loads(pickle.dumps(LabelError(NAN, NOTE))), copy.copy(LabelError(NAN, NOTE))):
        assert type(error) is LabelError
        assert error.findings == (NAN, NOTE)


def test_a_finding_becomes_json() -> None:
    assert json.loads(json.dumps(NAN.to_dict()))["examples"] == ["AAAC-1", "AAAG-1"]


def test_errors_refuse_and_notes_are_returned() -> None:
    assert raise_if_refused([NOTE]) == (NOTE,)
    with pytest.raises(LabelError) as caught:
        raise_if_refused(iter([NOTE, NAN]), LabelError)
    assert caught.value.findings == (NAN,)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    lines = [line for line in (errors.__doc__ or "").splitlines() if "── " in line]
    drawn = {line.split("── ")[1].split()[0]: line.index("── ") // 4 + 1 for line in lines}
    ours = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    depths = {name: kind.__mro__.index(CellmarkError) for name, kind in ours.items() if kind is not CellmarkError}
    assert drawn == depths
