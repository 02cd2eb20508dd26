"""Quality and drift of a sample from its shards: the words of the whole input, in bounded memory."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.drift.drift_words import verdict
from cellmark.serving.annotator import Annotator
from cellmark.serving.batch import judge_sample as module
from cellmark.serving.batch.finish_input import facts_of
from cellmark.serving.batch.judge_sample import Judgement, cells_of_rows, drawn_rows, judge_sample
from cellmark.serving.batch.score_shard import QUALITY
from cellmark.serving.files.batch import quality_in_words
from cellmark.serving.files.drift import drift_of_file
from cellmark.serving.scoring.quality import QualityWatch
from fixtures.batch_jobs import MakeJob, run


def test_a_sample_gets_the_words_of_the_whole_file(
    job_of: MakeJob, sample: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotator = Annotator.load(tiny_bundle.folder)
    watch = QualityWatch(checked := annotator.check(sample))
    annotator.call(checked, observe=watch.see)
    quality, whole = quality_in_words(watch.compare(annotator.bundle)), drift_of_file(annotator, sample)
    job = job_of(sample)
    run(job)
    outcome, plan = job.outcome("sample"), job.plan("sample")
    assert outcome is not None
    assert plan is not None
    assert (outcome.quality, outcome.drift) == (quality, verdict(whole))
    assert pd.read_csv(job.folder / "summary.csv")["drift"].tolist() == [verdict(whole)]

    def judge() -> Judgement:
        return judge_sample(
            annotator,
            job.shard_files("sample", plan),
            job.shard_files("sample", plan, QUALITY),
            n_cells=120,
            facts=facts_of([record for record in job.records("sample", plan) if record is not None], 120),
        )

    report = judge().report
    assert report is not None
    assert report.n_cells == whole.n_cells == 120
    assert [gene.gene for gene in report.genes] == [gene.gene for gene in whole.genes]
    for measure in whole.measures:
        found = report.measure(measure.name)
        assert found.severity == measure.severity
        assert found.effect == pytest.approx(measure.effect, rel=1e-4)
        assert found.reason == measure.reason
    monkeypatch.setattr(module, "drawn_rows", lambda n_cells: drawn_rows(n_cells, 40))
    drawn = judge()
    assert drawn.report is not None
    assert drawn.report.n_cells == 40
    assert drawn.report.measure("detection").observed == report.measure("detection").observed  # of all cells
    for words in (drawn.quality, drawn.drift):
        assert words is not None
        assert words.endswith(" (judged by 40 of 120 cells, drawn evenly)")


@given(st.integers(0, 500), st.integers(1, 60))
def test_rows_are_drawn_evenly(n_cells: int, most: int) -> None:
    rows = drawn_rows(n_cells, most)
    assert len(rows) == min(n_cells, most)
    if n_cells <= most:
        assert rows.tolist() == list(range(n_cells))
    else:
        gaps = np.diff([*rows, n_cells])
        assert rows[0] == 0
        assert set(gaps.tolist()) <= {n_cells // most, n_cells // most + 1}


def test_rows_come_from_the_tables_in_order(tmp_path: Path) -> None:
    table = pa.table({"row": np.arange(100), "name": [f"c{number}" for number in range(100)]})
    paths = [tmp_path / "0.parquet", tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for path, start, stop in zip(paths, (0, 30, 31), (30, 31, 100), strict=True):
        pq.write_table(table.slice(start, stop - start), path, row_group_size=20)
    rows = drawn_rows(100, 17)
    assert cells_of_rows(paths, rows)["row"].tolist() == rows.tolist()
    assert list(cells_of_rows(paths, rows, ["name"])) == ["name"]
    assert cells_of_rows(paths, np.arange(100))["name"].tolist() == table.column("name").to_pylist()
