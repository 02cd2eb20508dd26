"""Terms of the Cell Ontology for labels, by name and by synonym; nothing is settled by luck."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from .cell_ontology import CellOntology


@dataclass(frozen=True)
class Suggestion:
    """`match`: `name`, `synonym`, `none`, or `ambiguous`: several terms have it, or a single word is a synonym of one;
    none is taken. `candidates`: the terms that were found, as `CL:0000084 T cell`.
    """

    label: str
    ontology_id: str | None
    name: str | None
    match: str
    candidates: tuple[str, ...] = ()


def suggest_terms(labels: Sequence[str], ontology: CellOntology) -> list[Suggestion]:
    """One suggestion for each label, in order. A term's own name goes before synonyms.

    Names are compared without case, underscores, hyphens and plurals, and with `cell` added where a label lacks it:
    `CD4_T` is not `CD4-positive T cell`, but `NK cells` is `NK cell`, a synonym of `natural killer cell`.
    """
    by_name: dict[str, set[str]] = defaultdict(set)
    by_synonym: dict[str, set[str]] = defaultdict(set)
    for term, name, is_own in ontology.names():
        (by_name if is_own else by_synonym)[plain(name)].add(term)
    return [_suggest(label, ontology, by_name, by_synonym) for label in labels]


def plain(name: str) -> str:
    """A name without what people spell differently: case, underscores, hyphens, plurals, `+` for `positive`."""
    words = re.sub(r"[\s_\-]+", " ", re.sub(r"(?<=\w)\+", " positive ", name.casefold())).strip()
    return re.sub(r"(?<=[^s\W])s$", "", words)


def _suggest(
    label: str, ontology: CellOntology, by_name: dict[str, set[str]], by_synonym: dict[str, set[str]]
) -> Suggestion:
    spelled = plain(label)
    for names, match in ((by_name, "name"), (by_synonym, "synonym")):
        for wanted in (spelled, f"{spelled} cell"):
            found = sorted(names.get(wanted, ()))
            told = tuple(f"{term} {ontology.name(term)}" for term in found)
            # `alpha` is a synonym of one kind of ganglion cell, and of islets people mean another.
            sure = match == "name" or " " in spelled
            if len(found) == 1 and sure:
                return Suggestion(label, found[0], ontology.name(found[0]), match, told)
            if found:
                return Suggestion(label, None, None, "ambiguous", told)
    return Suggestion(label, None, None, "none")
