"""The marker table of a model, without its graphs."""

import os

import pandas as pd

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ParameterError

from ..models.model_source import open_model


def select_markers(
    bundle: Bundle, cell_type: str | None = None, *, top: int | None = None, negative: bool = False
) -> pd.DataFrame:
    """Rows of the marker table, of one type when named; `top` keeps the first ranks.

    `negative`: the genes whose absence marks the type, by `negative_rank`. Raises `ModelError` (`CELL_TYPE_UNKNOWN`),
    and `ParameterError`, also where the model's table has no negative markers.
    """
    if top is not None and top < 1:
        raise ParameterError.of(
            "PARAMETER_INVALID", where="top", expected="at least 1", found=str(top), remedy="Ask for one rank or more."
        )
    table = _of_type(bundle, cell_type)
    rank = "negative_rank" if negative else "rank"
    if negative:
        _require(bundle, rank, "negative markers", option="negative")
        kept = table[table[rank].notna()]
        first_seen = {name: number for number, name in enumerate(kept["cell_type"].unique())}
        table = kept.sort_values(
            ["cell_type", rank], key=lambda column: column.map(first_seen) if column.name == "cell_type" else column
        )
    if top is not None:
        table = table[table[rank] <= top]
    return table.reset_index(drop=True)


def minimal_combinations(bundle: Bundle, cell_type: str | None = None) -> pd.DataFrame:
    """Rows of the genes that are in their type's minimal combination, by rank.

    Raises `ModelError` (`CELL_TYPE_UNKNOWN`), and `ParameterError` where the model's table has no combinations.
    """
    table = _of_type(bundle, cell_type)
    _require(bundle, "in_minimal_combination", "minimal combinations", option="combination")
    return table[table["in_minimal_combination"].fillna(False).astype(bool)].reset_index(drop=True)


def combinations_in_words(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per type: the rule that tells its cells (`MS4A1 > 0.8 and CD79A > 1.2`), precision, recall, F-beta.

    `rows`: of `minimal_combinations`.
    """
    lines = []
    for name, genes in rows.groupby("cell_type", sort=False, observed=True):
        pairs = zip(genes["gene_symbol"], genes["combination_threshold"], strict=True)
        first = genes.iloc[0]
        lines.append(
            {
                "cell type": name,
                "genes and what they exceed": " and ".join(f"{gene} > {threshold:.2f}" for gene, threshold in pairs),
                "precision": first["combination_precision"],
                "recall": first["combination_recall"],
                "F-beta": first["combination_f_beta"],
            }
        )
    return pd.DataFrame(lines)


def read_markers(
    model: str | os.PathLike[str], cell_type: str | None = None, *, top: int | None = None, negative: bool = False
) -> pd.DataFrame:
    """As `select_markers`, of a bundle folder or an MLflow URI."""
    return select_markers(open_model(model).bundle, cell_type, top=top, negative=negative)


def _of_type(bundle: Bundle, cell_type: str | None) -> pd.DataFrame:
    if cell_type is None:
        return bundle.markers
    bundle.check_cell_type(cell_type)
    return bundle.markers[bundle.markers["cell_type"] == cell_type]


def _require(bundle: Bundle, column: str, what: str, *, option: str) -> None:
    """Bundles from before a column existed, and rankings that do not fill it, have none of `what`."""
    if column not in bundle.markers or not bundle.markers[column].notna().any():
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where=option,
            expected=f"a model whose marker table has {what}",
            found=f"none in {bundle.manifest.name}",
            remedy="Train it again with this version, or omit the option.",
        )
