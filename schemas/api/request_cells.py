"""The cells of one request, whatever form they came in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..cells.cell_source import CellSource, MemoryCells
from ..cells.reading_options import InputKind, ReadingOptions
from ..errors import Finding, ReadError, RequestError

GenesSource = Literal["genes", "keys"]
N_EXAMPLES = 5
LONGEST_NAME = 256
"""Characters of a cell id or gene name in JSON and `.npz`."""


@dataclass(frozen=True)
class RequestCells:
    """Cells to be checked, and what the request says beside them.

    `library_size`: an array [cells], the name of an obs column, or None to sum. `genes_source`: `keys` where the genes
    measured are the union of the cells' keys, `genes` where the input names them. `findings`: errors that did not keep
    the cells from being read, to be reported with all others. `input`: what the request says that its values are.
    """

    source: CellSource
    library_size: np.ndarray | str | None = None
    genes_source: GenesSource = "genes"
    findings: tuple[Finding, ...] = ()
    input: InputKind = "auto"

    @property
    def reading(self) -> ReadingOptions:
        """What is left to do of reading them."""
        return ReadingOptions(library_size=self.library_size, input=self.input)


def csr_cells(
    *,
    genes: Sequence[str] | np.ndarray,
    cell_ids: Sequence[str] | np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    library_sizes: np.ndarray | None = None,
    name: str,
) -> RequestCells:
    """Cells of the CSR form: `indptr` [cells + 1], `indices` and `data` [entries], CSR of cells x genes.

    Raises `ReadError` (`MATRIX_INVALID`) with all that does not fit together.
    """
    check_names({"genes": genes, "cell_ids": cell_ids})
    n_obs, n_vars = len(cell_ids), len(genes)
    findings = list(_csr_findings(n_obs, n_vars, indptr, indices, data, name))
    if library_sizes is not None and len(library_sizes) != n_obs:
        findings.append(
            _misfit(
                f"{name}: library_sizes", f"one value for each of the {n_obs} cells", f"{len(library_sizes)} values"
            )
        )
    if findings:
        raise ReadError(*findings)
    X = sp.csr_matrix((data, indices.astype(np.int64), indptr.astype(np.int64)), shape=(n_obs, n_vars))
    X.sort_indices()
    if not X.has_canonical_format:
        raise ReadError(_misfit(f"{name}: indices", "each gene at most once in a cell", "one that is there twice"))
    return RequestCells(memory_source(X, genes, cell_ids, name=name, counts_from="data"), library_sizes)


def memory_source(
    X: sp.csr_matrix,
    genes: Sequence[str] | np.ndarray,
    cell_ids: Sequence[str] | np.ndarray,
    *,
    name: str,
    counts_from: str,
) -> MemoryCells:
    """A source without any annotation of cells or genes."""
    obs = pd.DataFrame(index=pd.Index(np.asarray(cell_ids, dtype=object), dtype=object))
    var_names = np.asarray(genes, dtype=object).astype(str) if len(genes) else np.empty(0, dtype=str)
    return MemoryCells(X, var_names, obs, name=name, counts_from=counts_from)


def check_names(names: dict[str, Sequence[str] | np.ndarray]) -> None:
    """Raise `RequestError` for names that are not Unicode text. `names`: by where they stand in the request."""
    findings = []
    for where, values in names.items():
        try:
            "".join(values).encode()
        except UnicodeEncodeError:
            findings.append(
                Finding(
                    "REQUEST_INVALID",
                    where=where,
                    expected="Unicode text",
                    found="half of a surrogate pair (\\ud800 to \\udfff)",
                    remedy="Write the names in UTF-8.",
                )
            )
    if findings:
        raise RequestError(*findings)


def _csr_findings(
    n_obs: int, n_vars: int, indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, name: str
) -> list[Finding]:
    findings = []
    if len(indptr) != n_obs + 1:
        findings.append(_misfit(f"{name}: indptr", f"{n_obs + 1} numbers, one more than cells", f"{len(indptr)}"))
    elif indptr[0] != 0 or (np.diff(indptr) < 0).any():
        findings.append(_misfit(f"{name}: indptr", "numbers that start at 0 and never fall", "others"))
    elif indptr[-1] != len(data):
        findings.append(_misfit(f"{name}: indptr", f"{len(data)} at its end, the length of data", f"{indptr[-1]}"))
    if len(indices) != len(data):
        findings.append(_misfit(f"{name}: indices", f"{len(data)} numbers, as many as data", f"{len(indices)}"))
    if len(indices) and (indices.min() < 0 or indices.max() >= n_vars):
        found = f"numbers from {indices.min()} to {indices.max()}"
        findings.append(_misfit(f"{name}: indices", f"numbers from 0 to {n_vars - 1}, which count the genes", found))
    return findings


def _misfit(where: str, expected: str, found: str) -> Finding:
    return Finding(
        "MATRIX_INVALID",
        where=where,
        expected=expected,
        found=found,
        remedy="Send indptr, indices and data of a CSR matrix, cells x genes, as SciPy holds it.",
    )
