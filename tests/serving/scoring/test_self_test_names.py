"""The self-test of a bundle whose manifest gives the graph's outputs other names than training did."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ModelError
from cellmark.schemas.golden_cells import read_golden, write_golden
from cellmark.schemas.manifest.bundle_files import GOLDEN_CELLS, write_manifest
from cellmark.serving import Annotator
from fixtures.places import ARCHIVES


def resealed(folder: Path, cell_types: list[dict[str, Any]]) -> Path:
    """The archived bundle, its golden cells with the names of the trained types, under a manifest of others."""
    shutil.copytree(ARCHIVES / "v1", folder)
    bundle = Bundle.open(folder)
    golden = replace(read_golden(bundle), cell_types=tuple(bundle.manifest.cell_type_names))
    write_golden(folder / GOLDEN_CELLS, golden)
    raw = bundle.manifest.model_dump(mode="json", exclude={"files", "bundle_digest", "manifest_digest"})
    write_manifest(folder, {**raw, "cell_types": cell_types})
    return folder


def types_of(name: str) -> list[dict[str, Any]]:
    return [entry.model_dump(mode="json") for entry in Bundle.open(ARCHIVES / name).manifest.cell_types]


def test_names_as_trained_pass(tmp_path: Path) -> None:
    folder = resealed(tmp_path / "bundle", types_of("v1"))
    assert read_golden(Bundle.open(folder)).cell_types == ("B cell", "NK cell", "T cell")
    assert Annotator.load(folder).cell_types == ["B cell", "NK cell", "T cell"]


def test_two_swapped_names_in_a_resealed_bundle_fail_the_self_test(tmp_path: Path) -> None:
    first, second, *others = types_of("v1")
    folder = resealed(tmp_path / "bundle", [second, first, *others])
    with pytest.raises(ModelError, match="GOLDEN_CELLS_MISMATCH") as caught:
        Annotator.load(folder)
    assert "'NK cell' in place of 'B cell'" in str(caught.value)


def test_a_renamed_type_fails_the_self_test(tmp_path: Path) -> None:
    first, *others = types_of("v1")
    folder = resealed(tmp_path / "bundle", [{**first, "name": "Plasma cell"}, *others])
    with pytest.raises(ModelError, match="'Plasma cell' in place of 'B cell'"):
        Annotator.load(folder)
