"""Planning every sample of a job ahead of its run, so that its shards can be numbered."""

from ..annotator import Annotator
from ..terminal.show import cell_progress
from .job_folder import JobFolder
from .plan_input import plan_input


def plan_all(job: JobFolder, annotator: Annotator) -> None:
    """Plan the samples that are not planned; one that is refused is recorded as that."""
    with cell_progress("Planning", job.n_inputs, unit="samples") as advance:
        for sample in job.spec.inputs:
            with job.claim(f"{sample.name}.plan") as mine:
                if mine and job.plan(sample.name) is None:
                    plan_input(job, sample, annotator)
            advance(1)
