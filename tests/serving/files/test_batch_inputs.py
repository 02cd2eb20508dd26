"""Names of a batch's outputs, and sheets of samples."""

from pathlib import Path

import numpy as np
import pytest

from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.errors import ReadError
from cellmark.serving.files.batch_inputs import (
    BatchInput,
    batch_inputs,
    is_sheet,
    names_of,
    output_names,
    sheet_columns,
)


def named(inputs: list[str], folder: Path = Path("/data")) -> dict[str, str]:
    """Name of the output of each input, asserted to be the same in ten orders."""
    answers = []
    for seed in range(10):
        order = list(np.random.default_rng(seed).permutation(inputs))
        names = names_of([folder / path for path in order])
        assert len(set(names)) == len(inputs)
        answers.append(dict(zip(order, names, strict=True)))
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


@pytest.mark.parametrize(
    "expected",
    [
        {"s1.h5ad": "s1", "s2.csv.gz": "s2", "v1.2.h5ad": "v1.2", "s.v3.zarr": "s.v3"},
        {f"per_sample_outs/{s}/count/sample_filtered_feature_bc_matrix.h5": s for s in ("s1", "s.2", "s3")},
        {f"{s}/outs/filtered_feature_bc_matrix": s for s in ("run1", "run2")},
        {f"{s}/Solo.out/Gene/filtered/matrix.mtx": s for s in ("a", "b")},
        {"x/s1/a/m.h5": "s1-a", "x/s1/b/m.h5": "s1-b", "x/s2/a/m.h5": "s2"},
        {"a/cells.h5ad": "a", "b/cells.h5ad": "b", "other.h5ad": "other"},
        {"a/cells.h5ad": "a", "cells.h5ad": "cells"},
        {"cells/cells.h5ad": "cells-2", "cells.h5ad": "cells"},
        {"cells.csv": "cells", "cells.h5ad": "cells-2"},
        {"a/m.h5": "a-2", "b/m.h5": "b", "a.h5ad": "a"},
        {"summary.h5ad": "summary-2"},
        {"GSM1_a_matrix.mtx.gz": "GSM1_a_matrix", "GSM2_b_matrix.mtx.gz": "GSM2_b_matrix"},
    ],
)
def test_names_are_of_the_first_folder_that_differs_in_any_order(expected: dict[str, str]) -> None:
    assert named(list(expected)) == expected


def test_a_folder_keeps_its_whole_name(tmp_path: Path) -> None:
    for name in ("s1.v2", "s1.v3", "s1.h5"):
        (tmp_path / name).mkdir()
    assert named(["s1.v2", "s1.v3", "s1.h5"], tmp_path) == {"s1.v2": "s1.v2", "s1.v3": "s1.v3", "s1.h5": "s1.h5"}


def test_a_sheet_names_its_samples(tmp_path: Path) -> None:
    sheet = tmp_path / "samples.csv"
    sheet.write_bytes(b"\xef\xbb\xbfSample,Path,note\r\nfirst,a/m.h5,x\r\nsecond s,/data/m.h5,\r\n\r\ns,b/m.h5\r\n")
    assert is_sheet(sheet)
    inputs = batch_inputs([tmp_path / "x.h5ad", sheet, tmp_path / "first.h5ad"])
    paths = ["x.h5ad", "a/m.h5", "/data/m.h5", "b/m.h5", "first.h5ad"]
    assert [one.path for one in inputs] == [tmp_path / path for path in paths]
    outputs = output_names(inputs, Path("out"), format="csv")
    assert [path.name for path in outputs] == ["x.csv", "first.csv", "second s.csv", "s.csv", "first-2.csv"]


def test_columns_of_a_sheet_say_how_a_sample_is_read_and_what_is_known_of_it(tmp_path: Path) -> None:
    sheet = tmp_path / "samples.csv"
    sheet.write_text(
        "sample,path,Donor,tissue,layer,library_size,status\n"
        "a,a.h5ad,d1,liver,counts,total,fresh\n"
        "b,b.h5ad,,=1+1,,,frozen\n"
        "c,c.h5ad\n"
    )
    a, b, c = batch_inputs([sheet])
    known = {"tissue": "liver", "status": "fresh"}
    assert a == BatchInput(tmp_path / "a.h5ad", "a", donor="d1", layer="counts", library_size="total", metadata=known)
    assert (b.donor, b.layer, b.library_size, b.metadata["tissue"]) == (None, None, None, "=1+1")
    assert c.metadata == {"tissue": "", "status": ""}
    common = ReadingOptions(layer="raw", orthologs=True)
    read = [(one.layer, one.library_size, one.orthologs) for one in (a.reading(common), b.reading(common))]
    assert read == [("counts", "total", True), ("raw", None, True)]
    columns = sheet_columns(a.donor, a.metadata, taken=("input", "status"))
    assert columns == {"donor": "d1", "tissue": "liver", "sheet_status": "fresh"}


