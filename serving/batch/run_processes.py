"""Several processes of one machine in one job's folder: one reader each, since a file is unpacked by one core."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .job_folder import JobFolder
from .run_job import Part


@contextmanager
def others_at_work(job: JobFolder, n_processes: int, part: Part | None = None) -> Iterator[None]:
    """So many processes but one, at work in the folder, or on the same `part`, for as long as the block lasts. What
    goes wrong in one of them is met by this process too, which takes over what they leave; it does not wait for what
    others have claimed of a part, so those of a part are waited for here.
    """
    command = [sys.executable, "-m", "cellmark.serving.commands.cli", "batch", "run", str(job.folder), "--quiet"]
    command += ["--threads", str(threads_of(n_processes))]
    if part is not None:
        command += ["--array-task", f"{part.index}/{part.of}"]
    others = [
        subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(n_processes - 1)
    ]
    try:
        yield
        if part is not None:
            for other in others:
                other.wait()
    finally:
        for other in others:
            if other.poll() is None:
                other.terminate()
        for other in others:
            other.wait()


def threads_of(n_processes: int) -> int:
    """Threads that score in each of them."""
    return max(1, min((os.cpu_count() or 1) // n_processes, 8))
