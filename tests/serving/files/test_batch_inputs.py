"""Names of a batch's outputs, and sheets of samples."""

from pathlib import Path

import numpy as np
import pytest

from cellmark.schemas.errors import ReadError
from cellmark.serving.files.batch_inputs import batch_inputs, is_sheet, output_names


def named(inputs: list[str], folder: Path = Path("/data")) -> dict[str, str]:
    """Name of the output of each input, asserted to be the same in ten orders."""
    answers = []
    for seed in range(10):
        order = list(np.random.default_rng(seed).permutation(inputs))
        outputs = output_names([folder / path for path in order], Path("out"), format="csv")
        assert len(set(outputs)) == len(inputs)
        answers.append({path: output.name.removesuffix(".csv") for path, output in zip(order, outputs, strict=True)})
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
    inputs, names = batch_inputs([tmp_path / "x.h5ad", sheet])
    assert inputs == [tmp_path / "x.h5ad", tmp_path / "a/m.h5", Path("/data/m.h5"), tmp_path / "b/m.h5"]
    assert names == [None, "first", "second s", "s"]
    outputs = output_names([*inputs, tmp_path / "first.h5ad"], Path("out"), format="csv", names=[*names, None])
    assert [path.name for path in outputs] == ["x.csv", "first.csv", "second s.csv", "s.csv", "first-2.csv"]


@pytest.mark.parametrize("text", ["cell_id,LYZ\nc1,1\n", "sample,LYZ\n", "", "path,sample\n"])
def test_a_table_of_counts_is_no_sheet(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert not is_sheet(tmp_path / "t.csv")
    assert batch_inputs([tmp_path / "t.csv", tmp_path / "missing.csv"])[1] == [None, None]


def test_a_sheet_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"sample,path\n\xff\xfe,x\n")
    with pytest.raises(ReadError) as raised:
        batch_inputs([tmp_path / "t.csv"])
    assert raised.value.code == "FILE_UNREADABLE"


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("", "no sample"),
        ("a,x\na,y\n", "a twice"),
        ("a\n", "a: no path"),
        (",x\n", "no sample: x"),
        ("../a,x\n", "../a"),
    ],
)
def test_a_sheet_that_does_not_say_is_refused(rows: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sample,path\n" + rows)
    with pytest.raises(ReadError) as raised:
        batch_inputs([tmp_path / "t.csv"])
    assert found in raised.value.findings[0].found
