"""Columns of `obs` that may hold cell types or donors, by their names and their values."""

import difflib
import re

import numpy as np
import pandas as pd

from ..near_names import near_names, plain_name
from .label_text import brief

LABEL_NAME = re.compile(
    r"cell_?types?|cell_?class|annot|label|identit|subclass|subtype|lineage|population|leiden|louvain|cluster"
)
CLUSTER_NAME = re.compile(r"leiden|louvain|cluster")
DONOR_NAME = re.compile(r"donor|patient|subject|individual|participant|person|mouse_?id|sample|batch|orig_ident|plate")
TOTAL_NAME = re.compile(
    r"(total|n|sum|num)_?(counts?|umis?|umi_counts?|transcripts)(_rna|_all|_total)?|lib(rary)?_?sizes?"
    r"|umis?|umi_counts?|total|sum"
)
"""What scanpy, Seurat, scater and Cell Ranger's readers call each cell's total count."""
TYPE_WORD = re.compile(
    r"\bcells?\b|cyte|blast|phage|phil\b|neuron|neural|glia|lympho|mono\b|killer|\b[TB]\b|\bNK\b|\bDC\b|dendritic"
    r"|stem|progenitor|epithel|endothel|mesenchym|stroma|muscle|acinar|ductal|\b(alpha|beta|gamma|delta|epsilon)\b"
    r"|\bCD\d+",
    re.IGNORECASE,
)
MOST_TYPES = 500
MOST_OF_CELLS = 1 / 3
"""A column with more values than this share of the cells numbers cells, not types."""
ENOUGH_TYPES = 0.3
N_LIKELY = 3
N_LOOKED_AT = 200
LIKELY_CLOSE, LIKELY_CONTENT, LIKELY_NAME = 4, 3, 2
MOST_COLUMNS = 2000
LEAST_TOTAL = 50.0
"""Median of a column that may hold totals; fractions and numbers of clusters are below."""


def likely_labels(obs: pd.DataFrame, asked: str) -> tuple[str, ...]:
    """Columns that may hold cell types, the likeliest first, at most three. `asked`: the name that is not there."""
    return _likely(obs, asked, LABEL_NAME, TYPE_WORD)


def likely_donors(obs: pd.DataFrame, asked: str) -> tuple[str, ...]:
    """Columns that may hold donors, the likeliest first, at most three. `asked`: the name that is not there."""
    return _likely(obs, asked, DONOR_NAME, None)


def likely_totals(obs: pd.DataFrame, asked: str = "") -> tuple[str, ...]:
    """Columns that may hold each cell's total count: positive numbers under a familiar name, or under one near `asked`,
    which come first.
    """
    names = [str(name) for place, name in enumerate(obs.columns[:MOST_COLUMNS]) if _are_totals(obs.iloc[:, place])]
    near = near_names(asked, names, cutoff=0.75) if asked else ()
    familiar = [name for name in names if TOTAL_NAME.fullmatch(plain_name(name)) and name not in near]
    return (*near, *familiar)[:N_LIKELY]


def possible_totals(obs: pd.DataFrame) -> list[str]:
    """All columns that may hold each cell's total count, whatever their names, those of familiar names first."""
    places = range(min(len(obs.columns), MOST_COLUMNS))
    names = [
        str(obs.columns[place])
        for place in places
        if _are_totals(values := obs.iloc[:, place]) and values.median() >= LEAST_TOTAL
    ]
    return sorted(dict.fromkeys(names), key=lambda name: not TOTAL_NAME.fullmatch(plain_name(name)))


def possible_groups(obs: pd.DataFrame) -> list[str]:
    """Columns under familiar names that divide the cells into groups, those of clusters first, at most three."""
    plain = {str(name): plain_name(str(name)) for name in obs.columns[:MOST_COLUMNS]}
    names = [
        str(name)
        for place, name in enumerate(obs.columns[:MOST_COLUMNS])
        if LABEL_NAME.search(plain[str(name)]) and _groups(obs.iloc[:, place]) is not None
    ]
    return sorted(dict.fromkeys(names), key=lambda name: not CLUSTER_NAME.search(plain[name]))[:N_LIKELY]


def _are_totals(values: pd.Series) -> bool:
    if not pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype) or not len(values):
        return False
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return bool(np.isfinite(numbers).all() and (numbers > 0).all())


def columns_in_words(obs: pd.DataFrame) -> str:
    """The names of the columns, the first twenty of them."""
    names = [brief(str(name)) for name in obs.columns]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more if names else "no columns"


def _likely(obs: pd.DataFrame, asked: str, name: re.Pattern[str], word: re.Pattern[str] | None) -> tuple[str, ...]:
    scores: dict[str, float] = {}
    plain = {str(column): plain_name(str(column)) for column in obs.columns[:MOST_COLUMNS]}
    close = set(difflib.get_close_matches(plain_name(asked), plain.values(), n=N_LIKELY, cutoff=0.75))
    for place, column in enumerate(obs.columns[:MOST_COLUMNS]):
        values = obs.iloc[:, place]
        groups = _groups(values)
        if groups is None:
            continue
        score = LIKELY_CLOSE * (plain[str(column)] in close) + LIKELY_NAME * bool(name.search(plain[str(column)]))
        if word is not None and np.mean([word.search(text) is not None for text in groups]) >= ENOUGH_TYPES:
            score += LIKELY_CONTENT
        if score:
            scores[str(column)] = score
    return tuple(sorted(scores, key=lambda column: -scores[column])[:N_LIKELY])


def _groups(values: pd.Series) -> list[str] | None:
    """The first values of a column that divides the cells into groups, None for any other."""
    dtype = values.dtype
    if pd.api.types.is_float_dtype(dtype):
        return None
    distinct = values.dropna().unique()
    if not 2 <= len(distinct) <= max(2, min(MOST_TYPES, MOST_OF_CELLS * len(values))):
        return None
    return [str(value) for value in distinct[:N_LOOKED_AT]]
