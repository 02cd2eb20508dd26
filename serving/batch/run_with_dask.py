"""A job on a Dask cluster: one task for each shard. The cluster's scheduler hands tasks on, also those of lost workers.

The process that was started plans samples and finishes them; workers score, and keep the model from shard to shard.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmark.schemas.errors import CellmarkError, SetupError

from ..annotator import Annotator
from ..reader.reader_server import start_reader
from ..remote.urls import url_of
from .job_folder import JobFolder
from .job_records import ShardRecord
from .make_job import load_model
from .run_job import JobRun, Listener, ShardKey
from .show_run import Silent

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS, WORKER_SECONDS = 60, 120
GOES_ON = "What is scored is kept, and the same command goes on from there."


def run_with_dask(job: JobFolder, scheduler: str, run: JobRun, listener: Listener, *, threads: int = 1) -> bool:
    """Do all that is left to do of a job; whether it is finished then. `run`: of this process.

    `scheduler`: the address of a cluster's scheduler, or its scheduler file. `threads`: that score in a worker, beside
    the reader of each shard. Raises `SetupError`: `EXTRA_MISSING`, and `CLUSTER_UNUSABLE` for a cluster that cannot be
    reached, ends, or whose workers cannot do the work; and what a worker met that is no input's fault.
    """
    with connected(scheduler) as client:
        _check_workers(client, job, scheduler)
        run.plan()
        _score(client, job, scheduler, run, listener, threads)
    return run.run()


def score_on_worker(folder: str, name: str, number: int, threads: int) -> ShardRecord | None:
    """The task of a shard; None where another process is at it."""
    job = JobFolder(Path(folder))
    path = next(sample.path for sample in job.spec.inputs if sample.name == name)
    if url_of(path) is None and not os.path.exists(path):
        raise _unusable(path, "the inputs on every worker", "none", "Put them on a disk that all machines share.")
    annotator = _model(folder, job.spec.created)
    return JobRun(job, lambda: annotator, Silent(), workers=threads).score_one(name, number)


@lru_cache(maxsize=1)
def _model(folder: str, created: str) -> Annotator:
    start_reader()
    return load_model(JobFolder(Path(folder)))


def _score(client: "Client", job: JobFolder, scheduler: str, run: JobRun, listener: Listener, threads: int) -> None:
    """Have every shard scored that is not, and finish samples whose shards are. Those that another process has
    claimed are left to it.
    """
    from distributed import as_completed

    folder = os.path.abspath(job.folder)
    waiting: dict[Future, ShardKey] = {
        client.submit(score_on_worker, folder, key.sample.name, key.number, threads, key=_task(key), pure=False): key
        for key in run.pending()
    }
    lost: set[str] = set()
    for future in as_completed(list(waiting), loop=client.loop):
        key = waiting.pop(future)
        if key.sample.name in lost:
            continue
        record = _result(future, key, scheduler)
        if record is not None:
            listener.scored(key.sample, record)
            run.digest_ahead(key.sample)
        others = [other for other, one in waiting.items() if one.sample.name == key.sample.name]
        if record is not None and record.state != "scored":
            # The other shards' calls would count for nothing.
            lost.add(key.sample.name)
            client.cancel(others)
        if key.sample.name in lost or not others:
            run.finish(key.sample)


def _task(key: ShardKey) -> str:
    return f"cellmark-{key.claim}-{os.urandom(4).hex()}"


@contextmanager
def connected(scheduler: str) -> "Iterator[Client]":
    """A client of a cluster with at least one worker. Raises `SetupError` as `run_with_dask`."""
    require_dask()
    from distributed import Client

    # What its client says of a cluster that ends is a traceback; ours is one line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    how: dict[str, Any] = {"scheduler_file": scheduler} if os.path.isfile(scheduler) else {"address": scheduler}
    try:
        client = Client(**how, timeout=CONNECT_SECONDS, set_as_default=False, name="cellmark")
    except (OSError, ValueError, TypeError) as error:
        raise _unusable(
            scheduler,
            "the scheduler of a Dask cluster, such as tcp://host:8786",
            _words(error),
            "Start one: dask scheduler.",
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except TimeoutError as error:
            raise _unusable(
                scheduler, "at least one worker", f"none in {WORKER_SECONDS} seconds",
                f"Start one: dask worker {scheduler} --nthreads 1.",
            ) from error  # fmt: skip
        yield client


def require_dask() -> None:
    """Raise `SetupError` (`EXTRA_MISSING`) where Dask's scheduler is not installed."""
    from importlib.util import find_spec

    if find_spec("distributed") is None:
        raise SetupError.of(
            "EXTRA_MISSING",
            where="--dask",
            expected="the package distributed, which speaks with a Dask cluster",
            found="none",
            remedy="pip install 'cellmark[dask]', here and on the workers.",
        )


def _check_workers(client: "Client", job: JobFolder, scheduler: str) -> None:
    """Raise `SetupError` when a worker has no cellmark, another release of it, or does not see the job."""
    place, wanted = os.path.abspath(job.folder / "job.json"), version("cellmark")

    def look() -> str | None:  # it goes to workers by value, since they may lack cellmark
        import os.path
        from importlib import metadata

        try:
            found = metadata.version("cellmark")
        except metadata.PackageNotFoundError:
            return "no cellmark"
        if found != wanted:
            return f"cellmark {found}"
        return None if os.path.isfile(place) else f"no {place}"

    found = client.run(look)
    if wrong := {address: what for address, what in found.items() if what is not None}:
        raise SetupError.of(
            "CLUSTER_UNUSABLE",
            where=scheduler,
            expected=f"workers with cellmark {wanted} that see the job's folder",
            found=f"{len(wrong)} of {len(found)} workers without",
            remedy="Install the same release on all workers, and put the job and its inputs on a disk that they share.",
            examples=tuple(f"{address}: {what}" for address, what in list(wrong.items())[:5]),
        )


def _result(future: "Future", key: ShardKey, scheduler: str) -> ShardRecord | None:
    """What the task of a shard returned. Raises what it raised, and `SetupError` for what the cluster met."""
    from distributed import CancelledError
    from distributed.comm import CommClosedError

    try:
        record: ShardRecord | None = future.result()
    except CellmarkError:
        raise
    except (CancelledError, CommClosedError, TimeoutError) as error:
        raise _unusable(
            scheduler, "a cluster that runs to the end of the job", "one that ended", f"Start it again. {GOES_ON}"
        ) from error
    except Exception as error:
        raise _unusable(
            scheduler,
            f"shard {key.number} of {key.sample.name} scored",
            _words(error),
            f"See the logs of the workers: one that is out of memory is ended. {GOES_ON}",
        ) from error
    return record


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def _unusable(where: str, expected: str, found: str, remedy: str) -> SetupError:
    return SetupError.of("CLUSTER_UNUSABLE", where=where, expected=expected, found=found, remedy=remedy)
