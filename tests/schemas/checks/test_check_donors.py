"""Donors of training cells: a column that tells none apart, or cells, or types; and how they go with types."""

import pandas as pd
import pytest

from cellmark.schemas.checks.check_donors import donor_findings
from cellmark.schemas.errors import Finding

LABELS = ["B", "T"] * 6
DONORS = ["d1"] * 6 + ["d2"] * 6


def said(donors: list[object], labels: list[object] | None = None, *, held_out: bool = True) -> list[Finding]:
    obs = pd.DataFrame({"cell_type": labels or LABELS, "donor": donors})
    return list(donor_findings(obs, "donor", label="cell_type", min_cells=2, held_out=held_out))


def codes(*arguments: list[object], **settings: bool) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in said(*arguments, **settings)]


def test_donors_that_are_right_are_passed_and_none_is_needed() -> None:
    assert said(list(DONORS)) == []
    assert donor_findings(pd.DataFrame({"cell_type": LABELS}), None, label="x", min_cells=2, held_out=True) == ()


@pytest.mark.parametrize(("held_out", "severity"), [(True, "error"), (False, "warning")])
def test_what_cannot_be_held_out_is_an_error_only_where_something_is(held_out: bool, severity: str) -> None:
    assert codes(["d1"] * 12, held_out=held_out) == [("DONOR_ONE", severity)]
    assert codes([f"d{number}" for number in range(12)], held_out=held_out) == [("DONOR_DOUBTFUL", severity)]
    assert codes(list(LABELS), held_out=held_out) == [("DONOR_DOUBTFUL", severity)]


def test_a_donor_for_each_type_under_names_of_its_own_is_found() -> None:
    (finding,) = said(["plate-B", "plate-T"] * 6)
    assert finding.code == "DONOR_DOUBTFUL"
    assert "one donor for each type" in finding.found


def test_few_cells_of_each_donor_are_a_warning() -> None:
    assert codes([f"d{number // 4}" for number in range(12)]) == [("DONOR_DOUBTFUL", "warning")]


def test_a_type_of_one_donor_is_named_with_it() -> None:
    labels: list[object] = ["B", "T", "B", "T", "B", "NK", "B", "T", "B", "T", "B", "NK"]
    assert said(list(DONORS), labels) == []
    labels[5] = "B"
    labels[10] = "NK"
    (finding,) = said(list(DONORS), labels)
    assert (finding.code, finding.severity) == ("TYPE_ONE_DONOR", "warning")
    assert "NK (d2)" in finding.found


def test_types_below_the_floor_are_left_out_of_it() -> None:
    assert said(list(DONORS), [*LABELS[:-1], "rare"]) == []


def test_missing_donors_are_counted() -> None:
    for blank in (None, float("nan"), " "):
        (finding,) = said([blank, *DONORS[1:]])
        assert (finding.code, finding.examples) == ("DONOR_MISSING", ("0",))


def test_a_donor_written_in_two_ways_would_be_in_both_parts() -> None:
    (finding,) = said([*["d1"] * 5, "D1 ", *["d2"] * 6] * 2, LABELS * 2)
    assert (finding.code, finding.severity) == ("DONOR_DOUBTFUL", "warning")
    assert finding.examples == ("'D1 ' = 'd1'",)


def test_an_unknown_column_names_what_may_have_been_meant() -> None:
    obs = pd.DataFrame({"cell_type": LABELS, "patient": DONORS})
    (finding,) = donor_findings(obs, "donor", label="cell_type", min_cells=2, held_out=True)
    assert finding.code == "DONOR_COLUMN_UNKNOWN"
    assert "--donor 'patient'" in finding.remedy


def test_labels_that_are_wrong_themselves_do_not_hide_donors() -> None:
    obs = pd.DataFrame({"cell_type": [None, *LABELS[1:]], "donor": ["d1"] * 12})
    found = donor_findings(obs, "donor", label="cell_type", min_cells=2, held_out=True)
    assert [finding.code for finding in found] == ["DONOR_ONE"]
    found = donor_findings(obs, "donor", label="nothing", min_cells=2, held_out=True)
    assert [finding.code for finding in found] == ["DONOR_ONE"]


def test_donors_of_one_type_each_are_named_and_not_refused() -> None:
    labels = ["T"] * 20 + ["B"] * 20
    found = codes(["d1"] * 10 + ["d2"] * 10 + ["d3"] * 10 + ["d4"] * 10, labels)
    assert found == [("DONOR_DOUBTFUL", "warning")]


@pytest.mark.parametrize("column", ["sample", "donor_id", "orig.ident", "batch"])
def test_types_of_one_sample_each_are_named_without_a_donor_column(column: str) -> None:
    obs = pd.DataFrame({"cell_type": ["T", "B", "NK"] * 10, column: ["s1", "s2", "s2"] * 10})
    (finding,) = donor_findings(obs, None, label="cell_type", min_cells=2, held_out=True)
    assert (finding.code, finding.severity, finding.where) == ("DONOR_DOUBTFUL", "warning", f"obs[{column!r}]")
    for right in (["s1", "s2"] * 15, ["s1"] * 30):
        obs[column] = right
        assert donor_findings(obs, None, label="cell_type", min_cells=2, held_out=True) == ()
