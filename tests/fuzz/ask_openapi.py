"""Requests that schemathesis makes of the one OpenAPI document, valid and not, to every route of a running service.

python tests/fuzz/ask_openapi.py --examples 100 --seed 0

Every answer must be one that the document promises: its status, content type, headers and schema; what the document
forbids must be refused, and no answer may be 5xx. The exit status is 1 when any is not, or when the service's log has
a traceback.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from running_service import end_with_sigterm, serve

MODEL = Path(__file__).resolve().parents[1] / "archives" / "v1"
EXCEPT = "positive_data_acceptance"
"""The one check left out: a body of the right form is refused all the same when its cells do not fit the model."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100, help="Of each route and phase, at most.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, default=MODEL, help="A bundle folder; by default the archived one.")
    options = parser.parse_args()
    end_with_sigterm()
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", "--no-color"]
    command += ["--checks", "all", "--exclude-checks", EXCEPT, "--max-examples", str(options.examples)]
    command += ["--seed", str(options.seed), "--continue-on-failure", "--request-timeout", "30", "--warnings", "off"]
    # Its database of failures would make the next run another one.
    command += ["--generation-database", "none"]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name, serve(options.model, Path(name)) as server:
        status = subprocess.run([*command, f"{server.url}/openapi.json"], cwd=name).returncode
        crashed = server.crashed()
        log = server.log.read_text(errors="replace")
    n_tracebacks = log.count("Traceback (most recent call last)")
    print(f"{len(crashed)} processes of the service are gone, {n_tracebacks} tracebacks in its log")
    return 1 if status or crashed or n_tracebacks else 0


if __name__ == "__main__":
    sys.exit(main())
