"""Mutated files and bodies against a running `cellmark serve`, and files against a reader, within bounds.

python tests/fuzz/run.py --cases 20000 --seed 0 --json fuzz.json

Every case is numbered and the same each time for one seed; `--only NUMBER` sends one again and prints the answer. What
must not be: a status of 5xx, a crash of the service, an answer after more than its time limit, memory or open files
that grow, an upload left behind, a refusal that is no problem with known codes. The exit status is then 1, and the
bodies of such cases are kept in `--keep`.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import httpx
from fuzz_case import MEDIA_TYPES, ROUTES, Case, make_case
from fuzz_outcome import Outcome, Verdict, fault_of_answer, judge
from mutate import keep
from running_service import Server, Usage, end_with_sigterm, serve
from sound_inputs import SoundInput, sound_inputs

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.error_codes import CODES
from cellmark.schemas.errors import CellmarkError
from cellmark.serving.http.settings import ServiceSettings
from cellmark.serving.reader.open_apart import open_apart, open_npz_apart
from cellmark.serving.reader.reader_process import WALL_FACTOR, ReaderBudget
from cellmark.serving.reader.reader_server import start_reader

MODEL = Path(__file__).resolve().parents[1] / "archives" / "v1"
KNOWN = frozenset(CODES)
CLIENTS = 3
LIMIT = ReaderBudget().seconds * WALL_FACTOR + 5
"""Seconds: what a reader of a small file may take at most (`reader_process.py`), and some for the way and the queue."""
EVERY = 50
"""Cases between two looks at memory."""
VARIED = 200
"""Requests from which on a run must have met answers of several kinds."""
READER_SHARE = 9
"""Every such case of a file is also read without the service: a number that meets every input in turn."""


def ask(client: httpx.Client, case: Case) -> Outcome:
    """Send one case to the service."""
    start = time.monotonic()
    codes: tuple[str, ...] = ()
    try:
        response = client.post(case.route, **case.arguments)
        status = str(response.status_code)
        media_type = response.headers.get("content-type", "")
        fault = fault_of_answer(case.route, response.status_code, media_type, response.content, KNOWN)
        if response.status_code != 200 and fault is None:
            codes = tuple(finding["code"] for finding in response.json()["findings"])
    except httpx.TimeoutException:
        status, fault = "none", "no answer in time"
    except httpx.HTTPError as error:
        status, fault = "none", f"no answer ({type(error).__name__})"
    return Outcome(case.number, case.kind, case.how, status, codes, time.monotonic() - start, fault)


def read(case: Case, folder: Path) -> Outcome:
    """Read one file as the service does, and hold what comes to its own sizes."""
    start = time.monotonic()
    path = folder / f"case-{case.number}.{case.kind}"
    path.write_bytes(case.content)
    rules = ServiceSettings().reading_rules
    codes: tuple[str, ...] = ()
    fault = None
    try:
        is_npz = case.kind == "npz"
        with open_npz_apart(path, name=path.name, rules=rules) if is_npz else open_apart(path, rules=rules) as source:
            n_rows = 0
            for chunk in source.chunks(5):
                chunk.X.check_format(full_check=True)
                n_rows += chunk.X.shape[0]
                if chunk.X.shape[1] != source.n_vars:
                    fault = "a chunk of another width"
            if not n_rows == source.n_obs == len(source.cell_ids) or len(source.var_names) != source.n_vars:
                fault = "sizes that do not fit"
    except CellmarkError as error:
        codes = tuple(finding.code for finding in error.findings)
        if not set(codes) <= KNOWN:
            fault = f"unknown codes {codes}"
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
    finally:
        path.unlink()
    return Outcome(case.number, case.kind, case.how, "reader", codes, time.monotonic() - start, fault)


class Run:
    """All cases of one run, sent by a few threads until they are done or the time is."""

    def __init__(self, server: Server, inputs: list[SoundInput], options: argparse.Namespace, folder: Path) -> None:
        self.server, self.inputs, self.options, self.folder = server, inputs, options, folder
        self.outcomes: list[Outcome] = []
        self.usage: list[Usage] = []
        self._lock = threading.Lock()
        self._next = 0
        self._deadline = time.monotonic() + options.seconds

    def go(self) -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            threads = [pool.submit(self._client) for _ in range(CLIENTS)]
            try:
                for thread in threads:
                    thread.result()
            finally:
                self._deadline = 0.0  # should one have failed, or the program be ended, the others take no more cases

    def _client(self) -> None:
        with httpx.Client(base_url=self.server.url, timeout=LIMIT + 10) as client:
            while (case := self._take()) is not None:
                found = [ask(client, case)]
                if case.kind != "json" and case.number % READER_SHARE == 0:
                    found.append(read(case, self.folder))
                if any(one.fault for one in found):
                    keep(self.options.keep, case.number, case.kind, case.content)
                with self._lock:
                    self.outcomes += found

    def _take(self) -> Case | None:
        with self._lock:
            number = self._next
            if number >= self.options.cases or time.monotonic() > self._deadline or self.server.crashed():
                return None
            self._next += 1
            if number % EVERY == 0:
                self.usage.append(self.server.usage(number))
            if number % 1000 == 0:
                statuses = dict(Counter(one.status for one in self.outcomes))
                print(
                    f"{number} cases, {self.usage[-1].rss / 1024**2:.0f} MiB, {statuses}", file=sys.stderr, flush=True
                )
            # HDF5 edits hold h5py's lock anyway, so cases are made one at a time.
            return make_case(self.inputs, number, seed=self.options.seed)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=3600, help="No case is begun after so long.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, default=MODEL, help="A bundle folder; by default the archived one.")
    parser.add_argument("--json", type=Path, help="Write all numbers to this file.")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="Where bodies of faults are kept.")
    parser.add_argument("--only", type=int, help="Send this one case and print the answer.")
    return parser.parse_args()


def show(verdict: Verdict, outcomes: list[Outcome], seconds: float) -> None:
    seen = [one.seconds for one in outcomes if one.status != "reader"]
    print(f"{len(seen)} requests in {seconds:.0f} s ({len(seen) / seconds:.1f} a second)")
    print("by status: " + ", ".join(f"{status} {number}" for status, number in verdict.by_status.items()))
    print("codes: " + ", ".join(f"{code} {number}" for code, number in verdict.by_code.items()))
    for one in sorted(outcomes, key=lambda one: -one.seconds)[:5]:
        print(
            f"slow: case {one.number} ({one.kind}, {one.how}) {one.seconds:.2f} s, {one.status} {' '.join(one.codes)}"
        )
    print(f"memory of the service: {verdict.memory_before:.0f} MiB early, {verdict.memory_after:.0f} MiB at the end")
    for fault in verdict.faults[:40]:
        print(f"FAULT {fault}")
    print("passed" if not verdict.faults else f"{len(verdict.faults)} faults")


def too_much_alike(outcomes: list[Outcome], verdict: Verdict) -> list[str]:
    """What a long run should have met and did not: some mutations change nothing that matters and most are seen, so a
    service that refused everything, or nothing, would prove little.
    """
    if sum(one.status != "reader" for one in outcomes) < VARIED:
        return []
    missing = {"200", "400", "422", "reader"} - set(verdict.by_status)
    few = len(verdict.by_code) < 5
    return [f"no answer of {name}" for name in sorted(missing)] + (["fewer than five codes"] if few else [])


def main() -> int:
    options = arguments()
    end_with_sigterm()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        inputs = sound_inputs(Bundle.open(options.model).panel.symbols, folder)
        start_reader()
        with serve(options.model, folder) as server:
            if options.only is not None:
                case = make_case(inputs, options.only, seed=options.seed)
                print(
                    keep(options.keep, case.number, case.kind, case.content), case._replace(content=b"", arguments={})
                )
                response = httpx.post(server.url + case.route, timeout=LIMIT + 10, **case.arguments)
                print(response.status_code, response.text[:3000])
                return 0
            check_sound(server, inputs)
            run = Run(server, inputs, options, folder)
            start = time.monotonic()
            run.go()
            seconds = time.monotonic() - start
            verdict = judge(run.outcomes, run.usage, limit=LIMIT, crashed=server.crashed(), left=server.left_behind())
            verdict = replace(verdict, faults=(*verdict.faults, *too_much_alike(run.outcomes, verdict)))
            check_sound(server, inputs)
            log = server.log.read_text(errors="replace")
    n_tracebacks = log.count("Traceback (most recent call last)")
    show(verdict, run.outcomes, seconds)
    print(f"tracebacks in the log: {n_tracebacks}")
    if options.json:
        seen = sum(one.status != "reader" for one in run.outcomes)
        facts = {**asdict(verdict), "requests": seen, "read": len(run.outcomes) - seen, "seconds": seconds,
                 "seed": options.seed, "tracebacks": n_tracebacks, "limit": LIMIT, "cellmark": version("cellmark"),
                 "how": dict(Counter(f"{one.kind}: {one.how}" for one in run.outcomes)),
                 "usage": [asdict(one) for one in run.usage]}  # fmt: skip
        options.json.write_text(json.dumps(facts, indent=1))
    if n_tracebacks:
        (options.keep).mkdir(parents=True, exist_ok=True)
        (options.keep / "service.log").write_text(log)
    return 1 if verdict.faults or n_tracebacks else 0


def check_sound(server: Server, inputs: list[SoundInput]) -> None:
    """Raise `RuntimeError` unless every input is answered by every route: else mutations of it would show nothing.

    Before the first look at memory this also makes the service load what it loads late, such as Great Expectations,
    and start all its threads.
    """

    def ask_for(one: SoundInput, route: str) -> None:
        headers = {"Content-Type": MEDIA_TYPES[one.kind]}
        response = httpx.post(server.url + route, content=one.content, params=one.options, headers=headers, timeout=90)
        if response.status_code != 200 or response.json().get("valid") is False:
            raise RuntimeError(f"{one.kind} {one.name} is not sound: {response.text[:1000]}")

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        asked = [pool.submit(ask_for, one, route) for route in sorted(set(ROUTES)) for one in inputs]
        for answer in asked:
            answer.result()
    # Names that the model does not know make it load the tables of genes.
    unknown = {"cells": [{"cell_id": "a", "counts": {"MS4A1": 3, "ENSG00000156738": 1, "CD79A": 2}}]}
    httpx.post(server.url + "/annotate", json=unknown, timeout=90)


if __name__ == "__main__":
    sys.exit(main())
