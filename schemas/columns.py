"""Names of the columns that cellmark writes, the same in `.h5ad`, tables, answers and Python."""

import re
from collections.abc import Iterable

CELL_ID = "cell_id"
CELL_TYPE = "cellmark_cell_type"
BEST_CELL_TYPE = "cellmark_best_cell_type"
CONFIDENCE = "cellmark_confidence"
SECOND_CELL_TYPE = "cellmark_second_cell_type"
MARGIN = "cellmark_margin"
NOVELTY = "cellmark_novelty"
LABEL_SET = "cellmark_label_set"
COARSE_CELL_TYPE = "cellmark_coarse_cell_type"
COARSE_PROBABILITY = "cellmark_coarse_probability"
COARSE_COLUMNS = (COARSE_CELL_TYPE, COARSE_PROBABILITY)
CALL_COLUMNS = (
    CELL_TYPE,
    BEST_CELL_TYPE,
    CONFIDENCE,
    SECOND_CELL_TYPE,
    MARGIN,
    NOVELTY,
    LABEL_SET,
    *COARSE_COLUMNS,
)
"""The columns of calls, in their order. Where the model lacks a measure, its column is empty; the coarse ones are
omitted from frames and files (and null in JSON)."""

LEVEL_STEM = "cellmark_level_"
LEVEL_COLUMN = re.compile(rf"{LEVEL_STEM}([1-9]\d*)(_confidence)?")
"""Behind them, of a model with levels: the call at each level, the coarsest first, and its probability."""


def level_columns(number: int) -> tuple[str, str]:
    """The two columns of a level. `number`: from 1, the coarsest."""
    return f"{LEVEL_STEM}{number}", f"{LEVEL_STEM}{number}_confidence"


def levels_among(columns: Iterable[str]) -> list[str]:
    """Those of `columns` that are of levels, in their order."""
    return [name for name in map(str, columns) if LEVEL_COLUMN.fullmatch(name)]


def calls_among(columns: Iterable[str]) -> list[str]:
    """Those of `columns` that hold calls, `CALL_COLUMNS` first."""
    present = list(map(str, columns))
    return [name for name in CALL_COLUMNS if name in present] + levels_among(present)


MAJORITY_CELL_TYPE = "cellmark_majority_cell_type"
MAJORITY_SHARE = "cellmark_majority_share"
CLUSTER = "cellmark_cluster"
MAJORITY_COLUMNS = (MAJORITY_CELL_TYPE, MAJORITY_SHARE, CLUSTER)
"""Beside them where calls were voted on over clusters; the last where these were computed for it."""

NEW_POPULATION = "cellmark_new_population"
"""Beside them where unassigned cells were grouped: the name of the cell's group, empty for all other cells."""

CROSS_SPECIES = "cellmark_cross_species"
"""Beside them where genes were named by their orthologs: of what the cells and the model are."""

UNASSIGNED = "unassigned"
"""In `CELL_TYPE`: the cell is unlike all that the model learned."""
SET_SEPARATOR = " | "
"""Between the types of a label set in tables and `obs`."""
UNS_KEY = "cellmark"
TYPES_KEY = "cellmark_cell_types"
"""In `attrs` of a frame of calls: all types of the model, in its order."""

EXPLANATION_COLUMNS = (
    "cell_id",
    "cell_type",
    "target",
    "against",
    "rank",
    "gene_symbol",
    "attribution",
    "counts",
    "log1p_norm",
    "baseline",
    "direction",
    "convergence_delta",
    "gene",
)
"""The columns of explanations, in their order. `gene` is `gene_symbol` under its old name, for one more release."""

EXPLANATION_GENES = "explanation_genes"
EXPLANATION_ATTRIBUTIONS = "explanation_attributions"
EXPLANATION_DELTA = "explanation_convergence_delta"
EXPLANATION_LISTS = (EXPLANATION_GENES, EXPLANATION_ATTRIBUTIONS, EXPLANATION_DELTA)
"""Beside calls in the shards of a batch that explains them: the strongest genes of each cell, their attributions to the
best type, and what is left of completeness."""
