"""Settings of jobs: `CELLMARK_JOBS...` variables."""

from pathlib import Path

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..environment_settings import MIB, Count, EnvironmentSettings


@dataclass(frozen=True)
class JobSettings(EnvironmentSettings):
    """`jobs`: None leaves the routes out. Raises `ParameterError` with all that is wrong."""

    PATHS = ("jobs", "jobs_root")

    jobs: str | None = Field(default=None, description="folder that keeps jobs, shared by all workers; none: no jobs")
    jobs_database: str | None = Field(
        default=None,
        description="URL of the queue's database, such as postgresql://USER@HOST/DATABASE; none: a file in the folder",
    )
    jobs_root: str | None = Field(
        default=None, description="folder whose files a job may name by `path`; none: jobs take uploads alone"
    )
    jobs_max_bytes: Count = Field(default=64 * 1024 * MIB, description="largest file that a job may name by `path`")
    jobs_shard_cells: Count = Field(default=20_000, description="cells that one step scores")
    jobs_keep_hours: Count = Field(default=168, description="hours after which a job and its result are removed")
    jobs_per_worker: Count = Field(default=1, description="jobs that one worker computes at a time")

    @property
    def folder(self) -> Path:
        """Where jobs are kept."""
        assert self.jobs is not None  # noqa: S101
        return Path(self.jobs).absolute()

    @property
    def root(self) -> Path | None:
        """Where files named by `path` are."""
        return None if self.jobs_root is None else Path(self.jobs_root).absolute()

    @property
    def database_url(self) -> str:
        """Where the queue is kept: a database of the user's, else a SQLite file beside the jobs."""
        return self.jobs_database or f"sqlite:///{self.folder / 'queue.db'}"
