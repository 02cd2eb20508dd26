"""The manifest's section on input that measured only some of the panel: what is lost, and where input is refused."""

from typing import Literal

from .manifest_section import Section


class MissingPoint(Section):
    """Macro-F1 when genes that carry `mass_missing` of the attribution mass were not measured, which are
    `genes_missing` of the panel, by share; means over draws of genes. `at_baseline`, `at_zero`: what takes their place.
    """

    mass_missing: float
    genes_missing: float
    at_baseline: float
    at_zero: float


class OverlapEntry(Section):
    """How partial input is treated. `min_share`: of the panel's genes stands in `panel`; `min_mass`: of the attribution
    mass, below which input is refused; `min_type_mass`: of one type's own, below which that type is named as thin.
    Both are where the curve falls `max_loss` below its start (for the second, a type's F1). `n_draws`: of the genes
    that are missing, half of them at random, half in proportion to the mass they carry.
    """

    treatment: Literal["baseline", "zero"]
    min_mass: float
    min_type_mass: float
    evaluated_on: Literal["test", "out_of_fold", "validation"]
    n_cells: int
    max_loss: float | None = None
    n_draws: int | None = None
    curve: list[MissingPoint] = []
