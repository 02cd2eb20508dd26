"""`cellmark explain`: the genes behind each call."""

from typing import Annotated

import typer

from . import options as cli_options


def explain(
    data: cli_options.Data,
    model: cli_options.Model,
    out: cli_options.Output,
    top: Annotated[int, typer.Option("--top", help="Number of genes per cell, by absolute attribution.")] = 20,
    target: Annotated[
        str | None, typer.Option("--target", help="Cell type to explain. Default: each cell's call.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="TYPE|second",
            help="Explain why the target type and not this one. second: the second best type of each cell.",
        ),
    ] = None,
    layer: cli_options.Layer = None,
    library_size: cli_options.LibrarySize = None,
    genes_by_cells: cli_options.GenesByCells = False,
    recover_counts: cli_options.RecoverCounts = False,
    min_panel_share: cli_options.MinPanelShare = None,
    min_attribution_share: cli_options.MinAttributionShare = None,
    trusted: cli_options.Trusted = False,
    device: cli_options.Device = "cpu",
    force: cli_options.Force = False,
) -> None:
    """Show which genes drove each call.

    OUT has one row per cell and gene: the signed attribution to the type's logit, counts, log-normalised expression,
    and the baseline it is compared with. A column says in words whether the gene is high, low or absent, and whether it
    is evidence for or against the type. A cell's attributions add up to what its logit gained over the baseline.

    Example: `cellmark explain new.h5ad --model models:/pbmc@champion -o why.csv --top 5 --against second`
    """
    from cellmark.schemas.cells.read import require_input
    from cellmark.schemas.columns import UNS_KEY

    from ..outputs.write_calls import TABLES, check_not_input, check_output, write_table
    from ..reader.open_apart import open_source
    from ..scoring.attribute import Question
    from ..terminal.progress import cell_progress
    from ..terminal.show import show_frame, show_notes
    from .load_annotator import load_annotator

    check_output(out, force=force, formats=TABLES)
    check_not_input(out, [data])
    require_input(data)
    annotator = load_annotator(
        model, device=device, trusted=trusted, min_panel_share=min_panel_share,
        min_attribution_share=min_attribution_share,
    )  # fmt: skip
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
