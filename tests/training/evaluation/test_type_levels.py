"""Levels of columns and of the Cell Ontology; labels above the model's types."""

import numpy as np
import pytest

from cellmark.schemas.checks.check_levels import Level
from cellmark.schemas.errors import ParameterError
from cellmark.schemas.manifest.manifest_levels import LevelsEntry
from cellmark.training.evaluation.cell_ontology import CellOntology
from cellmark.training.evaluation.descendants import types_below_names, with_credit
from cellmark.training.evaluation.type_levels import levels_of_columns, levels_of_ontology

PBMC = {
    "B": "CL:0000236", "CD4 T": "CL:0000624", "CD8 T": "CL:0000625", "NK": "CL:0000623", "CD14": "CL:0001054",
    "CD16": "CL:0002396", "DC": "CL:0000451", "MK": "CL:0000556", "mystery": None,
}  # fmt: skip
BROAD = {"CD4": "T", "CD8": "T", "NK": "NK cells", "mono": "mono"}


@pytest.fixture(scope="module")
def ontology() -> CellOntology:
    return CellOntology()


def shape(levels: LevelsEntry) -> list[dict[str, list[str]]]:
    return [{group.name: group.cell_types for group in level.groups} for level in levels.levels]


def test_a_level_of_types_that_were_removed_is_omitted_and_said_so() -> None:
    levels = (Level("lineage", {"CD4": "T/NK", "CD8": "T/NK", "NK": "T/NK", "mono": "mono"}), Level("broad", BROAD))
    whole, notes = levels_of_columns(levels, ["CD4", "CD8", "NK", "mono"])
    assert whole is not None
    assert notes == ()
    assert shape(whole)[1] == {"T": ["CD4", "CD8"], "NK cells": ["NK"], "mono": ["mono"]}
    left, (note,) = levels_of_columns(levels, ["CD4", "CD8", "NK"])
    assert left is not None
    assert [level.name for level in left.levels] == ["broad"]
    assert (note.code, note.where) == ("LEVELS_INVALID", "obs['lineage']")
    assert levels_of_columns(levels, ["CD4", "NK"])[0] is None


def test_levels_of_the_ontology_are_a_tree_from_its_most_even_terms(ontology: CellOntology) -> None:
    levels = shape(levels_of_ontology(list(PBMC), PBMC, ontology))
    assert levels[0] == {
        "lymphocyte": ["B", "CD4 T", "CD8 T", "NK"],
        "mononuclear phagocyte": ["CD14", "CD16", "DC"],
        "MK": ["MK"],
        "mystery": ["mystery"],
    }
    assert ["CD4 T", "CD8 T"] in levels[1].values()
    assert all(["mystery"] in level.values() for level in levels)
    sizes = [len(level) for level in levels]
    assert sizes == sorted(sizes)


def test_terms_that_say_nothing_make_no_levels(ontology: CellOntology) -> None:
    with pytest.raises(ParameterError, match="not above all"):
        levels_of_ontology(["B", "NK"], {"B": "CL:0000236", "NK": "CL:0000623"}, ontology)


def test_a_call_below_the_label_is_right_and_one_above_or_beside_it_is_not() -> None:
    types = ["CD4", "CD8", "NK", "mono"]
    levels, _ = levels_of_columns([Level("broad", BROAD)], types)
    below = types_below_names(types, levels, {}, None)
    assert below == {"T": {"CD4", "CD8"}, "NK cells": {"NK"}}
    labels = np.array(["T", "T", "T", "CD4", "CD4", "mono", "elsewhere"], dtype=object)
    calls = np.array([0, 1, 2, 0, 1, 3, 0])
    found = with_credit(labels, calls, types, {}, below)
    assert (found["n_cells"], found["n_unknown_cells"]) == (6, 1)
    assert found["accuracy"] == pytest.approx(4 / 6)
    # F1 of T 2 of 3 found: .8; CD4: 1 of 2 found, none wrongly called so: 2/3; mono: 1.
    assert found["macro_f1"] == pytest.approx((0.8 + 2 / 3 + 1) / 3)
    assert with_credit(labels[3:6], calls[3:6], types, {}, below) == {}


def test_labels_are_found_by_terms_of_the_ontology_and_what_is_above_all_types_counts_for_nothing(
    ontology: CellOntology,
) -> None:
    types = ["CD4 T", "CD8 T", "B"]
    below = types_below_names(types, None, PBMC, ontology)
    assert below["T cell"] == below["CL:0000084"] == {"CD4 T", "CD8 T"}
    assert "cell" not in below
    found = with_credit(np.array(["T", "B"], dtype=object), np.array([1, 2]), types, {"CD4 T": "T"}, {"T": {"CD8 T"}})  # type: ignore[dict-item]
    assert (found["accuracy"], found["n_cells"]) == (1, 2)
