"""The Cell Ontology: terms and synonyms, terms suggested for labels, and the manifest's section of a checked map."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cellmark.schemas.errors import Finding, ParameterError, SetupError
from cellmark.schemas.manifest.manifest import CellTypeEntry
from cellmark.schemas.manifest.manifest_ontology import OntologyEntry, OntologyTerm, coarse_calls, coarse_members

from .calibration_section import cross_calibrated
from .out_of_fold import OutOfFold

INSTALL = "pip install 'cellmark[ontology]'"


class CellOntology:
    """Lookup in one version of the Cell Ontology. Raises `SetupError` (`EXTRA_MISSING`) where it is not installed."""

    def __init__(self) -> None:
        try:
            from cellxgene_ontology_guide.ontology_parser import OntologyParser
        except ImportError:
            raise SetupError.of(
                "EXTRA_MISSING",
                where="ontology",
                expected="the ontology extra",
                found="no cellxgene-ontology-guide",
                remedy=f"Install it: {INSTALL}",
            ) from None
        schema = OntologyParser().cxg_schema
        self._terms: dict[str, dict[str, Any]] = schema.ontology("CL")
        self.version = str(schema.supported_ontologies["CL"]["version"])

    def __contains__(self, term: str) -> bool:
        return term in self._terms

    def name(self, term: str) -> str:
        return str(self._terms[term]["label"])

    def is_deprecated(self, term: str) -> bool:
        return bool(self._terms[term].get("deprecated", False))

    def replacement(self, term: str) -> str | None:
        """The term to take in place of a deprecated one, where the ontology names it."""
        found = self._terms[term].get("replaced_by")
        return None if found is None else str(found)

    def ancestors(self, term: str) -> list[str]:
        """Terms above, the nearest first; of equally near ones by id."""
        distances: dict[str, int] = self._terms[term]["ancestors"]
        return [name for name, _ in sorted(distances.items(), key=lambda one: (one[1], one[0])) if name in self._terms]

    def names(self) -> Iterable[tuple[str, str, bool]]:
        """Term, name and whether it is the term's own name or a synonym; terms in use alone."""
        for term, facts in self._terms.items():
            if facts.get("deprecated"):
                continue
            yield term, str(facts["label"]), True
            for synonym in facts.get("synonyms", ()):
                yield term, str(synonym), False


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


COLUMNS = ("label", "ontology_id")
SURE = 0.95
"""Summed probability from which a type or term is called."""


def read_ontology_map(path: Path, ontology: CellOntology) -> dict[str, str | None]:
    """A table with the columns `label` and `ontology_id` (CSV, UTF-8; others are for people). An empty id: none.

    Raises `ParameterError` with all that is wrong in it: ids that are no terms, or deprecated ones, and labels that
    stand there twice.
    """
    found: dict[str, str | None] = {}
    wrong: list[Finding] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                given = ", ".join(reader.fieldnames or ()) or "none"
                raise ParameterError(_finding("the columns label and ontology_id", given))
            for number, row in enumerate(reader, start=2):
                label, term = ((row[column] or "").strip() for column in COLUMNS)
                if not label:
                    wrong.append(_finding("a label in each row", f"line {number} without one"))
                elif label in found:
                    wrong.append(_finding("each label once", f"{label!r} again in line {number}"))
                elif term and term not in ontology:
                    wrong.append(
                        _finding(
                            "terms of the Cell Ontology, such as CL:0000084", f"{term!r} for {label!r} in line {number}"
                        )
                    )
                elif term and ontology.is_deprecated(term):
                    instead = ontology.replacement(term)
                    wrong.append(
                        _finding(
                            f"terms in use; take {instead}" if instead else "terms in use",
                            f"{term} for {label!r}, which is deprecated",
                        )
                    )
                found.setdefault(label, term or None)
    except OSError as error:
        raise ParameterError(_finding("a file that can be read", error.strerror or str(error))) from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise ParameterError(_finding("a table in CSV, UTF-8", str(error))) from None
    if wrong:
        raise ParameterError(*wrong)
    return found


