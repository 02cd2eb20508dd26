import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import OutputError, ParameterError
from cellmark.schemas.quality.data_docs import write_docs_index
from cellmark.serving.annotator import Annotator
from cellmark.serving.batch.finish_job import SUMMARY_COLUMNS as JOB_COLUMNS
from cellmark.serving.files.annotate_file import annotate_file
from cellmark.serving.files.batch import annotate_batch
from cellmark.serving.files.batch_inputs import batch_inputs, output_names
from fixtures.places import ARCHIVES


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture
def five(new_cells: ad.AnnData, new_file: Path, tmp_path: Path) -> list[Path]:
    """Three good inputs, two of them of one name, and two broken ones in between."""
    inputs = [tmp_path / name for name in ("a/cells.h5ad", "truncated.h5ad", "b/cells.h5ad", "bad.h5ad", "table.csv")]
    for path in inputs:
        path.parent.mkdir(exist_ok=True)
    shutil.copyfile(new_file, inputs[0])
    inputs[1].write_bytes(new_file.read_bytes()[:10_000])
    new_cells[:7].write_h5ad(inputs[2])
    bad = new_cells.copy()
    bad.X = bad.X.copy()
    bad.X.data[0], bad.X.data[-1] = -1, 0.5
    bad.write_h5ad(inputs[3])
    new_cells[:3].to_df().to_csv(inputs[4], index_label="cell_id")
    return inputs


def test_broken_inputs_do_not_stop_the_others_and_the_exit_status_says_so(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, five: list[Path], new_cells: ad.AnnData, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran = cellmark("annotate", *five, "-m", tiny_bundle.folder, "-o", out)
    assert ran.status == 1
    written = sorted(path.name for path in out.iterdir())
    tables = ["a.parquet", "b.parquet", "table.parquet"]
    assert written == sorted([".cellmark", *tables, "a.json", "b.json", "table.json", "summary.csv"])

    summary = pd.read_csv(out / "summary.csv")
    assert tuple(summary.columns) == JOB_COLUMNS
    assert list(summary["input"]) == [str(path) for path in five]
    assert list(summary["status"]) == ["ok", "refused", "ok", "refused", "ok"]
    good = summary[summary["status"] == "ok"]
    assert list(good["n_cells"]) == [120, 7, 3]
    expected = Annotator.load(tiny_bundle.folder).annotate(new_cells)
    for row, cells in zip(good.to_dict("records"), (new_cells, new_cells[:7], new_cells[:3]), strict=True):
        calls = pd.read_parquet(row["output"])
        here = expected.loc[cells.obs_names]
        assert list(calls["cell_id"]) == list(here.index)
        assert list(calls["cellmark_cell_type"]) == list(here["cellmark_cell_type"])
        assert row["most_common_cell_type"] == here["cellmark_cell_type"].mode()[0]
        assert row["median_confidence"] == pytest.approx(np.median(here["cellmark_confidence"]))
        assert row["genes_matched"] + row["genes_missing"] == len(tiny_bundle.panel)
        assert json.loads(Path(row["output"]).with_suffix(".json").read_text())["n_cells"] == len(here)
    refused = summary[summary["status"] == "refused"]
    assert list(refused["codes"]) == ["FILE_UNREADABLE", "COUNTS_NEGATIVE;COUNTS_NOT_WHOLE"]
    assert all(isinstance(message, str) and message for message in refused["message"])
    assert refused["output"].isna().all()

    assert "4/5 " in ran.err
    assert "[COUNTS_NEGATIVE]" in ran.err
    assert "5 inputs, 2 refused" in ran.out


def test_a_sheet_of_samples_is_a_batch_whose_outputs_have_their_names(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, five: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "sheet.csv").write_text("sample,path\nliver 1,a/cells.h5ad\nbroken,truncated.h5ad\nblood,table.csv\n")
    ran = cellmark("annotate", tmp_path / "sheet.csv", "-m", tiny_bundle.folder, "-o", tmp_path / "out")
    assert ran.status == 1
    assert sorted(path.name for path in (tmp_path / "out").glob("*.parquet")) == ["blood.parquet", "liver 1.parquet"]
    ran = cellmark("annotate", tmp_path / "sheet.csv", "-m", tiny_bundle.folder, "-o", tmp_path / "out.parquet")
    assert "a folder for the outputs of 3 inputs" in ran.err


def test_a_batch_of_good_inputs_ends_well(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, five: list[Path], tmp_path: Path
) -> None:
    """One input is a batch too when OUT is a folder: of a glob that matches one file."""
    ran = cellmark("annotate", five[0], "-m", tiny_bundle.folder, "-o", f"{tmp_path}/out/", "--format", "h5ad")
    assert ran.status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".cellmark", "cells.h5ad", "summary.csv"]
    assert "cellmark_cell_type" in ad.read_h5ad(tmp_path / "out" / "cells.h5ad").obs
    assert pd.read_csv(tmp_path / "out" / "summary.csv")["quality"].notna().all()


