"""Remedies work when pasted: their options exist, their commands parse, and their Python runs and helps."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata as ad
import click
import numpy as np
import pytest
import scipy.sparse as sp
import typer

from cellmark.schemas.atomic_output import refuse_existing
from cellmark.schemas.cells.read_anndata import cells_from_anndata, to_csr
from cellmark.schemas.errors import CellmarkError, ReadError
from cellmark.schemas.spoken import in_python
from cellmark.serving.commands.cli import app
from cellmark.training.cells.labelled_cells import read_labelled
from fixtures import expression_cases as made
from fixtures.places import PACKAGES, ROOT
from fixtures.synthetic_cells import draw_cells

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+[a-z]")
COMMAND = re.compile(r"cellmark ((?:[a-z]+ )+)[^`'\"]*")
WORLDS = tuple(PACKAGES)


def commands(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    context = click.Context(group)
    for child in group.list_commands(context):
        command = group.get_command(context, child)
        assert command is not None
        if hasattr(command, "list_commands"):
            yield from commands(command, f"{name}{child} ")
        yield f"{name}{child}", command


ALL = dict(commands(typer.main.get_command(app)))
OPTIONS = {name: {text for one in command.params for text in (*one.opts, *one.secondary_opts)}
           for name, command in ALL.items()}  # fmt: skip


def texts_of_findings() -> list[tuple[str, str]]:
    """Module and text of every string that a `Finding(...)`, or an error of one (`SomeError.of(...)`), is made with."""
    found = []
    for path in sorted(path for world in WORLDS for path in (ROOT / world).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name == "Finding" or name.endswith(("Error.of", "Error.not_a_choice")):
                found += [
                    (str(path.relative_to(ROOT)), part.value)
                    for part in ast.walk(node)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                ]
    return found


TEXTS = texts_of_findings()


def test_every_option_that_a_finding_names_exists() -> None:
    everywhere = set().union(*OPTIONS.values(), {"--data-binary"})  # the last is curl's
    named = {(module, option) for module, text in TEXTS for option in OPTION.findall(text)}
    assert len(named) > 30
    assert not {(module, option) for module, option in named if option not in everywhere}


def test_every_command_that_a_finding_names_has_the_options_it_names() -> None:
    seen = 0
    for module, text in TEXTS:
        for match in COMMAND.finditer(text):
            words = match[1].split()
            if words[0] not in ALL:  # prose about the program itself
                continue
            name = next((" ".join(words[:n]) for n in (3, 2, 1) if " ".join(words[:n]) in ALL), None)
            assert name is not None, (module, match[0])
            assert set(OPTION.findall(match[0])) <= OPTIONS[name], (module, match[0])
            seen += 1
    assert seen > 2


def test_in_python_no_remedy_names_a_flag_but_in_commands_to_paste() -> None:
    named = {(module, text) for module, text in TEXTS if OPTION.search(text)}
    told = {(module, in_python(text)) for module, text in named}
    flagged = {(module, text) for module, text in told if OPTION.search(text)}
    assert {(module, text) for module, text in flagged if not re.search("cellmark [a-z]+|curl|mlflow ", text)} == set()
    assert len(flagged) < len(named) / 4


def test_what_train_refuses_names_options_of_train(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    with pytest.raises(CellmarkError) as caught:
        refuse_existing(tmp_path / "bundle", force=None)
    assert not OPTION.findall(str(caught.value))
    assert "--force" not in OPTIONS["train"]
    for module in ("training/run.py", "training/train_and_register.py"):
        assert "refuse_existing(folder, force=None)" in (ROOT / module).read_text(encoding="utf-8")


def code_of(remedy: str) -> str:
    """The Python of a remedy: all behind the first colon."""
    return remedy.split(": ", 1)[1]


@pytest.mark.parametrize("place", ["X", "layers['log']", "raw.X"])
def test_counts_that_train_refuses_are_recovered_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    counts = draw_cells().X
    adata = ad.AnnData(made.log1p_counts_per(counts, 1e6, np.e))
    adata.obs["cell_type"] = np.repeat(["B", "T"], [adata.n_obs // 2, adata.n_obs - adata.n_obs // 2])
    if place == "layers['log']":
        adata.layers["log"] = adata.X
    elif place == "raw.X":
        adata.raw = adata.copy()
    if place != "X":
        adata.X = made.scaled(counts).toarray()
    with pytest.raises(CellmarkError) as caught:
        read_labelled(cells_from_anndata(adata), label="cell_type", donor=None, library_size=None, min_cells=2)
    remedy = caught.value.findings[0].remedy
    assert set(OPTION.findall(remedy)) <= OPTIONS["train"]
    monkeypatch.chdir(tmp_path)
    exec(code_of(remedy), {"adata": adata})
    again = ad.read_h5ad("counts.h5ad")
    np.testing.assert_array_equal(sp.csr_matrix(again.X).toarray(), counts.toarray())


@pytest.mark.parametrize("place", ["log", "raw"])
def test_logarithms_that_train_uses_are_opened_as_it_says(place: str) -> None:
    counts = draw_cells().X
    adata = ad.AnnData(made.log1p_norm(counts))
    adata.obs["cell_type"] = np.repeat(["B", "T"], [adata.n_obs // 2, adata.n_obs - adata.n_obs // 2])
    if place == "log":
        adata.layers["log"] = adata.X
    else:
        adata.raw = adata.copy()
    adata.X = made.scaled(counts).toarray()
    how = {"label": "cell_type", "donor": None, "library_size": None, "min_cells": 2}
    with pytest.raises(CellmarkError) as caught:
        read_labelled(cells_from_anndata(adata), **how)
    assert f"--layer {place} " in caught.value.findings[0].remedy
    cells = read_labelled(cells_from_anndata(adata, layer=place), **how)
    np.testing.assert_array_equal(cells.counts.toarray(), counts.toarray())


@pytest.mark.parametrize("place", ["X", "layers['text']", "raw.X"])
def test_a_matrix_of_text_is_converted_as_the_remedy_says(place: str) -> None:
    text = np.array([["1", "2"], ["3", "0"]], dtype=object)
    adata = ad.AnnData(np.zeros((2, 2), dtype=np.float32))
    if place == "raw.X":
        wrong = ad.AnnData(text)
        adata.raw = wrong
    elif place == "X":
        adata = ad.AnnData(text)
    else:
        adata.layers["text"] = text
    layer = {"X": None, "layers['text']": "text", "raw.X": "raw"}[place]
    with pytest.raises(ReadError, match="MATRIX_INVALID") as caught:
        cells_from_anndata(adata, layer=layer)
    space: dict[str, Any] = {"adata": adata}
    exec(code_of(caught.value.findings[0].remedy), space)
    cells = cells_from_anndata(space["adata"], layer=None if place == "raw.X" else layer)
    np.testing.assert_array_equal(cells.load().toarray(), text.astype(float))


def test_a_mudata_is_named_with_the_line_that_takes_its_rna_out() -> None:
    rna = ad.AnnData(np.ones((3, 2), dtype=np.float32))
    for key in ("rna", "RNA counts"):
        mdata = type("MuData", (), {"mod": {"prot": ad.AnnData(), key: rna}, "obs": rna.obs, "X": None})()
        with pytest.raises(ReadError, match="NOT_ANNDATA") as caught:
            cells_from_anndata(mdata)
        assert f"a MuData of 'prot', '{key}'" in str(caught.value)
        space: dict[str, Any] = {"mdata": mdata}
        exec(code_of(caught.value.findings[0].remedy), space)
        assert cells_from_anndata(space["adata"]).n_obs == 3


def test_something_else_than_an_anndata_is_named() -> None:
    with pytest.raises(ReadError, match="found a ndarray") as caught:
        cells_from_anndata(np.ones((2, 2)))  # type: ignore[arg-type]
    assert caught.value.code == "NOT_ANNDATA"


def test_a_lazy_matrix_is_computed() -> None:
    """dask's arrays have `compute`; NumPy cannot look into those of sparse blocks."""
    values = sp.csr_matrix(np.eye(3, dtype=np.float32))
    lazy = SimpleNamespace(compute=lambda: values, dtype=values.dtype, shape=values.shape)
    assert (to_csr(lazy, "X") != values).nnz == 0


def test_a_dask_array_is_read() -> None:
    array = pytest.importorskip("dask.array")
    dense = np.arange(12, dtype=np.float32).reshape(4, 3)
    for X in (array.from_array(dense, chunks=2), array.from_array(dense, chunks=2).map_blocks(sp.csr_matrix)):
        np.testing.assert_array_equal(cells_from_anndata(ad.AnnData(X)).load().toarray(), dense)
