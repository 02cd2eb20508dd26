"""The marker table as scanpy keeps the answer of `sc.tl.rank_genes_groups`, so that its plots work, and back."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import GeneOverlapError, LabelError, ParameterError
from ..genes.mangled_gene_names import ensembl_id, genome_prefix
from ..manifest.marker_table import marker_table
from ..near_names import given_as, near_names

if TYPE_CHECKING:
    from anndata import AnnData

KEY = "rank_genes_groups"
METHOD_PREFIX = "cellmark:"
N_EXAMPLES = 5


def to_rank_genes_groups(
    table: pd.DataFrame, *, groupby: str, groups: Sequence[str] | None = None, n_genes: int | None = None
) -> dict[str, Any]:
    """What goes into `adata.uns["rank_genes_groups"]`.

    `names`, `scores`, `logfoldchanges`, `pvals`, `pvals_adj` are record arrays with one field per cell type, best gene
    first, all of one length: of the type with the fewest rows, at most `n_genes`. Genes without a rank come last. They
    get the lowest score of their type, and never more than 0. Log fold changes have base 2, as scanpy's; where the
    table has none they are the difference of mean ln(1 + counts per 10,000), converted to base 2. `pts` and `pts_rest`
    are frames, genes x types (left out where a type's name has a slash, which AnnData's files take for a path).

    `groups`: cell types in the order wanted, by default the table's. Raises `ParameterError` for one that is not there.
    """
    order = list(pd.unique(table["cell_type"])) if groups is None else list(groups)
    unknown = sorted(set(order) - set(table["cell_type"]))
    if unknown or not order:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="groups",
            expected="cell types of the marker table",
            found=", ".join(unknown) or "none",
            remedy="Name cell types of the model.",
            examples=_examples(table["cell_type"]),
        )
    ranked = table.sort_values("rank", kind="stable", na_position="last")
    rows = {str(name): ranked[ranked["cell_type"] == name] for name in order}
    length = min(*(len(of_type) for of_type in rows.values()), len(table) if n_genes is None else n_genes)
    rows = {name: of_type.iloc[:length] for name, of_type in rows.items()}
    method = METHOD_PREFIX + "+".join(map(str, pd.unique(table["ranking"].dropna())))
    layout: dict[str, Any] = {
        "params": {
            "groupby": groupby,
            "reference": "rest",
            "method": method,
            "use_raw": False,
            "corr_method": "benjamini-hochberg",
        },
        "names": _records({name: of_type["gene_symbol"].to_numpy(dtype=object) for name, of_type in rows.items()}, "O"),
        "scores": _records({name: _scores(of_type) for name, of_type in rows.items()}, "float32"),
        "logfoldchanges": _records({name: _fold_changes(of_type) for name, of_type in rows.items()}, "float32"),
        "pvals": _records({name: _floats(of_type, "p_value") for name, of_type in rows.items()}, "float64"),
        "pvals_adj": _records({name: _floats(of_type, "p_value_adj") for name, of_type in rows.items()}, "float64"),
    }
    if any("/" in name for name in order):
        return layout
    shown = table[table["cell_type"].isin(order)]
    for name, column in (("pts", "fraction_in"), ("pts_rest", "fraction_out")):
        if column in table and table[column].notna().any():
            frame = shown.pivot(index="gene_symbol", columns="cell_type", values=column)  # noqa: PD010
            layout[name] = pd.DataFrame(
                frame[order].to_numpy(dtype=np.float64),
                index=frame.index.astype(str).to_numpy(dtype=object),
                columns=np.array(order, dtype=object),
            )
    return layout


def rows_for(table: pd.DataFrame, *, obs: pd.DataFrame, var_names: Sequence[str], groupby: str) -> pd.DataFrame:
    """The rows of the marker table whose gene and cell type some cells have: scanpy's plots fail on others.

    `gene_symbol` becomes the cells' own name of a gene that they name by its Ensembl id or with a genome's prefix.
    Raises `LabelError` when `groupby` is no column of `obs` or holds none of the table's cell types, and
    `GeneOverlapError` when none of its genes is in `var_names`.
    """
    if groupby not in obs:
        columns = ", ".join(map(str, obs.columns)) or "no columns"
        near = near_names(groupby, map(str, obs.columns))
        raise LabelError.of(
            "LABEL_COLUMN_UNKNOWN",
            where="groupby",
            expected="a column of obs with cell types",
            found=f"{groupby!r}, where obs has {columns}",
            remedy=f"Did you mean {given_as('--groupby', near)}?" if near else "Name the column with --groupby.",
        )
    kept = table[table["cell_type"].isin(set(obs[groupby].astype(str)))]
    types, genes = _examples(table["cell_type"]), _examples(table["gene_symbol"])
    if kept.empty:
        raise LabelError.of(
            "LABEL_COLUMN_UNKNOWN",
            where=f"obs[{groupby!r}]",
            expected=f"cell types of the markers: {', '.join(types)}",
            found="none of them",
            remedy="Name the column of cell types with --groupby.",
            examples=_examples(obs[groupby]),
        )
    kept = kept.assign(gene_symbol=_own_names(kept, var_names))
    kept = kept[kept["gene_symbol"].notna()]
    if kept.empty:
        raise GeneOverlapError.of(
            "NO_GENES_SHARED",
            where="var_names",
            expected=f"gene symbols such as {', '.join(genes[:3])}",
            found=f"{len(var_names)} names of which none is in the marker table",
            remedy="Name the genes as the training data did.",
            examples=tuple(map(str, var_names[:N_EXAMPLES])),
        )
    return kept


def _own_names(table: pd.DataFrame, var_names: Sequence[str]) -> pd.Series:
    """What some cells call the gene of each row, None for one that they lack."""
    there = set(map(str, var_names))
    others: dict[str, str] = {}
    for name in map(str, var_names):
        genome, bare = genome_prefix(name)
        gene_id = ensembl_id(bare)
        if gene_id is not None or genome is not None:
            others.setdefault(gene_id[0] if gene_id is not None else bare, name)
    ids = table["gene_id"] if "gene_id" in table else pd.Series(None, index=table.index, dtype=object)
    own = [
        symbol if symbol in there else others.get(symbol, others.get(gene_id) if isinstance(gene_id, str) else None)
        for symbol, gene_id in zip(table["gene_symbol"].astype(str), ids, strict=True)
    ]
    return pd.Series(own, index=table.index, dtype=object)


def write_into(
    adata: "AnnData", table: pd.DataFrame, *, groupby: str, key: str = KEY, n_genes: int | None = None
) -> "AnnData":
    """A copy of `adata` with the marker table in `uns[key]`, for `sc.pl.rank_genes_groups_dotplot` and its siblings.

    Genes and cell types that `adata` lacks are left out. Raises as `rows_for`.
    """
    rows = rows_for(table, obs=adata.obs, var_names=list(map(str, adata.var_names)), groupby=groupby)
    written = adata.copy()
    written.uns[key] = to_rank_genes_groups(rows, groupby=groupby, n_genes=n_genes)
    return written


def from_rank_genes_groups(adata: "AnnData", *, key: str = KEY) -> pd.DataFrame:
    """A marker table of what scanpy answered; columns that scanpy does not know are null.

    `ranking` is scanpy's method. `direction` goes by the sign of the log fold change, or of the score where scanpy
    gives none (`logreg`). Genes that `sc.tl.filter_rank_genes_groups` took out are left out. Raises `ParameterError`.
    """
    found = adata.uns.get(key)
    if not isinstance(found, Mapping) or "names" not in found or found["names"].dtype.names is None:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where=f"uns[{key!r}]",
            expected="the answer of sc.tl.rank_genes_groups",
            found="nothing" if found is None else "something else",
            remedy="Run sc.tl.rank_genes_groups first, or name its key_added.",
        )
    method = str(found["params"]["method"]).removeprefix(METHOD_PREFIX)
    tables = []
    for name in found["names"].dtype.names:
        genes = pd.Series(found["names"][name], dtype=object)
        kept = genes.notna().to_numpy()
        genes = genes[kept].astype(str)
        columns: dict[str, Any] = {"marker_score": found["scores"][name][kept].astype(np.float64)}
        for ours, theirs in (
            ("log2_fold_change", "logfoldchanges"),
            ("p_value", "pvals"),
            ("p_value_adj", "pvals_adj"),
        ):
            if theirs in found:
                columns[ours] = found[theirs][name][kept].astype(np.float64)
        for ours, theirs in (("fraction_in", "pts"), ("fraction_out", "pts_rest")):
            if theirs in found:
                fractions = found[theirs][name]
                fractions = fractions[~fractions.index.duplicated()]
                columns[ours] = fractions.reindex(genes).to_numpy(dtype=np.float64)
        sign = columns.get("log2_fold_change", columns["marker_score"])
        direction = np.where(sign > 0, "positive", "negative")
        tables.append(
            pd.DataFrame(
                {
                    "cell_type": name,
                    "rank": np.arange(1, len(genes) + 1),
                    "gene_symbol": genes.to_numpy(),
                    "ranking": method,
                    "direction": direction,
                    **columns,
                }
            )
        )
    table = pd.concat(tables, ignore_index=True)
    return marker_table(**{str(name): column for name, column in table.items()})


def _examples(values: pd.Series) -> tuple[str, ...]:
    return tuple(map(str, pd.unique(values)[:N_EXAMPLES]))


def _records(columns: dict[str, np.ndarray], dtype: str) -> np.recarray[Any, Any]:
    return pd.DataFrame(columns).to_records(index=False, column_dtypes=dict.fromkeys(columns, dtype))


def _floats(rows: pd.DataFrame, column: str) -> np.ndarray:
    if column not in rows:
        return np.full(len(rows), np.nan)
    return rows[column].to_numpy(dtype=np.float64, na_value=np.nan)


def _scores(rows: pd.DataFrame) -> np.ndarray:
    scores = _floats(rows, "marker_score")
    known = scores[~np.isnan(scores)]
    # A score that is missing would leave scanpy's plots without limits.
    return np.where(np.isnan(scores), min(known.min(), 0.0) if len(known) else 0.0, scores)


def _fold_changes(rows: pd.DataFrame) -> np.ndarray:
    given = _floats(rows, "log2_fold_change")
    of_means = (_floats(rows, "mean_in") - _floats(rows, "mean_out")) / np.log(2)
    return np.where(np.isnan(given), of_means, given)
