"""What the explanations of some cells say of the calls of many: which genes spoke for a type, and in how many cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from cellmark.schemas.columns import CELL_ID, CELL_TYPE
from cellmark.schemas.errors import InputError, ReadError

from ..reader.read_calls import read_columns

WANTED = (CELL_ID, "target", "against", "gene_symbol", "attribution")


@dataclass(frozen=True)
class TypeReasons:
    """`n_cells`: explained cells that are called the type. `genes`: a row for each gene that was listed in some of
    them, indexed by symbol: `n_for` cells in which it spoke for the type, with the mean of its attributions there
    (`mean_for`), and the same of those in which it spoke against it.
    """

    n_cells: int
    genes: pd.DataFrame

    def speaking(self, side: Literal["for", "against"], top: int) -> pd.DataFrame:
        """The genes that spoke so in most cells, those that spoke more first among equals: `n_cells`, `mean`."""
        rows = self.genes[[f"n_{side}", f"mean_{side}"]].set_axis(["n_cells", "mean"], axis="columns")
        rows = rows[rows["n_cells"] > 0].sort_values("mean", ascending=side == "against", kind="stable")
        return rows.sort_values("n_cells", ascending=False, kind="stable").head(top)


def read_explanations(path: Path, *, trusted: bool = False) -> pd.DataFrame:
    """A table of `cellmark explain`: what spoke for or against `target`. Raises `ReadError` for another table, and
    `InputError` for explanations against another type, which do not say why a cell is called what it is.
    """
    frame = read_columns(path, WANTED, trusted=trusted)
    absent = [name for name in WANTED if name != "against" and name not in frame]
    if absent:
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=str(path),
            expected="a table of explanations, as cellmark explain writes it",
            found=f"no {', '.join(absent)}",
            remedy="Write one with `cellmark explain CELLS --model MODEL -o why.parquet`.",
        )
    against = frame.get("against", pd.Series(dtype=str)).dropna().astype(str)
    if (against != "").any():
        raise InputError.of(
            "PARAMETER_INVALID",
            where=str(path),
            expected="explanations of calls by themselves",
            found=f"explanations against {against[against != ''].iloc[0]!r}",
            remedy="Explain the cells again without --against.",
        )
    frame["attribution"] = pd.to_numeric(frame["attribution"], errors="coerce")
    return frame


def reasons(explanations: pd.DataFrame, calls: pd.DataFrame) -> Mapping[str, TypeReasons]:
    """By type, over the cells that are called it and explained for it. `calls`: indexed by cell id. Cells of
    `explanations` that are not among them are left out.
    """
    called = calls[CELL_TYPE].reindex(explanations[CELL_ID].astype(str)).to_numpy()
    rows = explanations[called == explanations["target"].astype(str).to_numpy()]
    return {str(name): _of_type(of_type) for name, of_type in rows.groupby(rows["target"].astype(str))}


def _of_type(rows: pd.DataFrame) -> TypeReasons:
    attribution = rows["attribution"]
    spoke_for, against = attribution.where(attribution > 0), attribution.where(attribution < 0)
    sides = pd.DataFrame({"for": spoke_for, "against": against}).groupby(rows["gene_symbol"].astype(str))
    counted = sides.count().add_prefix("n_").join(sides.mean().add_prefix("mean_"))
    return TypeReasons(int(rows[CELL_ID].nunique()), counted)
