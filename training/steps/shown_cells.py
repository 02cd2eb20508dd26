"""What the report shows of cells, without their ids: a UMAP, how the best markers are spread, real cells on request."""

from dataclasses import dataclass

import numpy as np
import onnx
import pandas as pd

from cellmark.schemas.golden_cells import GoldenCells
from cellmark.schemas.manifest.marker_spread import MarkerSpread, bin_map, gene_spread
from cellmark.schemas.manifest.worked_examples import WorkedExamples, worked_example

from ..cells.cell_groups import draw_cells
from ..config import TrainingConfig
from ..export.check_parity import golden_cells
from .explain_training import Explained, MappedCells, map_cells
from .fitted_networks import CallMeasures, FittedNetworks
from .training_cells import TrainingCells

PER_TYPE = 3
"""Markers of each type whose densities are kept."""
ON_MAP = 2
"""Those of them that are kept over the map as well."""
CANDIDATES = 25
"""Rightly called cells of a type, of which the one with the middle confidence is its example."""


@dataclass(frozen=True)
class ShownCells:
    """`mapped`, `examples`: None for what was not asked for."""

    mapped: MappedCells | None
    spread: MarkerSpread
    examples: WorkedExamples | None


def show_cells(
    config: TrainingConfig,
    prepared: TrainingCells,
    fitted: FittedNetworks,
    *,
    trust: CallMeasures,
    explained: Explained,
    annotator: onnx.ModelProto,
) -> ShownCells:
    """Everything that the configuration asks for. `annotator`: the graph whose embedding the map is of."""
    mapped = map_cells(annotator, prepared, seed=config.seed) if config.cell_map else None
    examples = real_examples(fitted, explained, trust, prepared, seed=config.seed) if config.real_examples else None
    return ShownCells(mapped, spread_markers(explained.markers, prepared, mapped), examples)


def spread_markers(markers: pd.DataFrame, prepared: TrainingCells, mapped: MappedCells | None) -> MarkerSpread:
    """Densities in all cells but those of the test part, as markers are ranked in them; bins of the mapped cells."""
    cells, seen = prepared.cells, prepared.data.seen
    names, symbols = list(cells.cell_types), list(prepared.panel.symbols)
    best = markers[(markers["rank"] <= PER_TYPE).fillna(False) & (markers["direction"] != "negative").fillna(True)]
    genes = list(dict.fromkeys(map(str, best["gene_symbol"])))
    columns = [symbols.index(gene) for gene in genes]
    values, codes = prepared.x[seen][:, columns].tocsc(), cells.codes[seen]
    sizes = np.bincount(codes, minlength=len(names))
    bins = None
    if mapped is not None:
        on_map = list(dict.fromkeys(map(str, best.loc[best["rank"] <= ON_MAP, "gene_symbol"])))
        of_map = [symbols.index(gene) for gene in on_map]
        bins = bin_map(mapped.where, prepared.x[mapped.rows][:, of_map].toarray(), on_map)
    return MarkerSpread(
        cells={name: int(size) for name, size in zip(names, sizes, strict=True)},
        genes={
            gene: gene_spread(values[:, [place]].toarray().ravel(), codes, names) for place, gene in enumerate(genes)
        },
        bins=bins,
    )


def real_examples(
    fitted: FittedNetworks, explained: Explained, trust: CallMeasures, prepared: TrainingCells, *, seed: int
) -> WorkedExamples:
    """A rightly called cell of each type with the middle confidence of some: held out where there is one."""
    cells = prepared.cells
    right = trust.calls == cells.codes
    _, unseen = prepared.split.unseen
    found = []
    for code, name in enumerate(cells.cell_types):
        rows = np.flatnonzero(right & (cells.codes == code))
        held_out = np.intersect1d(rows, unseen)
        rows = held_out if len(held_out) else rows
        if len(rows) == 0:
            continue
        rows = rows[draw_cells(np.zeros(len(rows), dtype=int), at_most=CANDIDATES, seed=seed)]
        answers = _answers(fitted, explained, trust, prepared, rows)
        middle = int(np.argsort(answers.probabilities[:, code], kind="stable")[len(rows) // 2])
        found.append(
            worked_example(
                str(name),
                counts=answers.counts[middle].toarray().ravel(),
                library_size=float(answers.library_size[middle]),
                probabilities=answers.probabilities[middle],
                attributions=answers.attributions[middle],
                cell_types=list(cells.cell_types),
                gene_symbols=list(prepared.panel.symbols),
            )
        )
    return WorkedExamples(kind="real", examples=found)


def _answers(
    fitted: FittedNetworks, explained: Explained, trust: CallMeasures, prepared: TrainingCells, rows: np.ndarray
) -> GoldenCells:
    return golden_cells(
        fitted.members,
        explained.baselines,
        prepared.counts[rows],
        prepared.cells.library_size[rows],
        temperature=trust.temperature,
        cell_types=prepared.cells.cell_types,
    )
