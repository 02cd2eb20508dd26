"""Names of labels: spelled in several ways, with hidden characters, saying nothing, or reserved."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..errors import Finding
from ..near_names import given_as
from .label_text import as_meant, as_seen, has_hidden, shown, without_spaces

UNASSIGNED = "unassigned"
SEPARATOR = " | "
"""The answer of a cell that is not called, and what joins several types in one answer: no label may be or hold them."""
MISSING_WORDS = frozenset({"nan", "none", "na", "n/a", "<na>", "null", "nat", "missing", "-", "?"})
"""Missing labels that were turned into text, by `str` or by a spreadsheet."""
PLACEHOLDERS = frozenset(
    {
        "unknown",
        "unk",
        "undefined",
        "undetermined",
        "unclassified",
        "unannotated",
        "unlabeled",
        "unlabelled",
        "unclear",
        "not assigned",
        "ambiguous",
        "mixed",
        "other",
        "others",
        "doublet",
        "doublets",
        "multiplet",
        "multiplets",
        "low quality",
        "low-quality",
        "lowquality",
        "debris",
        "ambient",
        "empty",
        "empty droplet",
        "empty droplets",
        "contamination",
        "filtered",
        "removed",
        "tbd",
        "todo",
        "to do",
    }
)
"""Names for cells that nobody has named: learned as a type, they would be answered as one."""
NUMBER = re.compile(r"(cluster|leiden|louvain)?[\s_.:#-]*\d+(\.0+)?", re.IGNORECASE)
"""A cluster's number in place of a name, or a factor's level that a conversion from R left of it."""
N_EXAMPLES = 5
MOST_LABELS = 10_000
"""With more labels than this their spelling is not looked at: they are no cell types."""


@dataclass(frozen=True)
class LabelNames:
    """The distinct labels of a column, sorted, and the cells of each. `names`: str [labels]; `sizes`: int [labels]."""

    names: tuple[str, ...]
    sizes: np.ndarray
    _places: dict[str, int] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._places.update({name: place for place, name in enumerate(self.names)})

    @classmethod
    def of(cls, values: pd.Series) -> "LabelNames":
        names, codes = numbered(values)
        return cls(names, np.bincount(codes[codes >= 0], minlength=len(names)))

    def size(self, name: str) -> int:
        return int(self.sizes[self._places[name]])


def numbered(values: pd.Series) -> tuple[tuple[str, ...], np.ndarray]:
    """The distinct values as text, sorted, and the number of each cell's, int [cells], -1 for none or only spaces."""
    codes, distinct = pd.factorize(values)
    texts = [str(value) for value in distinct]
    names = sorted({text for text in texts if text.strip()})
    place = {name: number for number, name in enumerate(names)}
    # The last one is for what is missing, which factorize numbers -1.
    numbers = np.array([*(place.get(text, -1) for text in texts), -1], dtype=np.int64)
    return tuple(names), numbers[codes]


def name_findings(labels: LabelNames, where: str) -> tuple[Finding, ...]:
    """Labels that are written in several ways, that hide a character, that say nothing, or that are ours."""
    if len(labels.names) > MOST_LABELS:
        return ()
    return (
        *_twins(labels, where),
        *_hidden(labels, where),
        *_placeholders(labels, where),
        *_reserved(labels, where),
    )


TWINS = (
    ("LABEL_SPACES", without_spaces, "differ in spaces alone"),
    ("LABEL_LOOKALIKES", as_seen, "look alike and are not the same characters"),
    ("LABEL_CASE_TWINS", as_meant, "differ in case or underscores alone"),
)
"""Code, key and words of each way in which one type is written twice; a pair is reported by the first that joins it."""


def _twins(labels: LabelNames, where: str) -> Iterable[Finding]:
    """The errors of types that are written in several ways: the model would learn each as a type of its own."""
    told = list(labels.names)
    for code, key, how in TWINS:
        groups: dict[str, list[str]] = {}
        for name in told:
            groups.setdefault(key(name), []).append(name)
        twins = [sorted(names, key=lambda name: -labels.size(name)) for names in groups.values() if len(names) > 1]
        if not twins:
            continue
        mended = {name: names[0] for names in twins for name in names[1:]}
        # The most frequent of labels that were found to be one stands for them.
        told = [name for name in told if name not in mended]
        pairs = ", ".join(f"{old!a}: {new!a}" for old, new in list(mended.items())[:N_EXAMPLES])
        yield Finding(
            code,
            where=where,
            expected="one spelling of each cell type",
            found=f"{len(twins)} written in several ways: labels that {how}",
            remedy=f"Give them one name: adata.{where} = adata.{where}.astype(str).replace({{{pairs}}})"
            + (" and so on." if len(mended) > N_EXAMPLES else "."),
            examples=tuple(" = ".join(map(shown, names)) for names in twins[:N_EXAMPLES]),
        )


