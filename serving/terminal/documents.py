"""What commands say with `--json`: plain values by name. docs/cli.md lists the keys, which stay."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cellmark.schemas.columns import CELL_TYPE, CONFIDENCE, UNASSIGNED, UNS_KEY

MOST_GENES = 10
"""Genes of a type among the evidence of many cells."""


def calls_document(frame: pd.DataFrame, data: Path | str, out: Path, next_commands: Sequence[str]) -> dict[str, Any]:
    """One annotated input. `frame`: calls with their facts, as `annotate` gives them."""
    grouped = frame.groupby(CELL_TYPE, observed=True)[CONFIDENCE].agg(["size", "median"])
    rows = grouped.sort_values("size", ascending=False, kind="stable").iterrows()
    return {
        "input": str(data),
        "output": str(out),
        **frame.attrs[UNS_KEY],
        "n_cells": len(frame),
        "n_unassigned": int((frame[CELL_TYPE] == UNASSIGNED).sum()),
        "cell_types": [
            {
                "cell_type": str(name),
                "n_cells": int(row["size"]),
                "share": row["size"] / len(frame),
                "median_confidence": float(row["median"]),
            }
            for name, row in rows
        ],
        "next": list(next_commands),
    }


def batch_document(folder: Path, summary: Path) -> dict[str, Any]:
    """A batch. `summary`: its `summary.csv`, whose rows are the inputs."""
    rows = records(pd.read_csv(summary))
    n_refused = sum(row["status"] != "ok" for row in rows)
    return {"output": str(folder), "summary": str(summary), "n_refused": n_refused, "inputs": rows}


def explanations_document(frame: pd.DataFrame, facts: dict[str, Any], data: Path | str, out: Path) -> dict[str, Any]:
    """Explanations of one input: of each explained type the genes of the largest mean attribution, over the cells
    whose first genes they are among. `frame`: as `explain` gives it; `facts`: as they are written beside it.
    """
    types = []
    for target, rows in frame.groupby("target", observed=True, sort=True):
        genes = rows.groupby("gene_symbol", observed=True)["attribution"].agg(["size", "sum"])
        n_cells = rows["cell_id"].nunique()
        genes["mean"] = genes["sum"] / n_cells
        first = genes.reindex(genes["mean"].abs().sort_values(ascending=False, kind="stable").index).head(MOST_GENES)
        types.append(
            {
                "target": str(target),
                "n_cells": int(n_cells),
                "genes": [
                    {"gene_symbol": str(gene), "n_cells": int(row["size"]), "mean_attribution": float(row["mean"])}
                    for gene, row in first.iterrows()
                ],
            }
        )
    return {"input": str(data), "output": str(out), **facts, "targets": types}


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table; what a row lacks is None."""
    return [
        {str(key): None if _is_missing(value) else value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _is_missing(value: Any) -> bool:
    return not isinstance(value, list | tuple | dict) and not hasattr(value, "__len__") and bool(pd.isna(value))
