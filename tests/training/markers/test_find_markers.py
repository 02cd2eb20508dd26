"""The marker table of a small model: every ranking, lists of genes, types that are never called right."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.manifest.marker_table import COLUMNS
from cellmark.schemas.normalization import normalize
from cellmark.training.markers.find_markers import MarkerCells, PanelGenes, find_markers
from cellmark.training.markers.marker_ranking import MarkerSettings
from cellmark.training.network.contributions import choose_baselines, type_means
from cellmark.training.network.fit import predict_logits
from cellmark.training.network.folded_network import FoldedNetwork, fold
from cellmark.training.run import TrainedModel

FAST = MarkerSettings(n_permutations=100, n_bootstraps=10)


@dataclass(frozen=True)
class Case:
    members: list[FoldedNetwork]
    cells: MarkerCells
    genes: PanelGenes
    cell_types: tuple[str, ...]

    def find(self, settings: MarkerSettings = FAST) -> pd.DataFrame:
        n_types = len(self.cell_types)
        cells = self.cells
        baselines = choose_baselines("mean", cells.x, cells.codes, n_types, seed=0)
        for_markers = choose_baselines(settings.baseline, cells.x, cells.codes, n_types, seed=0)
        of_means, of_markers = (
            type_means(self.members, cells.x, which, cells.codes, cells.calls) for which in (baselines, for_markers)
        )
        return find_markers(
            self.members, cells, self.genes, cell_types=self.cell_types, baselines=baselines,
            marker_baselines=for_markers, means=of_means, marker_means=of_markers, settings=settings, seed=0,
        )  # fmt: skip


@pytest.fixture(scope="module")
def case(trained: TrainedModel) -> Case:
    symbols = trained.bundle.panel.symbols
    columns = np.array([trained.cells.gene_symbols.index(symbol) for symbol in symbols])
    counts = trained.cells.counts
    x = normalize(counts[:, columns], trained.cells.library_size)
    logits = [predict_logits(classifier, x) for classifier in trained.fitted.classifiers]
    calls = np.mean([each.numpy() for each in logits], axis=0).argmax(1)
    member_calls = np.stack([each.argmax(1).numpy() for each in logits])
    donors = np.array([f"d{number % 3}" for number in range(len(calls))])
    return Case(
        [fold(classifier) for classifier in trained.fitted.classifiers],
        MarkerCells(x, counts, columns, trained.cells.codes, calls, member_calls, donors),
        PanelGenes(symbols, [None] * len(symbols), np.ones(len(symbols), dtype=bool)),
        trained.cells.cell_types,
    )


@pytest.fixture(scope="module")
def evidence(case: Case) -> pd.DataFrame:
    return case.find()


def own_genes(number: int) -> set[str]:
    """What `conftest.draw_cells` made the type express more of."""
    return {f"GENE{gene}" for gene in range(number * 10, number * 10 + 10)}


def test_every_gene_has_a_place_and_every_number_but_those_of_other_rankings(
    case: Case, evidence: pd.DataFrame
) -> None:
    for _, rows in evidence.groupby("cell_type", observed=True):
        assert rows["rank"].tolist() == list(range(1, len(case.genes.symbols) + 1))
        assert rows["marker_score"].is_monotonic_decreasing
    absent = {"gene_id", "gate", "fold_level"}
    partial = {"negative_rank", *(name for name in COLUMNS if name.startswith("combination_"))}
    for name in COLUMNS:
        if name in absent:
            assert evidence[name].isna().all()
        elif name not in partial:
            assert evidence[name].notna().all(), name
    assert set(evidence["ranking"]) == {"evidence"}


def test_the_genes_that_a_type_has_more_of_come_first(case: Case, evidence: pd.DataFrame) -> None:
    for number, name in enumerate(case.cell_types):
        best = evidence[(evidence["cell_type"] == name) & (evidence["rank"] <= 8)]
        assert set(best["gene_symbol"]) <= own_genes(number)
        assert (best["direction"] == "positive").all()
        assert (best["stability"] > 0.5).all()
        assert (best["p_value_adj"] < 0.05).all()
        assert (best["donor_fraction"] == 1).all()
        assert (best["n_donors_holding"] == 3).all()
        assert (best["n_donors"] == 3).all()


def test_negative_markers_are_counted_from_one_and_are_less_expressed(evidence: pd.DataFrame) -> None:
    negative = evidence[evidence["negative_rank"].notna()]
    for _, rows in negative.groupby("cell_type", observed=True):
        assert sorted(rows["negative_rank"]) == list(range(1, len(rows) + 1))
    assert (negative["mean_in"] < negative["mean_out"]).all()
    assert (negative["direction"] == "negative").all()


def test_genes_that_may_not_be_markers_keep_their_rows_without_ranks(case: Case, evidence: pd.DataFrame) -> None:
    best = evidence[evidence["rank"] == 1]["gene_symbol"].tolist()
    allowed = ~np.isin(case.genes.symbols, best)
    found = replace(case, genes=replace(case.genes, allowed=allowed)).find()
    assert len(found) == len(evidence)
    banned = found[found["gene_symbol"].isin(best)]
    assert banned["rank"].isna().all()
    assert banned["negative_rank"].isna().all()
    assert banned["marker_score"].isna().all()
    assert not banned["in_minimal_combination"].any()
    second = evidence[evidence["rank"] == 2].set_index("cell_type")["gene_symbol"]
    first = found[found["rank"] == 1].set_index("cell_type")["gene_symbol"]
    others = second[~second.isin(best)]
    assert first[others.index].tolist() == others.tolist()
    for _, rows in found[found["rank"].notna()].groupby("cell_type", observed=True):
        assert sorted(rows["rank"]) == list(range(1, int(allowed.sum()) + 1))


def test_a_type_that_is_never_called_right_has_no_ranks(case: Case) -> None:
    calls = np.where(case.cells.codes == 1, 0, case.cells.calls)
    member_calls = np.where(case.cells.codes == 1, 0, case.cells.member_calls)
    found = replace(case, cells=replace(case.cells, calls=calls, member_calls=member_calls)).find()
    lost = found[found["cell_type"] == case.cell_types[1]]
    for name in ("rank", "negative_rank", "marker_score", "mean_attribution", "mean_contribution", "stability"):
        assert lost[name].isna().all()
    assert lost["auc"].notna().all()
    assert found[found["cell_type"] == case.cell_types[0]]["rank"].notna().all()


def test_contributions_alone_are_a_ranking(case: Case) -> None:
    found = case.find(replace(FAST, ranking="contribution", baseline="zero"))
    ranked = found.sort_values(["cell_type", "rank"])
    for _, rows in ranked.groupby("cell_type", observed=True):
        assert rows["mean_contribution"].is_monotonic_decreasing
        assert rows["marker_score"].tolist() == rows["mean_contribution"].tolist()


def test_the_published_ranking_ranks_candidates_alone(case: Case) -> None:
    found = case.find(replace(FAST, ranking="published", baseline="random", n_candidates=7))
    assert set(found["ranking"]) == {"published"}
    for number, name in enumerate(case.cell_types):
        ranked = found[(found["cell_type"] == name) & found["rank"].notna()]
        assert 3 <= len(ranked) <= 7
        assert ranked["rank"].tolist() == list(range(1, len(ranked) + 1))
        assert set(ranked["gene_symbol"]) <= own_genes(number)
    assert found["fold_level"].notna().any()
    assert (found.loc[found["fold_level"].notna(), "t_p_value_adj"] < 0.05).all()
    assert found["p_value"].notna().all()


def test_a_learned_gate_is_told_of_every_gene(case: Case) -> None:
    gate = np.linspace(0, 1, len(case.genes.symbols))
    found = replace(case, genes=replace(case.genes, gate=gate)).find()
    told = found.drop_duplicates("gene_symbol").set_index("gene_symbol")["gate"]
    assert told[list(case.genes.symbols)].tolist() == gate.tolist()
