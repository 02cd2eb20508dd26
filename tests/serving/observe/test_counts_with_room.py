"""Counts on a disk that becomes full: what was counted stays, and no process ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellmark.serving.observe import counts_with_room
from cellmark.serving.observe.counts_with_room import ROOM, CountsWithRoom
from cellmark.serving.observe.multiprocess import FOLDER

COUNTS = """
import sys
from pathlib import Path
from cellmark.serving.limits.shared_page import SharedPage
from cellmark.serving.observe.metrics import service_metrics
folder = Path(sys.argv[1])
page, metrics = SharedPage(folder / "state"), service_metrics()
metrics.requests.labels("/annotate", "200").inc()
try:
    (folder / "full").write_bytes(bytes(1024**3))
except OSError:
    pass
for number in range(int(sys.argv[2])):
    metrics.requests.labels(f"/route/{number}", "507").inc()
    metrics.request_seconds.labels(f"/route/{number}").observe(1.0)
page.take("a key", rate=1.0, burst=1, now=0.0)
print("counted")
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(tmp_path)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no file system can be mounted here")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.parametrize("n_routes", [3, 2000])
def test_a_worker_outlives_a_full_disk(small_disk: Path, n_routes: int) -> None:
    command = [sys.executable, "-c", COUNTS, str(small_disk), str(n_routes)]
    environment = {**os.environ, FOLDER: str(small_disk)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "counted\n"), done.stderr[-2000:]
    (file,) = small_disk.glob("counter_*.db")
    assert "/annotate" in "".join(key for key, *_ in CountsWithRoom.read_all_values_from_file(str(file)))


def test_counts_without_room_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = CountsWithRoom(str(tmp_path / "kept.db"))
    counts.write_value("first", 1.0, 0.0)

    def full(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(counts_with_room, "allocate", full)
    for each in (counts, CountsWithRoom(str(tmp_path / "new.db"))):
        for number in range(3 * ROOM // 200):
            each.write_value(f"{number:0200}", float(number), 0.0)
        assert each.read_value(f"{7:0200}") == (7.0, 0.0)
    assert counts.read_value("first") == (1.0, 0.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.db"]


def test_counts_grow_on_disk(tmp_path: Path) -> None:
    file = tmp_path / "kept.db"
    counts = CountsWithRoom(str(file))
    for number in range(3 * ROOM // 200):
        counts.write_value(f"{number:0200}", float(number), 0.0)
    found = {key: value for key, value, *_ in CountsWithRoom.read_all_values_from_file(str(file))}
    assert found == {f"{number:0200}": float(number) for number in range(3 * ROOM // 200)}
    assert os.stat(file).st_blocks * 512 >= file.stat().st_size == 4 * ROOM
