"""`cellmark explain`: the genes behind each call."""

from pathlib import Path
from typing import Annotated

import typer

from cellmark.serving.cli_options import (
    Data,
    Device,
    Force,
    GenesByCells,
    Layer,
    LibrarySize,
    MinPanelShare,
    Model,
    Output,
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
    min_panel_share: MinPanelShare = None,
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
    from cellmark.schemas.read import open_cells, require_input
    from cellmark.serving.annotator import Annotator
    from cellmark.serving.attribute import Question
    from cellmark.serving.cli_options import device_of
    from cellmark.serving.progress import cell_progress, waiting
    from cellmark.serving.show import show_frame, show_notes
    from cellmark.serving.write_calls import TABLES, check_not_input, check_output, write_table

    check_output(out, force=force, formats=TABLES)
    check_not_input(out, [data])
    wanted = device_of(device)
    require_input(data)
    with waiting(f"Loading {model}"):
        annotator = Annotator.load(model, device=wanted, min_panel_share=min_panel_share)
    question = Question(target, against, top)
    question.check(annotator.session)
    with open_cells(data, layer=layer, genes_by_cells=genes_by_cells) as source:
        checked = annotator.check(source, library_size=library_size)
        show_notes(checked.notes)
        with cell_progress("Explaining", source.n_obs) as advance:
            frame = annotator.explain_checked(checked, question, on_progress=advance)
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


def markers(
    model: Model,
    cell_type: Annotated[str | None, typer.Option("--cell-type", help="One type only.")] = None,
    top: Annotated[int, typer.Option("--top", help="Ranks of each type; 0 for all.")] = 10,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A .csv or .parquet with all columns.")] = None,
    force: Force = False,
) -> None:
    """List the marker genes that a model carries.

    Example: `cellmark markers --model models:/pbmc@champion --cell-type "CD14+ Monocyte"`
    """
    from cellmark.schemas.atomic_output import refuse_existing, whole_file
    from cellmark.serving.markers import read_markers
    from cellmark.serving.show import show_frame
    from cellmark.serving.write_calls import TABLES, check_format

    if out is not None:
        check_format(out, TABLES)
        refuse_existing(out, force=force)
    table = read_markers(model, cell_type, top=top or None)
    if out is None:
        # Short headings, so that all fit 80 columns.
        headings = {
            "cell_type": "cell type",
            "rank": "rank",
            "gene_symbol": "gene",
            "mean_contribution": "contribution",
            "mean_in": "mean in",
            "mean_out": "mean out",
            "fraction_in": "% in",
            "fraction_out": "% out",
        }
        shown = table[list(headings)].rename(columns=headings)
        shown[["% in", "% out"]] *= 100
        show_frame(shown, f"Markers of {model}: mean contribution, mean log-normalised expression and % of cells")
        return
    with whole_file(out, force=force) as draft:
        table.to_parquet(draft, index=False) if out.suffix == ".parquet" else table.to_csv(draft, index=False)
    typer.echo(f"Written to {out}")
