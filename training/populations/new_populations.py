"""New populations: the cells that a model left unassigned, grouped, described and compared with every called type."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.calls.new_populations import (
    MARKER_COLUMNS,
    POPULATION_COLUMNS,
    CalledCells,
    NewPopulations,
    table_of,
)
from cellmark.schemas.columns import NEW_POPULATION, UNS_KEY
from cellmark.schemas.errors import Finding
from cellmark.schemas.normalization import normalize

from ..cells.cell_groups import membership
from ..markers.gene_lists import gene_list, select
from ..markers.marker_ranking import type_profiles
from ..setting_bounds import check_range
from .group_cells import by_size, components, leiden_groups, merge_groups, require_leiden, types_apart
from .mixture import cells_alike, nearest_mixture
from .population_facts import (
    MANY_MARKERS,
    MIN_CALLED,
    alike_facts,
    cell_quality,
    few_findings,
    lacking_types,
    left_out,
    origin_facts,
    quality_facts,
    warnings_of,
)
from .population_markers import population_markers

SHARE_APART, MIN_GENES = 0.2, 10
"""Two groups are two when at least this share of the genes that distinguish two called types distinguish them, and
at least so many. Deep counts and distant types make both numbers large. docs/markers.md says how it was
chosen."""
N_TOP = 5


@dataclass(frozen=True, kw_only=True)
class PopulationSearch:
    """How unassigned cells are grouped and their genes ranked.

    Groups come from the expression of all genes, not from the network: Leiden at `resolution`, too fine on purpose, on
    principal components of all cells; then groups are joined until `min_genes` genes distinguish any two: by default
    `SHARE_APART` of those that distinguish two called types, the median over pairs. Groups of fewer
    than `min_cells` cells are left out, and fewer than twice as many unassigned cells are not grouped at all.
    `include_genes`, `exclude_genes`: which genes may be markers, as of `gene_lists.select`, or a text as of
    `gene_list`. The same cells and `seed` give the same groups. Raises `ParameterError` for a setting outside its range
    and `SetupError` (`EXTRA_MISSING`) without the package of Leiden.
    """

    min_cells: int = 10
    resolution: float = 1.0
    min_genes: int | None = None
    include_genes: str | Sequence[str] = ()
    exclude_genes: str | Sequence[str] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("min_cells", self.min_cells, "at least 3", low=3)
        check_range("min_genes", self.min_genes or 0, "at least 0", low=0)
        check_range("resolution", self.resolution, "from 0.01 to 100", low=0.01, high=100)
        require_leiden("novel")
        for name in ("include_genes", "exclude_genes"):
            given = getattr(self, name)
            object.__setattr__(self, name, gene_list(given) if isinstance(given, str) else tuple(given))

    def find(self, cells: CalledCells, *, on_step: Callable[[str], None] = lambda step: None) -> NewPopulations:
        """The populations among unassigned cells. `cells`: of `Annotator.called_cells`; `on_step` gets a step's name.

        Raises `ParameterError` for lists of genes that leave none.
        """
        cells = _counted_genes(cells)
        selection = select(cells.gene_symbols, cells.gene_ids, include=self.include_genes, exclude=self.exclude_genes)
        rows = np.flatnonzero(cells.unassigned)
        codes = np.full(len(cells.best), -1)
        findings = [*selection.findings, *few_findings(len(rows), cells, self.min_cells)]
        if len(rows) < 2 * self.min_cells:
            return _result(cells, codes, [], [], findings)
        x = normalize(cells.counts, cells.library_size)
        on_step(f"Grouping {len(rows):,} cells")
        points = components(x, seed=self.seed)
        groups = leiden_groups(points[rows], resolution=self.resolution, seed=self.seed)
        on_step("Joining groups that differ in few genes")
        compared = _compared_types(cells)
        min_genes = self.min_genes
        if min_genes is None:
            min_genes = _enough_apart(types_apart(x, [_called(cells, code) for code in compared], seed=self.seed))
        groups = merge_groups(x[rows], groups, min_genes=min_genes)
        codes[rows] = _large_groups(groups, points[rows], min_cells=self.min_cells)
        if n_left := int((codes[rows] < 0).sum()):
            findings.append(left_out(n_left, self.min_cells))
        findings += lacking_types(cells, compared)
        alike = cells_alike(points, codes, ~cells.unassigned, n_populations=int(codes.max()) + 1)
        populations, tables = [], []
        for number, like in enumerate(alike):
            on_step(f"Ranking the genes of {population_name(number)}")
            facts, markers = _describe(cells, x, codes, number, compared, selection.allowed)
            populations.append({**facts, **alike_facts(cells, like)})
            tables.append(markers)
        return _result(cells, codes, populations, tables, findings)

    def draw(self, found: NewPopulations, cells: CalledCells, folder: Path, *, force: bool = False) -> None:
        """Pictures of the markers in a new folder, see `population_figures`; `cells`: those that `found` was found
        in.
        """
        from ..figures.figure_files import save_figures
        from .population_markers import population_figures

        save_figures(population_figures(found, cells, seed=self.seed), folder, force=force)


def population_name(number: int) -> str:
    """`new-1` is the largest population, number 0."""
    return f"new-{number + 1}"


def _describe(
    cells: CalledCells,
    x: sp.csr_matrix,
    codes: np.ndarray,
    number: int,
    compared: list[int],
    allowed: np.ndarray,
) -> tuple[dict[str, object], pd.DataFrame]:
    """The facts of one population, and its markers."""
    own = np.flatnonzero(codes == number)
    called = [_called(cells, code) for code in compared]
    name = population_name(number)
    facts = {
        "population": name,
        **origin_facts(cells, own),
        **quality_facts(cell_quality(cells), own, called),
    }
    if not called:
        facts["warnings"] = "; ".join(warnings_of(facts, compared=False))
        return facts, pd.DataFrame(columns=list(MARKER_COLUMNS))
    members = [own, *called]
    kept = np.concatenate(members)
    of = np.repeat(np.arange(len(members)), [len(member) for member in members])
    profiles = type_profiles(x[kept], of, len(members))
    share, linear = _means(x[kept], of, len(members))
    types = tuple(cells.cell_types[code] for code in compared)
    markers = population_markers(
        x[kept],
        of,
        profiles,
        share,
        linear,
        name=name,
        cell_types=types,
        gene_symbols=np.array(cells.gene_symbols, dtype=object),
        gene_ids=np.array(cells.gene_ids, dtype=object),
        in_panel=cells.in_panel,
        allowed=allowed,
        donors=None if cells.donors is None else cells.donors[kept],
    )
    best = markers[markers["own"] & markers["rank"].notna()]
    facts |= {
        "n_markers": len(best),
        "n_markers_outside_panel": int((~best["in_panel"]).sum()),
        "top_markers": ", ".join(best["gene_symbol"].head(N_TOP)),
        "mixture_of": _mixture(linear, types) if len(best) < MANY_MARKERS else None,
    }
    facts["warnings"] = "; ".join(warnings_of(facts, compared=True))
    return facts, markers


def _mixture(linear: np.ndarray, types: tuple[str, ...]) -> str | None:
    """The two types that a population may be a mixture of. `linear`: mean counts per 10,000, the population's first."""
    mixture = nearest_mixture(linear[0], linear[1:])
    if mixture is None or not mixture.is_close:
        return None
    return " and ".join(types[number] for number in mixture.types)


