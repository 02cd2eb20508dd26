"""Each fault of `benchmarks/serving/service_faults.py`, once: a real service of two workers under load."""

import json
import os
import subprocess
import sys

import pytest

from fixtures.places import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(620)]


@pytest.mark.parametrize("fault", ["sigterm", "worker", "reader", "main", "disk", "audit", "registry", "clock"])
def test_nothing_that_was_taken_on_is_lost_and_no_file_is_blamed(fault: str) -> None:
    command = [
        sys.executable,
        "benchmarks/serving/service_faults.py",
        "--model",
        "tests/archives/v1",
        "--faults",
        fault,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    last = done.stdout.splitlines()[-1]
    if "skipped" in last:
        pytest.skip(last)
    assert json.loads(last)["wrong"] == []