def unmapped_notes(cell_types: Sequence[str], terms: Mapping[str, str | None]) -> list[Finding]:
    """What people should know of a map: types that it gives no term, and labels that the data do not have."""
    without = [name for name in cell_types if terms.get(name) is None]
    unused = sorted(set(terms) - set(cell_types))
    notes = []
    if without:
        notes.append(
            Finding(
                "ONTOLOGY_INCOMPLETE",
                where="ontology",
                expected="a term for every type",
                found="1 type without" if len(without) == 1 else f"{len(without)} types without",
                remedy="They stay, marked by an empty id, and enter no coarse call but their own.",
                severity="info",
                examples=tuple(without[:5]),
            )
        )
    if unused:
        notes.append(
            Finding(
                "ONTOLOGY_INCOMPLETE",
                where="ontology",
                expected="labels of the data",
                found=f"{len(unused)} others",
                remedy="Check their spelling.",
                severity="warning",
                examples=tuple(unused[:5]),
            )
        )
    return notes


def type_entries(
    cell_types: Sequence[str], terms: Mapping[str, str | None], ontology: CellOntology | None
) -> list[dict[str, Any]]:
    """As `CellTypeEntry`, in order. Ancestors: ids, the nearest first; None for a type without a term."""
    entries: list[dict[str, Any]] = []
    for name in cell_types:
        term = terms.get(name)
        entry: dict[str, Any] = {"name": name, "ontology_id": term, "ancestors": None}
        if term is not None and ontology is not None:
            above = ontology.ancestors(term)
            names = {"ontology_name": ontology.name(term), "ancestor_names": [ontology.name(one) for one in above]}
            entry |= {"ancestors": above, **names}
        entries.append(CellTypeEntry.model_validate(entry).model_dump())
    return entries


def common_terms(
    cell_types: Sequence[str], terms: Mapping[str, str | None], ontology: CellOntology
) -> list[OntologyTerm]:
    """Terms that are or lie above two or more types and not above all that have a term, the most specific first.

    Of terms above the same types the one with the most terms above itself stands for all: it says most.
    """
    n_mapped = sum(terms.get(name) is not None for name in cell_types)
    holds: dict[str, list[str]] = {}
    for name in cell_types:
        term = terms.get(name)
        for above in (term, *ontology.ancestors(term)) if term is not None else ():
            holds.setdefault(above, []).append(name)
    nearest: dict[tuple[str, ...], str] = {}
    for term, names in holds.items():
        if not 2 <= len(names) < n_mapped:
            continue
        other = nearest.get(tuple(names))
        if other is None or _depth(term, ontology) > _depth(other, ontology):
            nearest[tuple(names)] = term
    ordered = sorted(nearest.items(), key=lambda one: (len(one[0]), -len(ontology.ancestors(one[1])), one[1]))
    return [OntologyTerm(ontology_id=term, name=ontology.name(term), cell_types=list(names)) for names, term in ordered]


def ontology_section(
    held_out: OutOfFold,
    codes: np.ndarray,
    cell_types: Sequence[str],
    terms: Mapping[str, str | None],
    ontology: CellOntology,
) -> dict[str, Any]:
    """As `OntologyEntry`, with how often coarse calls hold on folds, each with the temperature of the others."""
    common = common_terms(cell_types, terms, ontology)
    section: dict[str, Any] = {"version": ontology.version, "probability": SURE, "terms": common}
    cells = held_out.judged(codes)
    if len(cells):
        members = coarse_members(cell_types, common)
        numbers, _ = coarse_calls(cross_calibrated(held_out, codes, cells), members, SURE)
        called = numbers >= 0
        section["share_called"] = float(called.mean())
        if called.any():
            section["accuracy"] = float(members[codes[cells][called], numbers[called]].mean())
    return OntologyEntry.model_validate(section).model_dump(mode="json")


def _depth(term: str, ontology: CellOntology) -> tuple[int, str]:
    return len(ontology.ancestors(term)), term


def _finding(expected: str, found: str) -> Finding:
    return Finding(
        "PARAMETER_INVALID",
        where="ontology",
        expected=expected,
        found=found,
        remedy="Write one with `cellmark ontology DATA --label COLUMN -o map.csv` and edit it.",
    )
