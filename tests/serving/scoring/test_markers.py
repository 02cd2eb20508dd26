"""Rows of a model's marker table."""

import json

import pandas as pd
import pytest

from cellmark.schemas.api.responses import MarkersAnswer
from cellmark.schemas.api.strict_json import write_json
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ModelError, ParameterError
from cellmark.schemas.manifest.marker_table import COLUMNS
from cellmark.serving.annotator import Annotator
from cellmark.serving.http.answers import markers_json
from cellmark.serving.scoring.markers import (
    combinations_in_words,
    minimal_combinations,
    read_markers,
    select_markers,
)


def test_all_markers_are_the_bundle_s_table(tiny_bundle: Bundle) -> None:
    table = read_markers(tiny_bundle.folder)
    pd.testing.assert_frame_equal(table, pd.read_parquet(tiny_bundle.path("markers.parquet")))
    assert set(table["cell_type"]) == {"B cell", "NK cell", "T cell"}


def test_the_first_ranks_of_one_type_come_in_order(tiny_bundle: Bundle) -> None:
    table = select_markers(tiny_bundle, "NK cell", top=4)
    assert set(table["cell_type"]) == {"NK cell"}
    assert list(table["rank"]) == [1, 2, 3, 4]
    assert list(table.index) == [0, 1, 2, 3]
    assert table["marker_score"].is_monotonic_decreasing


def test_the_first_marker_of_a_type_with_genes_of_its_own_is_one_of_them(tiny_bundle: Bundle) -> None:
    """The synthetic types were drawn with ten genes each: GENE0-9, GENE10-19, GENE20-29."""
    for number, name in enumerate(["B cell", "NK cell", "T cell"]):
        first = select_markers(tiny_bundle, name, top=1)["gene_symbol"]
        assert set(first) <= {f"GENE{number * 10 + offset}" for offset in range(10)}


def test_negative_markers_come_by_their_own_rank(full_markers: Bundle) -> None:
    found = select_markers(full_markers, top=3, negative=True)
    assert found["cell_type"].tolist() == ["B cell"] * 3 + ["NK cell"] * 3 + ["T cell"] * 3
    assert found["negative_rank"].tolist() == [1, 2, 3] * 3
    table = full_markers.markers
    last = table[table["rank"] == table["rank"].max()].set_index("cell_type")["gene_symbol"]
    assert found.query("negative_rank == 1").set_index("cell_type")["gene_symbol"].to_dict() == last.to_dict()
    assert len(select_markers(full_markers, "T cell", negative=True)) == 5


def test_a_minimal_combination_is_a_rule_in_words(full_markers: Bundle) -> None:
    rows = minimal_combinations(full_markers)
    assert rows["rank"].tolist() == [1, 2] * 3
    words = combinations_in_words(rows)
    assert words["cell type"].tolist() == ["B cell", "NK cell", "T cell"]
    first, second = full_markers.markers.query("cell_type == 'NK cell' and rank <= 2")["gene_symbol"]
    assert words["genes and what they exceed"][1] == f"{first} > 0.50 and {second} > 1.25"
    assert words.loc[1, ["precision", "recall", "F-beta"]].tolist() == [0.9, 0.8, 0.878]
    assert minimal_combinations(full_markers, "T cell")["cell_type"].unique().tolist() == ["T cell"]


def test_an_unknown_type_and_no_ranks_are_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(ModelError, match="B cell, NK cell, T cell"):
        select_markers(tiny_bundle, "Nope")
    with pytest.raises(ModelError):
        minimal_combinations(tiny_bundle, "Nope")
    with pytest.raises(ParameterError):
        select_markers(tiny_bundle, top=0)


def test_the_service_answers_with_every_column(full_markers: Bundle) -> None:
    annotator = Annotator.load(full_markers.folder)
    table = annotator.markers("B cell", top=3)
    answer = json.loads(write_json(markers_json(annotator, table)))
    MarkersAnswer.model_validate(answer)
    assert list(answer["markers"][0]) == list(COLUMNS)
    for row, expected in zip(answer["markers"], table.to_dict("records"), strict=True):
        for name, value in expected.items():
            assert row[name] is None if pd.isna(value) else row[name] == value
    assert [row["in_minimal_combination"] for row in answer["markers"]] == [True, True, False]
    assert [row["negative_rank"] for row in answer["markers"]] == [None] * 3
