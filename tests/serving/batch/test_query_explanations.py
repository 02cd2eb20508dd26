"""What can be asked of a job's explanations: against rows of pandas, over finished and unfinished samples."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_ID, CELL_TYPE, CONFIDENCE, EXPLANATION_LISTS, UNASSIGNED
from cellmark.schemas.errors import ModelError, ParameterError
from cellmark.schemas.genes.gene_panel import GenePanel
from cellmark.serving.batch.explanations import explanation_columns, write_sample_explanation
from cellmark.serving.batch.query_explanations import CellsAsked, ExplainedSample, JobExplanations
from cellmark.serving.scoring.strongest_genes import StrongestGenes

TYPES = ["B cell", "T cell"]
SYMBOLS = ("CD79A", "CD8A", "CD8B", "MS4A1", "NKG7", "GNLY", "LYZ")
GENES, ATTRIBUTIONS, _ = EXPLANATION_LISTS


def shard(seed: int, n_cells: int, prefix: str) -> pa.Table:
    rng = np.random.default_rng(seed)
    genes = np.argsort(rng.random((n_cells, len(SYMBOLS))), axis=1)[:, :3]
    found = StrongestGenes(
        genes.astype(np.uint16), rng.normal(size=(n_cells, 3)).astype(np.float32), np.zeros(n_cells, dtype=np.float32)
    )
    best = np.array(TYPES, dtype=object)[rng.integers(0, 2, n_cells)]
    called = np.where(rng.random(n_cells) < 0.2, UNASSIGNED, best)
    return pa.table(
        {
            CELL_ID: [f"{prefix}{number}" for number in range(n_cells)],
            CELL_TYPE: pa.array(called, pa.string()).dictionary_encode(),
            BEST_CELL_TYPE: pa.array(best, pa.string()).dictionary_encode(),
            CONFIDENCE: rng.random(n_cells).astype(np.float32),
            **explanation_columns(found, pa.array(SYMBOLS)),
        }
    )


@pytest.fixture(scope="module")
def asked_job(tmp_path_factory: pytest.TempPathFactory) -> JobExplanations:
    """Sample `a` is finished and has two shards, sample `b` one and no sums yet."""
    folder = tmp_path_factory.mktemp("job")
    paths = [folder / f"{number}.parquet" for number in range(3)]
    for number, path in enumerate(paths):
        pq.write_table(shard(number, 40, f"s{number}-"), path, row_group_size=16)
    write_sample_explanation(paths[:2], folder / "explanation.parquet", TYPES, SYMBOLS)
    samples = {"a": ExplainedSample(paths[:2], folder / "explanation.parquet"), "b": ExplainedSample(paths[2:])}
    return JobExplanations(samples, TYPES, GenePanel(SYMBOLS, organism="human"))


@pytest.fixture(scope="module")
def rows(asked_job: JobExplanations) -> pd.DataFrame:
    """One row for each cell and gene, by pandas alone."""
    frames = []
    for name, sample in asked_job.samples.items():
        for path in sample.shards:
            frame = pd.read_parquet(path).assign(sample=name)
            frame[[CELL_TYPE, BEST_CELL_TYPE]] = frame[[CELL_TYPE, BEST_CELL_TYPE]].astype(str)
            frames.append(frame.explode([GENES, ATTRIBUTIONS]))
    found = pd.concat(frames, ignore_index=True)
    found["rank"] = found.groupby(CELL_ID).cumcount() + 1
    return found.astype({ATTRIBUTIONS: "float64"})


def test_genes_of_types_are_those_of_pandas(asked_job: JobExplanations, rows: pd.DataFrame) -> None:
    found = asked_job.genes_of_types(CellsAsked())
    assert UNASSIGNED not in set(found["cell_type"])
    called = rows[rows[CELL_TYPE] != UNASSIGNED]
    for row in found.itertuples():
        of_type = called[called[CELL_TYPE] == row.cell_type]
        listed = of_type[of_type[GENES] == row.gene]
        assert row.n_cells == of_type[CELL_ID].nunique()
        assert (row.n_top, row.n_for) == (len(listed), (listed[ATTRIBUTIONS] > 0).sum())
        assert row.contribution == pytest.approx(listed[ATTRIBUTIONS].sum() / row.n_cells)
        assert row.mean_attribution == pytest.approx(listed[ATTRIBUTIONS].mean())
        shares = listed.groupby("sample").size() / of_type.groupby("sample")[CELL_ID].nunique()
        assert row.lowest_share == pytest.approx(shares.fillna(0).min())
        assert row.n_samples == listed["sample"].nunique()
    assert (
        found.groupby("cell_type", sort=False)["contribution"]
        .apply(lambda one: one.abs().is_monotonic_decreasing)
        .all()
    )


def test_top_keeps_the_first_rows_of_each_type(asked_job: JobExplanations) -> None:
    every, first = asked_job.genes_of_types(CellsAsked()), asked_job.genes_of_types(CellsAsked(), top=2)
    assert first["cell_type"].tolist() == ["B cell", "B cell", "T cell", "T cell"]
    pd.testing.assert_frame_equal(first, every.groupby("cell_type", sort=False).head(2).reset_index(drop=True))


def test_unassigned_cells_are_listed_by_what_they_are_like(asked_job: JobExplanations) -> None:
    found = asked_job.genes_of_types(CellsAsked(cell_type=UNASSIGNED))
    assert set(found["cell_type"]) == {UNASSIGNED}
    assert found["best_cell_type"].drop_duplicates().tolist() == TYPES


def test_samples_of_a_gene_are_those_of_pandas(asked_job: JobExplanations, rows: pd.DataFrame) -> None:
    found = asked_job.samples_of_gene(asked_job.check(CellsAsked(gene="CD8A")))
    listed = rows[(rows[GENES] == "CD8A") & (rows[CELL_TYPE] != UNASSIGNED)]
    expected = listed.groupby([CELL_TYPE, "sample"])[ATTRIBUTIONS].agg(["size", "mean"])
    by_key = found.set_index(["cell_type", "sample"]).sort_index()
    assert by_key["n_top"].tolist() == expected["size"].tolist()
    np.testing.assert_allclose(by_key["mean_attribution"], expected["mean"], rtol=1e-6)


@pytest.mark.parametrize(
    "asked",
    [
        CellsAsked(),
        CellsAsked(gene="CD8A"),
        CellsAsked(gene="LYZ", cell_type=UNASSIGNED),
        CellsAsked(cell_type="T cell", sample="b"),
    ],
)
def test_cells_are_those_of_pandas(asked_job: JobExplanations, rows: pd.DataFrame, asked: CellsAsked) -> None:
    found = pa.concat_tables(asked_job.cells(asked)).to_pandas()
    wanted = np.ones(len(rows), dtype=bool)
    for column, value in ((GENES, asked.gene), (CELL_TYPE, asked.cell_type), ("sample", asked.sample)):
        if value is not None:
            wanted &= rows[column] == value
    expected = rows[wanted].rename(columns={GENES: "gene", ATTRIBUTIONS: "attribution"})
    assert len(expected)
    pd.testing.assert_frame_equal(found, expected[list(found)].reset_index(drop=True), check_dtype=False)


@pytest.mark.parametrize(("asked", "meant"), [("cd8a", "CD8A"), ("CD20", "MS4A1"), ("ENSG00000153563", "CD8A")])
def test_other_names_of_a_gene_are_understood(asked_job: JobExplanations, asked: str, meant: str) -> None:
    assert asked_job.check(CellsAsked(gene=asked)).gene == meant


def test_an_unknown_gene_gets_near_names(asked_job: JobExplanations) -> None:
    with pytest.raises(ModelError, match=r"CD8A, CD8B.*GENE_UNKNOWN"):
        asked_job.check(CellsAsked(gene="CD8AX"))
    with pytest.raises(ModelError, match="cellmark markers"):
        asked_job.check(CellsAsked(gene="QQQQ"))


def test_unknown_types_and_samples_get_near_names(asked_job: JobExplanations) -> None:
    with pytest.raises(ModelError, match=r"Name one of: B cell.*CELL_TYPE_UNKNOWN"):
        asked_job.check(CellsAsked(cell_type="b cel"))
    with pytest.raises(ParameterError, match="such as a, b"):
        asked_job.check(CellsAsked(sample="c"))


def test_a_job_without_scored_samples_has_no_rows(asked_job: JobExplanations) -> None:
    nothing = JobExplanations({}, TYPES, asked_job.panel)
    assert nothing.genes_of_types(CellsAsked()).empty
    assert nothing.samples_of_gene(CellsAsked(gene="CD8A")).empty
    assert not list(nothing.cells(CellsAsked()))
