"""A worker's end: unready, then without connections, then with its requests stopped, and never later than that."""

import subprocess
import sys
import threading

import pytest

from cellmark.schemas.errors import RequestError
from cellmark.serving.limits import settings
from cellmark.serving.limits.ending import SERVER_PID, Ending, end_gently, is_orphan
from cellmark.serving.limits.settings import LimitSettings, default_workers
from cellmark.serving.stop import Stop

WORKER = """
import asyncio, os, signal, sys, time
from cellmark.serving.limits.ending import Ending, end_gently
from cellmark.serving.limits.settings import LimitSettings
from cellmark.serving.limits import ending as module
from cellmark.serving.stop import Stop

module.GRACE = 0.1

async def work(in_flight: bool) -> None:
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(closed.set))  # as the server's
    ending, stop, start = Ending(), Stop(), time.monotonic()
    steps = []
    stop.wakes(lambda: steps.append(stop.asked_for.code))
    if in_flight:
        ending.in_flight.add(stop)
    assert end_gently(ending, LimitSettings(drain_seconds=0.2, shutdown_seconds=0.2), exit_now=os._exit)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)  # a second one changes nothing
    await asyncio.sleep(0)
    assert ending.begun and not closed.is_set()
    await closed.wait()
    assert time.monotonic() - start >= 0.2 and not steps
    while in_flight and not steps:
        await asyncio.sleep(0.01)
    print("ended", *steps, flush=True)
    if sys.argv[1] == "hangs":
        time.sleep(100)  # nothing of Python's runs any more in this thread

asyncio.run(work(sys.argv[1] != "idle"))
"""


@pytest.mark.parametrize(
    ("how", "said", "status"),
    [("idle", "ended", 0), ("busy", "ended SERVICE_STOPPING", 0), ("hangs", "ended SERVICE_STOPPING", 1)],
)
def test_sigterm_ends_a_worker_in_steps(how: str, said: str, status: int) -> None:
    done = subprocess.run([sys.executable, "-c", WORKER, how], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == said, done.stderr
    assert done.returncode == status


def test_a_thread_of_a_test_has_no_say() -> None:
    said: list[bool] = []
    thread = threading.Thread(target=lambda: said.append(end_gently(Ending(), LimitSettings())))
    thread.start()
    thread.join()
    assert said == [False]


def test_requests_in_flight_are_stopped_once_for_one_reason() -> None:
    ending, stop = Ending(), Stop()
    ending.in_flight.add(stop)
    ending.stop_requests()
    ending.stop_requests()
    with pytest.raises(RequestError) as raised:
        stop.check()
    assert (raised.value.code, raised.value.status) == ("SERVICE_STOPPING", 503)


ORPHAN = """
import os, subprocess, sys
worker = '''
import os, sys, time
sys.stdin.readline()  # the parent is gone
from cellmark.serving.limits.ending import end_with_server
print("asks", flush=True)
end_with_server()
print("still here", flush=True)
'''
read, write = os.pipe()
server = {"CELLMARK_SERVER_PID": str(os.getpid())}
process = subprocess.Popen([sys.executable, "-c", worker], stdin=read, env={**os.environ, **server})
print(process.pid, flush=True)
os._exit(0)  # and the pipe's last writer with it
"""


def test_a_worker_whose_server_ended_before_it_asked_ends_too() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True, timeout=60)
    assert "asks" in done.stdout, done.stderr
    assert "still here" not in done.stdout


def test_an_orphan_is_one_whose_parent_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_orphan()
    monkeypatch.setenv(SERVER_PID, "1")
    assert is_orphan()


def test_there_are_two_workers_where_there_is_room_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    for free, n_workers in ((2 * settings.WORKER_BYTES, 2), (2 * settings.WORKER_BYTES - 1, 1)):
        monkeypatch.setattr(settings, "free_memory", lambda free=free: free)
        assert default_workers() == n_workers
    monkeypatch.setattr(settings, "free_memory", lambda: 10**12)
    monkeypatch.setattr(settings.os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert default_workers() == 1