def _hidden(labels: LabelNames, where: str) -> Iterable[Finding]:
    """Warnings of labels that are alone, but would not be found by who types what they see."""
    written = Counter(as_meant(name) for name in labels.names)
    alone = [name for name in labels.names if written[as_meant(name)] == 1]
    spaced = [name for name in alone if name != without_spaces(name)]
    hidden = [name for name in alone if has_hidden(name)]
    if spaced:
        yield Finding(
            "LABEL_SPACES",
            where=where,
            expected="labels without stray spaces",
            found=f"{len(spaced)} with spaces at an end or in a row",
            remedy=f"Remove them: adata.{where} = adata.{where}.astype(str).str.split().str.join(' ').",
            severity="warning",
            examples=tuple(map(shown, spaced[:N_EXAMPLES])),
        )
    if hidden:
        pairs = ", ".join(f"{name!a}: {as_seen(name)!a}" for name in hidden[:N_EXAMPLES])
        yield Finding(
            "LABEL_LOOKALIKES",
            where=where,
            expected="labels of the characters that they show",
            found=f"{len(hidden)} with invisible characters, spaces of another kind or letters of another alphabet",
            remedy=f"Write them plainly: adata.{where} = adata.{where}.astype(str).replace({{{pairs}}}).",
            severity="warning",
            examples=tuple(map(shown, hidden[:N_EXAMPLES])),
        )


def _placeholders(labels: LabelNames, where: str) -> Iterable[Finding]:
    words = {name: as_meant(name) for name in labels.names}
    no_label = [name for name, word in words.items() if word in MISSING_WORDS]
    no_type = [name for name, word in words.items() if word in PLACEHOLDERS]
    drop = f"Take these cells out: adata = adata[~adata.{where}.isin([{{}}])]"
    if no_label:
        yield Finding(
            "LABEL_PLACEHOLDER",
            where=where,
            expected="names of cell types",
            found=_sized("no label, as text", labels, no_label),
            remedy=drop.format(", ".join(map(ascii, no_label[:N_EXAMPLES]))) + ".",
            examples=tuple(map(shown, no_label[:N_EXAMPLES])),
        )
    if no_type:
        yield Finding(
            "LABEL_PLACEHOLDER",
            where=where,
            expected="names of cell types",
            found=_sized("no type", labels, no_type),
            remedy=drop.format(", ".join(map(ascii, no_type[:N_EXAMPLES])))
            + "; else the model learns them as a type and answers with it.",
            severity="warning",
            examples=tuple(map(shown, no_type[:N_EXAMPLES])),
        )


def number_findings(labels: LabelNames, where: str, others: Sequence[str]) -> Iterable[Finding]:
    """The warning of labels that are numbers. `others`: columns that may have the names."""
    numbers = [name for name in labels.names if is_number(name)]
    if not numbers:
        return
    pairs = ", ".join(f"{name!a}: '...'" for name in numbers[:2])
    yield Finding(
        "LABEL_PLACEHOLDER",
        where=where,
        expected="names of cell types",
        found=_sized("no type but a number", labels, numbers),
        remedy=(
            f"Name the column of names: {given_as('--label', others)}."
            if others
            else f"Put the names back: adata.{where} = adata.{where}.astype(str).replace({{{pairs}}}) and so on."
        )
        + " The model would answer with these numbers. Conversions from R leave numbers where a factor had names.",
        severity="warning",
        examples=tuple(map(shown, numbers[:N_EXAMPLES])),
    )


def is_number(name: str) -> bool:
    """Whether a label is a bare number, or that of a cluster."""
    return NUMBER.fullmatch(name.strip()) is not None


def _sized(what: str, labels: LabelNames, names: list[str]) -> str:
    n_cells = sum(labels.size(name) for name in names)
    return f"{len(names)} that say {what}, on {n_cells} cells"


def _reserved(labels: LabelNames, where: str) -> Iterable[Finding]:
    ours = [name for name in labels.names if as_meant(name) == UNASSIGNED or SEPARATOR in name]
    if ours:
        yield Finding(
            "LABEL_RESERVED",
            where=where,
            expected=f"no label {UNASSIGNED!r}, which is the answer for a cell that is not called, and none "
            f"with {SEPARATOR!r}, "
            "which joins the types of a set",
            found=f"{len(ours)} such labels",
            remedy=f"Remove the cells without a type, adata = adata[adata.{where} != {ours[0]!a}], or rename the type.",
            examples=tuple(map(shown, ours[:N_EXAMPLES])),
        )
