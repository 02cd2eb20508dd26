"""Labels that are coarser than the model's types: a call of a type below the label counts as right.

The usual rule where data sets are labelled in different detail (scTab, Fischer et al. 2024,
doi:10.1038/s41467-024-51059-5): the call agrees with the label as far as that goes. A call above the label is wrong.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from cellmark.schemas.manifest.manifest_levels import LevelsEntry

from .cell_ontology import CellOntology
from .evaluate import evaluate

NO_NAMES: Mapping[str, frozenset[str]] = MappingProxyType({})


def types_below_names(
    cell_types: Sequence[str],
    levels: LevelsEntry | None,
    terms: Mapping[str, str | None],
    ontology: CellOntology | None,
) -> dict[str, frozenset[str]]:
    """Names that are not types and lie above some types, though not above all, with these: groups of levels, and terms
    of the Cell Ontology by name and id.
    """
    found: dict[str, set[str]] = {}
    for level in levels.levels if levels is not None else ():
        for group in level.groups:
            found.setdefault(group.name, set()).update(group.cell_types)
    for name in cell_types:
        term = terms.get(name)
        for above in (term, *ontology.ancestors(term)) if term is not None and ontology is not None else ():
            for called in (above, ontology.name(above)):  # type: ignore[union-attr]
                found.setdefault(called, set()).add(name)
    return {
        name: frozenset(types)
        for name, types in found.items()
        if name not in cell_types and len(types) < len(cell_types)
    }


def with_credit(
    labels: np.ndarray,
    calls: np.ndarray,
    cell_types: Sequence[str],
    label_map: Mapping[str, str],
    types_below: Mapping[str, frozenset[str]],
) -> dict[str, Any]:
    """Numbers of cells, accuracy and macro-F1 over the labels; empty where no label lies above types.

    `labels`: str [cells], mapped by `label_map`; `calls`: int [cells], numbers of `cell_types`. A call of a type that
    is of the label's name, mapped so, or below it, is taken as the label; any other as what it is.
    """
    present = np.unique(labels).tolist()
    if not any(name in types_below for name in present):
        return {}
    named = [label_map.get(name, name) for name in cell_types]
    names = list(dict.fromkeys([*named, *(name for name in present if name in types_below)]))
    numbers = {name: number for number, name in enumerate(names)}
    codes = np.array([numbers.get(label, -1) for label in labels.tolist()], dtype=int)
    right = np.zeros((len(names), len(cell_types)), dtype=bool)
    for place, (name, mapped) in enumerate(zip(cell_types, named, strict=True)):
        right[[numbers[mapped], *(numbers[one] for one in present if name in types_below.get(one, ()))], place] = True
    called = np.array([numbers[name] for name in named], dtype=int)[calls]
    credited = np.where((codes >= 0) & right[codes, calls], codes, called)
    found = evaluate(codes, credited, names)
    return {name: found[name] for name in ("n_cells", "n_unknown_cells", "accuracy", "macro_f1")}
