"""What Great Expectations looks at: one row per cell and one row per input, collected chunk by chunk.

A matrix of genes is never handed to Great Expectations; these two small tables are. NumPy only.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

CELL_COLUMNS = ("cell_id", "total_counts", "genes_detected", "panel_fraction", "mitochondrial_fraction")
SAMPLE_COLUMNS = ("n_cells", "n_genes", "panel_overlap", "whole_numbers", "finite")


def find_mitochondrial(gene_symbols: np.ndarray | Sequence[str]) -> np.ndarray | None:
    """Boolean [genes]: symbols that start with `MT-` in any case (human `MT-CO1`, mouse `mt-Co1`).

    None when there is no such symbol (a file with Ensembl ids, or with these genes filtered out): the mitochondrial
    fraction is then *not measured*, which is not the same as zero.
    """
    symbols = np.asarray(gene_symbols, dtype=str)
    found = np.char.startswith(np.char.lower(symbols), "mt-")
    return found if found.any() else None


def cell_quality(
    X: sp.csr_matrix,
    *,
    cell_ids: np.ndarray | Sequence[str],
    library_size: np.ndarray,
    panel_columns: np.ndarray,
    mitochondrial_columns: np.ndarray | None = None,
) -> pd.DataFrame:
    """One row per cell, in the order of `X`.

    `X`: CSR, cells x all genes of the input, raw counts. `library_size`: [cells], counts over all genes measured,
    given or summed. `panel_columns`, `mitochondrial_columns`: boolean [genes], in the input's order; without the
    second the column `mitochondrial_fraction` is left out, which marks it as not measured.

    Returns `cell_id`, `total_counts` (the library size), `genes_detected` (genes above zero) and, as fractions of the
    library size, `panel_fraction` and `mitochondrial_fraction`. A cell with library size zero, or with a missing value
    among the genes in question, has null fractions.
    """
    total = np.asarray(library_size, dtype=np.float64).ravel()
    table = {
        "cell_id": np.asarray(cell_ids, dtype=object),
        "total_counts": total,
        "genes_detected": _positive_per_row(X),
        "panel_fraction": _fraction(_sum_of_columns(X, panel_columns), total),
    }
    if mitochondrial_columns is not None:
        table["mitochondrial_fraction"] = _fraction(_sum_of_columns(X, mitochondrial_columns), total)
    return pd.DataFrame(table)


def sample_quality(
    *, n_cells: int, n_genes: int, panel_overlap: float, whole_numbers: bool, finite: bool
) -> pd.DataFrame:
    """One row. `n_genes`: genes that the input measured. `panel_overlap`: share of the panel's among them, 0 to 1."""
    row = (int(n_cells), int(n_genes), float(panel_overlap), bool(whole_numbers), bool(finite))
    return pd.DataFrame([row], columns=list(SAMPLE_COLUMNS))


class QualityAccumulator:
    """Both tables of one input that is read in chunks of rows.

    `panel_columns`, `mitochondrial_columns`: as in `cell_quality`. `panel_overlap`: as in `sample_quality`.
    Keeps about 100 bytes a cell.
    """

    def __init__(
        self, *, panel_columns: np.ndarray, mitochondrial_columns: np.ndarray | None, panel_overlap: float
    ) -> None:
        self._panel_columns = panel_columns
        self._mitochondrial_columns = mitochondrial_columns
        self._panel_overlap = panel_overlap
        self._pieces: list[pd.DataFrame] = []
        self._whole_numbers = True
        self._finite = True

    def add(self, X: sp.csr_matrix, *, cell_ids: np.ndarray | Sequence[str], library_size: np.ndarray) -> None:
        """The next cells. Arguments as in `cell_quality`."""
        self._pieces.append(
            cell_quality(
                X,
                cell_ids=cell_ids,
                library_size=library_size,
                panel_columns=self._panel_columns,
                mitochondrial_columns=self._mitochondrial_columns,
            )
        )
        if X.data.dtype.kind == "f":  # integers are whole and finite as they are
            self._whole_numbers = self._whole_numbers and bool(np.equal(np.rint(X.data), X.data).all())
            self._finite = self._finite and bool(np.isfinite(X.data).all())

    def cells(self) -> pd.DataFrame:
        """One row per cell, as `cell_quality` returns them."""
        if self._pieces:
            return pd.concat(self._pieces, ignore_index=True)
        n_genes = len(self._panel_columns)
        return cell_quality(
            sp.csr_matrix((0, n_genes), dtype=np.float32),
            cell_ids=np.empty(0, dtype=object),
            library_size=np.empty(0),
            panel_columns=self._panel_columns,
            mitochondrial_columns=self._mitochondrial_columns,
        )

    def sample(self) -> pd.DataFrame:
        """One row, as `sample_quality` returns it. A missing value is neither a whole number nor finite."""
        return sample_quality(
            n_cells=sum(len(piece) for piece in self._pieces),
            n_genes=len(self._panel_columns),
            panel_overlap=self._panel_overlap,
            whole_numbers=self._whole_numbers,
            finite=self._finite,
        )


def _sum_of_columns(X: sp.csr_matrix, columns: np.ndarray) -> np.ndarray:
    """Sum of the chosen columns, float64 [cells], as one matrix-vector product.

    float32 counts are summed in float32: exact below 2^24 counts a cell, and that copy of the matrix is spared. Small
    integers would overflow in their own type, so they are summed in float64.
    """
    dtype = X.dtype if X.dtype in (np.float32, np.float64) else np.float64
    chosen = np.asarray(columns, dtype=bool).astype(dtype)
    return np.asarray(X @ chosen, dtype=np.float64)


def _positive_per_row(X: sp.csr_matrix) -> np.ndarray:
    """Number of values above zero, int64 [cells]."""
    positive = X.data > 0
    if positive.all():
        return np.asarray(np.diff(X.indptr), dtype=np.int64)
    before = np.concatenate(([0], np.cumsum(positive)))
    return np.asarray(np.diff(before[X.indptr]), dtype=np.int64)


def _fraction(part: np.ndarray, total: np.ndarray) -> np.ndarray:
    fraction = np.full(len(total), np.nan)
    np.divide(part, total, out=fraction, where=total > 0)
    return fraction
