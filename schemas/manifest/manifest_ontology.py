"""The manifest's section on the Cell Ontology: terms above the model's types, so that serving needs no ontology."""

from pydantic import Field

from .manifest_section import Section


class OntologyTerm(Section):
    """A term above several of the model's types. `cell_types`: those that it is or lies above."""

    ontology_id: str = Field(pattern=r"^CL:\d{7}$")
    name: str = Field(min_length=1)
    cell_types: list[str] = Field(min_length=2)


class OntologyEntry(Section):
    """`terms`: the most specific first; those that lie above all types of the model say nothing and are left out.

    A call is brought to the first type or term whose types' probabilities sum to `probability`. `accuracy`: how often a
    cell's label was below its coarse call, on held-out folds, `share_called`: of how many of their cells there was one;
    None where no fold could be judged.
    """

    version: str
    probability: float
    terms: list[OntologyTerm]
    accuracy: float | None = None
    share_called: float | None = None
