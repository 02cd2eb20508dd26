"""Questions to the explanations of a job: which genes speak for a type, which cells a gene speaks for or against."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cellmark.schemas.columns import (
    BEST_CELL_TYPE,
    CELL_ID,
    CELL_TYPE,
    CONFIDENCE,
    EXPLANATION_ATTRIBUTIONS,
    EXPLANATION_GENES,
    UNASSIGNED,
)
from cellmark.schemas.errors import ModelError, ParameterError
from cellmark.schemas.genes.gene_panel import GenePanel
from cellmark.schemas.genes.map_gene_names import map_gene_names
from cellmark.schemas.near_names import near_names

from .explanations import EXPLANATION, SUMMED, tally_frame, tally_shards, with_shares
from .job_folder import JobFolder
from .make_job import open_bundle
from .score_shard import CALLS

CELL_ROWS = pa.schema(
    [
        ("sample", pa.string()),
        *((name, pa.string()) for name in (CELL_ID, CELL_TYPE, BEST_CELL_TYPE)),
        (CONFIDENCE, pa.float32()),
        ("gene", pa.string()),
        ("rank", pa.int32()),
        ("attribution", pa.float32()),
    ]
)
"""What `JobExplanations.cells` gives."""
N_NEAR = 5
KEYS = ["cell_type", "best_cell_type", "gene"]


@dataclass(frozen=True)
class ExplainedSample:
    """`shards`: files of calls with explanations, in order; `summed`: their `tally_frame` on disk, None before the
    sample is finished.
    """

    shards: Sequence[Path]
    summed: Path | None = None


@dataclass(frozen=True)
class CellsAsked:
    """Which rows: of one gene, of cells of one call (a cell type or `unassigned`), of one sample; None is all."""

    gene: str | None = None
    cell_type: str | None = None
    sample: str | None = None


@dataclass(frozen=True)
class JobExplanations:
    """Explanations of the samples of a job, by name. `cell_types`, `panel`: of its model."""

    samples: Mapping[str, ExplainedSample]
    cell_types: Sequence[str]
    panel: GenePanel

    def check(self, asked: CellsAsked) -> CellsAsked:
        """What was asked, the gene under the panel's name for it: an Ensembl id, an alias or another spelling will do.

        Raises `ModelError` (`GENE_UNKNOWN`, `CELL_TYPE_UNKNOWN`) and `ParameterError`, with near names.
        """
        types = [*self.cell_types, UNASSIGNED]
        if asked.cell_type is not None and asked.cell_type not in types:
            raise ModelError.of(
                "CELL_TYPE_UNKNOWN",
                where="cell_type",
                expected="one of the model's cell types, or unassigned",
                found=repr(asked.cell_type),
                remedy=f"Name one of: {', '.join(near_names(asked.cell_type, types, n=N_NEAR) or types)}.",
            )
        if asked.sample is not None and asked.sample not in self.samples:
            near = near_names(asked.sample, self.samples, n=N_NEAR) or tuple(self.samples)[:N_NEAR]
            raise ParameterError.of(
                "PARAMETER_INVALID",
                where="sample",
                expected="a sample of the job that was scored",
                found=repr(asked.sample),
                remedy=f"Name one, such as {', '.join(near)}."
                if near
                else "Run the job first: cellmark batch run JOB.",
            )
        gene = None if asked.gene is None else self._gene(asked.gene)
        return CellsAsked(gene, asked.cell_type, asked.sample)

    def _gene(self, name: str) -> str:
        names = np.array([name], dtype=object)
        column = int(map_gene_names(names, self.panel.names, self.panel.columns_of(names)).columns[0])
        if column < 0:
            near = near_names(name, self.panel.symbols, n=N_NEAR)
            raise ModelError.of(
                "GENE_UNKNOWN",
                where="gene",
                expected=f"one of the {len(self.panel)} genes that the model reads",
                found=repr(name),
                remedy=f"Name one of them: {', '.join(near)}."
                if near
                else "It is not among them, so no call rests on it. `cellmark markers` lists some that are.",
            )
        return self.panel.symbols[column]

    @cached_property
    def summed(self) -> pd.DataFrame:
        """`tally_frame` of every sample, with a column `sample`. One that is not finished is summed over its shards."""
        frames = []
        for name, sample in self.samples.items():
            if sample.summed is not None:
                frame = pd.read_parquet(sample.summed)
            else:
                tally = tally_shards(sample.shards, self.cell_types, self.panel.symbols)
                frame = tally_frame(tally, self.cell_types, self.panel.symbols)
            frames.append(frame.assign(sample=name))
        empty = tally_frame(tally_shards([], self.cell_types, self.panel.symbols), self.cell_types, self.panel.symbols)
        return pd.concat(frames, ignore_index=True) if frames else empty.assign(sample="")

    def genes_of_types(self, asked: CellsAsked, *, top: int | None = None) -> pd.DataFrame:
        """The genes that speak most for or against each called type over all samples, by what they add to a cell of it.

        Columns as in `tally_frame`, and `contribution` (the attribution of a cell, zero where it does not list the
        gene; its size orders the rows), `n_samples` (those in which some cell lists it), `lowest_share` (among all
        samples with such cells). `unassigned` cells only where they are asked for. `top`: rows of each type.
        """
        chosen = self._chosen(asked)
        n_cells = chosen.drop_duplicates(["sample", *KEYS[:2]]).groupby(KEYS[:2])["n_cells"].agg(["sum", "size"])
        found = chosen.groupby(KEYS, sort=False).agg(
            **{name: (name, "sum") for name in SUMMED}, n_samples=("sample", "size"), lowest_share=("share", "min")
        )
        found = found.join(n_cells, on=KEYS[:2]).rename(columns={"sum": "n_cells"})
        found["lowest_share"] = found["lowest_share"].where(found["n_samples"] == found["size"], 0.0)
        found = with_shares(found.drop(columns="size").reset_index())
        found["contribution"] = found["attribution_sum"] / found["n_cells"]
        return self._first(found, found["contribution"].abs(), top)

    def samples_of_gene(self, asked: CellsAsked, *, top: int | None = None) -> pd.DataFrame:
        """In each sample and called type, how many cells list the gene, for and against, and its mean attribution.

        Columns as in `tally_frame`, and `sample`; the highest shares of each type first.
        """
        chosen = self._chosen(asked)
        return self._first(chosen, chosen["share"], top)

    def _chosen(self, asked: CellsAsked) -> pd.DataFrame:
        rows = self.summed
        wanted = rows["cell_type"] != UNASSIGNED if asked.cell_type is None else rows["cell_type"] == asked.cell_type
        for column, value in (("gene", asked.gene), ("sample", asked.sample)):
            if value is not None:
                wanted &= rows[column] == value
        return rows[wanted]

    def _first(self, rows: pd.DataFrame, strength: pd.Series, top: int | None) -> pd.DataFrame:
        place = {name: number for number, name in enumerate(self.cell_types)}
        order = rows.assign(
            unassigned=rows["cell_type"] == UNASSIGNED, place=rows["best_cell_type"].map(place), strength=-strength
        ).sort_values(["unassigned", "place", "strength"], kind="stable")
        kept = order if top is None else order.groupby(KEYS[:2], sort=False).head(top)
        return kept.drop(columns=["unassigned", "place", "strength"]).reset_index(drop=True)

    def cells(self, asked: CellsAsked) -> Iterator[pa.Table]:
        """A row for each cell and gene of its list that was asked for, shard by shard, row group by row group.

        Columns as in `CELL_ROWS`: what is explained is the best cell type.
        """
        of_cells = [CELL_ID, CELL_TYPE, BEST_CELL_TYPE, CONFIDENCE]
        for name, sample in self.samples.items():
            if asked.sample not in (None, name):
                continue
            for path in sample.shards:
                with pq.ParquetFile(path) as file:
                    for group in range(file.num_row_groups):
                        for batch in file.read_row_group(
                            group, columns=[*of_cells, EXPLANATION_GENES, EXPLANATION_ATTRIBUTIONS]
                        ).to_batches():
                            yield _rows(batch, of_cells, name, asked)


def open_explanations(job: JobFolder) -> JobExplanations:
    """What a job has scored so far. Raises `ParameterError` (`EXPLANATIONS_MISSING`) where none are kept, and as
    `open_bundle`.
    """
    if job.spec.options.explain is None:
        raise ParameterError.of(
            "EXPLANATIONS_MISSING",
            where=str(job.folder),
            expected="a job with explanations",
            found="one that was planned without",
            remedy="Plan another with them: cellmark batch plan DATA -m MODEL -o JOB --explain 20.",
        )
    samples = {}
    for sample in job.spec.inputs:
        plan, outcome = job.plan(sample.name), job.outcome(sample.name)
        if plan is None or (outcome is not None and outcome.status != "ok"):
            continue
        records = enumerate(job.records(sample.name, plan))
        shards = [
            job.shard_file(sample.name, number, CALLS)
            for number, record in records
            if record is not None and record.state == "scored"
        ]
        if shards:
            summed = None if outcome is None else job.input_folder(sample.name) / EXPLANATION
            samples[sample.name] = ExplainedSample(shards, summed)
    bundle = open_bundle(job)
    return JobExplanations(samples, bundle.manifest.cell_type_names, bundle.panel)


def _rows(batch: pa.RecordBatch, of_cells: list[str], sample: str, asked: CellsAsked) -> pa.Table:
    lists = batch.column(EXPLANATION_GENES)
    n_listed = np.diff(lists.offsets.to_numpy())
    cell = np.repeat(np.arange(batch.num_rows), n_listed)
    rank = np.arange(len(cell)) - np.repeat(np.cumsum(n_listed) - n_listed, n_listed) + 1
    genes, kept = lists.flatten(), np.ones(len(cell), dtype=bool)
    if asked.gene is not None:
        kept &= pc.equal(genes, asked.gene).to_numpy(zero_copy_only=False)
    if asked.cell_type is not None:
        called = pc.equal(batch.column(CELL_TYPE).cast(pa.string()), asked.cell_type)
        kept &= called.to_numpy(zero_copy_only=False)[cell]
    rows, mask = pa.array(cell[kept]), pa.array(kept)
    columns = {name: batch.column(name).take(rows) for name in of_cells}
    for name in of_cells[1:3]:
        columns[name] = columns[name].cast(pa.string())
    return pa.table(
        {
            "sample": pa.array([sample] * len(rows), pa.string()),
            **columns,
            "gene": genes.filter(mask),
            "rank": pa.array(rank[kept].astype(np.int32)),
            "attribution": batch.column(EXPLANATION_ATTRIBUTIONS).flatten().filter(mask),
        },
        schema=CELL_ROWS,
    )
