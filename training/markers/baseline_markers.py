"""Marker genes as other methods rank them, in the layout of our own table; each method is its own library's.

- `wilcoxon`, `t-test`, `t-test_overestim_var`, `logreg`: scanpy's `rank_genes_groups`, each type against all other
  cells, with scanpy's defaults. So the Wilcoxon test does not correct for ties, and p-values are adjusted by
  Benjamini-Hochberg over the genes of one type.
- `cosg`: COSG (Dai et al. 2022, doi:10.1093/bib/bbab579) with mu 1 and without genes that fewer than 10 % of a type's
  cells express: those have the score -1 in that type.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.errors import LabelError, ParameterError, SetupError
from cellmark.schemas.manifest.marker_table import marker_table

from ..cells.cell_groups import membership
from ..choices import Method

METHODS: tuple[Method, ...] = get_args(Method)
STATISTICS = (
    "mean_in",
    "mean_out",
    "fraction_in",
    "fraction_out",
    "log2_fold_change",
    "auc",
    "cohens_d",
    "donor_fraction",
    "n_donors_holding",
    "n_donors",
)
"""What the table takes of `marker_statistics`; p-values are the method's own."""
INSTALL_COSG = "pip install 'cellmark[rivals]'"


class Scores(NamedTuple):
    """Per type and gene, float64 [types, genes]; p-values are None where the method has none."""

    score: np.ndarray
    p_value: np.ndarray | None = None
    p_value_adj: np.ndarray | None = None


def baseline_markers(
    x: sp.csr_matrix,
    codes: np.ndarray,
    *,
    cell_types: Sequence[str],
    gene_symbols: Sequence[str],
    gene_ids: Sequence[str | None],
    method: str,
    statistics: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """The marker table of one method: all genes for each type, best first.

    `x`: CSR, cells x genes, ln(1 + counts per 10,000); `codes`: int [cells], numbers of `cell_types`. `statistics`: as
    `marker_statistics` gives them, [types, genes] each; without them those columns are null. `marker_score` is the
    method's own score; genes of equal score stand in the order of `gene_symbols`. `direction` compares mean expression
    in the type and in all other cells.

    Raises what `check_method` does, and `LabelError` for a type with fewer than two cells.
    """
    name = check_method(method)
    sizes = np.bincount(codes, minlength=len(cell_types))
    if len(cell_types) < 2 or sizes.min() < 2:
        raise LabelError.of(
            "LABEL_ONE_CLASS",
            where="codes",
            expected="at least two cell types with two cells each",
            found=", ".join(f"{cell_type} ({size})" for cell_type, size in zip(cell_types, sizes, strict=True)),
            remedy="Remove smaller types with --min-cells 2.",
        )
    scores = score_genes(x, codes, n_types=len(cell_types), method=name)
    more_in = _more_in(x, codes, len(cell_types))
    own = {"p_value": scores.p_value, "p_value_adj": scores.p_value_adj}
    columns = {**{key: (statistics or {}).get(key) for key in STATISTICS}, **own}
    order = np.argsort(-scores.score, axis=1, kind="stable")

    def ordered(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, order, axis=1).ravel()

    n_genes = len(gene_symbols)
    return marker_table(
        cell_type=np.repeat(np.array(cell_types, dtype=object), n_genes),
        rank=np.tile(np.arange(1, n_genes + 1), len(cell_types)),
        gene_symbol=np.array(gene_symbols, dtype=object)[order.ravel()],
        gene_id=np.array(gene_ids, dtype=object)[order.ravel()],
        marker_score=ordered(scores.score),
        ranking=np.full(order.size, name, dtype=object),
        direction=np.where(ordered(more_in), "positive", "negative"),
        **{key: ordered(values) for key, values in columns.items() if values is not None},
    )


def check_method(method: str) -> Method:
    """The method of that name. Raises `ParameterError` for another, `SetupError` (`EXTRA_MISSING`) without COSG."""
    if method not in METHODS:
        raise ParameterError.not_a_choice("method", choices=f"one of {', '.join(METHODS)}", found=repr(method))
    if method == "cosg" and find_spec("cosg") is None:
        raise SetupError.of(
            "EXTRA_MISSING",
            where="method",
            expected="the package cosg, which ranks by this method",
            found="no such package",
            remedy=f"Install it with: {INSTALL_COSG}",
        )
    return method


def score_genes(x: sp.csr_matrix, codes: np.ndarray, *, n_types: int, method: Method) -> Scores:
    """The method's own scores and p-values. `x`, `codes`: as in `baseline_markers`; never changed."""
    import anndata as ad

    if (x.data == 0).any():  # scanpy takes stored zeros out of the matrix that it is given
        x = x.copy()
        x.eliminate_zeros()
    # Numbers for names: libraries cut, sort and join names in ways of their own.
    groups = pd.Categorical(codes.astype(str), categories=[str(code) for code in range(n_types)])
    adata = ad.AnnData(
        x,
        obs=pd.DataFrame({"group": groups}, index=[str(row) for row in range(x.shape[0])]),
        var=pd.DataFrame(index=[str(column) for column in range(x.shape[1])]),
    )
    if method == "cosg":
        import cosg

        cosg.cosg(adata, groupby="group", mu=1, remove_lowly_expressed=True, expressed_pct=0.1, n_genes_user=x.shape[1])
        return Scores(_by_gene(adata.uns["cosg"], "scores", n_types))
    import scanpy as sc

    sc.tl.rank_genes_groups(adata, "group", method=method, use_raw=False)
    found = adata.uns["rank_genes_groups"]
    if method == "logreg":
        if n_types == 2:
            return Scores(_of_two_types(found, x, codes))
        return Scores(_by_gene(found, "scores", n_types))
    return Scores(*(_by_gene(found, field, n_types) for field in ("scores", "pvals", "pvals_adj")))


def _of_two_types(found: Any, x: sp.csr_matrix, codes: np.ndarray) -> np.ndarray:
    """Coefficients of both types, [2, genes], of which scanpy gives one type's.

    scanpy 1.12 gives the second type's under the name of the first. Whatever a version gives, the type whose cells have
    more of what counts for it is the one: the coefficients, times the difference of means, add up to more than 0.
    """
    name = "0" if "0" in (found["names"].dtype.names or ()) else "1"
    score = np.empty(len(found["names"]))
    score[np.asarray(found["names"][name]).astype(int)] = found["scores"][name]
    first, second = (np.asarray(x[codes == code].mean(axis=0)).ravel() for code in (0, 1))
    if score @ (second - first) < 0:
        score = -score
    return np.stack([-score, score])


def _by_gene(found: Any, field: str, n_types: int) -> np.ndarray:
    # The libraries list each type's genes in falling order of its scores.
    values = np.empty((n_types, len(found["names"])))
    for code in range(n_types):
        genes = np.asarray(found["names"][str(code)]).astype(int)
        values[code, genes] = found[field][str(code)]
    return values


def _more_in(x: sp.csr_matrix, codes: np.ndarray, n_types: int) -> np.ndarray:
    sizes = np.bincount(codes, minlength=n_types).astype(np.float64)[:, None]
    members = membership(codes, n_types)
    sums = (members @ x).toarray()
    more: np.ndarray = sums / sizes > (sums.sum(axis=0) - sums) / (sizes.sum() - sizes)
    return more
