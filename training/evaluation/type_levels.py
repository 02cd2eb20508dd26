"""Levels above a model's types, as the manifest has them: of columns of the data, or of terms of the Cell Ontology."""

from collections.abc import Mapping, Sequence

from cellmark.schemas.checks.check_levels import Level
from cellmark.schemas.errors import Finding, ParameterError
from cellmark.schemas.manifest.manifest_levels import LevelEntry, LevelGroup, LevelsEntry
from cellmark.schemas.manifest.manifest_ontology import OntologyTerm

from .cell_ontology import CellOntology, common_terms


def levels_of_columns(
    levels: Sequence[Level], cell_types: Sequence[str]
) -> tuple[LevelsEntry | None, tuple[Finding, ...]]:
    """The levels of the types that training kept, None where no level says anything of them; and which those are."""
    kept, omitted = [], []
    for level in levels:
        held: dict[str, list[str]] = {}
        for name in cell_types:
            held.setdefault(level.of_type[name], []).append(name)
        groups = [LevelGroup(name=name, cell_types=names) for name, names in held.items()]
        if 1 < len(groups) < len(cell_types):
            kept.append(LevelEntry(name=level.column, groups=groups))
        else:
            omitted.append(level.column)
    notes = [
        Finding(
            "LEVELS_INVALID",
            where=f"obs[{column!r}]",
            expected="names that several of the model's types share, and at least two",
            found="none, without the types that were removed",
            remedy="This level is omitted. Lower --min-cells to keep those types.",
            severity="warning",
        )
        for column in omitted
    ]
    return LevelsEntry(source="columns", levels=kept) if kept else None, tuple(notes)


def levels_of_ontology(
    cell_types: Sequence[str], terms: Mapping[str, str | None], ontology: CellOntology
) -> LevelsEntry:
    """Levels of a tree of the terms above the types: the first has the largest terms of the tree, each further one the
    largest terms below those. A type below no (further) term stands by itself.

    Terms overlap, and a tree has not room for all: those that divide the types most evenly are taken first, as they
    say most of a type. Raises `ParameterError` where no term says anything.
    """
    tree: list[OntologyTerm] = []
    n_mapped = sum(terms.get(name) is not None for name in cell_types)
    common = common_terms(cell_types, terms, ontology)
    for term in sorted(common, key=lambda term: abs(len(term.cell_types) - n_mapped / 2)):
        held, others = set(term.cell_types), [set(one.cell_types) for one in tree]
        # All types but one would make a first level that says next to nothing.
        if tree and len(held) == n_mapped - 1:
            continue
        if all(held < other or held > other or held.isdisjoint(other) for other in others):
            tree.append(term)
    if not tree:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="levels",
            expected="terms above some of the types, and not above all",
            found="none",
            remedy="Give more labels a term in the file of --ontology, or name columns of obs in place of `ontology`.",
        )
    tree.sort(key=lambda term: -len(term.cell_types))
    above = {name: [term for term in tree if name in term.cell_types] for name in cell_types}
    depth = max(map(len, above.values()))
    levels = [_level(number, cell_types, terms, above) for number in range(depth)]
    return LevelsEntry(source="ontology", levels=levels)


def _level(
    number: int,
    cell_types: Sequence[str],
    terms: Mapping[str, str | None],
    above: Mapping[str, list[OntologyTerm]],
) -> LevelEntry:
    held: dict[tuple[str, str | None], list[str]] = {}
    for name in cell_types:
        of = above[name]
        key = (of[number].name, of[number].ontology_id) if number < len(of) else (name, terms.get(name))
        held.setdefault(key, []).append(name)
    taken = [name for name, _ in held]
    return LevelEntry(
        name=f"ontology {number + 1}",
        groups=[
            # A label may be called as a term that it was not mapped to.
            LevelGroup(
                name=f"{name} ({term})" if taken.count(name) > 1 and term else name, cell_types=names, ontology_id=term
            )
            for (name, term), names in held.items()
        ],
    )
