"""The first steps of a training run: cells are read, divided, given a gene panel and normalised."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.checks.check_split import panel_empty
from cellmark.schemas.checks.split import Split, split_cells
from cellmark.schemas.errors import LabelError
from cellmark.schemas.genes.gene_panel import GenePanel
from cellmark.schemas.manifest.manifest_levels import LevelsEntry
from cellmark.schemas.normalization import normalize

from ..cells.choose_panel import choose_panel
from ..cells.drop_untrainable import drop_untrainable
from ..cells.genes_of_query import on_genes_of
from ..cells.labelled_cells import LabelledCells, read_labelled
from ..config import OF_ONTOLOGY, TrainingConfig
from ..evaluation.cell_ontology import CellOntology, read_ontology_map, unmapped_notes
from ..evaluation.descendants import types_below_names
from ..evaluation.type_levels import levels_of_columns, levels_of_ontology
from ..listener import Listener
from ..markers.gene_lists import allowed_markers
from ..network.contributions import fill_of
from ..network.fit_settings import FitData
from .evaluate_independent import check_independent, fit_independent


@dataclass(frozen=True)
class TrainingCells:
    """`cells` with labels and all genes, and their `split`.

    `columns`: of the panel's genes in `cells.counts`; `gene_ids`: of these genes, None where unknown; `allowed`: which
    of them may be markers, bool [genes]. `counts`: CSR, cells x panel genes, raw; `x`: the same,
    ln(1 + counts per 10,000). `ontology` and `terms`: the Cell Ontology and the term of each label; `levels`: groups of
    types; where asked for.
    """

    cells: LabelledCells
    split: Split
    columns: np.ndarray
    panel: GenePanel
    gene_ids: tuple[str | None, ...]
    allowed: np.ndarray
    counts: sp.csr_matrix
    x: sp.csr_matrix
    ontology: CellOntology | None
    terms: dict[str, str | None]
    levels: LevelsEntry | None = None

    @property
    def types_below(self) -> dict[str, frozenset[str]]:
        """See `types_below_names`."""
        return types_below_names(self.cells.cell_types, self.levels, self.terms, self.ontology)

    def settings(self, config: TrainingConfig) -> TrainingConfig:
        """`config` as these cells allow: counts that nobody knows cannot be thinned."""
        return replace(config, fit=replace(config.fit, least_counts=1.0)) if self.cells.normalised else config

    @cached_property
    def fill(self) -> np.ndarray:
        """What a gene takes that an input did not measure, from training cells, see `fill_of`."""
        train = self.split.train
        return fill_of(self.x[train], self.cells.codes[train], len(self.cells.cell_types))

    @property
    def data(self) -> FitData:
        """What networks are fitted on."""
        return FitData(self.x, self.cells.codes, self.split.train, self.split.validation, len(self.cells.cell_types))


def prepare_training_cells(
    config: TrainingConfig, listener: Listener, source: CellSource | None = None, query: CellSource | None = None
) -> TrainingCells:
    """Read, check and divide `source`, by default the file `config.data`, and choose its panel on training cells, among
    the genes of `query`, by default the file `config.genes_of`.

    Raises `InputError` or `LabelError` for data that cannot be used.
    """
    listener.step("Reading cells")
    check_independent(config)
    ontology = CellOntology() if config.ontology is not None else None
    terms = read_ontology_map(config.ontology, ontology) if config.ontology is not None and ontology is not None else {}
    if query is None and config.genes_of is not None:
        query = open_cells(config.genes_of)  # better refused before the cells are read
    with query or nullcontext(), source or open_cells(config.data, config.reading) as opened:
        cells = read_labelled(
            opened,
            label=config.label,
            donor=config.donor,
            library_size=config.library_size,
            min_cells=config.min_cells,
            held_out=config.test_share > 0,
            max_unknown_share=config.max_unknown_share,
            input=config.input,
            without_depth=config.markers.ranking != "published",  # which draws on counts
            levels=() if config.levels == OF_ONTOLOGY else config.levels,
        )
        if query is not None:
            cells, found = on_genes_of(cells, query)
            cells = replace(cells, notes=(*cells.notes, found))

    listener.step("Splitting")
    split = split_cells(
        cells.codes, cells.donors, hold_out=config.hold_out, test_share=config.test_share, seed=config.seed
    )
    cells, split = drop_untrainable(cells, split, min_cells=config.min_cells)
    levels, omitted = levels_of_columns(cells.levels, cells.cell_types)
    if config.levels == OF_ONTOLOGY and ontology is not None:
        levels = levels_of_ontology(cells.cell_types, terms, ontology)
    for finding in (*cells.notes, *(unmapped_notes(cells.cell_types, terms) if terms else ()), *omitted):
        listener.note(finding)
    listener.data(cells, split)

    listener.step("Choosing the gene panel")
    counts, library_size = cells.counts[split.train], cells.library_size[split.train]
    columns = choose_panel(
        counts, library_size, normalize(counts, library_size), cells.codes[split.train], max_genes=config.max_genes
    )
    if len(columns) < 2:
        raise LabelError(panel_empty(len(columns)))
    panel = GenePanel(tuple(np.array(cells.gene_symbols)[columns]))
    gene_ids = tuple(np.array(cells.gene_ids, dtype=object)[columns])
    below = types_below_names(cells.cell_types, levels, terms, ontology)
    for finding in fit_independent(config, cells, panel, types_below=below):
        listener.note(finding)
    allowed = allowed_markers(panel.symbols, gene_ids, config.markers, on_finding=listener.note)
    of_panel = cells.counts[:, columns]
    of_panel.sort_indices()
    x = normalize(of_panel, cells.library_size)
    return TrainingCells(cells, split, columns, panel, gene_ids, allowed, of_panel, x, ontology, terms, levels)
