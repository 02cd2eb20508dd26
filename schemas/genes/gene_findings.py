"""What is said of an input's gene names: mapped, ambiguous, taken from another column, of another organism."""

from ..errors import Finding
from .gene_ids import MIXED, UNKNOWN, DetectedNames
from .gene_tables import ORGANISMS, RELEASE
from .map_gene_names import AmbiguousName, MappedGenes

N_EXAMPLES = 5


def mapped_note(where: str, result: MappedGenes) -> Finding:
    """The note of names that were mapped. `where`: `var_names` or a column of `var`."""
    ways = ", ".join(f"{number:,} by {way}" for way, number in result.ways.items())
    lost = f"; {len(result.lost):,} names are in no table" if result.lost else ""
    return Finding(
        "GENES_MAPPED",
        where=where,
        expected="the model's own names of its genes",
        found=f"{len(result.mapped):,} other names of them: {ways}{lost}",
        remedy=f"They were mapped with {RELEASE}; nothing needs to be done.",
        severity="info",
        examples=tuple(f"{name} = {symbol}" for name, symbol, _ in result.mapped[:N_EXAMPLES]),
    )


def ambiguous_note(where: str, ambiguous: tuple[AmbiguousName, ...]) -> Finding:
    """The warning of names that were left out because they may mean several genes."""
    return Finding(
        "GENES_AMBIGUOUS",
        where=where,
        expected="names that mean one gene each",
        found=f"{len(ambiguous):,} that may mean a gene of the model or another",
        remedy="They were left out. Give Ensembl ids or current symbols to have them used. "
        "These genes count as not measured unless they are there under another name.",
        severity="warning",
        examples=tuple(f"{doubt.name} ({' or '.join(doubt.symbols[:3])})" for doubt in ambiguous[:N_EXAMPLES]),
    )


def column_note(where: str, n_genes: int) -> Finding:
    """The note of genes that were found by a column of `var`."""
    return Finding(
        "GENE_COLUMN_TAKEN",
        where=where,
        expected="the model's genes in var_names",
        found=f"{n_genes:,} of them in {where}",
        remedy="They were taken from there; nothing needs to be done.",
        severity="info",
    )


def organism_finding(
    model: str | None, seen: DetectedNames | None, declared: tuple[str, str] | None, where: str
) -> Finding | None:
    """The error of cells of another organism than the model's. `model`: None when it is not known.

    `seen`: what the names in `where` are. `declared`: what the file says, and where; a rat's genes, for one, are named
    as a mouse's, so its word counts beside the names.
    """
    if model is None:
        return None
    there, place, found = None, where, ""
    # Symbols alone tell human from mouse; a rat model's cells would look like a mouse's.
    telling = seen is not None and (model in ORGANISMS or "Ensembl" in seen.kind)
    if seen is not None and telling and seen.organism not in (UNKNOWN, model):
        there = seen.organism
        shares = ", ".join(f"{share:.0%} {name}" for name, share in seen.organism_shares.items() if share >= 0.005)
        found = f"names of {' and '.join(seen.organism_shares) if there == MIXED else there} genes ({shares})"
    elif declared is not None and declared[0] != model:
        there, place = declared
        found = f"cells of {there}, as {place} says"
    if there is None:
        return None
    if there == MIXED or "," in there:
        remedy = f"Keep the cells and genes of {model} alone, under their plain names, and hand these in."
    else:
        remedy = (
            f"Name genes by their orthologs in {model}, accepting worse calls: {_option({there, model})}. "
            f"Or use a model trained on {there} cells."
        )
    if place != where:
        remedy += f" If {place} is wrong, correct it."
    return Finding(
        "ORGANISM_MISMATCH", where=place, expected=f"genes of {model}, as the model's", found=found, remedy=remedy
    )


def _option(organisms: set[str]) -> str:
    if organisms == set(ORGANISMS):
        return "--orthologs (orthologs=True in Python)"
    return "--ortholog-table FILE (ortholog_table=FILE in Python)"
