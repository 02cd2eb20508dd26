"""Commands on inputs by URL."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.serving.files.batch_inputs import BatchInput
from cellmark.serving.files.fetch_inputs import fetch_inputs
from fixtures.storage_server import serving_files


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CELLMARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_commands_take_urls(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "served").mkdir()
    new_cells.write_h5ad(tmp_path / "served" / "cells.h5ad")
    with serving_files(tmp_path / "served") as (address, handler):
        url = f"{address}/cells.h5ad"
        ran = cellmark("validate", f"{url}?sig=secret", "--json")
        assert json.loads(ran.out)["n_cells"] == new_cells.n_obs
        for command in ("annotate", "explain"):
            ran = cellmark(command, url, "-m", tiny_bundle.folder, "-o", tmp_path / f"{command}.csv")
            assert ran.status == 0, ran.err
        assert handler.asked.count("GET /cells.h5ad?sig=secret") == 1
        assert "GET /cells.h5ad" not in handler.asked  # the copy serves all
        ran = cellmark("annotate", f"{address}/gone.h5ad", "-m", tiny_bundle.folder, "-o", tmp_path / "gone.csv")
        assert (ran.status, "[FILE_NOT_FOUND]" in ran.err) == (1, True)
    cellmark("annotate", tmp_path / "served" / "cells.h5ad", "-m", tiny_bundle.folder, "-o", tmp_path / "file.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "annotate.csv"), pd.read_csv(tmp_path / "file.csv"))


def test_what_cannot_be_had_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.csv").write_text("cell,A\nc,1\n")
    with serving_files(tmp_path / "served") as (address, handler):
        handler.answer["/b.csv"] = 403
        given = [BatchInput(Path(f"{address}/{name}.csv?sig=secret"), name) for name in ("b", "a")]
        refused, fetched = fetch_inputs(given)
    assert fetched.path.read_text() == "cell,A\nc,1\n"
    assert (str(refused.path), refused.name) == (f"{address}/b.csv".replace("//", "/"), "b")
    shown = capsys.readouterr()
    assert "REMOTE_FORBIDDEN" in shown.out + shown.err
    assert "secret" not in shown.out + shown.err


def test_a_batch_of_urls_says_what_it_could_not_fetch(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    (tmp_path / "served").mkdir()
    new_cells.write_h5ad(tmp_path / "served" / "a.h5ad")
    with serving_files(tmp_path / "served") as (address, _):
        (tmp_path / "sheet.csv").write_text(
            f"sample,path\none,{address}/a.h5ad?sig=secret\ntwo,{address}/b.h5ad?sig=secret\n"
        )
        ran = cellmark("annotate", tmp_path / "sheet.csv", "-m", tiny_bundle.folder, "-o", tmp_path / "calls/")
    assert ran.status == 1
    summary = pd.read_csv(tmp_path / "calls" / "summary.csv").set_index("sample")
    assert list(summary["status"]) == ["ok", "refused"]
    assert summary.loc["two", "input"] == f"{address}/b.h5ad"
    assert list(summary["url"]) == [f"{address}/a.h5ad", f"{address}/b.h5ad"]
    written = [path for path in (tmp_path / "calls").rglob("*") if path.is_file()]
    assert not any(b"secret" in path.read_bytes() for path in written)
