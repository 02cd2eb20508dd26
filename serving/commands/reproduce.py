"""`cellmark reproduce`: the question of a receipt asked again."""

from pathlib import Path
from typing import Annotated

import typer


def reproduce(
    receipt: Annotated[
        Path, typer.Argument(readable=False, help="A saved JSON answer of the service, or the receipt in it alone.")
    ],
    data: Annotated[
        Path, typer.Argument(readable=False, metavar="INPUT", help="The file or the JSON body, as it was sent.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Bundle folder or MLflow URI. Default: the registered version that answered."
        ),
    ] = None,
) -> None:
    """Score an input again as a receipt says, with the same model and options, and compare.

    Digests of input and bundle are checked first. The calls must be the same. Given a whole answer, every number
    in it must be the same within 0.0001. Exit status 1 when anything differs.

    Example: `cellmark reproduce answer.json new.h5ad`
    """
    import sys
    from dataclasses import replace

    from ..annotator import Annotator
    from ..app import make_app
    from ..audit import reproduce as steps
    from ..http.settings import ServiceSettings

    claim = steps.read_claim(receipt)
    steps.check_input(claim.receipt, data)
    uri = model or steps.model_of(claim.receipt)
    annotator = Annotator.load(uri)
    steps.check_bundle(claim.receipt, annotator.bundle.digest, where=uri)
    # A file of the user's own, whose size the service's limit let through before.
    size = max(1, data.stat().st_size)
    settings = replace(ServiceSettings.from_environment(), max_upload_bytes=size, max_json_bytes=size)
    answer = steps.ask_again(make_app(annotator, settings), claim.receipt, data)
    compared = steps.compare(claim, answer)
    versions = claim.receipt.service_version, answer["receipt"]["service_version"]
    if versions[0] != versions[1]:
        sys.stderr.write(f"Answered by cellmark {versions[0]}, asked again of {versions[1]}.\n")
    name = claim.receipt.model + (f" version {claim.receipt.model_version}" if claim.receipt.model_version else "")
    typer.echo(f"Reproduced: {answer['n_cells']:,} cells have the same calls from {name}.")
    if claim.cells is not None:
        typer.echo(f"Largest difference between two numbers: {compared.largest:.2g}")
