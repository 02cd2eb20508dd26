"""The cells that a model left unassigned with all their genes, and called ones to compare them with."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.calls.new_populations import CalledCells
from cellmark.schemas.cells.cell_source import CellSource, RowChunk
from cellmark.schemas.checks.checked_cells import CheckedCells, PreparedChunk
from cellmark.schemas.checks.likely_columns import columns_in_words, likely_donors
from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, NOVELTY, UNASSIGNED, UNS_KEY
from cellmark.schemas.errors import ModelError, ParameterError
from cellmark.schemas.genes.gene_ids import ensembl_ids
from cellmark.schemas.near_names import given_as

from ..models.model_source import ModelSource
from .call_options import PLAIN_CALLS, CallOptions
from .call_rules import CallRules
from .judge_as_sample import samples_of, thresholds_of_cells

PER_TYPE = 2000
"""Called cells of one type that are kept: more would only cost memory and time."""
ROWS = 4096


class CallsCells(Protocol):
    """What is needed of an `Annotator` here."""

    source: ModelSource
    cell_types: list[str]

    def rules(self) -> CallRules: ...

    def call(
        self,
        checked: CheckedCells,
        options: CallOptions,
        *,
        observe: Callable[[RowChunk, PreparedChunk], None] | None,
        on_progress: Callable[[int], None],
    ) -> pd.DataFrame: ...


def gather_called_cells(
    annotator: CallsCells,
    checked: CheckedCells,
    options: CallOptions = PLAIN_CALLS,
    *,
    above: float | None = None,
    donor: str | None = None,
    per_type: int = PER_TYPE,
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda n_cells: None,
) -> CalledCells:
    """Annotate an input that has passed `Annotator.check`, then read the cells again that are looked into.

    `options`: how samples are judged. `above`: take the cells whose novelty is above this as unassigned, whatever they
    are called. `donor`: a
    column of `obs`. `per_type`: called cells of a type that are kept at most, drawn by `seed`; all unassigned ones are.
    Raises `ModelError` (`NOVELTY_MISSING`) and `ParameterError` before any work, and `InputError` as `annotate`.
    """
    threshold = annotator.rules().novelty_threshold
    if threshold is None:
        imported = annotator.source.bundle.manifest.imported
        raise ModelError.of(
            "NOVELTY_MISSING",
            where=annotator.source.name,
            expected="a model with a novelty threshold",
            found="one that calls every cell" + ("" if imported is None else f", imported from {imported.tool}"),
            remedy="Train it again with this version."
            if imported is None
            else "Train a model on the same cells with cellmark train: it measures a threshold on held-out cells.",
        )
    samples = samples_of(checked.source, options.sample)
    donors = None if donor is None else _column(checked.source, donor)
    sizes = np.zeros(checked.source.n_obs, dtype=np.float32)

    def observe(chunk: RowChunk, prepared: PreparedChunk) -> None:
        if prepared.cells is not None:
            sizes[chunk.start : chunk.start + chunk.X.shape[0]] = prepared.cells.library_size

    calls = annotator.call(checked, options, observe=observe, on_progress=on_progress)
    best = pd.Index(annotator.cell_types).get_indexer(pd.Index(calls[BEST_CELL_TYPE]))
    novelty = calls[NOVELTY].to_numpy(dtype=np.float64)
    # Written so that NaN, which is like nothing, is unassigned too.
    unassigned = ~(novelty <= above) if above is not None else (calls[CELL_TYPE] == UNASSIGNED).to_numpy()
    shift = calls.attrs[UNS_KEY].get("sample_shift") if above is None else None
    of_cells = thresholds_of_cells(shift, threshold, annotator.cell_types, best, samples)
    rows = _chosen(best, unassigned, per_type=per_type, seed=seed)
    names = pd.Index(checked.genes.symbols.astype(str))
    symbols = names.unique()
    counts = _take(checked.source, rows, symbols.get_indexer(names), len(symbols))
    first = np.unique(symbols.get_indexer(names), return_index=True)[1]
    in_panel = np.zeros(len(symbols), dtype=bool)
    in_panel[symbols.get_indexer(names)[checked.match.columns >= 0]] = True
    n_called = np.bincount(best[~unassigned], minlength=len(annotator.cell_types))
    return CalledCells(
        counts=counts,
        library_size=sizes[rows],
        cell_ids=checked.cell_ids[rows],
        gene_symbols=tuple(symbols),
        gene_ids=tuple(np.array(ensembl_ids(checked.source.var, checked.source.var_names), dtype=object)[first]),
        in_panel=in_panel,
        best=best[rows],
        cell_types=tuple(annotator.cell_types),
        unassigned=unassigned[rows],
        novelty=novelty[rows],
        threshold=float(threshold if above is None else above),
        thresholds=None if shift is None else of_cells[rows],
        donors=None if donors is None else donors[rows],
        n_cells=checked.source.n_obs,
        n_called=n_called,
        calls=calls,
        normalised=checked.normalised,
    )


def _chosen(best: np.ndarray, unassigned: np.ndarray, *, per_type: int, seed: int) -> np.ndarray:
    """Numbers of the cells that are kept, rising."""
    generator = np.random.default_rng(seed)
    kept = [np.flatnonzero(unassigned)]
    for code in np.unique(best):
        called = np.flatnonzero(~unassigned & (best == code))
        kept.append(called if len(called) <= per_type else generator.choice(called, per_type, replace=False))
    return np.sort(np.concatenate(kept))


def _take(source: CellSource, rows: np.ndarray, gene: np.ndarray, n_genes: int) -> sp.csr_matrix:
    """Counts of some cells: CSR, float32, cells x `n_genes`. `gene`: the number of each gene of the source, of which
    several may be one.
    """
    joined = sp.csr_matrix(
        (np.ones(len(gene), dtype=np.float32), (np.arange(len(gene)), gene)), shape=(len(gene), n_genes)
    )
    pieces = [sp.csr_matrix((0, n_genes), dtype=np.float32)]
    for chunk in source.chunks(ROWS):
        first, last = np.searchsorted(rows, [chunk.start, chunk.start + chunk.X.shape[0]])
        if last > first:
            piece = chunk.X[rows[first:last] - chunk.start].astype(np.float32) @ joined
            piece.eliminate_zeros()
            pieces.append(piece)
    counts = sp.csr_matrix(sp.vstack(pieces, format="csr"))
    counts.sort_indices()
    return counts


def _column(source: CellSource, name: str) -> np.ndarray:
    if source.obs.columns.tolist().count(name) != 1:
        near = likely_donors(source.obs, name)
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="donor",
            expected="one column of obs with donors or samples",
            found=f"{name!r}, where obs has {columns_in_words(source.obs)}",
            remedy=f"Did you mean {given_as('--donor', near)}?"
            if near
            else "Omit --donor, or name the column of them.",
        )
    values: np.ndarray = (
        source.obs[name].astype(object).where(source.obs[name].notna(), "unknown").astype(str).to_numpy()
    )
    return values
