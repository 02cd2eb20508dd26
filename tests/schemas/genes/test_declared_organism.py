"""What files say of their organism, in the words that they use."""

import pandas as pd
import pytest

from cellmark.schemas.genes.declared_organism import declared_organism, organism_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Homo sapiens", "human"),
        ("homo_sapiens", "human"),
        ("human (Homo sapiens)", "human"),
        ("Human", "human"),
        ("NCBITaxon:9606", "human"),
        ("hsapiens", "human"),
        ("Mus musculus", "mouse"),
        ("NCBITaxon:10090", "mouse"),
        ("mouse brain", "mouse"),
        ("Rattus norvegicus", "rat"),
        ("Danio rerio", "zebrafish"),
        ("PBMC", None),
        ("unknown", None),
        ("", None),
        (None, None),
    ],
)
def test_species_have_one_name(text: str | None, name: str | None) -> None:
    assert organism_name(text) == name


def test_a_file_may_say_it_in_uns_or_obs() -> None:
    nothing = pd.DataFrame(index=["a", "b"])
    assert declared_organism({"organism": "Mus musculus"}, nothing) == ("mouse", "uns['organism']")
    column = pd.DataFrame({"organism_ontology_term_id": pd.Categorical(["NCBITaxon:9606"] * 2)})
    assert declared_organism({}, column) == ("human", "obs['organism_ontology_term_id']")
    two = pd.DataFrame({"organism": ["Homo sapiens", "Mus musculus"]})
    assert declared_organism({}, two) == ("human, mouse", "obs['organism']")
    assert declared_organism({"organism": 3}, nothing) is None
