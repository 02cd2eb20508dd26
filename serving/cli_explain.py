"""`cellmark explain`: the genes behind each call."""

from typing import Annotated

import typer

from cellmark.serving.cli_options import (
    Data,
    Device,
    Force,
    GenesByCells,
    Layer,
    LibrarySize,
    MinAttributionShare,
    MinPanelShare,
    Model,
    Output,
    RecoverCounts,
    Trusted,
)


def explain(
    data: Data,
    model: Model,
    out: Output,
    top: Annotated[int, typer.Option("--top", help="Genes a cell, by absolute attribution.")] = 20,
    target: Annotated[
        str | None, typer.Option("--target", help="Cell type to explain. Default: each cell's call.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="TYPE|second", help="Why the target and not this type.")
    ] = None,
    layer: Layer = None,
    library_size: LibrarySize = None,
    genes_by_cells: GenesByCells = False,
    recover_counts: RecoverCounts = False,
    min_panel_share: MinPanelShare = None,
    min_attribution_share: MinAttributionShare = None,
    trusted: Trusted = False,
    device: Device = "cpu",
    force: Force = False,
) -> None:
    """Show which genes drove each call.

    OUT is a .csv or .parquet with one row per cell and gene: the signed attribution to the type's logit, counts,
    log-normalised expression, the baseline it is compared with, and in words whether the gene is high, low or absent
    and speaks for or against the type. Attributions of a cell add up to what its logit gained over the baseline.

    Example: `cellmark explain new.h5ad --model models:/pbmc@champion -o why.csv --top 5 --against second`
    """
    from cellmark.schemas.columns import UNS_KEY
    from cellmark.schemas.read import require_input
    from cellmark.serving.annotator import Annotator
    from cellmark.serving.attribute import Question
    from cellmark.serving.cli_options import device_of
    from cellmark.serving.open_apart import open_source
    from cellmark.serving.progress import cell_progress, waiting
    from cellmark.serving.reader_server import start_reader
    from cellmark.serving.show import show_frame, show_notes
    from cellmark.serving.write_calls import TABLES, check_not_input, check_output, write_table

    check_output(out, force=force, formats=TABLES)
    check_not_input(out, [data])
    wanted = device_of(device)
    require_input(data)
    if not trusted:
        start_reader()
    with waiting(f"Loading {model}"):
        annotator = Annotator.load(
            model, device=wanted, min_panel_share=min_panel_share, min_attribution_share=min_attribution_share
        )
    question = Question(target, against, top)
    question.check(annotator.session)
    reading = {"layer": layer, "genes_by_cells": genes_by_cells, "recover_counts": recover_counts}
    with open_source(data, reading, trusted=trusted) as source:
        checked = annotator.check(source, library_size=library_size)
        show_notes(checked.notes)
        seen = checked.notes
        with cell_progress("Explaining", source.n_obs) as advance:
            frame = annotator.explain_checked(checked, question, on_progress=advance)
        show_notes(note for note in checked.notes if note not in seen)
    facts = {
        **frame.attrs[UNS_KEY],
        "target": target,
        "against": against,
        "top": top,
        "max_convergence_delta": float(frame["convergence_delta"].abs().max()) if len(frame) else None,
    }
    write_table(frame, facts, out, force=force)
    columns = ["cell_id", "target", "gene", "attribution", "counts", "direction"]
    show_frame(frame[columns].head(10), f"The first rows of {out}")
