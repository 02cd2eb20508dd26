"""The marker table of a trained model: one ranking, and beside it all that tells how far to trust each gene."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.manifest.marker_table import marker_table

from ..cells.cell_groups import draw_cells
from ..network.contributions import TypeMeans, cell_contributions
from ..network.folded_network import FoldedNetwork
from .complementary_genes import ranked_scores
from .expression_coefficients import expression_coefficients
from .marker_ranking import (
    MarkerSettings,
    absence_scores,
    distinct_scores,
    evidence_scores,
    order_genes,
    separation,
    type_profiles,
)
from .marker_stability import marker_stability
from .marker_statistics import marker_statistics
from .minimal_combination import combination_columns, minimal_combination
from .permutation_p_values import PermutationTest, permutation_test
from .published_ranking import published_ranking

N_CELLS = 5_000
"""Cells whose contributions the published statistic takes; each is a dense row."""
N_CELLS_PUBLISHED = 20_000
"""The same where it is the ranking."""


@dataclass(frozen=True)
class MarkerCells:
    """The cells that markers are found in.

    `x`: CSR, cells x panel genes, ln(1 + counts per 10,000). `counts`: CSR, cells x all genes, raw; `columns`: of the
    panel's genes in it. `codes`, `calls`: int [cells], labels and the ensemble's calls; `member_calls`: int [members,
    cells]. `donors`: str [cells] or None.
    """

    x: sp.csr_matrix
    counts: sp.csr_matrix
    columns: np.ndarray
    codes: np.ndarray
    calls: np.ndarray
    member_calls: np.ndarray
    donors: np.ndarray | None = None


@dataclass(frozen=True)
class PanelGenes:
    """The panel's genes, in its order. `allowed`: bool, may be ranked; `gate`: a learned gate's weights, or None."""

    symbols: Sequence[str]
    ids: Sequence[str | None]
    allowed: np.ndarray
    gate: np.ndarray | None = None


@dataclass(frozen=True)
class Scores:
    """[types, genes]: `score`, larger is better, NaN for genes without a place; `rank`: 1 is best, 0 for those."""

    score: np.ndarray
    rank: np.ndarray
    fold_level: np.ndarray


def find_markers(
    members: Sequence[FoldedNetwork],
    cells: MarkerCells,
    genes: PanelGenes,
    *,
    cell_types: Sequence[str],
    baselines: np.ndarray,
    marker_baselines: np.ndarray,
    means: TypeMeans,
    marker_means: TypeMeans,
    settings: MarkerSettings,
    seed: int,
) -> pd.DataFrame:
    """All genes of the panel for each type, best first; `schemas/manifest/marker_table.py` describes the columns.

    `baselines`: x0 of the explanations that are served, [genes]; `marker_baselines`: that of contributions. `means`,
    `marker_means`: over the same cells, with either. A type without a correctly called cell has no ranks.
    """
    n_types = len(cell_types)
    profiles = type_profiles(cells.x, cells.codes, n_types)
    apart = separation(profiles)
    test, published = _test_contributions(members, cells, marker_baselines, n_types, settings, seed)
    coefficients = expression_coefficients(cells.x, cells.codes, n_types, seed=seed)
    called = means.n_cells > 0
    if settings.ranking == "published":
        scores = published
    elif settings.ranking == "contribution":
        scores = _scores(marker_means.contributions, apart)
    else:
        evidence, distinct = (
            np.where(genes.allowed, each, -np.inf)
            for each in (evidence_scores(means.attributions, coefficients, profiles), distinct_scores(profiles))
        )
        scores = _scores(ranked_scores(evidence, distinct, profiles), evidence)
    ranks = _ranks_among(scores, genes.allowed, called)
    statistics = marker_statistics(
        cells.x, cells.codes, n_types=n_types, donors=cells.donors, n_permutations=settings.n_permutations, seed=seed
    )
    stability = marker_stability(
        members,
        cells.x,
        baselines,
        cells.codes,
        cells.calls,
        coefficients,
        donors=cells.donors,
        allowed=genes.allowed,
        n_draws=settings.n_bootstraps,
        seed=seed,
    )
    combinations = minimal_combination(
        cells.x,
        cells.codes,
        n_types=n_types,
        candidates=[_present(row, up) for row, up in zip(ranks, apart, strict=True)],
    )
    absence = absence_scores(means.attributions, profiles, statistics["fraction_in"])
    negative = np.where(absence > 0, _ranks_among(_scores(absence, -apart), genes.allowed, called), 0)
    columns: dict[str, np.ndarray] = {
        "marker_score": np.where(ranks > 0, scores.score, np.nan),
        "mean_contribution": np.where(called[:, None], marker_means.contributions, np.nan),
        "mean_attribution": np.where(called[:, None], means.attributions, np.nan),
        "t_statistic": np.tile(test.t_statistic, (n_types, 1)),
        "t_p_value": np.tile(test.p_value, (n_types, 1)),
        "t_p_value_adj": np.tile(test.fdr, (n_types, 1)),
        "fold_level": scores.fold_level,
        "stability": stability,
        **statistics,
        **combination_columns(combinations, n_genes=len(genes.symbols)),
    }
    if genes.gate is not None:
        columns["gate"] = np.tile(genes.gate, (n_types, 1))
    return _table(
        columns,
        ranks=ranks,
        negative=negative,
        apart=apart,
        genes=genes,
        cell_types=cell_types,
        ranking=settings.ranking,
    )


def _test_contributions(
    members: Sequence[FoldedNetwork],
    cells: MarkerCells,
    baselines: np.ndarray,
    n_types: int,
    settings: MarkerSettings,
    seed: int,
) -> tuple[PermutationTest, Scores]:
    """The published test on contributions of correctly called cells, and the published ranking where asked for."""
    is_ranking = settings.ranking == "published"
    rows = draw_cells(cells.codes, at_most=N_CELLS_PUBLISHED if is_ranking else N_CELLS, seed=seed)
    found = cell_contributions(members, cells.x[rows], baselines, cells.codes[rows], cells.member_calls[:, rows])
    known = ~np.isnan(found[:, 0])
    found, codes = found[known], cells.codes[rows][known]
    test = permutation_test(found, codes, n_types=n_types, n_permutations=settings.n_permutations, seed=seed)
    shape = (n_types, cells.x.shape[1])
    if not is_ranking:
        return test, Scores(np.full(shape, np.nan), np.zeros(shape, dtype=int), np.full(shape, np.nan))
    ranking = published_ranking(
        found,
        codes,
        counts=cells.counts,
        count_codes=cells.codes,
        n_types=n_types,
        columns=cells.columns,
        n_candidates=settings.n_candidates,
        seed=seed,
        test=test,
    )
    return test, Scores(ranking.marker_score, np.maximum(ranking.rank, 0), ranking.fold_level)


def _scores(scores: np.ndarray, tie_breaker: np.ndarray) -> Scores:
    """All genes in order of their scores."""
    ranks = np.zeros(scores.shape, dtype=int)
    order = order_genes(scores, tie_breaker=tie_breaker)
    np.put_along_axis(ranks, order, np.arange(1, scores.shape[1] + 1)[None, :], axis=1)
    return Scores(scores, ranks, np.full(scores.shape, np.nan))


def _ranks_among(scores: Scores, allowed: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Ranks without the genes that may not be ranked and without types that are never called right; 0 for those."""
    rank = np.where(allowed[None, :] & called[:, None], scores.rank, 0)
    places = np.argsort(np.argsort(np.where(rank > 0, rank, rank.shape[1] + 1), axis=1, kind="stable"), axis=1) + 1
    return np.where(rank > 0, places, 0)


