"""Calls that are to be exported: of all their files together, with the clusters that are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_ID, CELL_TYPE, CONFIDENCE, NOVELTY, UNASSIGNED, level_columns
from cellmark.schemas.errors import InputError, ReadError
from cellmark.schemas.genes.fit_genes import fit_genes
from cellmark.schemas.genes.symbol_column import named_by

from ..models.model_source import ModelSource
from ..outputs.column_names import column_name
from ..reader.call_tables import TABLES
from ..reader.open_apart import open_source
from ..reader.read_calls import facts_beside, read_columns

TYPES = (CELL_TYPE, BEST_CELL_TYPE)
MEASURES = (CONFIDENCE, NOVELTY)


@dataclass(frozen=True)
class AnnotatedCells:
    """`calls`: a row for each cell, indexed by id; columns of types, levels and clusters hold text, those of measures
    numbers. `prefix`: of the columns in the files, see `column_name`. `genes`: by symbol of the model's panel, what a
    gene is called in the cells' matrix; genes that some file did not measure are left out.
    """

    calls: pd.DataFrame
    prefix: str | None
    genes: dict[str, str]

    def called(self, column: str) -> str:
        """What a column of calls is called in the files."""
        return column_name(column, self.prefix)


def read_annotated(
    paths: Sequence[Path],
    source: ModelSource,
    *,
    clusters: str | None = None,
    prefix: str | None = None,
    symbol_column: str | None = None,
    trusted: bool = False,
) -> AnnotatedCells:
    """Calls that `cellmark annotate` wrote with the model `source`: tables, whose facts stand beside them, or `.h5ad`.

    `clusters`: a column of the files beside the calls. `prefix`: by default what a table's facts say.
    `symbol_column`: of an `.h5ad`, see `named_by`. Raises
    `InputError` for calls of another model (`CALLS_OF_ANOTHER_MODEL`) and for cells that occur twice, `ReadError` for
    files without calls, and what reading raises.
    """
    pieces = [_read(path, source, clusters, prefix, symbol_column, trusted=trusted) for path in paths]
    calls = pd.concat([piece.calls for piece in pieces])
    if calls.index.has_duplicates:
        twice = calls.index[calls.index.duplicated()].unique()
        raise InputError.of(
            "CELL_ID_DUPLICATE",
            where=", ".join(map(str, paths)),
            expected="each cell once",
            found=f"{len(twice):,} ids that occur twice",
            remedy="Export files of different samples one by one, or make their cell ids unique and annotate again.",
            examples=tuple(map(str, twice[:5])),
        )
    first, *others = pieces
    shared = {symbol: name for symbol, name in first.genes.items() if all(symbol in one.genes for one in others)}
    return AnnotatedCells(calls, first.prefix, shared)


def _read(
    path: Path,
    source: ModelSource,
    clusters: str | None,
    prefix: str | None,
    symbol_column: str | None,
    *,
    trusted: bool,
) -> AnnotatedCells:
    panel, levels = source.bundle.panel, source.bundle.manifest.levels
    names = [level_columns(number + 1)[0] for number in range(len(levels.levels) if levels is not None else 0)]
    digest: object = None
    renamed: dict[str, str] = {}
    if path.suffix.lower() in TABLES:
        facts = facts_beside(path)
        digest = facts.get("bundle_digest")
        told = facts.get("columns_prefix")
        prefix = prefix or (told if isinstance(told, str) else None)
        missing = facts.get("missing_genes")
        lacking = set(missing) if isinstance(missing, list) else set()
        renamed = {symbol: symbol for symbol in panel.symbols if symbol not in lacking}
        wanted = [CELL_ID, *(column_name(name, prefix) for name in (*TYPES, *MEASURES, *names))]
        frame = read_columns(path, [*wanted, *([clusters] if clusters is not None else [])], trusted=trusted)
        if CELL_ID in frame:
            frame = frame.set_index(CELL_ID)
    else:
        with open_source(path, trusted=trusted) as cells:
            frame, columns = (
                cells.obs.rename_axis(CELL_ID),
                fit_genes(panel, named_by(cells, symbol_column)).match.columns,
            )
            there, named = set(map(str, cells.var_names)), np.asarray(cells.var_names, dtype=object)
            for place, number in enumerate(columns):
                if number >= 0:
                    symbol = panel.symbols[number]
                    renamed.setdefault(symbol, symbol if symbol in there else str(named[place]))
    calls = _named(frame, path, [*TYPES, *MEASURES, *names], clusters, prefix)
    _check_model(calls, path, source, digest)
    return AnnotatedCells(calls, prefix, renamed)


def _named(
    frame: pd.DataFrame, path: Path, names: Sequence[str], clusters: str | None, prefix: str | None
) -> pd.DataFrame:
    """The columns of calls under their own names, and that of clusters under the name that it has."""
    own = {column_name(name, prefix): name for name in names}
    asked = [*own, *([clusters] if clusters is not None else [])]
    absent = [name for name in asked if name not in frame.columns]
    if absent or frame.index.name is None or frame.empty or frame[column_name(CELL_TYPE, prefix)].isna().any():
        no_ids = [] if frame.index.name is not None else [CELL_ID]
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=str(path),
            expected="calls that cellmark annotate wrote",
            found=f"no {', '.join([*no_ids, *absent])}" if no_ids or absent else "no cells, or cells without a call",
            remedy="Annotate the cells again, or name the columns as the file does: --columns-prefix, --clusters.",
        )
    calls = frame[list(own)].rename(columns=own)
    for name in calls.columns:
        calls[name] = (
            pd.to_numeric(calls[name], errors="coerce").astype(float) if name in MEASURES else calls[name].astype(str)
        )
    if clusters is not None:
        calls[clusters] = frame[clusters].astype(str).to_numpy()
    calls.index = pd.Index(frame.index.astype(str), name=CELL_ID)
    return calls


def _check_model(calls: pd.DataFrame, path: Path, source: ModelSource, digest: object) -> None:
    known = {*source.bundle.manifest.cell_type_names, UNASSIGNED}
    strangers = sorted(set(calls[CELL_TYPE]) - known)
    if strangers or (isinstance(digest, str) and digest != source.bundle.digest):
        raise InputError.of(
            "CALLS_OF_ANOTHER_MODEL",
            where=str(path),
            expected=f"calls of the model {source.bundle.digest[:12]}",
            found=f"types such as {strangers[0]!r}" if strangers else f"those of {str(digest)[:12]}",
            remedy="Name the model that made them: --model.",
        )
