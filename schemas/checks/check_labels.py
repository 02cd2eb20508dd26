"""What is wrong with the labels of training cells; every finding of a column at once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..errors import Finding
from .label_text import as_meant, as_seen, brief, has_hidden, shown, without_spaces
from .likely_columns import columns_in_words, likely_labels

UNASSIGNED = "unassigned"
SEPARATOR = " | "
"""The answer of a cell that is not called, and what joins several types in one answer: no label may be or hold them."""
MISSING_WORDS = frozenset({"nan", "none", "na", "n/a", "<na>", "null", "nat", "missing", "-", "?"})
"""Missing labels that were turned into text, by `str` or by a spreadsheet."""
PLACEHOLDERS = frozenset(
    {"unknown", "unk", "undefined", "undetermined", "unclassified", "unannotated", "unlabeled", "unlabelled", "unclear",
     "not assigned", "ambiguous", "mixed", "other", "others", "doublet", "doublets", "multiplet", "multiplets",
     "low quality", "low-quality", "lowquality", "debris", "ambient", "empty", "empty droplet", "empty droplets",
     "contamination", "filtered", "removed", "tbd", "todo", "to do"}
)  # fmt: skip
"""Names for cells that nobody has named: learned as a type, they would be answered as one."""
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


def label_findings(obs: pd.DataFrame, label: str, *, min_cells: int) -> tuple[Finding, ...]:
    """All that is to be said of a column of labels. `min_cells`: the floor below which a type is left out."""
    found = label_column_findings(obs, label)
    if any(finding.code == "LABEL_COLUMN_UNKNOWN" for finding in found):
        return found
    where = f"obs[{label!r}]"
    values = obs[label]
    known = LabelNames.of(values)
    return (*found, *name_findings(known, where), *size_findings(known, label, min_cells=min_cells))


def label_column_findings(obs: pd.DataFrame, label: str) -> tuple[Finding, ...]:
    """A column that is not there, or that lacks labels."""
    if label not in obs.columns:
        likely = likely_labels(obs, label)
        return (
            Finding("LABEL_COLUMN_UNKNOWN", "label", "a column of obs",
                    f"{label!r}, where obs has {columns_in_words(obs)}",
                    f"Name the column of cell types: --label {' or --label '.join(map(repr, likely))}." if likely else
                    "Name the column of cell types with --label; none of these looks like one."),
        )  # fmt: skip
    if isinstance(obs[label], pd.DataFrame):
        return (
            Finding("LABEL_COLUMN_UNKNOWN", "label", "one column of obs", f"several called {label!r}",
                    "Remove all but one of them from obs."),
        )  # fmt: skip
    missing = missing_labels(obs[label])
    if not missing.any():
        return ()
    column = f"adata.obs[{label!r}]"
    has_label = f"{column}.notna()" if obs[label].isna().any() else f"{column}.astype(str).str.strip() != ''"
    return (
        Finding("LABEL_MISSING", f"obs[{label!r}]", "a label for every cell", f"{int(missing.sum())} cells without",
                f"Remove these cells before training: adata = adata[{has_label}].",
                "error", tuple(map(str, obs.index[missing][:N_EXAMPLES]))),
    )  # fmt: skip


def missing_labels(values: pd.Series) -> np.ndarray:
    """Bool [cells]: no label, or one of nothing but spaces."""
    return np.asarray(numbered(values)[1] < 0)


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


def size_findings(labels: LabelNames, label: str, *, min_cells: int) -> tuple[Finding, ...]:
    """Types below the floor, or fewer than two above it."""
    kept = labels.sizes >= min_cells
    if not len(kept):
        return ()  # that no cell has a label was said already
    if kept.sum() < 2:
        listed = ", ".join(f"{brief(name)} ({size})" for name, size in _listed(labels.names[:10], labels.sizes[:10]))
        more = f" and {len(labels.names) - 10} more" if len(labels.names) > 10 else ""
        return (
            Finding("LABEL_ONE_CLASS", f"obs[{label!r}]", f"at least two cell types with {min_cells} cells or more",
                    listed + more, "Name another column with --label, or lower --min-cells."),
        )  # fmt: skip
    if kept.all():
        return ()
    small = [(name, size) for (name, size), is_kept in zip(_listed(labels.names, labels.sizes), kept, strict=True)
             if not is_kept]  # fmt: skip
    return (
        Finding("CELL_TYPES_DROPPED", "label", f"at least {min_cells} cells of a type",
                ", ".join(f"{brief(name)} ({size})" for name, size in small[:50])
                + (f" and {len(small) - 50} more" if len(small) > 50 else ""),
                "These types were removed. Lower --min-cells to keep them.", "warning"),
    )  # fmt: skip


def _listed(names: Sequence[str], sizes: np.ndarray) -> Iterable[tuple[str, int]]:
    return ((name, int(size)) for name, size in zip(names, sizes, strict=True))


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
        # Of labels that were told to be one, the commonest stands for them.
        told = [name for name in told if name not in mended]
        pairs = ", ".join(f"{old!a}: {new!a}" for old, new in list(mended.items())[:N_EXAMPLES])
        yield Finding(
            code,
            where,
            "one spelling of each cell type",
            f"{len(twins)} written in several ways: labels that {how}",
            f"Give them one name: adata.{where} = adata.{where}.astype(str).replace({{{pairs}}})"
            + (" and so on." if len(mended) > N_EXAMPLES else "."),
            "error",
            tuple(" = ".join(map(shown, names)) for names in twins[:N_EXAMPLES]),
        )


def _hidden(labels: LabelNames, where: str) -> Iterable[Finding]:
    """Warnings of labels that are alone, but would not be found by who types what they see."""
    written = Counter(as_meant(name) for name in labels.names)
    alone = [name for name in labels.names if written[as_meant(name)] == 1]
    spaced = [name for name in alone if name != without_spaces(name)]
    hidden = [name for name in alone if has_hidden(name)]
    if spaced:
        yield Finding(
            "LABEL_SPACES", where, "labels without stray spaces", f"{len(spaced)} with spaces at an end or in a row",
            f"Remove them: adata.{where} = adata.{where}.astype(str).str.split().str.join(' ').", "warning",
            tuple(map(shown, spaced[:N_EXAMPLES])),
        )  # fmt: skip
    if hidden:
        pairs = ", ".join(f"{name!a}: {as_seen(name)!a}" for name in hidden[:N_EXAMPLES])
        yield Finding(
            "LABEL_LOOKALIKES", where, "labels of the characters that they show",
            f"{len(hidden)} with invisible characters, spaces of another kind or letters of another alphabet",
            f"Write them plainly: adata.{where} = adata.{where}.astype(str).replace({{{pairs}}}).", "warning",
            tuple(map(shown, hidden[:N_EXAMPLES])),
        )  # fmt: skip


def _placeholders(labels: LabelNames, where: str) -> Iterable[Finding]:
    words = {name: as_meant(name) for name in labels.names}
    no_label = [name for name, word in words.items() if word in MISSING_WORDS]
    no_type = [name for name, word in words.items() if word in PLACEHOLDERS]
    drop = f"Take these cells out: adata = adata[~adata.{where}.isin([{{}}])]"
    if no_label:
        yield Finding(
            "LABEL_PLACEHOLDER", where, "names of cell types", _sized("no label, as text", labels, no_label),
            drop.format(", ".join(map(ascii, no_label[:N_EXAMPLES]))) + ".", "error",
            tuple(map(shown, no_label[:N_EXAMPLES])),
        )  # fmt: skip
    if no_type:
        yield Finding(
            "LABEL_PLACEHOLDER", where, "names of cell types", _sized("no type", labels, no_type),
            drop.format(", ".join(map(ascii, no_type[:N_EXAMPLES])))
            + "; else the model learns them as a type and answers with it.", "warning",
            tuple(map(shown, no_type[:N_EXAMPLES])),
        )  # fmt: skip


def _sized(what: str, labels: LabelNames, names: list[str]) -> str:
    n_cells = sum(labels.size(name) for name in names)
    return f"{len(names)} that say {what}, on {n_cells} cells"


def _reserved(labels: LabelNames, where: str) -> Iterable[Finding]:
    ours = [name for name in labels.names if as_meant(name) == UNASSIGNED or SEPARATOR in name]
    if ours:
        yield Finding(
            "LABEL_RESERVED",
            where,
            f"no label {UNASSIGNED!r}, which is the answer for a cell that is not called, and none with {SEPARATOR!r}, "
            "which joins the types of a set",
            f"{len(ours)} such labels",
            f"Remove the cells without a type, adata = adata[adata.{where} != {ours[0]!a}], or rename the type.",
            "error",
            tuple(map(shown, ours[:N_EXAMPLES])),
        )
