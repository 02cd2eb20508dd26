"""`cellmark explain`: the genes behind each call."""

from typing import Annotated

import typer

from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions

from ..scoring.call_options import NO_FLOORS, Floors
from . import options as cli_options
from .complete import complete_cell_type


@cli_options.takes_groups
def explain(
    data: cli_options.Data,
    model: cli_options.Model,
    out: cli_options.Output,
    top: Annotated[int, typer.Option("--top", help="Number of genes per cell, by absolute attribution.")] = 20,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", autocompletion=complete_cell_type, help="Cell type to explain. Default: each cell's call."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            autocompletion=complete_cell_type,
            metavar="TYPE|second",
            help="Explain why the target type and not this one. second: the second best type of each cell.",
        ),
    ] = None,
    reading: ReadingOptions = AS_IT_IS,
    floors: Floors = NO_FLOORS,
    trusted: cli_options.Trusted = False,
    device: cli_options.Device = "cpu",
    force: cli_options.Force = False,
    json_output: cli_options.Json = False,
) -> None:
    """Show which genes drove each call.

    OUT has one row per cell and gene: the signed attribution to the type's logit, counts, log-normalised expression,
    and the baseline it is compared with. A column says in words whether the gene is high, low or absent, and whether it
    is evidence for or against the type. A cell's attributions add up to what its logit gained over the baseline.

    Example: `cellmark explain new.h5ad --model models:/pbmc@champion -o why.csv --top 5 --against second`
    """
    from cellmark.schemas.cells.read import require_input
    from cellmark.schemas.columns import UNS_KEY
    from cellmark.schemas.json_document import print_document

    from ..files.annotate_file import load_annotator, open_checked
    from ..files.fetch_inputs import fetch_input
    from ..outputs.write_calls import TABLES, check_not_input, check_output, write_table
    from ..scoring.attribute import Question
    from ..terminal.documents import explanations_document
    from ..terminal.show import cell_progress, show_frame
    from ..terminal.show_notes import show_notes

    check_output(out, force=force, formats=TABLES)
    check_not_input(out, [data])
    data = fetch_input(data)
    require_input(data)
    annotator = load_annotator(
        model,
        device=device,
        trusted=trusted,
        floors=floors,
    )
    question = Question(target, against, top)
    question.check(annotator.session)
    with open_checked(annotator, data, reading, trusted=trusted) as checked:
        show_notes(checked.notes)
        seen = checked.notes
        with cell_progress("Explaining", checked.source.n_obs) as advance:
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
    columns = ["cell_id", "target", "gene_symbol", "attribution", "counts", "direction"]
    show_frame(frame[columns].head(10), f"The first rows of {out}")
    if json_output:
        print_document(explanations_document(frame, facts, data, out))
