"""Everything that is wrong with labelled cells: their labels, their donors, and their values beside these."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ..cells.cell_source import CellSource
from ..errors import Finding, InputError
from ..genes.gene_panel import GenePanel
from .check_donors import donor_findings
from .check_labels import label_findings
from .check_levels import level_findings
from .check_split import SplitOptions, TypedCells, panel_findings, split_findings
from .checked_cells import ROWS_TO_REFUSE, CheckedCells
from .orientation import transposed_findings
from .split import Split

BY_DEFAULT = SplitOptions()


def labelled_findings(
    obs: pd.DataFrame,
    *,
    label: str,
    donor: str | None,
    min_cells: int,
    held_out: bool,
    levels: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """What is to be said of labels, donors and columns of `levels`. Arguments as in `label_findings`, `donor_findings`
    and `level_findings`.
    """
    return (
        *label_findings(obs, label, min_cells=min_cells),
        *donor_findings(obs, donor, label=label, min_cells=min_cells, held_out=held_out),
        *level_findings(obs, label, levels, min_cells=min_cells),
    )


@dataclass(frozen=True)
class TrainingLabels:
    """Labels and donors as training will ask for them; arguments as in `labelled_findings` and `split_findings`."""

    obs: pd.DataFrame
    label: str
    donor: str | None
    min_cells: int
    split: SplitOptions = BY_DEFAULT

    @cached_property
    def column_findings(self) -> tuple[Finding, ...]:
        """What is to be said of the columns."""
        held_out = self.split.test_share > 0
        return labelled_findings(
            self.obs, label=self.label, donor=self.donor, min_cells=self.min_cells, held_out=held_out
        )

    @cached_property
    def divided(self) -> tuple[tuple[Finding, ...], Split | None, TypedCells] | None:
        """See `split_findings`; None where a column is refused before."""
        if any(finding.severity == "error" for finding in self.column_findings):
            return None
        return split_findings(
            self.obs, label=self.label, donor=self.donor, min_cells=self.min_cells, options=self.split
        )

    def findings(self) -> tuple[Finding, ...]:
        """All that training would refuse, leave out or note of the labels."""
        return (*self.column_findings, *(self.divided[0] if self.divided else ()))

    def panel_findings(self, source: CellSource, library_size: np.ndarray) -> tuple[Finding, ...]:
        """See `check_split.panel_findings`; nothing of cells that cannot be divided."""
        if self.divided is None or self.divided[1] is None:
            return ()
        return panel_findings(source, self.divided[2], self.divided[1], library_size)


def own_panel(source: CellSource) -> GenePanel:
    """All genes of an input, each once: the panel of cells that no model is chosen for yet."""
    return GenePanel(tuple(dict.fromkeys(map(str, source.var_names))))


def value_errors(
    source: CellSource, panel: GenePanel, *, library_size: str | np.ndarray | pd.Series | None
) -> tuple[Finding, ...]:
    """The errors of an input that is refused anyway: values are looked at, and none is kept."""
    turned = transposed_findings(source)
    try:
        checked = CheckedCells(source, panel, library_size=library_size, min_share=0.0, to_train=True)
        for chunk in checked.source.chunks(ROWS_TO_REFUSE):
            checked.record(checked.prepare(chunk))
        checked.finish()
    except InputError as error:
        return (*turned, *without_consequences(error.findings, turned))
    return turned


def without_consequences(findings: Iterable[Finding], turned: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Without what goes without saying of a matrix on its side: its rows are genes, which may well be empty."""
    return tuple(finding for finding in findings if not (turned and finding.code == "CELL_EMPTY"))
