"""Whatever is done to the rows of a chain shows, save a cut tail, which a head kept elsewhere shows."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.audit.chain import ChainRow, Head, check_chain, link, row_hash, start_of
from cellmark.schemas.errors import ParameterError

LOG = "0123456789abcdef"
ROWS = link(start_of(LOG), [f'{{"n":{number}}}' for number in range(8)])


def test_a_hash_is_over_number_hash_before_and_body() -> None:
    first, second = ROWS[:2]
    assert first.previous == hashlib.sha256(b"cellmark-audit-1\n0123456789abcdef").hexdigest()
    assert second.hash == hashlib.sha256(f'2\n{first.hash}\n{{"n":1}}'.encode()).hexdigest()


def test_an_untouched_chain_has_no_findings() -> None:
    report = check_chain(ROWS, LOG, [ROWS[-1].head, ROWS[2].head, start_of(LOG)])
    assert report == (8, ROWS[-1].head, ())
    assert check_chain([], LOG) == (0, start_of(LOG), ())


@given(st.integers(0, 7))
def test_a_changed_body_shows_where_it_is(number: int) -> None:
    rows = [*ROWS]
    rows[number] = rows[number]._replace(body='{"n":99}')
    (finding,) = check_chain(rows, LOG).findings
    assert finding.where == f"row {number + 1}"
    assert "changed" in finding.found


@given(st.integers(0, 7))
def test_a_body_changed_with_its_hash_shows_in_the_next_row_or_the_head(number: int) -> None:
    rows = [*ROWS]
    row = rows[number]
    rows[number] = row._replace(body="{}", hash=row_hash(row.seq, row.previous, "{}"))
    (finding,) = check_chain(rows, LOG, [ROWS[-1].head]).findings
    assert finding.where == ("row 8" if number == 7 else f"row {number + 2}")


@given(st.integers(0, 6), st.integers(1, 7))
def test_removed_rows_are_counted(first: int, n_rows: int) -> None:
    last = min(first + n_rows, 7)
    (finding,) = check_chain(ROWS[:first] + ROWS[last:], LOG).findings
    assert finding.where == f"row {last + 1}"
    assert finding.found.startswith(f"{last - first} rows removed")


@given(st.integers(0, 7))
def test_an_inserted_row_shows_although_all_numbers_were_put_right(number: int) -> None:
    head = ROWS[number - 1].head if number else start_of(LOG)
    (new,) = link(head, ['{"n":"new"}'])
    later = [row._replace(seq=row.seq + 1) for row in ROWS[number:]]
    report = check_chain([*ROWS[:number], new, *later], LOG)
    assert report.findings


def test_a_cut_tail_shows_against_a_head_alone() -> None:
    assert check_chain(ROWS[:5], LOG).findings == ()
    (finding,) = check_chain(ROWS[:5], LOG, [ROWS[7].head]).findings
    assert (finding.code, finding.where) == ("AUDIT_CHAIN_BROKEN", "row 8")
    assert "3 or more rows at the end were removed" in finding.found


def test_a_chain_that_was_computed_anew_shows_against_a_head_alone() -> None:
    forged = link(start_of(LOG), [row.body.replace("3", "4") for row in ROWS])
    assert check_chain(forged, LOG).findings == ()
    assert check_chain(forged, LOG, [ROWS[7].head]).findings[0].where == "row 8"


def test_rows_of_another_log_do_not_fit() -> None:
    assert check_chain(ROWS, "another").findings[0].where == "row 1"


def test_a_report_lists_a_few_breaks() -> None:
    rows = [ChainRow(number, "x", "{}", "y") for number in range(1, 1000)]
    assert len(check_chain(rows, LOG).findings) <= 52


def test_a_head_is_a_number_and_a_hash() -> None:
    assert Head.parse(f" {ROWS[3].head}\n") == ROWS[3].head
    for text in ("", "3", "3:abc", f"-1:{'a' * 64}", f"1:{'A' * 64}"):
        with pytest.raises(ParameterError) as refused:
            Head.parse(text)
        assert refused.value.findings[0].where == "head"
