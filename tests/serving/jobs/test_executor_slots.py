"""Slots are taken in order, held by the living, and found free when their holder is dead."""

import subprocess
import sys
from pathlib import Path

from cellmark.serving.jobs.executor_slots import dead_slot, other_slots, take_slot

HOLD = """
import sys
from pathlib import Path
from cellmark.serving.jobs.executor_slots import take_slot
slot = take_slot(Path(sys.argv[1]))
sys.stdout.write(slot.name + "\\n")
sys.stdout.flush()
sys.stdin.read()
"""


def hold(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def name_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_slot_is_free_when_its_process_was_killed_and_not_before(tmp_path: Path) -> None:
    with hold(tmp_path) as first:
        assert name_of(first) == "slot-0"
        own = take_slot(tmp_path)
        assert own.name == "slot-1"
        assert other_slots(tmp_path, own.name) == ["slot-0"]
        with dead_slot(tmp_path, "slot-0") as is_dead:
            assert not is_dead
        first.kill()
        first.wait()
        with dead_slot(tmp_path, "slot-0") as is_dead:
            assert is_dead
            with hold(tmp_path) as second:  # nobody takes it while it is looked into
                assert name_of(second) == "slot-2"
                second.kill()
        with hold(tmp_path) as third:
            assert name_of(third) == "slot-0"
            third.kill()
        own.release()
