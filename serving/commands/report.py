"""`cellmark report`: the report of a model, rendered again from its bundle alone."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Force, Json, Model


def report(
    model: Model,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output file: the report as .html, or the model card as .md.")
    ] = Path("report.html"),
    force: Force = False,
    json_output: Json = False,
) -> None:
    """Write a model's report (one self-contained page) or its model card.

    Every bundle already holds both. This command writes them anew, and adds what is known only after training: the
    bundle's digest, its date, and its registered version.

    Example: `cellmark report --model models:/pbmc@champion -o report.html`

    Example: `cellmark report --model pbmc-bundle -o MODEL_CARD.md`
    """
    from cellmark.schemas.atomic_output import refuse_existing, whole_file
    from cellmark.schemas.json_document import print_document
    from cellmark.schemas.manifest.verdict import verdict
    from cellmark.schemas.report.facts import read_facts
    from cellmark.schemas.report.render import render_model_card, render_report

    from ..models.model_source import open_model
    from ..outputs.write_calls import check_format

    check_format(out, (".html", ".md"))
    refuse_existing(out, force=force)
    source = open_model(model)
    facts = read_facts(source.bundle, name=source.name, version=source.version)
    text = render_model_card(facts) if out.suffix == ".md" else render_report(facts)
    with whole_file(out, force=force) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")
    typer.echo(f"Written to {out}")
    if json_output:
        manifest = source.bundle.manifest
        print_document(
            {
                "output": out,
                "model": source.name,
                "model_version": source.version,
                "bundle_digest": source.bundle.digest,
                "verdict": verdict(manifest),
                "cell_types": manifest.cell_type_names,
                "metrics": manifest.metrics,
            }
        )
