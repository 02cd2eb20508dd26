"""Files of the genes behind calls: what the shards hold, one row for each cell."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import EXPLANATION_LISTS
from cellmark.schemas.errors import ParameterError
from cellmark.serving.annotator import Annotator
from cellmark.serving.batch.collect_calls import collect_calls
from cellmark.serving.batch.job_records import JobOptions
from cellmark.serving.batch.verify_job import verify_job
from cellmark.serving.files.batch_inputs import BatchInput
from fixtures.batch_jobs import MakeJob, run


@pytest.mark.parametrize("format", ["parquet", "h5ad"])
def test_a_file_beside_the_calls_holds_what_the_shards_hold(
    job_of: MakeJob,
    sample: Path,
    tmp_path: Path,
    format: str,  # noqa: A002
) -> None:
    job = job_of(sample, options=JobOptions(explain=3), format=format)
    assert run(job)
    found = pq.read_table(job.folder / "results" / "sample.explained.parquet")
    plan = job.plan("sample")
    assert plan is not None
    columns = ["cell_id", "cellmark_cell_type", "cellmark_best_cell_type", *EXPLANATION_LISTS]
    shards = pd.concat([pd.read_parquet(path, columns=columns) for path in job.shard_files("sample", plan)])
    assert found.column_names == columns
    assert found.num_rows == 120
    for column in columns:
        assert [list(one) if column in EXPLANATION_LISTS[:2] else one for one in found.column(column).to_pylist()] == [
            list(one) if column in EXPLANATION_LISTS[:2] else one for one in shards[column]
        ]
    assert verify_job(job) == []
    calls, explained = tmp_path / "calls" / "sample.csv", tmp_path / "calls" / "sample.explained.parquet"
    assert collect_calls(job, tmp_path / "calls", "csv", force=False, on_sample=lambda text: None) == [calls]
    assert pq.read_table(explained).equals(found)


def test_annotate_into_a_folder_explains(
    cellmark: Callable[..., Any], sample: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / "calls"
    ran = cellmark("annotate", sample, "-m", tiny_bundle.folder, "-o", f"{out}/", "--explain", "2")
    assert ran.status == 0, ran.err
    cells = pd.read_parquet(out / "sample.explained.parquet")
    expected = Annotator.load(tiny_bundle.folder).explain(sample, top=2)
    assert cells["cell_id"].tolist() == expected["cell_id"].unique().tolist()
    listed = cells.explode(list(EXPLANATION_LISTS[:2]))
    assert (listed[EXPLANATION_LISTS[0]].to_numpy() == expected["gene"].to_numpy()).mean() > 0.99
    assert EXPLANATION_LISTS[0] not in pd.read_parquet(out / "sample.parquet")
    answered = cellmark("batch", "explain", out / ".cellmark")
    assert answered.status == 0
    (out / "sample.parquet").unlink()
    (out / "summary.csv").unlink()
    (out / "sample.json").unlink()
    again = cellmark("annotate", sample, "-m", tiny_bundle.folder, "-o", f"{out}/", "--explain", "2")
    assert "[OUTPUT_EXISTS]" in again.err
    for target in ([f"{tmp_path / 'calls.csv'}"], [f"{out}/", "--service", "http://127.0.0.1:1"]):
        model = [] if len(target) > 1 else ["-m", tiny_bundle.folder]
        refused = cellmark("annotate", sample, *model, "-o", *target, "--explain", "2")
        assert refused.status == 2
        assert "--explain" in refused.err


def test_a_sample_with_the_name_of_anothers_explanations_is_refused(job_of: MakeJob, sample: Path) -> None:
    with pytest.raises(ParameterError, match=r"a\.explained"):
        job_of(BatchInput(sample, "a"), BatchInput(sample, "a.explained"), options=JobOptions(explain=2))
