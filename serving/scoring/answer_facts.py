"""What every answer says of the model and of the input."""

from dataclasses import asdict, dataclass
from typing import Any

from cellmark.schemas.errors import Finding
from cellmark.schemas.genes.orthologs import CrossSpecies


@dataclass(frozen=True)
class AnswerFacts:
    """What every answer says of the model and the input; `notes` are warnings and remarks on the input.

    `attribution_share`: share of the model's attribution mass that the input's genes carry, None for a model that does
    not know it.
    """

    model: str
    model_version: str | None
    bundle_digest: str
    library_size_source: str
    counts_from: str
    n_cells: int
    genes_matched: int
    genes_missing: int
    missing_genes: tuple[str, ...]
    attribution_share: float | None
    notes: tuple[Finding, ...]
    distilled: bool = False
    cross_species: CrossSpecies | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values; `distilled` and `cross_species` only where it is so."""
        facts = asdict(self)
        for name in ("distilled", "cross_species"):
            if not facts[name]:
                del facts[name]
        return {
            **facts,
            "missing_genes": list(self.missing_genes),
            "notes": [note.to_dict() for note in self.notes],
        }
