"""Options that commands and routes take as one object."""

import re
from dataclasses import fields

from cellmark.schemas.cells.reading_options import ReadingKeywords, ReadingOptions
from cellmark.serving import Annotator
from cellmark.serving.commands.options import GROUPS
from cellmark.serving.http.options import AnnotateOptions
from cellmark.serving.scoring.call_options import CallOptions, Floors


def test_every_field_of_a_group_is_an_option_of_commands() -> None:
    for kind, options in GROUPS.values():
        assert set(options) == {entry.name for entry in fields(kind)}


def test_every_field_of_reading_is_a_keyword_of_the_annotator_and_described() -> None:
    names = {entry.name for entry in fields(ReadingOptions)}
    assert set(ReadingKeywords.__annotations__) == names
    described = re.findall(r"^        ([\w, ]+)\n            ", Annotator.annotate.__doc__ or "", flags=re.MULTILINE)
    assert names <= {name for line in described for name in line.split(", ")}


def test_every_field_but_those_of_tables_and_clusters_is_an_option_of_the_service() -> None:
    names = {entry.name for kind in (ReadingOptions, Floors, CallOptions) for entry in fields(kind)}
    assert set(AnnotateOptions.model_fields) == names - {
        "genes_by_cells",
        "over",
        "ortholog_table",
        "sample",
        "symbol_column",
    }


def test_options_of_the_service_become_the_same_objects() -> None:
    given = AnnotateOptions(
        layer="raw", library_size="n", recover_counts=True, orthologs=True, min_panel_share=0.3,
        min_attribution_share=0.2, probabilities=True, label_set_error=0.05,
    )  # fmt: skip
    for kind, built in ((ReadingOptions, given.reading), (Floors, given.floors), (CallOptions, given.calls)):
        assert isinstance(built, kind)
        for entry in fields(kind):
            assert getattr(built, entry.name) == getattr(given, entry.name, entry.default)


def test_floors_of_an_input_go_before_those_of_the_annotator() -> None:
    own = Floors(min_panel_share=0.2, min_attribution_share=0.1)
    assert Floors(min_attribution_share=0.0).or_else(own) == Floors(min_panel_share=0.2, min_attribution_share=0.0)
