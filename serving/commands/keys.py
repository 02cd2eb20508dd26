"""`cellmark keys`: who may use a service."""

from pathlib import Path
from typing import Annotated

import typer

from .help_levels import command_group

keys = command_group(
    help="API keys of a service: create, list and revoke them. Changes count at once, without a restart."
)
KeyFile = Annotated[
    Path,
    typer.Option(
        "--key-file",
        envvar="CELLMARK_KEY_FILE",
        help="File of keys. Holds salted hashes, never keys; written with mode 600.",
    ),
]


@keys.command()
def create(
    key_file: KeyFile,
    name: Annotated[str, typer.Option("--name", "-n", help="Who or what the key is for.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            "-s",
            help="annotate (all that takes cells or describes models), explain (attributions) or admin (reload, "
            "rollback). Repeat for several. Default: annotate and explain.",
        ),
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=36500, help="Days until the key expires. Default: never.")
    ] = None,
) -> None:
    """Create a key, add its hash to the file, and print the key once.

    The key alone goes to the standard output, so that `KEY=$(cellmark keys create ...)` takes it. It cannot be shown
    again; a lost key is revoked and replaced. Send it with each request as `Authorization: Bearer KEY`.

    Example: `cellmark keys create --key-file keys.jsonl --name pipeline --days 365`, then
    `cellmark serve --model MODEL --key-file keys.jsonl`

    Example: `cellmark keys create --key-file keys.jsonl --name operator --scope admin`
    """
    from datetime import UTC, datetime, timedelta

    from ..access.api_key import ApiKey, KeyRecord
    from ..access.key_file import add_key
    from ..access.key_lines import checked_name, seconds
    from ..access.scopes import OPEN_SCOPES, checked_scopes

    now = datetime.now(UTC).replace(microsecond=0)
    expires = None if days is None else now + timedelta(days=days)
    scopes = checked_scopes(scope) if scope else OPEN_SCOPES
    key = ApiKey.new()
    add_key(key_file, KeyRecord.of(key, scopes, created=now, expires=expires, name=checked_name(name)))
    until = "never expires" if expires is None else f"expires {seconds(expires)}"
    typer.echo(
        f"Key {key.key_id} ({', '.join(sorted(scopes))}; {until}) is in {key_file}. Keep this, it is shown once:",
        err=True,
    )
    typer.echo(str(key))


@keys.command("list")
def list_(
    key_file: KeyFile,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the keys of a file: id, state, scopes, times and name. No key can be shown again.

    Example: `cellmark keys list --key-file keys.jsonl`
    """
    import time

    from cellmark.schemas.json_document import print_document

    from ..access.key_file import read_key_file
    from ..access.key_lines import describe

    rows = [describe(record, time.time()) for record in read_key_file(key_file)]
    if as_json:
        print_document(rows)
        return
    columns = ("id", "state", "scopes", "created", "expires", "name")
    texts = [[" ".join(row[name]) if name == "scopes" else str(row[name] or "-") for name in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    for line in (list(columns), *texts):
        typer.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key: its 8 characters after cm_.")],
    key_file: KeyFile,
) -> None:
    """Revoke a key: from now on every worker of the service refuses it. Its line stays in the file as a record.

    Example: `cellmark keys revoke abcd2345 --key-file keys.jsonl`
    """
    from datetime import UTC, datetime

    from ..access.key_file import revoke_key
    from ..access.key_lines import seconds

    record = revoke_key(key_file, key_id, datetime.now(UTC).replace(microsecond=0))
    since = f" since {seconds(record.revoked)}" if record.revoked else ""
    typer.echo(f"Key {key_id} is revoked{since}.", err=True)
