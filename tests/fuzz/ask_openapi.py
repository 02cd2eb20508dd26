"""Requests that schemathesis makes of the one OpenAPI document, valid and not, to every route of a running service.

python tests/fuzz/ask_openapi.py --examples 100 --seed 0
python tests/fuzz/ask_openapi.py --examples 20 --credentials
python tests/fuzz/ask_openapi.py --examples 5 --credentials --short

Every answer must be one that the document promises: its status, content type, headers and schema; what the document
forbids must be refused, and no answer may be 5xx. With `--credentials` a service with keys is asked, once with each
kind of credential, in CI shortly with all but the first. The exit status is 1 when any answer is wrong, or when the
service's log has a traceback.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from running_service import Server, end_with_sigterm, serve
from token_server import TokenServer, token_server

from cellmark.serving.access.api_key import ApiKey, KeyRecord
from cellmark.serving.access.key_file import add_key, revoke_key
from cellmark.serving.access.scopes import SCOPES
from cellmark.serving.http.openapi import openapi_document
from cellmark.serving.http.settings import ServiceSettings

MODEL = Path(__file__).resolve().parents[1] / "archives" / "v1"
EXCEPT = "positive_data_acceptance"
"""The one check left out: a body of the right form is refused all the same when its cells do not fit the model."""
LONG_ENOUGH = 300
"""Seconds."""


@dataclass(frozen=True)
class Credential:
    """`text`: what follows Bearer, None for no header. `gets_in`: whether a route lets it in, so that bodies and
    options matter; else a part of the requests is enough, since all get the same answer.
    """

    kind: str
    text: str | None
    gets_in: bool = False


OPEN = (Credential("no credential, none needed", None, gets_in=True),)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100, help="Of each route and phase, at most.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, default=MODEL, help="A bundle folder; by default the archived one.")
    parser.add_argument("--credentials", action="store_true", help="Ask a service with keys, with each kind of them.")
    parser.add_argument(
        "--short", action="store_true", help="After the first credential one example and no phase of coverage."
    )
    options = parser.parse_args()
    end_with_sigterm()
    failed = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name, token_server() as issuer:
        folder, key_file = Path(name), Path(name) / "keys.jsonl"
        credentials = make_credentials(key_file, issuer) if options.credentials else OPEN
        arguments = ("--key-file", str(key_file)) if options.credentials else ()
        trusted = issuer.environment if options.credentials else {}
        kept = ("--jobs", str(folder / "jobs"), "--audit", str(folder / "audit.db"))
        with serve(options.model, folder, *kept, *arguments, **trusted) as server:
            for number, credential in enumerate(credentials):
                print(f"== {credential.kind}", flush=True)
                short = options.short and number > 0
                if not ask(server, folder, credential, examples=options.examples, seed=options.seed, short=short):
                    failed.append(credential.kind)
            crashed = server.crashed()
            there = server.pids()
        log = server.log.read_text(errors="replace")
    n_tracebacks = log.count("Traceback (most recent call last)")
    if crashed:
        print(f"gone: {crashed} of {server.lasting}, there: {there}; the end of the log:\n{log[-3000:]}")
    if n_tracebacks:
        first = log.index("Traceback (most recent call last)")
        print(f"around the first traceback of the log:\n{log[max(0, first - 1000) : first + 5000]}")
    print(f"{len(crashed)} processes of the service are gone, {n_tracebacks} tracebacks in its log; failed: {failed}")
    return 1 if failed or crashed or n_tracebacks else 0


def ask(server: Server, folder: Path, credential: Credential, *, examples: int, seed: int, short: bool) -> bool:
    """Whether all was as it must be: schemathesis found no fault, and asked for all that the document describes.

    `short`: without the phase of coverage, which makes some 6,000 requests, the same with every credential.
    """
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", "--no-color"]
    command += ["--checks", "all", "--exclude-checks", EXCEPT, "--max-examples", str(1 if short else examples)]
    command += ["--seed", str(seed), "--continue-on-failure", "--request-timeout", "30", "--warnings", "off"]
    # Its database of failures would make the next run another one.
    command += ["--generation-database", "none"]
    # A request that says it waits for 5e-324 seconds is answered with 504, as it must be.
    command += ["--header", f"X-Request-Timeout: {LONG_ENOUGH}"]
    if credential.text is not None:
        command += ["--header", f"Authorization: Bearer {credential.text}"]
    if not credential.gets_in:
        command += ["--phases", "examples,fuzzing"]
    elif short:
        command += ["--phases", "examples,fuzzing,stateful"]
    command += [f"{server.url}/openapi.json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        n_asked = 0
        for line in running.stdout:
            print(line, end="", flush=True)
            if found := re.search(r"Tested: (\d+)", line):
                n_asked = int(found[1])
    # The document itself is not asked for.
    known = sum(len(methods) for methods in openapi_document(ServiceSettings())["paths"].values()) - 1
    if n_asked < known:
        print(f"asked for {n_asked} operations of {known}")
    return running.returncode == 0 and n_asked >= known


def make_credentials(key_file: Path, issuer: TokenServer) -> tuple[Credential, ...]:
    """A key or token of every kind."""
    now = datetime.now(UTC)
    everything = " ".join(SCOPES)

    def key(*scopes: str, expires: datetime | None = None) -> str:
        made = ApiKey.new()
        add_key(key_file, KeyRecord.of(made, frozenset(scopes), created=now, expires=expires))
        return str(made)

    revoked = key(*SCOPES)
    revoke_key(key_file, revoked.split("_")[1], now)
    return (
        Credential("a key with all scopes", key(*SCOPES), gets_in=True),
        *(Credential(f"a key with the scope {scope}", key(scope), gets_in=True) for scope in SCOPES),
        Credential("a token with all scopes", issuer.token(everything), gets_in=True),
        Credential("no credential", None),
        Credential("an expired key", key(*SCOPES, expires=now - timedelta(days=1))),
        Credential("a revoked key", revoked),
        Credential("a key that nobody made", str(ApiKey.new())),
        Credential("a token without a scope", issuer.token("openid")),
        Credential("an expired token", issuer.token(everything, seconds=-3600)),
        Credential("a token of somebody else", issuer.token(everything, key=ec.generate_private_key(ec.SECP256R1()))),
    )


if __name__ == "__main__":
    sys.exit(main())