def test_a_pattern_that_the_shell_left_alone_is_matched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("runs/b/m.h5", "runs/a/m.h5", "runs/a/deep/m.h5", "cells[1].h5ad"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert [str(one.path) for one in batch_inputs([Path("runs/*/m.h5")])] == ["runs/a/m.h5", "runs/b/m.h5"]
    assert len(batch_inputs([Path("runs/**/m.h5")])) == 3
    assert [one.name for one in batch_inputs([Path("cells[1].h5ad")])] == ["cells[1]"]
    (tmp_path / "sheet.csv").write_text("sample,path\ns,runs/a/m.h5\n")
    assert [one.name for one in batch_inputs([Path("she*.csv"), Path("runs/b/*.h5")])] == ["s", "m"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("*.h5ad", "no match"), ("none/*.h5", "no folder none"), ("none/*/[ab].h5", "no folder none")],
)
def test_a_pattern_without_a_match_is_refused(
    pattern: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReadError) as raised:
        batch_inputs([Path(pattern)])
    assert raised.value.code == "FILE_NOT_FOUND"
    assert raised.value.findings[0].found == found


def test_a_folder_of_samples_is_its_samples(tmp_path: Path) -> None:
    for name in ("s2.h5ad", "s1/matrix.mtx.gz", "s3.zarr/.zgroup", "notes.csv", ".hidden.h5ad", "figures/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [one.name for one in batch_inputs([tmp_path])] == ["s1", "s2", "s3"]
    for own in ("s1", "s3.zarr", "figures"):  # one input each, or none at all, which the reader says
        assert [one.path for one in batch_inputs([tmp_path / own])] == [tmp_path / own]


@pytest.mark.parametrize("second", ["filtered.h5", "raw_feature_bc_matrix.h5"])
def test_a_folder_of_one_sample_in_several_forms_is_not_a_batch(second: str, tmp_path: Path) -> None:
    for name in ("filtered/matrix.mtx", second):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [one.path for one in batch_inputs([tmp_path])] == [tmp_path]


@pytest.mark.parametrize("text", ["cell_id,LYZ\nc1,1\n", "sample,LYZ\n", "", "path,sample\n"])
def test_a_table_of_counts_is_no_sheet(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert not is_sheet(tmp_path / "t.csv")
    assert [one.name for one in batch_inputs([tmp_path / "t.csv", tmp_path / "missing.h5ad"])] == ["t", "missing"]


def test_a_sheet_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"sample,path\n\xff\xfe,x\n")
    with pytest.raises(ReadError) as raised:
        batch_inputs([tmp_path / "t.csv"])
    assert raised.value.code == "FILE_UNREADABLE"


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("\n", "no sample"),
        ("\na,x\na,y\n", "a twice"),
        ("\na\n", "a: no path"),
        ("\n,x\n", "no sample: x"),
        ("\n../a,x\n", "../a"),
        ("\nsummary,x\n", "summary: x"),
        (f"\n{'ü' * 120},x\n", "üü"),
        (",layer,Layer\na,x,,\n", "the column layer twice"),
        (",donor\na,x,d1,y\n", "a: 4 values for 3 columns"),
    ],
)
def test_a_sheet_that_does_not_say_is_refused(rows: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sample,path" + rows, encoding="utf-8")
    with pytest.raises(ReadError) as raised:
        batch_inputs([tmp_path / "t.csv"])
    assert found in raised.value.findings[0].found


def test_two_sheets_with_one_sample_are_refused(tmp_path: Path) -> None:
    for name in ("s.csv", "t.csv"):
        (tmp_path / name).write_text("sample,path\na,x.h5ad\n")
    with pytest.raises(ReadError, match="a in several sheets"):
        batch_inputs([tmp_path / "s.csv", tmp_path / "t.csv"])


def test_urls_are_inputs_and_lines_of_sheets(tmp_path: Path) -> None:
    """Their names hold no signature, and a question mark makes no pattern of one."""
    (tmp_path / "sheet.csv").write_text("sample,path\ns,https://host/y.h5ad\n")
    given = [Path("https://host/x.h5ad?sig=secret"), Path("s3://bucket/run1/m.h5"), Path("s3://bucket/run2/m.h5")]
    inputs = batch_inputs([*given, tmp_path / "sheet.csv"])
    assert [one.name for one in inputs] == ["x", "run1", "run2", "s"]
    assert [one.path for one in inputs] == [*given, Path("https://host/y.h5ad")]
