"""A scored sample beside the held-out cells of the model's training, from the columns that its shards keep."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cellmark.schemas.cells.reading_options import NOT_KNOWN
from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, CONFIDENCE, NOVELTY
from cellmark.schemas.drift.compare_cells import compare_cells
from cellmark.schemas.drift.drift_report import DriftReport
from cellmark.schemas.errors import ModelError
from cellmark.schemas.reference_profile import read_profile

from ..annotator import Annotator
from ..files.drift import cells_of_calls
from .job_folder import JobFolder
from .job_records import InputPlan, JobInput
from .score_shard import CALLS, QUALITY

OF_CALLS = [BEST_CELL_TYPE, CELL_TYPE, CONFIDENCE, NOVELTY]
OF_QUALITY = {
    "total_counts": "library_size",
    "genes_detected": "genes_detected",
    "mitochondrial_fraction": "mitochondrial_share",
}


def judge_drift(
    job: JobFolder, sample: JobInput, plan: InputPlan, annotator: Annotator, *, library_size_source: str
) -> DriftReport | None:
    """What `cellmark drift` finds, without its measures of single genes; None for a model without a profile. To be
    called when every shard is scored.
    """
    try:
        profile = read_profile(annotator.bundle, distilled=annotator.session.distilled)
    except ModelError:
        return None
    numbers = range(len(plan.shards))
    calls = _columns([pq.read_table(job.shard_file(sample.name, one, CALLS), columns=OF_CALLS) for one in numbers])
    quality = [pq.ParquetFile(job.shard_file(sample.name, one, QUALITY)) for one in numbers]
    wanted = [name for name in OF_QUALITY if name in quality[0].schema_arrow.names]
    unknown: dict[str, str] = {}
    if library_size_source == NOT_KNOWN:
        wanted.remove("total_counts")
        unknown["library_size"] = NOT_KNOWN
    measured = _columns([file.read(columns=wanted) for file in quality]).rename(columns=OF_QUALITY)
    return compare_cells(pd.concat([cells_of_calls(calls), measured], axis=1), profile, unknown=unknown)


def _columns(tables: list[pa.Table]) -> pd.DataFrame:
    frame: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas(ignore_metadata=True)
    return frame