def test_cells_unlike_the_training_data_are_named_in_the_summary(
    annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    poor = new_cells.copy()
    counts = poor.X.toarray()
    counts[:, np.arange(counts.shape[1]) % 10 != 0] = 0
    counts[:, 0] += 1
    poor.X = counts
    poor.write_h5ad(tmp_path / "poor.h5ad")
    assert (
        annotate_batch(partial(annotate_file, annotator), batch_inputs([tmp_path / "poor.h5ad"]), tmp_path / "out") == 0
    )
    (row,) = pd.read_csv(tmp_path / "out" / "summary.csv").to_dict("records")
    assert row["status"] == "ok"
    assert row["quality"].startswith("unlike training: ")
    assert "total_counts" in row["quality"]


def test_data_docs_are_written_for_every_input_that_was_read(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, five: list[Path], tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    out = tmp_path / "out"
    ran = cellmark("annotate", *five[:3], "-m", tiny_bundle.folder, "-o", out, "--data-docs", docs)
    assert ran.status == 1
    assert sorted(path.name for path in docs.iterdir()) == ["a", "b", "index.html"]
    page = (docs / "index.html").read_text()
    assert "refused: FILE_UNREADABLE" in page
    for name in ("a", "b"):
        assert f'href="{name}/index.html"' in page
        site = docs / name
        assert "tiny-cells" in (site / "index.html").read_text()
        assert len(list(site.rglob("validations/**/*.html"))) == 2
        # Great Expectations adds 4 MB that no page refers to.
        assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 400_000
    summary = pd.read_csv(out / "summary.csv")
    assert [isinstance(value, str) and Path(value).is_file() for value in summary["data_docs"]] == [True, False, True]
    again = cellmark("annotate", *five[:3], "-m", tiny_bundle.folder, "-o", tmp_path / "other", "--data-docs", docs)
    assert "[OUTPUT_EXISTS]" in again.err
    assert not (tmp_path / "other").exists()


def test_data_docs_of_one_input_are_the_folder_itself(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, five: list[Path], tmp_path: Path
) -> None:
    out, docs = tmp_path / "calls.csv", tmp_path / "docs"
    assert cellmark("annotate", five[0], "-m", tiny_bundle.folder, "-o", out, "--data-docs", docs).status == 0
    assert (docs / "index.html").is_file()
    assert out.is_file()


def test_names_in_the_index_of_data_docs_are_no_markup(tmp_path: Path) -> None:
    docs = tmp_path / "a b" / "index.html"
    rows = [{"input": "<script>x</script>.h5ad", "n_cells": 3, "quality": "as in training", "data_docs": str(docs)}]
    write_docs_index(tmp_path, rows)
    page = (tmp_path / "index.html").read_text()
    assert "<script>" not in page
    assert 'href="a%20b/index.html"' in page


def test_inputs_of_one_name_get_outputs_of_their_own() -> None:
    inputs = ["a/s.h5ad", "b/s.h5ad", "s.csv.gz", "s-2.h5ad", "summary.h5ad", "10x folder", "v1.2.h5ad", ".h5ad"]
    names = [
        path.name for path in output_names(batch_inputs([Path(name) for name in inputs]), Path("out"), format="csv")
    ]
    assert len(set(names)) == len(inputs)
    assert names[:3] == ["a.csv", "b.csv", "s.csv"]
    assert names[5:7] == ["10x folder.csv", "v1.2.csv"]
    assert "summary.csv" not in names
    assert output_names(batch_inputs([Path("a.h5ad")]), Path("out"), format=".parquet") == [Path("out/a.parquet")]
    with pytest.raises(ParameterError):
        output_names(batch_inputs([Path("a.h5ad")]), Path("out"), format="xls")


def test_nothing_is_done_when_any_output_exists(annotator: Annotator, five: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "table.parquet").write_text("mine")
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"):
        annotate_batch(partial(annotate_file, annotator), batch_inputs(five), out)
    assert [path.name for path in out.iterdir()] == ["table.parquet"]
    assert annotate_batch(partial(annotate_file, annotator), batch_inputs(five), out, force=True) == 2
    assert len(pd.read_parquet(out / "table.parquet")) == 3


@pytest.mark.parametrize("kind", ["csv", "h5ad"])
def test_a_batch_into_the_folder_of_its_inputs_never_replaces_one(
    annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path, kind: str
) -> None:
    """`cells.csv` would be written over by the calls of `cells.h5ad` (as csv), or the reverse (as h5ad)."""
    inputs = [tmp_path / "cells.csv", tmp_path / "cells.h5ad"]
    new_cells.to_df().to_csv(inputs[0], index_label="cell_id")
    new_cells.write_h5ad(inputs[1])
    contents = [path.read_bytes() for path in inputs]
    with pytest.raises(OutputError, match="would be lost"):
        annotate_batch(partial(annotate_file, annotator), batch_inputs(inputs), tmp_path, format=kind, force=True)
    assert [path.read_bytes() for path in inputs] == contents


def test_a_summary_never_replaces_an_input(annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path) -> None:
    path = tmp_path / "summary.csv"
    new_cells.to_df().to_csv(path, index_label="cell_id")
    with pytest.raises(OutputError, match="would be lost"):
        annotate_batch(partial(annotate_file, annotator), batch_inputs([path]), tmp_path, force=True)


def test_h5ad_files_of_a_folder_are_annotated_in_place_by_force(
    annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    inputs = [tmp_path / "a.h5ad", tmp_path / "b.h5ad"]
    for path in inputs:
        new_cells.write_h5ad(path)
    assert (
        annotate_batch(partial(annotate_file, annotator), batch_inputs(inputs), tmp_path, format="h5ad", force=True)
        == 0
    )
    for path in inputs:
        assert "cellmark_cell_type" in ad.read_h5ad(path).obs


LOOPS = ARCHIVES / "damaged" / "loops.h5ad"


def test_a_file_that_makes_libhdf5_loop_does_not_stop_the_others(
    annotator: Annotator, new_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLMARK_READ_SECONDS", "1")
    assert annotate_batch(partial(annotate_file, annotator), batch_inputs([LOOPS, new_file]), tmp_path / "out") == 1
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert list(summary["status"]) == ["refused", "ok"]
    assert summary["codes"][0] == "FILE_UNREADABLE"
    assert "had not finished" in summary["message"][0]


@pytest.mark.parametrize("kind", ["h5ad", "parquet"])
@pytest.mark.parametrize("name", ["cells.h5ad", "cells.csv", "cells.zarr"])
def test_reading_apart_and_directly_write_the_same(
    annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path, name: str, kind: str
) -> None:
    path, cells = tmp_path / name, new_cells.copy()
    cells.obs["total"] = np.asarray(cells.X.sum(axis=1)).ravel()
    match path.suffix:
        case ".h5ad":
            cells.write_h5ad(path)
        case ".csv":
            cells.to_df().to_csv(path, index_label="cell_id")
        case _:
            cells.write_zarr(path)
    outputs = []
    for trusted in (False, True):
        assert (
            annotate_batch(
                partial(annotate_file, annotator),
                batch_inputs([path]),
                tmp_path / str(trusted),
                format=kind,
                trusted=trusted,
            )
            == 0
        )
        outputs.append(tmp_path / str(trusted) / f"cells.{kind}")
    if kind == "parquet":
        pd.testing.assert_frame_equal(*map(pd.read_parquet, outputs))
        return
    apart, directly = map(ad.read_h5ad, outputs)
    pd.testing.assert_frame_equal(apart.obs, directly.obs)
    pd.testing.assert_frame_equal(apart.var, directly.var)
    assert (apart.X != directly.X).sum() == 0
    assert sorted(apart.uns) == sorted(directly.uns)


def test_a_batch_refuses_what_the_floor_of_evidence_refuses_and_takes_another_floor(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    genes = tiny_bundle.genes.sort_values("attribution_share")
    kept = list(genes["gene_symbol"][: int(0.55 * len(genes)) + 1])
    part = new_cells[:4, kept].copy()
    part.obs["n_counts"] = 1e4
    part.write_h5ad(tmp_path / "part.h5ad")
    common = ["annotate", tmp_path / "part.h5ad", "-m", tiny_bundle.folder, "--library-size", "n_counts"]
    ran = cellmark(*common, "-o", f"{tmp_path}/refused/")
    assert ran.status == 1
    assert pd.read_csv(tmp_path / "refused" / "summary.csv")["codes"][0] == "GENES_INSUFFICIENT"
    ran = cellmark(*common, "-o", f"{tmp_path}/taken/", "--min-attribution-share", "0.1")
    assert ran.status == 0, ran.err
    row = pd.read_csv(tmp_path / "taken" / "summary.csv").loc[0]
    assert row["attribution_share"] == pytest.approx(genes["attribution_share"][: len(kept)].sum())
    for command in (["validate"], ["explain", "-o", tmp_path / "why.csv"]):
        asked = [*command, *common[1:]]
        assert "GENES_INSUFFICIENT" in "".join(cellmark(*asked)[1:])
        assert cellmark(*asked, "--min-attribution-share", "0.1").status == 0
