"""`cellmark validate`: everything that is wrong with an input, before it is used."""

from pathlib import Path
from typing import Annotated

import typer

from cellmark.serving.cli_options import (
    Data,
    GenesByCells,
    Layer,
    LibrarySize,
    MinAttributionShare,
    MinPanelShare,
    Model,
    RecoverCounts,
    Trusted,
)


def validate(
    data: Data,
    model: Model,
    layer: Layer = None,
    library_size: LibrarySize = None,
    genes_by_cells: GenesByCells = False,
    recover_counts: RecoverCounts = False,
    min_panel_share: MinPanelShare = None,
    min_attribution_share: MinAttributionShare = None,
    trusted: Trusted = False,
    json_output: Annotated[bool, typer.Option("--json", help="Findings as JSON on standard output.")] = False,
    data_docs: Annotated[
        Path | None, typer.Option("--data-docs", help="New folder for Great Expectations' HTML pages.")
    ] = None,
) -> None:
    """Check an input against a model: all findings at once, exit status 1 when it would be refused.

    Errors are what annotate refuses. Warnings come from Great Expectations: cells or samples unlike the training data.

    Example: `cellmark validate new.h5ad --model models:/pbmc@champion`
    """
    import json

    from cellmark.serving.model_source import open_model
    from cellmark.serving.progress import waiting
    from cellmark.serving.reader_server import start_reader
    from cellmark.serving.show import show_findings
    from cellmark.serving.validate import validate_path

    if not trusted:
        start_reader()
    with waiting(f"Checking {data}"):
        bundle = open_model(model).bundle
        report = validate_path(
            bundle,
            data,
            layer=layer,
            library_size=library_size,
            genes_by_cells=genes_by_cells,
            recover_counts=recover_counts,
            min_panel_share=min_panel_share,
            min_attribution_share=min_attribution_share,
            data_docs=data_docs,
            trusted=trusted,
        )
    if json_output:
        typer.echo(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    elif report.findings:
        show_findings(report.findings, f"{data}: {'can be used' if report.valid else 'would be refused'}")
    if not json_output:
        typer.echo(report.summary(str(data)))
    raise typer.Exit(0 if report.valid else 1)
