"""What the marker commands read and write: labelled cells; .csv, .parquet, or a copy of an .h5ad for scanpy's plots."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.atomic_output import output_name, whole_file
from cellmark.schemas.calls.scanpy_layout import KEY, to_rank_genes_groups
from cellmark.schemas.cells.read import open_cells, require_input
from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions
from cellmark.schemas.checks.unknown_share import check_unknown_share
from cellmark.schemas.errors import GeneOverlapError, LabelError, OutputError, ParameterError, ReadError
from cellmark.schemas.near_names import given_as, near_names
from cellmark.schemas.normalization import normalize

from ..cells.choose_panel import choose_panel
from ..cells.labelled_cells import LabelledCells, read_labelled
from ..setting_bounds import check_range

TABLES = (".csv", ".parquet")


def chosen_markers(
    table: pd.DataFrame, *, cell_types: Sequence[str], gene_symbols: Sequence[str], ranks: int
) -> np.ndarray:
    """The first `ranks` genes of each type that are present in it, bool [types, genes].

    `table`: as `read_marker_file` gives it; of several rankings each counts. Types and genes that the cells lack are
    left out. Raises `LabelError` when no cell type is in the table, `GeneOverlapError` when none of its genes is there.
    """
    rows = table[table["rank"] <= ranks]
    if "direction" in rows:
        rows = rows[rows["direction"] != "negative"]
    rows = rows[rows["cell_type"].isin(cell_types)]
    if rows.empty:
        raise LabelError.of(
            "LABEL_COLUMN_UNKNOWN",
            where="markers",
            expected=f"cell types such as {', '.join(list(cell_types)[:3])}",
            found="none of them in the marker table",
            remedy="Take a table of markers of these types, or another label.",
            examples=tuple(pd.unique(table["cell_type"])[:5]),
        )
    numbers = {name: number for number, name in enumerate(gene_symbols)}
    rows = rows[rows["gene_symbol"].isin(numbers)]
    if rows.empty:
        raise GeneOverlapError.of(
            "NO_GENES_SHARED",
            where="markers",
            expected=f"gene symbols such as {', '.join(list(gene_symbols)[:3])}",
            found="none of the markers among them",
            remedy="Name the genes as the cells do.",
            examples=tuple(pd.unique(table["gene_symbol"])[:5]),
        )
    chosen = np.zeros((len(cell_types), len(gene_symbols)), dtype=bool)
    codes = rows["cell_type"].map({name: code for code, name in enumerate(cell_types)}).to_numpy(dtype=int)
    chosen[codes, rows["gene_symbol"].map(numbers).to_numpy(dtype=int)] = True
    return chosen


def check_suffix(path: Path, suffixes: Sequence[str]) -> None:
    """Raise `OutputError` when the name of an output ends in none of `suffixes`."""
    if path.suffix not in suffixes:
        names = ", ".join(suffixes[:-1]) + " or " + suffixes[-1] if len(suffixes) > 1 else suffixes[0]
        raise OutputError.of(
            "OUTPUT_FORMAT_UNKNOWN",
            where=str(path),
            expected=f"a name that ends in {names}",
            found=repr(path.suffix) if path.suffix else "no extension",
            remedy=output_name(path, suffixes),
        )


def check_not_input(out: Path, data: Path) -> None:
    """Raise `OutputError` when a table would replace the cells, `ParameterError` when an `.h5ad` output is asked for
    and the input, which it would copy, is not one.
    """
    if out.suffix == ".h5ad":  # a copy that keeps all that is there may take its place
        if data.suffix.lower() != ".h5ad":
            raise ParameterError.of(
                "PARAMETER_INVALID",
                where="out",
                expected="an .h5ad as input too, of which a copy is written",
                found=data.name,
                remedy="Write a .csv or .parquet instead.",
            )
    elif out.exists() and data.exists() and out.samefile(data):
        raise OutputError.of(
            "OUTPUT_EXISTS",
            where=str(out),
            expected="another file than the input",
            found="the input, which would be lost",
            remedy="Name another output.",
        )


def write_table(table: pd.DataFrame, out: Path, *, force: bool = False) -> None:
    """A `.csv` or `.parquet`, whole or not at all."""
    with whole_file(out, force=force) as draft:
        table.to_parquet(draft, index=False) if out.suffix == ".parquet" else table.to_csv(draft, index=False)


def write_h5ad(table: pd.DataFrame, data: Path, out: Path, *, label: str, force: bool = False) -> tuple[str, ...]:
    """A copy of the `.h5ad` `data` with each ranking in `uns` as scanpy keeps it; all else stays as it is stored.

    The first ranking is `rank_genes_groups`; with several, each is there as `rank_genes_groups_<ranking>` too. Returns
    the keys.
    """
    import h5py
    from anndata.io import write_elem

    rankings = list(pd.unique(table["ranking"]))
    layouts = {
        f"{KEY}_{name}": to_rank_genes_groups(table[table["ranking"] == name], groupby=label) for name in rankings
    }
    first = {KEY: layouts[f"{KEY}_{rankings[0]}"]}
    layouts = {**first, **layouts} if len(rankings) > 1 else first
    with whole_file(out, force=force) as draft:
        shutil.copyfile(data, draft)
        with h5py.File(draft, "r+") as file:
            if "uns" not in file:
                write_elem(file, "uns", {})
            for key, layout in layouts.items():
                if key in file["uns"]:
                    del file["uns"][key]
                write_elem(file["uns"], key, layout)
    return tuple(layouts)


def read_marker_file(path: Path) -> pd.DataFrame:
    """The columns `cell_type`, `gene_symbol`, `rank` and, where the file has them, `ranking` and `direction`.

    Raises `ReadError` for a file that is no marker table.
    """
    require_input(path)
    if path.suffix not in TABLES:
        raise ReadError.of(
            "FILE_FORMAT_UNKNOWN",
            where=str(path),
            expected="a marker table, .csv or .parquet",
            found=repr(path.suffix or "none"),
            remedy="Write one with `cellmark markers rank DATA -o markers.csv`.",
        )
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, low_memory=False)
    except (OSError, ValueError) as error:  # pyarrow's and pandas' parsers raise kinds of ValueError
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=str(path),
            expected="a marker table",
            found=str(error).splitlines()[0][:200],
            remedy="Write it again.",
        ) from error
    missing = [name for name in ("cell_type", "gene_symbol", "rank") if name not in table]
    if missing:
        raise ReadError.of(
            "TABLE_INVALID",
            where=str(path),
            expected="the columns cell_type, gene_symbol and rank",
            found=f"no {', '.join(missing)}",
            remedy="Take a table of `cellmark markers rank`, or a bundle's markers.",
        )
    kept = [name for name in ("cell_type", "gene_symbol", "rank", "ranking", "direction") if name in table]
    return table[kept].astype({"cell_type": str, "gene_symbol": str})


@dataclass(frozen=True)
class MarkerCells:
    """`cells`: as read; `genes`: the numbers of their genes that have a count; `x`: CSR, cells x `genes`, ln(1 + counts
    per 10,000); `conditions`: str [cells], or None where none were asked for.
    """

    cells: LabelledCells
    genes: np.ndarray
    x: sp.csr_matrix
    conditions: np.ndarray | None = None

    @property
    def gene_symbols(self) -> list[str]:
        return [self.cells.gene_symbols[number] for number in self.genes]

    @property
    def gene_ids(self) -> list[str | None]:
        return [self.cells.gene_ids[number] for number in self.genes]


def read_for_markers(
    data: Path,
    *,
    label: str,
    donor: str | None,
    by: str | None = None,
    reading: ReadingOptions = AS_IT_IS,
    max_unknown_share: float | None = None,
    min_cells: int,
) -> MarkerCells:
    """Read and check as `read_labelled` does. `by`: a column of `obs` with a condition for every cell.

    Raises as `open_cells` and `read_labelled`, and `ParameterError` for `by` and `min_cells`.
    """
    check_range("min_cells", min_cells, "at least 2", low=2, remedy="Raise --min-cells: one cell has no spread.")
    check_unknown_share(max_unknown_share)
    with open_cells(data, reading) as source:
        conditions = None if by is None else _conditions(source.obs, by)
        cells = read_labelled(
            source,
            label=label,
            donor=donor,
            library_size=reading.library_size,
            min_cells=min_cells,
            max_unknown_share=max_unknown_share,
            input=reading.input,
        )
        if conditions is not None:
            conditions = conditions[pd.Index(source.cell_ids).get_indexer(pd.Index(cells.cell_ids))]
    genes = np.flatnonzero(np.bincount(cells.counts.indices, minlength=cells.counts.shape[1]))
    return MarkerCells(cells, genes, normalize(cells.counts[:, genes], cells.library_size), conditions)


def panel_genes(found: MarkerCells, *, max_genes: int | None) -> np.ndarray:
    """The genes that training would choose from these cells, bool [genes]; see `choose_panel`."""
    if max_genes is not None:
        check_range("max_genes", max_genes, "at least 2, or 0 for all that types express", low=2)
    counts = found.cells.counts[:, found.genes]
    columns = choose_panel(counts, found.cells.library_size, found.x, found.cells.codes, max_genes=max_genes)
    kept = np.zeros(len(found.genes), dtype=bool)
    kept[columns] = True
    return kept


def keep_genes(found: MarkerCells, kept: np.ndarray) -> MarkerCells:
    """The same with fewer genes. `kept`: bool [genes]."""
    return replace(found, genes=found.genes[kept], x=found.x[:, kept])


def _conditions(obs: pd.DataFrame, by: str) -> np.ndarray:
    if by not in obs.columns:
        columns = ", ".join(map(str, obs.columns)) or "no columns"
        near = near_names(by, map(str, obs.columns))
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="by",
            expected="a column of obs",
            found=f"{by!r}, where obs has {columns}",
            remedy=f"Did you mean {given_as('--by', near)}?" if near else "Name the column of conditions with --by.",
        )
    conditions = np.char.strip(obs[by].astype(object).where(obs[by].notna(), "").astype(str).to_numpy(dtype=str))
    empty = conditions == ""
    if empty.any():
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where=f"obs[{by!r}]",
            expected="a condition for every cell",
            found=f"{int(empty.sum())} cells without",
            remedy="Remove these cells first.",
            examples=tuple(map(str, obs.index[empty][:5])),
        )
    return conditions
