"""What workers share: one limit for all, given back by a kill."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cellmark.serving.limits.shared_page import BUCKETS, SharedPage

WORKER = """
import sys
from pathlib import Path
from cellmark.serving.limits.shared_page import SharedPage
page = SharedPage(Path(sys.argv[1]))
for line in sys.stdin:
    match line.split():
        case ["reserve", number, most]:
            print(page.reserve(int(number), int(most)), flush=True)
        case ["release", number]:
            print(page.release(int(number)), flush=True)
        case ["take", key, now]:
            print(page.take(key, rate=2.0, burst=4, now=float(now)), flush=True)
"""


class Worker:
    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, *question: object) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, question)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def test_room_is_that_of_all_workers_and_comes_back_from_a_killed_one(tmp_path: Path) -> None:
    mine, other = SharedPage(tmp_path), Worker(tmp_path)
    try:
        assert other.ask("reserve", 60, 100) == "True"
        assert not mine.reserve(50, 100)
        assert mine.reserve(40, 100)
        assert mine.held() == 100
        assert other.ask("reserve", 1, 100) == "False"
        mine.release(40)
        assert other.ask("reserve", 40, 100) == "True"
        assert not mine.reserve(1, 100)
    finally:
        other.kill()
    assert mine.reserve(100, 100)
    assert mine.held() == 100


def test_a_body_larger_than_all_room_is_taken_alone() -> None:
    page = SharedPage()
    assert page.reserve(500, 100)
    assert not page.reserve(1, 100)
    page.release(500)
    assert page.reserve(1, 100)


def test_a_rate_is_one_for_all_workers(tmp_path: Path) -> None:
    mine, other = SharedPage(tmp_path), Worker(tmp_path)
    try:
        waits = [float(other.ask("take", "key", 100.0)) for _ in range(3)]
        waits += [mine.take("key", rate=2.0, burst=4, now=100.0) for _ in range(2)]
        assert waits == [0, 0, 0, 0, 0.5]
        assert float(other.ask("take", "key", 100.25)) == 0.25
        assert float(other.ask("take", "another", 100.25)) == 0
        assert mine.take("key", rate=2.0, burst=4, now=100.5) == 0
        assert float(other.ask("take", "key", 100.5)) == 0.5
    finally:
        other.kill()


@pytest.mark.parametrize("jump", [-1000.0, 1000.0])
def test_a_clock_that_jumps_gives_no_more_than_a_full_bucket(jump: float) -> None:
    page, now = SharedPage(), 5000.0
    while page.take("key", rate=1.0, burst=3, now=now) == 0:
        pass
    now += jump
    given = 0
    while page.take("key", rate=1.0, burst=3, now=now) == 0:
        given += 1
    assert given == (3 if jump > 0 else 0)
    assert page.take("key", rate=1.0, burst=3, now=now + 1) == 0


def test_more_keys_than_buckets_are_served_and_a_busy_one_is_not_forgotten() -> None:
    page = SharedPage()
    for number in range(3 * BUCKETS):
        assert page.take(str(number), rate=1.0, burst=1, now=float(number)) == 0
    last = str(3 * BUCKETS - 1)
    assert page.take(last, rate=1.0, burst=1, now=3.0 * BUCKETS - 1) == 1.0


def test_many_pages_of_one_folder_have_places_of_their_own(tmp_path: Path) -> None:
    pages = [SharedPage(tmp_path) for _ in range(5)]
    for page in pages:
        assert page.reserve(10, 50)
    assert not pages[0].reserve(1, 50)
    assert pages[0].held() == 50
