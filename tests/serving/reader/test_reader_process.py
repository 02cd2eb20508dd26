"""What a reader process takes, as the one that asks measures it."""

import os
import resource
import sys
import time

from cellmark.serving.reader.reader_process import _memory_of, _seconds_of

NO_PROCESS = 2**22 + 1
"""Above the largest number that Linux gives to a process."""


def test_time_and_memory_of_a_process_are_those_that_the_system_counts() -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    memory, seconds = _memory_of(os.getpid()), _seconds_of(os.getpid())
    assert memory is not None
    assert 0.1 * peak < memory < 1.5 * peak
    assert seconds is not None
    assert abs(seconds - time.process_time()) < 0.5


def test_a_process_that_is_gone_has_neither() -> None:
    assert _memory_of(NO_PROCESS) is None
    assert _seconds_of(NO_PROCESS) is None
