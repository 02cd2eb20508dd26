"""Shards of a job that took much longer than its others."""

import statistics

from .job_facts import JobFacts

LEAST_CELLS = 10
"""Below which nothing is said of a sample or a shard."""
LEAST_OTHERS = 3
"""Samples or shards that one is compared with."""
SLOW_TIMES, SLOW_SECONDS = 3.0, 5.0


def slow_shards(facts: JobFacts) -> list[tuple[int, int, int, float, float]]:
    """Place of the sample, number, cells, seconds, and times the median time per cell, the slowest first."""
    scored = [
        (place, shard)
        for place, one in enumerate(facts.samples)
        for shard in one.shards
        if shard.state == "scored" and shard.n_cells >= LEAST_CELLS
    ]
    if len(scored) <= LEAST_OTHERS:
        return []
    # A small shard takes long for its cells, since opening is the same for all; so both must be much.
    usual = statistics.median(shard.total_seconds / shard.n_cells for _, shard in scored)
    least = max(SLOW_SECONDS, SLOW_TIMES * statistics.median(shard.total_seconds for _, shard in scored))
    found = [
        (
            place,
            shard.number,
            shard.n_cells,
            shard.total_seconds,
            shard.total_seconds / shard.n_cells / max(usual, 1e-9),
        )
        for place, shard in scored
        if shard.total_seconds >= least
    ]
    return sorted((one for one in found if one[4] >= SLOW_TIMES), key=lambda one: -one[4])
