"""The manifest's section on the Cell Ontology: terms above the model's types, and coarse calls made with them."""

from collections.abc import Sequence

import numpy as np
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


def coarse_members(cell_types: Sequence[str], terms: Sequence[OntologyTerm]) -> np.ndarray:
    """The types that each choice holds, float32, types x (types + terms): every type by itself, then the terms."""
    members = np.zeros((len(cell_types), len(cell_types) + len(terms)), dtype=np.float32)
    np.fill_diagonal(members, 1)
    places = {name: place for place, name in enumerate(cell_types)}
    for number, term in enumerate(terms, start=len(cell_types)):
        members[[places[name] for name in term.cell_types], number] = 1
    return members


def coarse_calls(probabilities: np.ndarray, members: np.ndarray, at_least: float) -> tuple[np.ndarray, np.ndarray]:
    """Number of the first choice that is sure, int32 [cells], -1 where none is; its summed probability, float32
    [cells], NaN there.

    `probabilities`: cells x types; `members`: as of `coarse_members`; `at_least`: the sum that is sure.
    """
    sums = probabilities @ members
    sure = sums >= at_least
    first = sure.argmax(axis=1)
    found = np.take_along_axis(sums, first[:, None], axis=1)[:, 0]
    some = sure.any(axis=1)
    return np.where(some, first, -1).astype(np.int32), np.where(some, found, np.nan).astype(np.float32)