def _means(x: sp.csr_matrix, codes: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of cells with a count, and mean counts per 10,000, [groups, genes] each."""
    members = membership(codes, n_groups)
    sizes = np.bincount(codes, minlength=n_groups)[:, None]

    def mean(values: np.ndarray) -> np.ndarray:
        sums: np.ndarray = (members @ sp.csr_matrix((values, x.indices, x.indptr), shape=x.shape)).toarray() / sizes
        return sums

    return mean((x.data > 0).astype(np.float64)), mean(np.expm1(x.data.astype(np.float64)))


def _counted_genes(cells: CalledCells) -> CalledCells:
    """Without the genes that have no count in any cell."""
    kept = np.flatnonzero(np.bincount(cells.counts.indices, minlength=cells.counts.shape[1]))
    return replace(
        cells,
        counts=cells.counts[:, kept],
        gene_symbols=tuple(cells.gene_symbols[gene] for gene in kept),
        gene_ids=tuple(cells.gene_ids[gene] for gene in kept),
        in_panel=cells.in_panel[kept],
    )


def _large_groups(groups: np.ndarray, points: np.ndarray, *, min_cells: int) -> np.ndarray:
    """Groups of at least `min_cells` cells, numbered from the largest, -1 for cells of none.

    Of a few cells chance makes many genes differ, so small groups are not joined by their genes: each of their cells
    goes where it has enough neighbours, if anywhere. `points`: [cells, components].
    """
    large = np.bincount(groups) >= min_cells
    codes = np.where(large[groups], groups, -1)
    # From the smallest to the largest, so that a cell that is like two ends in the larger one.
    for number, like in reversed(
        list(enumerate(cells_alike(points, codes, codes < 0, n_populations=int(large.sum()))))
    ):
        codes[like] = number
    inside = np.flatnonzero(codes >= 0)
    codes[inside] = by_size(codes[inside])
    return codes


def _enough_apart(of_types: float) -> int:
    return MIN_GENES if np.isnan(of_types) else max(MIN_GENES, round(SHARE_APART * of_types))


def _called(cells: CalledCells, code: int) -> np.ndarray:
    return np.flatnonzero(~cells.unassigned & (cells.best == code))


def _compared_types(cells: CalledCells) -> list[int]:
    sizes = np.bincount(cells.best[~cells.unassigned], minlength=len(cells.cell_types))
    return np.flatnonzero(sizes >= MIN_CALLED).tolist()


def _result(
    cells: CalledCells,
    codes: np.ndarray,
    populations: list[dict[str, object]],
    tables: list[pd.DataFrame],
    findings: list[Finding],
) -> NewPopulations:
    names = np.array([*(str(facts["population"]) for facts in populations), None], dtype=object)
    rows = np.flatnonzero(cells.unassigned)
    filled = [table for table in tables if len(table)]
    return NewPopulations(
        table_of(pd.DataFrame(populations), POPULATION_COLUMNS),
        pd.concat(filled, ignore_index=True) if filled else table_of(pd.DataFrame(), MARKER_COLUMNS),
        pd.Series(names[codes[rows]], index=pd.Index(cells.cell_ids[rows], name="cell_id"), name=NEW_POPULATION),
        codes,
        tuple(findings),
        cells.calls.attrs.get(UNS_KEY, {}).get("sample_shift"),
    )
