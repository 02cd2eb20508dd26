"""`cellmark annotate --service URL` writes the files that `--model` writes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ParameterError
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from cellmark.serving.client.annotate_remotely import read_key
from fixtures.listening import listening

Cellmark = Callable[..., Any]


@pytest.fixture(scope="module")
def url(tiny_bundle: Bundle) -> Iterator[str]:
    with listening(make_app(Annotator.load(tiny_bundle.folder))) as url:
        yield url


def test_the_same_files_as_with_the_model(
    cellmark: Cellmark, url: str, tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    for name in ("calls.csv", "calls.h5ad"):
        local, served = tmp_path / f"local-{name}", tmp_path / f"served-{name}"
        assert cellmark("annotate", new_file, "--model", tiny_bundle.folder, "-o", local).status == 0
        ran = cellmark("annotate", new_file, "--service", url, "-o", served)
        assert ran.status == 0, ran.err
    of_model, of_service = pd.read_csv(tmp_path / "local-calls.csv"), pd.read_csv(tmp_path / "served-calls.csv")
    pd.testing.assert_frame_equal(of_service, of_model, rtol=1e-4, atol=1e-5)
    facts = [json.loads((tmp_path / f"{who}-calls.json").read_text()) for who in ("local", "served")]
    assert facts[0].pop("missing_genes")[:50] == facts[1].pop("missing_genes")
    assert facts[0] == facts[1]
    one, other = ad.read_h5ad(tmp_path / "local-calls.h5ad"), ad.read_h5ad(tmp_path / "served-calls.h5ad")
    pd.testing.assert_frame_equal(other.obs, one.obs, rtol=1e-4, atol=1e-5)
    assert one.uns.keys() == other.uns.keys()


def test_a_batch_writes_a_summary_without_quality(
    cellmark: Cellmark, url: str, new_cells: ad.AnnData, new_file: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.h5ad"
    negative = new_cells.copy()
    negative.X.data[:] = -1
    negative.write_h5ad(broken)
    ran = cellmark("annotate", new_file, broken, "--service", url, "-o", tmp_path / "out")
    assert ran.status == 1
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert summary["status"].tolist() == ["ok", "refused"]
    assert summary["quality"].tolist()[0] == "not compared"
    assert "COUNTS_NEGATIVE" in summary["codes"][1]


def test_a_service_that_is_not_there_is_one_error_and_no_output(
    cellmark: Cellmark, new_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellmark.serving.client.retry.Retry.wait", lambda *_, **__: None)
    ran = cellmark("annotate", new_file, "--service", "http://127.0.0.1:9", "-o", tmp_path / "calls.csv")
    assert ran.status != 0
    assert "SERVICE_UNREACHABLE" in ran.err
    assert not (tmp_path / "calls.csv").exists()


@pytest.mark.parametrize(
    "options", [(), ("--model", "m", "--service", "http://s"), ("--service", "http://s", "--distilled")]
)
def test_a_model_or_a_service_makes_the_calls(
    cellmark: Cellmark, new_file: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert cellmark("annotate", new_file, *options, "-o", tmp_path / "calls.csv").status == 2


def test_a_key_file_holds_one_word_and_its_text_is_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("cm_1_secret\n")
    assert read_key(path) == "cm_1_secret"
    for text in ("", "cm_1_secret cm_2_secret", "sécret"):
        path.write_text(text)
        with pytest.raises(ParameterError) as caught:
            read_key(path)
        assert "cret" not in str(caught.value).replace(str(tmp_path), "")
    with pytest.raises(ParameterError):
        read_key(tmp_path / "nothing")