def _present(ranks: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Columns of ranked genes that the type has more of than others, best first."""
    columns = np.flatnonzero((ranks > 0) & (apart > 0))
    return columns[np.argsort(ranks[columns])]


def _table(
    columns: dict[str, np.ndarray],
    *,
    ranks: np.ndarray,
    negative: np.ndarray,
    apart: np.ndarray,
    genes: PanelGenes,
    cell_types: Sequence[str],
    ranking: str,
) -> pd.DataFrame:
    tables = []
    symbols, ids = np.array(genes.symbols, dtype=object), np.array(genes.ids, dtype=object)
    # Where the difference is not beyond doubt, its sign still says which it would be.
    more = np.where(apart != 0, apart > 0, columns["mean_in"] > columns["mean_out"])
    for number, name in enumerate(cell_types):
        rank = ranks[number]
        order = np.argsort(np.where(rank > 0, rank, len(rank) + 1), kind="stable")
        tables.append(
            pd.DataFrame(
                {
                    "cell_type": name,
                    "rank": _places(rank[order]),
                    "gene_symbol": symbols[order],
                    "gene_id": ids[order],
                    "ranking": ranking,
                    "negative_rank": _places(negative[number][order]),
                    "direction": np.where(more[number][order], "positive", "negative"),
                    **{key: values[number][order] for key, values in columns.items()},
                }
            )
        )
    table = pd.concat(tables, ignore_index=True)
    return marker_table(**{str(name): column for name, column in table.items()})


def _places(ranks: np.ndarray) -> "pd.Series[Any]":
    return pd.Series(ranks).where(ranks > 0).astype("Int64")
