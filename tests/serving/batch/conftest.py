"""A model without training, two samples of synthetic cells, and jobs on them."""

from pathlib import Path

import anndata as ad
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.serving.batch.job_folder import JobFolder
from cellmark.serving.batch.job_records import JobOptions, JobOutputs
from cellmark.serving.batch.make_job import job_spec, make_job
from cellmark.serving.files.batch_inputs import BatchInput, batch_inputs
from cellmark.serving.models.model_source import open_model
from fixtures.batch_jobs import MakeJob


@pytest.fixture(scope="session")
def sample(new_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 cells as an `.h5ad`."""
    path = tmp_path_factory.mktemp("batch") / "sample.h5ad"
    new_cells.write_h5ad(path, compression="gzip")
    return path


@pytest.fixture
def job_of(tiny_bundle: Bundle, tmp_path: Path) -> MakeJob:
    """Makes a job of some files, whose shards hold at most 50 cells."""

    def make(
        *inputs: Path | BatchInput,
        options: JobOptions | None = None,
        format: str | None = None,  # noqa: A002
        shard_cells: int = 50,
        folder: str = "job",
        model: Path = tiny_bundle.folder,
        copy_model: bool = True,
    ) -> JobFolder:
        listed = [
            one for given in inputs for one in ([given] if isinstance(given, BatchInput) else batch_inputs([given]))
        ]
        outputs = None if format is None else JobOutputs(folder="results", format=format)  # type: ignore[arg-type]
        source = open_model(model)
        spec = job_spec(
            listed, source, options or JobOptions(), asked=str(model), outputs=outputs, shard_cells=shard_cells
        )
        return make_job(tmp_path / folder, spec, source, copy_model=copy_model)

    return make
