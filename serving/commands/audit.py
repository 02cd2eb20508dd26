"""`cellmark audit`: verify, show and anchor the audit log of a service."""

from typing import Annotated

import typer

from .help_levels import command_group

Log = Annotated[
    str,
    typer.Argument(
        envvar="CELLMARK_AUDIT", help="The log: a SQLite file, or postgresql://USER@HOST/DATABASE.", metavar="LOG"
    ),
]

audit = command_group(help="Verify the audit log of a service, and show what is in it.")


@audit.command()
def verify(
    log: Log,
    heads: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            help="A row that the log is known to have had, as NUMBER:HASH: from `cellmark audit head`, from the header "
            "X-Cellmark-Audit of an answer, or from the service's log. May be given several times.",
        ),
    ] = None,
) -> None:
    """Check that no row was changed, removed or inserted. Exit status 1 when one was.

    Rows that were removed at the end show only against a head that was kept elsewhere.

    Example: `cellmark audit verify audit.db --head 1207:9f2c...`
    """
    from cellmark.schemas.audit.audit_log import open_audit_log
    from cellmark.schemas.audit.chain import Head, check_chain
    from cellmark.schemas.errors import SetupError

    known = [Head.parse(text) for text in heads or ()]
    with open_audit_log(log) as opened:
        report = check_chain(opened.rows(), opened.log_id, known)
    if report.findings:
        raise SetupError(*report.findings)
    typer.echo(f"{report.n_rows:,} rows, each with the hash of the one before")
    typer.echo(f"head {report.head}")
    if not known:
        typer.echo("Rows removed at the end do not show without --head: keep the head above somewhere else.", err=True)


@audit.command()
def head(log: Log) -> None:
    """Print the last row as NUMBER:HASH. Kept elsewhere, it proves later that no row up to it was removed or changed.

    Example: `cellmark audit head audit.db >> /mnt/elsewhere/heads.txt`
    """
    from cellmark.schemas.audit.audit_log import open_audit_log

    with open_audit_log(log) as opened:
        typer.echo(str(opened.head()))


@audit.command()
def show(
    log: Log,
    last: Annotated[int, typer.Option(min=0, help="Number of rows to show, the latest ones. 0: all.")] = 20,
    who: Annotated[str | None, typer.Option(help="Only rows of this key.")] = None,
    model: Annotated[str | None, typer.Option(help="Only rows of this model.")] = None,
    verdict: Annotated[str | None, typer.Option(help="Only rows with this verdict: ok, or a code.")] = None,
    receipt: Annotated[str | None, typer.Option(help="Only the row of the receipt with this id.")] = None,
) -> None:
    """Print rows of the log as JSON, one a line, the oldest first.

    Example: `cellmark audit show audit.db --verdict COUNTS_NOT_WHOLE`
    """
    import json
    from collections import deque

    from cellmark.schemas.audit.audit_log import LOWEST, open_audit_log

    wanted = {"who": who, "model": model, "verdict": verdict, "receipt": receipt}
    asked = {name: value for name, value in wanted.items() if value is not None}
    kept: deque[str] = deque(maxlen=last or None)
    with open_audit_log(log) as opened:
        start = opened.head().seq - last + 1 if last and not asked else LOWEST
        for row in opened.rows(start=start):
            entry = json.loads(row.body)
            if all(entry.get(name) == value for name, value in asked.items()):
                kept.append(json.dumps({"seq": row.seq, **entry, "hash": row.hash}))
    for line in kept:
        typer.echo(line)
