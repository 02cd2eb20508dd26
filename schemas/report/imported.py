"""The report of a model that another tool trained: what its file tells, and above all what it does not."""

import shlex
from typing import Any

import pandas as pd

from ..imported_model import CLIP
from .facts import ReportFacts, count

SHOWN, AGAINST = 12, 8
NOT_KNOWN = "not known"


def imported_view(facts: ReportFacts) -> dict[str, Any]:
    """Names of the templates `imported.html` and `IMPORTED_CARD.md`, and what they stand for."""
    manifest = facts.manifest
    imported = manifest.imported
    assert imported is not None  # noqa: S101
    return {
        "facts": facts,
        "manifest": manifest,
        "imported": imported,
        "identity": facts.identity,
        "lede": f"A model of {imported.tool}, imported: {count(len(manifest.cell_types), 'cell type')}, "
        f"{manifest.panel.n_genes:,} genes. Its calls are those of {imported.tool}, with the genes behind each.",
        "limits": _limits(imported.tool),
        "types": [_type(facts.markers, name) for name in manifest.cell_type_names],
        "clip": f"{CLIP:g}",
        "rows": _rows(facts),
        "commands": _commands(facts),
    }


def _limits(tool: str) -> list[str]:
    return [
        "How often its calls are right is not known: the file holds no cells, and nothing was held out.",
        "Every cell gets one of its types, also a cell of a type that it has never seen: there is no measured "
        "threshold of novelty, and no cell stays unassigned.",
        "Confidence is the sigmoid of the called type alone. It is not calibrated, and those of all types do not sum "
        "to one: several may be near 1, or all near 0, which is a sign of an unknown type or of other depth.",
        "No label sets, no quality ranges of training cells, and no reference for cellmark drift.",
        f"Genes that an input lacks are left out of the scores, as {tool} does, which moves all of them: the fewer "
        "genes, the less a score means.",
    ]


def _type(markers: pd.DataFrame, name: str) -> dict[str, Any]:
    """A type's genes by coefficient: for it and against it, each with its share of the largest."""
    rows = markers[markers["cell_type"] == name]
    best = rows[rows["marker_score"] > 0].sort_values("rank").head(SHOWN)
    against = rows[rows["negative_rank"].notna()].sort_values("negative_rank").head(AGAINST)
    largest = max(float(rows["marker_score"].abs().max()), 1e-12) if len(rows) else 1.0
    return {"name": name, "best": _bars(best, largest), "against": _bars(against, largest)}


def _bars(rows: pd.DataFrame, largest: float) -> list[tuple[str, str, int]]:
    """Symbol, coefficient, and its share of the largest in percent."""
    return [
        (str(symbol), f"{value:.3g}", round(100 * abs(value) / largest))
        for symbol, value in zip(rows["gene_symbol"], rows["marker_score"], strict=True)
    ]


def _rows(facts: ReportFacts) -> list[tuple[str, str]]:
    manifest = facts.manifest
    imported = manifest.imported
    assert imported is not None  # noqa: S101
    n_cells = manifest.training_data.n_cells
    rows = [
        ("Tool", imported.tool),
        ("Classifier", imported.classifier),
        *((name[:1].upper() + name[1:], text) for name, text in imported.description.items()),
        ("Training cells", f"{n_cells:,}; how many of each type is {NOT_KNOWN}" if n_cells else NOT_KNOWN),
        ("Organism", manifest.organism or "not stated"),
        ("File", f"SHA-256 {imported.file_sha256}"),
        (
            "Proof at import",
            f"probabilities within {manifest.parity.max_probability_difference:.1g} of the file's own arithmetic in "
            f"64 bits, on {count(manifest.parity.n_cells, 'drawn cell')}",
        ),
        ("cellmark", manifest.code.version),
    ]
    if facts.identity is not None:
        rows += [("Imported", facts.identity.created), ("Bundle digest", facts.identity.bundle_digest)]
    return rows


def _commands(facts: ReportFacts) -> str:
    """How to call the model by its registered name, or by its folder before that."""
    version = facts.identity.version if facts.identity is not None else None
    uri = shlex.quote(f"models:/{facts.name}/{version}" if version else f"models:/{facts.name}@champion")
    first = shlex.quote(facts.manifest.cell_type_names[0])
    return (
        f"cellmark annotate cells.h5ad --model {uri} -o calls.csv\n"
        f"cellmark explain cells.h5ad --model {uri} --top 5 -o why.csv\n"
        f"cellmark markers --model {uri} --cell-type {first}\n"
        f"cellmark serve --model {uri} --port 3000"
    )
