"""What is asked of a model about cells: how calls are made, and how much of its genes an input must have."""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellmark.schemas.bundle import Bundle
    from cellmark.schemas.checks.checked_cells import CheckedCells

    from .majority import Over, Vote


@dataclass(frozen=True, kw_only=True)
class Floors:
    """`min_panel_share`: share of the panel that an input must have measured. `min_attribution_share`: share of the
    attribution mass that the measured genes must carry. None: the model's own. `max_unknown_share`: share of all counts
    that may be of names which no gene table has, None for `MOST_UNKNOWN_SHARE`.
    """

    min_panel_share: float | None = None
    min_attribution_share: float | None = None
    max_unknown_share: float | None = None

    def check(self, bundle: "Bundle") -> None:
        """Raise `ParameterError` for a share out of its range, or of a mass that the model does not know."""
        from cellmark.schemas.checks.unknown_share import check_unknown_share
        from cellmark.schemas.genes.gene_panel import check_share
        from cellmark.schemas.genes.panel_evidence import check_attribution_share

        if self.min_panel_share is not None:
            check_share(self.min_panel_share)
        check_attribution_share(self.min_attribution_share, bundle.panel.evidence)
        check_unknown_share(self.max_unknown_share)

    def or_else(self, others: "Floors") -> "Floors":
        """These, and those of `others` where they are None."""
        given = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return replace(others, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, kw_only=True, eq=False)
class CallOptions:
    """`probabilities`: one column per cell type as well. `label_set_error`: error rate of the label sets, one of those
    that the model was calibrated for. `over`: clusters to vote over, see `Annotator.annotate`. `as_sample`: judge all
    cells as one sample, whose shift raises the threshold; `sample`: a column of `obs`, each value of which is one.
    """

    probabilities: bool = False
    label_set_error: float | None = None
    over: "Over | None" = None
    as_sample: bool = False
    sample: str | None = None

    def vote(self, checked: "CheckedCells") -> "Vote | None":
        """The vote over clusters, where one is wanted. Raises before any work for clusters that do not fit."""
        if self.over is None:
            return None
        from .majority import Vote

        return Vote(checked.source, checked.cell_ids, self.over)


NO_FLOORS = Floors()
PLAIN_CALLS = CallOptions()
AS_A_SAMPLE = CallOptions(as_sample=True)
