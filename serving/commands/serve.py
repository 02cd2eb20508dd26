"""`cellmark serve`: a model as an HTTP service."""

from typing import Annotated, Literal

import typer

from .complete import complete_model
from .options import each_meant


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            autocompletion=complete_model,
            callback=each_meant,
            help="Bundle folder, name of a registered model (its champion) or MLflow URI (models:/pbmc@champion). "
            "Repeat it to serve several models. Default: CELLMARK_MODEL.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. 0.0.0.0: all addresses of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 3000,
    device: Annotated[
        Literal["cpu", "cuda"],
        typer.Option(envvar="CELLMARK_DEVICE", help="Device to compute on. An error if cuda cannot be used."),
    ] = "cpu",
    key_file: Annotated[
        str | None,
        typer.Option(
            "--key-file",
            envvar="CELLMARK_KEY_FILE",
            help="File of API keys, made by `cellmark keys create`. Requests then need a key.",
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", envvar="CELLMARK_INSECURE", help="Answer everybody without keys, also beyond this machine."
        ),
    ] = False,
    ssl_certfile: Annotated[
        str | None,
        typer.Option("--ssl-certfile", envvar="CELLMARK_SSL_CERTFILE", help="PEM certificate (chain). Serves https."),
    ] = None,
    ssl_keyfile: Annotated[
        str | None,
        typer.Option("--ssl-keyfile", envvar="CELLMARK_SSL_KEYFILE", help="PEM private key of the certificate."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            envvar="CELLMARK_WORKERS",
            help="Number of server processes. Each loads the model. Default: 2 where the machine has room, else 1.",
        ),
    ] = None,
    jobs: Annotated[
        str | None,
        typer.Option(
            envvar="CELLMARK_JOBS",
            help="Folder that keeps jobs (POST /jobs) through restarts. Needs the extra jobs. Default: no jobs.",
        ),
    ] = None,
    audit: Annotated[
        str | None,
        typer.Option(
            envvar="CELLMARK_AUDIT",
            help="Audit log, a row for every answer: a SQLite file, or postgresql://USER@HOST/DATABASE. Default: none.",
        ),
    ] = None,
) -> None:
    """Serve a model over HTTP: annotate cells, explain calls, validate input, list markers.

    Example: `cellmark serve --model models:/pbmc@champion`, then
    `curl -F file=@new.h5ad http://127.0.0.1:3000/annotate`

    Example, beyond this machine, where requests need keys: `cellmark keys create --key-file keys.jsonl`, then
    `cellmark serve --model models:/pbmc@champion --host 0.0.0.0 --key-file keys.jsonl`

    The model is verified and tested before the server starts. A model given by an alias is followed: when the alias
    moves, the service fetches, tests and swaps, every CELLMARK_FOLLOW_SECONDS and at MLflow's webhook
    (CELLMARK_WEBHOOK_SECRET). CELLMARK_SHADOW lets a second model score a share of requests (CELLMARK_SHADOW_SHARE)
    unseen. Versions on demand stay within CELLMARK_MODEL_MEMORY. A separate process reads uploaded files, within
    CELLMARK_READ_SECONDS, CELLMARK_READER_MEMORY_BYTES, CELLMARK_MAX_CELLS, CELLMARK_MAX_GENES and
    CELLMARK_MAX_NONZEROS. Other settings are environment variables too: CELLMARK_CONCURRENCY, CELLMARK_THREADS,
    CELLMARK_MAX_UPLOAD_BYTES, CELLMARK_MAX_JSON_BYTES, CELLMARK_MAX_UNPACKED_BYTES. Temporary files go to TMPDIR,
    BentoML's to BENTOML_HOME (default: below TMPDIR).
    """
    import json
    import os
    import sys
    from dataclasses import replace

    from ..access.exposure import refuse_exposure
    from ..access.settings import AccessSettings
    from ..audit.settings import AuditSettings
    from ..http.served_model import find_models
    from ..http.settings import ServiceSettings
    from ..http.start_server import free_address
    from ..jobs.engine import require_dbos
    from ..jobs.job_store import make_folder
    from ..jobs.settings import JobSettings
    from ..limits.settings import default_workers
    from ..versions.settings import RESOLVED, FollowSettings, wishes_to
    from ..versions.worker_paths import absolute_places

    n_workers = workers or default_workers()
    settings = ServiceSettings.from_environment()
    listed = settings.model if not model else model[0] if len(model) == 1 else json.dumps(model)
    wanted = replace(settings, model=listed, device=device, workers=n_workers)
    access = replace(
        AccessSettings.from_environment(),
        key_file=key_file,
        insecure=insecure,
        ssl_certfile=ssl_certfile,
        ssl_keyfile=ssl_keyfile,
    )
    job_settings = replace(JobSettings.from_environment(), jobs=jobs)
    if job_settings.jobs is not None:
        require_dbos()
        make_folder(job_settings.folder)
    recorded = replace(AuditSettings.from_environment(), audit=audit)
    if recorded.url is not None:
        recorded = replace(recorded, audit=recorded.url)
        # Begun or refused here, so that no worker begins another one when this is gone.
        with recorded.open() as log:
            if log.head().seq == 0:
                typer.echo("The audit log is empty: a new one begins.", err=True)
        recorded = replace(recorded, audit_create=False)
    address = free_address(host, port)
    refuse_exposure(address, access)
    found = find_models(wanted, FollowSettings.from_environment())
    _, source = found[0]
    # The workers get verified folders beside the URIs that they follow: all start with the same version, and need no
    # registry for it.
    resolved = replace(
        wanted, model=str(source.bundle.folder.resolve()), model_name=source.name, model_version=source.version
    )
    shown = f"[{address}]" if ":" in address else address
    scheme = "http" if access.ssl_certfile is None else "https"
    whom = "with keys" if access.is_guarded else "for everybody, without keys"
    for wish, each in found:
        version = f" version {each.version}" if each.version else ""
        cached = "; the registry does not answer: the last good version, kept on this machine" if wish.cached else ""
        named = f"{each.name}{version} ({each.bundle.digest[:12]})"
        typer.echo(f"Serving {named} on {scheme}://{shown}:{port}, {whom}{cached}", err=True)
    sys.stderr.flush()
    # Another program takes this process's place: the model that was tested here would only take up memory.
    arguments = ["-m", "cellmark.serving.http.start_server", "--host", address, "--port", str(port)]
    # With a safe path, files in the working folder cannot stand in for modules of the same name.
    rooms = (resolved, access, recorded, job_settings)
    changed = {name: value for room in rooms for name, value in room.to_environment().items()}
    changed[RESOLVED] = wishes_to(tuple(wish for wish, _ in found))
    environment = {**absolute_places(os.environ), "PYTHONSAFEPATH": "1", **changed}
    os.execve(sys.executable, [sys.executable, *arguments], environment)  # noqa: S606
