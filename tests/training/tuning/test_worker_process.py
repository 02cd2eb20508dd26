import os
import subprocess
import sys

import pytest

from cellmark.training.tuning.worker_process import PROC, has_ended, this_process

pytestmark = pytest.mark.skipif(not (PROC / "self" / "stat").exists(), reason="only Linux tells of its processes")
SCRIPT = """
import sys
from cellmark.training.tuning.worker_process import this_process
sys.stdout.write(f"{this_process()}\\n")
sys.stdout.flush()
sys.stdin.read()
"""


def test_a_process_has_ended_once_it_was_killed_even_if_nobody_waited_for_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        assert not has_ended(name)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it is dead now, and still has its number
        assert has_ended(name)
    assert has_ended(name)


def test_a_number_that_another_process_has_got_is_not_the_same_process() -> None:
    own = this_process()
    assert own is not None
    assert not has_ended(own)
    machine, _, started = own.rpartition("/")
    number, _, start = started.partition(":")
    assert has_ended(f"{machine}/{number}:{int(start) - 1}")


@pytest.mark.parametrize("name", [None, "", "elsewhere/pid:[1]/4:5"])
def test_of_processes_of_other_machines_nothing_is_known(name: str | None) -> None:
    assert not has_ended(name)
