"""`cellmark serve`: a model as an HTTP service."""

from typing import Annotated, Literal

import typer


def serve(
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", envvar="CELLMARK_MODEL", help="Bundle folder or MLflow URI (models:/pbmc@champion)."
        ),
    ],
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

    Beyond this machine (`--host 0.0.0.0`) requests need keys: `cellmark keys create --key-file keys.jsonl`, then
    `cellmark serve --model MODEL --host 0.0.0.0 --key-file keys.jsonl`

    The model is verified and tested before the server starts. A separate process reads uploaded files, within
    CELLMARK_READ_SECONDS, CELLMARK_READER_MEMORY_BYTES, CELLMARK_MAX_CELLS, CELLMARK_MAX_GENES and
    CELLMARK_MAX_NONZEROS. Other settings are environment variables too: CELLMARK_CONCURRENCY, CELLMARK_THREADS,
    CELLMARK_MAX_UPLOAD_BYTES, CELLMARK_MAX_JSON_BYTES, CELLMARK_MAX_UNPACKED_BYTES. Temporary files go to TMPDIR,
    BentoML's to BENTOML_HOME (default: below TMPDIR).
    """
    import os
    import sys
    from dataclasses import replace

    from ..access.exposure import refuse_exposure
    from ..access.settings import AccessSettings
    from ..audit.settings import AuditSettings
    from ..http.served_model import load_annotator
    from ..http.settings import ServiceSettings
    from ..http.start_server import free_address
    from ..limits.settings import default_workers

    n_workers = workers or default_workers()
    wanted = replace(ServiceSettings.from_environment(), model=model, device=device, workers=n_workers)
    access = replace(
        AccessSettings.from_environment(),
        key_file=key_file,
        insecure=insecure,
        ssl_certfile=ssl_certfile,
        ssl_keyfile=ssl_keyfile,
    )
    recorded = replace(AuditSettings.from_environment(), audit=audit)
    if recorded.url is not None:
        recorded = replace(recorded, audit=recorded.url)
        # Begun or refused here, so that no worker begins another one when this is gone.
        recorded.open().close()
        recorded = replace(recorded, audit_create=False)
    address = free_address(host, port)
    refuse_exposure(address, access)
    annotator = load_annotator(wanted)
    source = annotator.source
    # The workers get the verified folder, not the URI: they need no registry, and all serve the same version.
    resolved = replace(
        wanted, model=str(annotator.bundle.folder.resolve()), model_name=source.name, model_version=source.version
    )
    version = f" version {source.version}" if source.version else ""
    shown = f"[{address}]" if ":" in address else address
    scheme = "http" if access.ssl_certfile is None else "https"
    whom = "with keys" if access.is_guarded else "for everybody, without keys"
    digest = annotator.bundle.digest[:12]
    typer.echo(f"Serving {source.name}{version} ({digest}) on {scheme}://{shown}:{port}, {whom}", err=True)
    sys.stderr.flush()
    # Another program takes this process's place: the model that was tested here would only take up memory.
    arguments = ["-m", "cellmark.serving.http.start_server", "--host", address, "--port", str(port)]
    # With a safe path, files in the working folder cannot stand in for modules of the same name.
    changed = {**resolved.to_environment(), **access.to_environment(), **recorded.to_environment()}
    environment = {**os.environ, "PYTHONSAFEPATH": "1", **changed}
    os.execve(sys.executable, [sys.executable, *arguments], environment)  # noqa: S606
