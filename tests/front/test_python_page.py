"""The page on Python: its example runs, and every name in its tables exists."""

import inspect
import re
from pathlib import Path

import anndata as ad
import pytest

import cellmark as cm
from fixtures.places import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_example_runs(
    model: cm.Model, adata: ad.AnnData, drawing: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adata.write_h5ad(tmp_path / "test_cells.h5ad")
    model.save(tmp_path / "pbmc-bundle")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"<!-- test: python -->\n```python\n(.*?)```", PAGE, flags=re.DOTALL)
    left: dict[str, object] = {}
    exec(example, left)
    assert len(left["calls"]) == adata.n_obs  # type: ignore[arg-type]
    assert len(left["why"]) == 15  # type: ignore[arg-type]


def test_every_name_of_the_page_exists_and_every_public_one_is_on_it() -> None:
    named = set(re.findall(r"\bcm\.((?:tl|pl|get)\.\w+|\w+)", PAGE))
    for name in named:
        value: object = cm
        for part in name.split("."):
            value = getattr(value, part)
    for module in ("tl", "pl", "get"):
        there = vars(getattr(cm, module)).items()
        functions = [name for name, value in there if inspect.isfunction(value) and name[0] != "_"]
        functions = [
            name for name in functions if f"cellmark.{module}" in getattr(cm, module).__dict__[name].__module__
        ]
        assert {f"{module}.{name}" for name in functions} <= named
    for attribute in re.findall(r"model\.(\w+)", PAGE):
        assert hasattr(cm.Model, attribute), attribute
