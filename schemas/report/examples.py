"""The worked examples of the report: the genes for and against a call, as bars."""

from markupsafe import Markup

from ..manifest.worked_examples import WorkedExample
from .svg import Svg, clip, width_of

WIDTH, ROW = 250, 20


def example_chart(example: WorkedExample) -> Markup:
    """A bar for each gene: to the right for the call, to the left against it. Beside the gene stands its count."""
    genes = example.genes
    labels = [f"{clip(one.gene_symbol, 12)} ({one.count:g})" for one in genes]
    left = width_of(labels, 12) + 10
    against = max((-one.attribution for one in genes if one.attribution < 0), default=0.0)
    favour = max((one.attribution for one in genes if one.attribution > 0), default=0.0)
    scale = (WIDTH - 70) / max(against + favour, 1e-9)
    digits = 1 if max(against, favour) >= 2 else 2
    zero = left + 32 + against * scale
    svg = Svg(left + WIDTH, ROW * len(genes) + 26, f"Genes for and against the call {example.called}")
    svg.line(zero, 16, zero, ROW * len(genes) + 22, "link")
    svg.text(zero + 6, 11, "for →", kind="tick")
    svg.text(zero - 6, 11, "← against", anchor="end", kind="tick")
    for row, (one, label) in enumerate(zip(genes, labels, strict=True)):
        y = 20 + ROW * row
        long = max(abs(one.attribution) * scale, 1)
        is_for = one.attribution > 0
        tip = f"{one.gene_symbol}: {one.count:g} counts, moves the logit by {one.attribution:+.2f}"
        svg.rect(zero if is_for else zero - long, y + 3, long, ROW - 6, ".blue" if is_for else ".orange", tip=tip)
        svg.text(left - 4, y + 14, label, anchor="end", kind="gene")
        at = zero + long + 4 if is_for else zero - long - 4
        svg.text(at, y + 14, f"{one.attribution:+.{digits}f}", anchor="start" if is_for else "end", kind="tick")
    return svg.markup()
