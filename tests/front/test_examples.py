"""The examples in docstrings run, and every public name has one."""

import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import pytest

import cellmark as cm
from cellmark.drift import Drift

if TYPE_CHECKING:
    from cellmark.training.run import TrainedModel

WITHOUT = {"cm.Model.annotator", "cm.Model.bundle", "cm.Model.digest", "cm.Model.folder", "cm.Model.name",
           "cm.Model.version", "cm.Drift.severity", "cm.Drift.verdict"}  # fmt: skip
"""Facts whose name says what an example would."""
NEEDS = {"cm.ComputedClusters": ("scanpy", "graspologic_native"), "cm.datasets.pbmc": ("torch", "scanpy", "sklearn")}
"""Libraries that an example cannot do without."""


def public() -> Iterator[tuple[str, Any]]:
    for name in ("train", "load", "import_celltypist", "Model", "ComputedClusters", "CellmarkError", "CellmarkWarning"):
        yield f"cm.{name}", getattr(cm, name)
    for module in (cm.tl, cm.pl, cm.get, cm.datasets):
        short = module.__name__.replace("cellmark", "cm")
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__.startswith(module.__name__) and name[0] != "_":
                yield f"{short}.{name}", value
    for kind in (cm.Model, Drift):
        for name in dir(kind):
            if name[0] != "_":
                yield f"cm.{kind.__name__}.{name}", inspect.getattr_static(kind, name)


PUBLIC = dict(public())


def examples(name: str) -> doctest.DocTest | None:
    value = PUBLIC[name]
    text = inspect.cleandoc(getattr(value, "__doc__", None) or "")
    found = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    return found if found.examples else None


def run(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Run the examples of a name; returns what they left behind."""
    test = examples(name)
    assert test is not None
    test.globs = {"cm": cm, **given}
    failures: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=failures.append, clear_globs=False)
    assert not failures, "".join(failures)
    return test.globs


def test_every_public_name_has_an_example() -> None:
    assert len(PUBLIC) > 25
    assert {name for name in PUBLIC if examples(name) is None} == WITHOUT


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - WITHOUT - {"cm.train", "cm.import_celltypist"}))
def test_examples_run(
    name: str, model: cm.Model, adata: ad.AnnData, drawing: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in NEEDS.get(name, ()):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    run(name, {"model": model, "folder": model.folder, "adata": adata})


def test_training_in_memory_gives_the_model_that_the_file_gives(trained: "TrainedModel", adata: ad.AnnData) -> None:
    before = adata.copy()
    model = run("cm.train", {"adata": adata})["model"]
    assert model.digest == trained.bundle.digest
    assert model.bundle.manifest.training_data.digest == trained.cells.digest()
    assert list(adata.obs) == list(before.obs)
    assert (adata.X != before.X).nnz == 0
    folder = model.folder
    assert folder.is_dir()
    del model
    import gc

    gc.collect()
    assert not folder.exists(), "a temporary model goes with its object"


def test_a_model_of_celltypist_is_taken_over(
    adata: ad.AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("torch", "sklearn", "scanpy"):
        pytest.importorskip(library)
    from fixtures.celltypist_models import answers, fitted, log1p_of, written

    made = fitted(adata)
    monkeypatch.chdir(tmp_path)
    path = written(made, tmp_path / "Immune_All_Low.pkl")
    model = run("cm.import_celltypist", {})["model"]
    assert (model.name, model.version) == ("Immune_All_Low", None)
    expected, _, _ = answers(made, log1p_of(adata))
    with pytest.warns(cm.CellmarkWarning, match="MODEL_IMPORTED"):
        calls = model.annotate(adata, inplace=False)
    assert calls["cellmark_cell_type"].tolist() == list(expected)
    kept = cm.import_celltypist(path, trust_pickle=True, folder=tmp_path / "kept", name="immune")
    assert cm.load(tmp_path / "kept").name == kept.name == "immune"
    with pytest.raises(cm.CellmarkError, match="trust_pickle=True") as caught:
        cm.import_celltypist(path)
    assert caught.value.code == "PICKLE_UNTRUSTED"
    assert "--" not in str(caught.value)
    with pytest.raises(cm.CellmarkError, match="OUTPUT_EXISTS") as there:
        cm.import_celltypist(path, trust_pickle=True, folder=tmp_path / "kept")
    assert "force" not in str(there.value)
